"""Sign arguments a second time: which outputs can rise or fall at all, in the computed floats.

Rounding is monotone. A fixed-order sum of products, a clamp, a sort and the clip are therefore
nondecreasing, in floats too, in whatever enters them with a positive sign.
"""

import numpy as np

from smile_sklearn.snapshot.graph import Affine, GroupSort, Input, Sum


def output_directions(snapshot, pairs, *, shared):
    """Whether any margin may be larger, and whether any may be smaller, at x' than at x''."""
    directions = []  # a node's (rise, fall), stacked: (2, size); the sign of a weight swaps the rows
    for node in snapshot.graph.nodes:
        if isinstance(node, Input):
            directions.append(np.stack([pairs.may_rise, pairs.may_fall]))
        elif isinstance(node, Affine):
            directions.append(_weighted(node.weight, directions[node.source]))
        elif isinstance(node, GroupSort):
            blocks = directions[node.source].reshape(2, -1, node.group).any(axis=2)
            directions.append(np.repeat(blocks, node.group, axis=1))
        elif isinstance(node, Sum):
            directions.append(directions[node.first] | directions[node.second])
        else:
            directions.append(directions[node.source])
    latent = directions[snapshot.lower] | directions[snapshot.upper]
    if not shared:
        latent = latent | _may_open(snapshot)  # within an open box h goes where it likes
    outputs = _weighted(snapshot.head_weight, latent)
    if snapshot.n_outputs > 1:
        first, second = np.triu_indices(snapshot.n_outputs, k=1)
        outputs = outputs[:, first] | outputs[::-1, second]
    return bool(outputs[0].any()), bool(outputs[1].any())


def _weighted(weight, directions):
    rise, fall = directions
    up, down = weight > 0, weight < 0
    return np.stack(
        [
            (up & rise).any(axis=1) | (down & fall).any(axis=1),
            (up & fall).any(axis=1) | (down & rise).any(axis=1),
        ]
    )


def _may_open(snapshot):
    """(n_latent,) bool: not a width that is 0 times the inputs plus 0."""
    node = None if snapshot.width is None else snapshot.graph.nodes[snapshot.width]
    if not isinstance(node, Affine):
        return np.ones(snapshot.n_latent, dtype=bool)
    return (node.weight != 0).any(axis=1) | (node.bias != 0)
