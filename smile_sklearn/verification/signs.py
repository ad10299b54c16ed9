"""Sign arguments: what is monotone, or equal, in the computed floats themselves.

Rounding to nearest is monotone, so a sum taken in one fixed order is nondecreasing in every
term, and so are products with a constant of known sign, clamps, sorts and the clip. If every
path from what may grow to the output has one sign, ``predict(x') <= predict(x'')`` holds bit
for bit, with no slack at all. Only signs are used, never magnitudes.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.graph import Affine, Clamp, GroupSort, Input, Sum


class Moves(NamedTuple):
    """Whether each unit may be larger, or smaller, at x' than at x''."""

    up: np.ndarray
    down: np.ndarray

    def __or__(self, other):
        return Moves(self.up | other.up, self.down | other.down)


def node_moves(graph, relation):
    """Possible directions of every node over the related pairs, aligned with the nodes."""
    moves = []
    for node in graph.nodes:
        if isinstance(node, Input):
            # Scaling clips, subtracts and divides: all monotone, so raw signs carry over.
            moves.append(Moves(relation.delta_upper > 0, relation.delta_lower < 0))
        elif isinstance(node, Affine):
            moves.append(through_weights(node.weight, moves[node.source]))
        elif isinstance(node, Clamp):
            moves.append(moves[node.source])
        elif isinstance(node, GroupSort):
            blocks = (flags.reshape(-1, node.group).any(axis=1) for flags in moves[node.source])
            moves.append(Moves(*(np.repeat(block, node.group) for block in blocks)))
        elif isinstance(node, Sum):
            moves.append(moves[node.first] | moves[node.second])
        else:
            raise UnsupportedError(f"Got a node of type {type(node).__name__!r}, whose signs are not known.")
    return moves


def through_weights(weight, moves):
    """Directions of ``weight @ x`` from those of x."""
    positive, negative = weight > 0, weight < 0
    return Moves(positive @ moves.up | negative @ moves.down, positive @ moves.down | negative @ moves.up)


def output_moves(snapshot, relation, *, shared):
    """Directions of every margin, each shape (n_margins,).

    Parameters
    ----------
    snapshot : NetworkSnapshot
    relation : Relation
    shared : bool
        Whether h(x') = h(x'') for all related pairs; the clip is then nondecreasing in
        (lo, hi) alone. Otherwise a unit is only held still by a box of width exactly 0,
        in which ``hi = lo + 0 = lo`` and the clip returns lo.
    """
    moves = node_moves(snapshot.graph, relation)
    latent = moves[snapshot.lower] | moves[snapshot.upper]
    if not shared:
        open_box = ~_zero_width(snapshot)
        latent = Moves(latent.up | open_box, latent.down | open_box)
    outputs = through_weights(snapshot.head_weight, latent)
    if snapshot.n_outputs == 1:
        return outputs
    # f_j - f_k is computed by one monotone subtraction from the two outputs.
    first, second = snapshot.margin_pairs()
    return Moves(outputs.up[first] | outputs.down[second], outputs.down[first] | outputs.up[second])


def _zero_width(snapshot):
    if snapshot.width is None:
        return np.zeros(snapshot.n_latent, dtype=bool)
    node = snapshot.graph.nodes[snapshot.width]
    if not isinstance(node, Affine):
        return np.zeros(snapshot.n_latent, dtype=bool)
    return (node.weight == 0).all(axis=1) & (node.bias == 0)
