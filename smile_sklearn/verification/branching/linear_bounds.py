r"""Backward linear bounds (CROWN) of a network on many sub-boxes at once, for one input and for pairs.

A linear function of nodes is pushed back through the graph until it stands over the input:

.. math:: \sum_k c'_k \cdot node_k(p') + c''_k \cdot node_k(p'') \; \le \;
          a \cdot p' + b \cdot p'' + constant \quad \text{on each region}

Affine layers and sums are passed exactly, a clamp or a sort by the planes of
:mod:`~smile_sklearn.verification.branching.relaxations`. Where both copies of a unit appear with
opposite signs, their common part is a difference of units, which is relaxed as such if that leaves the
smaller gap.

Arrays have the axes (copy, region, function, unit): one copy for functions of one input, two for pairs.

Rounding. Coefficients are plain floats; what each operation changes in the value of the function is
added to a ledger, so that every step remains an inequality between real numbers. For instance
``fl(c W) x`` differs from ``c W x`` by at most ``gamma_n |c| |W| |x|``. The ledger collects the sizes
``|c| (|W| |x| + |b|)``; in the end gamma times their sum, rounded up, goes to the constant.
"""

import numpy as np

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.graph import Affine, Clamp, GroupSort, Input, Sum
from smile_sklearn.verification.branching.backward_steps import Ledger, end_at, through_clamp, through_sort
from smile_sklearn.verification.branching.batch_intervals import (
    UNDERFLOW,
    Layer,
    clamp_difference,
    cut_by_ranges,
    leads_of,
    outward,
    sum_of,
)
from smile_sklearn.verification.branching.linear_functions import LinearBound, maximum_on_boxes
from smile_sklearn.verification.branching.regions import Boxes
from smile_sklearn.verification.branching.relaxations import (
    lower_line,
    lower_of_maximum,
    upper_line,
    upper_of_maximum,
)
from smile_sklearn.verification.intervals import Interval
from smile_sklearn.verification.rounding import gamma

CELLS = 2**22
"""Numbers of the largest array of one batch, about: 32 MB."""


def in_chunks(n, size):
    """Slices of at most ``size`` that cover n rows; one empty slice for no rows."""
    return [slice(start, start + size) for start in range(0, max(n, 1), size)]


class Ranges:
    """Intervals of every node on a batch of boxes, arrays of shape (copies, n, size).

    Attributes
    ----------
    boxes : Boxes
    nodes : list of Interval
    """

    def __init__(self, boxes):
        self.boxes, self.nodes = boxes, []
        self._lines, self._magnitudes = {}, {}

    def __getitem__(self, index):
        return self.nodes[index]

    def magnitude(self, index):
        """Largest absolute value of each unit."""
        if index not in self._magnitudes:
            self._magnitudes[index] = self.nodes[index].magnitude
        return self._magnitudes[index]

    def lines(self, index, node):
        """Lines above and below a Clamp, or planes above and below the maxima of a GroupSort of 2."""
        if index not in self._lines:
            low, high = self.nodes[node.source]
            if isinstance(node, Clamp):
                ends = (low, high, node.lower, node.upper)
                self._lines[index] = upper_line(*ends), lower_line(*ends)
            else:
                leads = leads_of(low, high)
                self._lines[index] = upper_of_maximum(*leads), lower_of_maximum(*leads)
        return self._lines[index]

    def paired(self):
        """The same ranges as two copies: (1, 2 n, size) -> (2, n, size)."""
        pair = Ranges(self.boxes)
        pair.nodes = [
            Interval(*(end.reshape(2, -1, end.shape[-1]) for end in interval)) for interval in self.nodes
        ]
        return pair


class GraphBounds:
    """Bounds of the nodes of one graph; what depends on the graph alone is prepared once.

    Parameters
    ----------
    graph : Graph
    domain : InputDomain
        Says which inputs are columns of groups.

    Raises
    ------
    UnsupportedError
        If the graph has a node of a type that is not known here.
    """

    def __init__(self, graph, domain):
        self.graph, self.domain = graph, domain
        self.layers = {}
        for index, node in enumerate(graph.nodes):
            if type(node) not in (Input, Affine, Clamp, GroupSort, Sum):
                raise UnsupportedError(
                    f"Got a node of type {type(node).__name__!r}, for which no bound is known."
                )
            if isinstance(node, Affine):
                self.layers[index] = Layer(node, domain if node.source == 0 else None)
        # More terms than any sum below has: each unit enters a constant at most eight times a copy.
        self.gamma = gamma(16 * sum(node.size for node in graph.nodes) + 64)
        self._refined = _nodes_to_refine(graph)

    def boxes_at_once(self, n_rows):
        """How many boxes to bound in one batch, so that memory stays small; at least 1.

        Parameters
        ----------
        n_rows : int
            Linear functions that are bounded on each box, besides those of the ranges.
        """
        widest = max(node.size for node in self.graph.nodes)
        n_rows = max([n_rows, *(2 * self.graph.nodes[index].size for index in self._refined)])
        pairs = max((len(group.categories) ** 2 for group in self.domain.groups), default=0)
        return max(1, CELLS // (n_rows * widest + max(n_rows, widest) * pairs))

    # --- ranges and differences -------------------------------------------------------------------

    def ranges(self, boxes):
        """Interval of every node on every box: interval arithmetic cut by backward linear bounds.

        The linear bounds are taken where a clamp or sort reads a node that is not one affine layer of
        the input (of which the interval is exact).

        Parameters
        ----------
        boxes : Boxes of shape (n, d)

        Returns
        -------
        Ranges of shape (1, n, size)
        """
        boxes = Boxes(*(end[None] for end in boxes[:2]), tuple(mask[None] for mask in boxes.categories))
        ranges = Ranges(boxes)
        for index, node in enumerate(self.graph.nodes):
            ranges.nodes.append(self._forward(index, node, ranges))
            if index in self._refined:
                ranges.nodes[index] = self._refine(index, node, ranges)
        return ranges

    def single_ranges(self, regions):
        """Ranges on the boxes of p' and of p'' of n regions, shape (1, 2 n, size); see `Ranges.paired`."""
        copies = regions.copies()
        flat = [end.reshape(-1, end.shape[-1]) for end in (copies.low, copies.high, *copies.categories)]
        return self.ranges(Boxes(flat[0], flat[1], tuple(flat[2:])))

    def differences(self, regions, ranges):
        """Interval of ``node(p') - node(p'')`` on every region (lemma 3), each (n, size)."""
        differences = []
        for index, node in enumerate(self.graph.nodes):
            if isinstance(node, Input):
                difference = Interval(regions.difference_low, regions.difference_high)
            elif isinstance(node, Affine):
                layer = self.layers[index]
                if node.source == 0:
                    difference = layer.input_difference(regions)
                else:
                    difference = layer.product(differences[node.source])
            elif isinstance(node, Clamp):
                difference = clamp_difference(node, differences[node.source], ranges[node.source])
            elif isinstance(node, GroupSort):
                # A sort is made of maxima and minima, each within the extremes of its arguments.
                blocks = [end.reshape(len(end), -1, node.group) for end in differences[node.source]]
                low, high = blocks[0].min(axis=2), blocks[1].max(axis=2)
                difference = Interval(*(np.repeat(end, node.group, axis=1) for end in (low, high)))
            else:
                difference = sum_of(differences[node.first], differences[node.second])
            differences.append(cut_by_ranges(difference, ranges[index]))
        return differences

    def _forward(self, index, node, ranges):
        if isinstance(node, Input):
            return Interval(*ranges.boxes[:2])
        if isinstance(node, Affine):
            layer = self.layers[index]
            product = (
                layer.input_range(ranges.boxes) if node.source == 0 else layer.product(ranges[node.source])
            )
            return Interval(
                *(outward(end + node.bias, sign) for end, sign in zip(product, (-1, 1), strict=True))
            )
        if isinstance(node, Clamp):
            return Interval(
                *(np.minimum(np.maximum(end, node.lower), node.upper) for end in ranges[node.source])
            )
        if isinstance(node, GroupSort):
            # The k-th smallest of a block lies between the k-th smallest lower and upper ends.
            blocks = (end.reshape(*end.shape[:2], -1, node.group) for end in ranges[node.source])
            return Interval(*(np.sort(block, axis=3).reshape(*block.shape[:2], -1) for block in blocks))
        return sum_of(ranges[node.first], ranges[node.second])

    def _refine(self, index, node, ranges):
        """Cut an interval by linear bounds of the node and of its negative."""
        eye = np.eye(node.size)
        rows = {index: np.concatenate([eye, -eye])[None, None]}
        ends = maximum_on_boxes(self.upper(rows, ranges), ranges.boxes, self.domain)
        low = np.maximum(ranges[index].low, -ends[:, node.size :])
        high = np.minimum(ranges[index].high, ends[:, : node.size])
        # On a box without a point both may hold with low > high; any interval is then right.
        return Interval(np.minimum(low, high), np.maximum(low, high))

    # --- the backward pass ------------------------------------------------------------------------

    def upper(self, rows, ranges, differences=None):
        """Linear function of the input above ``sum_k rows[k] @ node_k``.

        Parameters
        ----------
        rows : dict of int to ndarray of shape (copies, n or 1, m, size)
        ranges : Ranges
            One copy or two; of the nodes below the rows.
        differences : list of Interval, or None
            For two copies.

        Returns
        -------
        LinearBound
        """
        ledger, pending = Ledger(), dict(rows)
        while pending and max(pending) > 0:
            index = max(pending)
            weight, node = pending.pop(index), self.graph.nodes[index]
            if isinstance(node, Affine):
                parts = {node.source: self._through_affine(index, node, weight, ranges, ledger)}
            elif isinstance(node, Clamp):
                parts = {node.source: through_clamp(index, node, weight, ranges, differences, ledger)}
            elif isinstance(node, Sum):
                parts = (
                    {node.first: weight, node.second: weight}
                    if node.first != node.second
                    else {node.first: 2.0 * weight}
                )
            elif node.group == 2:
                parts = {node.source: through_sort(index, node, weight, ranges, differences, ledger)}
            else:
                end_at(index, weight, ranges, differences, ledger)
                parts = {}
            for source, part in parts.items():
                if source in pending:
                    # fl(old + part) errs by u (|old| + |part|), each times the node.
                    ledger.charge(np.abs(pending[source]) + np.abs(part), ranges.magnitude(source))
                    part = pending[source] + part
                pending[source] = part
        return self._finished(pending.get(0), rows, ranges, ledger)

    def _through_affine(self, index, node, weight, ranges, ledger):
        # c (W x + b) = fl(c W) x + c b + (c W - fl(c W)) x, the last at most gamma |c| |W| |x|.
        ledger.add(weight, node.bias)
        ledger.charge(np.abs(weight), self.layers[index].reach(ranges.magnitude(node.source)))
        flat = weight.reshape(-1, weight.shape[-1]) @ node.weight
        return flat.reshape(*weight.shape[:-1], -1)

    def _finished(self, weight, rows, ranges, ledger):
        start = next(iter(rows.values()))
        copies, n, d = *ranges[0].low.shape[:2], self.domain.n_features
        if weight is None:
            weight = np.zeros((copies, n, start.shape[2], d))
        weight = np.broadcast_to(weight, (copies, n, *weight.shape[2:]))
        size = sum(ranges.magnitude(index).sum(axis=(0, 2)) for index in range(max(rows) + 1))
        # The ledger errs by gamma of itself as well: twice gamma covers both.
        constant = ledger.constant + (2 * self.gamma * ledger.size + UNDERFLOW * (1.0 + size[:, None]))
        # Also where nothing but the input was met: one constant a function.
        constant = np.broadcast_to(np.nextafter(constant, np.inf), (n, weight.shape[2]))
        return LinearBound(weight, np.where(np.isnan(constant), np.inf, constant))


def _nodes_to_refine(graph):
    """Nodes read by a clamp or sort that are more than one affine layer of the input."""
    read = {node.source for node in graph.nodes if isinstance(node, Clamp | GroupSort)}
    simple = {
        index
        for index, node in enumerate(graph.nodes)
        if isinstance(node, Input) or (isinstance(node, Affine) and node.source == 0)
    }
    return read - simple
