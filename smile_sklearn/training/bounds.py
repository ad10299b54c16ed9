"""Difference bounds in torch: the differentiable twin of ``verification.difference``.

Training minimises what verification will compute, without the outward rounding. A test
holds ``torch <= numpy <= torch + slack`` for every family, coupling and kind of feature.
"""

import numpy as np
import torch

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.network.evaluate import dense_graph
from smile_sklearn.snapshot.graph import Affine, Clamp, GroupSort, Input, Sum
from smile_sklearn.verification.intervals import input_range


class DifferenceMeasure:
    """Upper bounds of V and of the exchanged V for one relation, as tensors with a gradient.

    Parameters
    ----------
    relation : Relation
    coupling : {"box", "shared"}
    device : torch.device or str
    """

    def __init__(self, relation, coupling, device="cpu"):
        domain = relation.domain
        self.coupling = coupling
        self.symmetric = relation.symmetric
        self._input_difference = tuple(_tensor(end, device) for end in relation.unit_delta())
        self._input_range = tuple(_tensor(end, device) for end in input_range(domain))
        self._numeric = _tensor(~domain.in_group, device)
        self._groups = []
        for group, allowed in zip(domain.groups, relation.group_pairs, strict=True):
            first, second = (torch.as_tensor(index, device=device) for index in np.nonzero(allowed))
            columns = torch.as_tensor(group.columns, dtype=torch.long, device=device)
            self._groups.append((columns, _tensor(group.categories, device), first, second))

    def bounds(self, network, box=None):
        """Return (sup f' - f'', sup f'' - f'), largest over the margins, in network units.

        Parameters
        ----------
        network : SMiLENetwork
        box : tuple of Graph and BoxNodes, default=None
            ``network.auxiliary_graph()``, if at hand.
        """
        graph, nodes = box or network.auxiliary_graph()
        graph = dense_graph(graph)
        ranges, differences = self._walk(graph)
        margins = margin_rows(network.head_weight)
        bound = {"box": self._box, "shared": self._shared}[self.coupling]
        upper = bound(graph, nodes, ranges, differences, margins).max()
        if self.symmetric:
            return upper, upper
        swapped = [(-high, -low) for low, high in differences]
        return upper, bound(graph, nodes, ranges, swapped, margins, exchanged=True).max()

    def _walk(self, graph):
        ranges, differences = [], []
        for node in graph.nodes:
            if isinstance(node, Input):
                values, difference = self._input_range, self._input_difference
            elif isinstance(node, Affine):
                if node.source == 0:
                    low, high = self._affine_input_range(node.weight)
                    difference = self._affine_input_difference(node.weight)
                else:
                    low, high = _matmul(node.weight, *ranges[node.source])
                    difference = _matmul(node.weight, *differences[node.source])
                values = (low + node.bias, high + node.bias)
            elif isinstance(node, Clamp):
                source = ranges[node.source]
                values = tuple(torch.clamp(end, node.lower, node.upper) for end in source)
                difference = _clamp_difference(node, differences[node.source], source)
            elif isinstance(node, GroupSort):
                blocks = [end.reshape(-1, node.group) for end in ranges[node.source]]
                values = tuple(block.sort(dim=1).values.ravel() for block in blocks)
                low, high = (end.reshape(-1, node.group) for end in differences[node.source])
                difference = tuple(
                    end.repeat_interleave(node.group) for end in (low.amin(dim=1), high.amax(dim=1))
                )
            elif isinstance(node, Sum):
                values, difference = (
                    tuple(
                        first + second
                        for first, second in zip(found[node.first], found[node.second], strict=True)
                    )
                    for found in (ranges, differences)
                )
            else:
                raise UnsupportedError(
                    f"Got a node of type {type(node).__name__!r}, for which no bound is known."
                )
            span = values[1] - values[0]
            ranges.append(values)
            differences.append((torch.maximum(difference[0], -span), torch.minimum(difference[1], span)))
        return ranges, differences

    def _affine_input_range(self, weight):
        low, high = _matmul(weight * self._numeric, *self._input_range)
        for columns, categories, _, _ in self._groups:
            scores = weight[:, columns] @ categories.T
            low, high = low + scores.amin(dim=1), high + scores.amax(dim=1)
        return low, high

    def _affine_input_difference(self, weight, exchanged=False):
        low, high = _matmul(weight * self._numeric, *self._input_difference)
        for columns, categories, first, second in self._groups:
            scores = weight[:, columns] @ categories.T
            steps = scores[:, first] - scores[:, second]
            low, high = low + steps.amin(dim=1), high + steps.amax(dim=1)
        return (-high, -low) if exchanged else (low, high)

    def _shared(self, graph, nodes, ranges, differences, margins, exchanged=False):
        lower, upper = differences[nodes.lower], differences[nodes.upper]
        most = torch.relu(torch.maximum(lower[1], upper[1]))
        least = -torch.relu(-torch.minimum(lower[0], upper[0]))
        return _upper(margins, least, most)

    def _box(self, graph, nodes, ranges, differences, margins, exchanged=False):
        """``w (lo' - lo'')`` with w composed into lo's last affine layer, plus ``|w| width``."""
        if nodes.width is None:
            raise UnsupportedError(
                "Difference bounds of free lo and hi are not trained on; use width coupling."
            )
        lower = graph.nodes[nodes.lower]
        width = torch.relu(ranges[nodes.width][1])
        if isinstance(lower, Affine) and lower.source == 0:
            moved = self._affine_input_difference(margins @ lower.weight, exchanged)[1]
        elif isinstance(lower, Affine):
            moved = _upper(margins @ lower.weight, *differences[lower.source])
        else:
            moved = _upper(margins, *differences[nodes.lower])
        return moved + margins.abs() @ width


def margin_rows(head):
    """Rows ``w`` a property speaks of: the head, or ``W_j - W_k`` for j < k."""
    if len(head) == 1:
        return head
    first, second = torch.triu_indices(len(head), len(head), offset=1, device=head.device)
    return head[first] - head[second]


def _matmul(weight, low, high):
    positive, negative = torch.relu(weight), -torch.relu(-weight)
    return positive @ low + negative @ high, positive @ high + negative @ low


def _upper(weight, low, high):
    return torch.relu(weight) @ high - torch.relu(-weight) @ low


def _clamp_difference(node, difference, source):
    linear = (source[0] >= node.lower) & (source[1] <= node.upper)
    flat = (source[1] <= node.lower) | (source[0] >= node.upper)
    low = torch.where(linear, difference[0], -torch.relu(-difference[0]))
    high = torch.where(linear, difference[1], torch.relu(difference[1]))
    return low.masked_fill(flat, 0.0), high.masked_fill(flat, 0.0)


def _tensor(array, device):
    return torch.tensor(np.asarray(array, dtype=np.float64), device=device)  # a copy: arrays are read-only
