"""Backward linear bounds (CROWN) of the network on a batch of regions, in exact arithmetic.

The network is taken as its nonlinear nodes with linear maps between them. A linear function of nodes is
pushed back to the inputs: every nonlinear node is replaced by lines above or below it, as the sign of its
coefficient asks, or, where the two copies of a unit enter with opposite signs, by a line above the
difference of the two. What arrives is linear in the pair, and its maximum over a region is exact.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn._check.boxes import Boxes, spread
from smile_sklearn._check.derive import gap_rows, linear_form
from smile_sklearn._check.exact import Exact, identity, maximum, minimum, stack, zeros
from smile_sklearn._check.network import Interval
from smile_sklearn._check.units import ClampUnit, PairSortUnit, SortUnit, cut
from smile_sklearn.snapshot.graph import Clamp


class Form(NamedTuple):
    """``sum weights[node] @ node + constant`` over the input (0) and nonlinear nodes."""

    weights: dict
    constant: Exact


class LinearMaps:
    """The linear maps between the nonlinear nodes of a network, composed once.

    Parameters
    ----------
    network : ExactNetwork

    Attributes
    ----------
    lower, upper, gap : Form
        lo, hi, and hi - lo (the width where there is one).
    sources : dict of int to Form
        What each nonlinear node reads.
    """

    def __init__(self, network):
        snapshot, one = network.snapshot, identity(network.snapshot.n_latent)
        self.network = network
        self.lower = Form(*linear_form(network, {snapshot.lower: one}))
        self.upper = Form(*linear_form(network, {snapshot.upper: one}))
        self.gap = Form(*linear_form(network, gap_rows(snapshot)))
        self.sources, pending = {}, {*self.lower.weights, *self.upper.weights}
        while pending:
            index = pending.pop()
            if index and index not in self.sources:
                source = network.nodes[index].source
                rows = {source: identity(network.nodes[source].size)}
                self.sources[index] = Form(*linear_form(network, rows))
                pending |= set(self.sources[index].weights)


class Batch:
    """Ranges and lines of every node on a batch of regions.

    Parameters
    ----------
    maps : LinearMaps
    regions : sequence of Region
    """

    def __init__(self, maps, regions):
        self.maps, self.size = maps, len(regions)
        self.boxes = Boxes(maps.network.snapshot.domain, regions)
        self.units = {}
        for index in sorted(maps.sources):
            self.units[index] = self._unit(index)

    def copy_range(self, form):
        """Interval of a form for both copies, each end (2 n, n_rows)."""
        low = high = form.constant[None, :]
        for index, weight in form.weights.items():
            part = self.boxes.copy_range(weight) if index == 0 else spread(weight, self.units[index].output)
            low, high = low + part.low, high + part.high
        if set(form.weights) == {0}:
            return Interval(low, high)
        # Both are sound: the smaller interval is.
        rows = {index: stack([weight, -weight]) for index, weight in form.weights.items()}
        most = self._largest(rows, stack([form.constant, -form.constant]))
        n_rows = len(form.constant)
        return Interval(maximum(low, -most[:, n_rows:]), minimum(high, most[:, :n_rows]))

    def difference_range(self, form):
        """Interval of a form's difference over the pairs (lemma 3), each end (n, n_rows)."""
        low = high = zeros(1, 1)
        for index, weight in form.weights.items():
            part = (
                self.boxes.difference_range(weight)
                if index == 0
                else spread(weight, self.units[index].difference)
            )
            low, high = low + part.low, high + part.high
        return Interval(low, high)

    def largest_of_pair(self, rows, constant, prefer):
        """Upper bounds of ``first @ node' + second @ node'' + constant``, and their input coefficients.

        Parameters
        ----------
        rows : dict of int to (Exact, Exact)
            Coefficients of the two copies, each (n, n_rows, size).
        constant : Exact of shape (n, n_rows)
        prefer : callable
            Of two float arrays, the gaps of a line for the difference and of two lines for the copies:
            where to take the former.

        Returns
        -------
        Exact of shape (n, n_rows), and two of shape (n, n_rows, d)
        """
        pending = dict(rows)
        none = zeros(*constant.shape, self.maps.network.snapshot.n_features)
        while set(pending) - {0}:
            index = max(pending)
            first, second, offsets = self.units[index].back_pair(*pending.pop(index), prefer)
            form = self.maps.sources[index]
            constant = constant + offsets + times(first + second, form.constant)
            for source, weight in form.weights.items():
                add_pair(pending, source, times(first, weight), times(second, weight))
        first, second = pending.get(0, (none, none))
        return constant + self.boxes.largest_of_pair(first, second), (first, second)

    def _unit(self, index):
        form, node = self.maps.sources[index], self.maps.network.nodes[index]
        before = self.copy_range(form)
        moves = cut(self.difference_range(form), before)
        if isinstance(node, Clamp):
            return ClampUnit(before, moves, self.maps.network.limits[index])
        # The derivation has refused nodes of any other type than sorts.
        return PairSortUnit(before, moves) if node.group == 2 else SortUnit(before, moves, node.group)

    def _largest(self, rows, constant):
        """Upper bounds of linear functions of the nodes of one copy, (2 n, n_rows)."""
        copies = 2 * self.size
        repeat = lambda weight: Exact(
            np.broadcast_to(weight.mantissa, (copies, *weight.shape)), weight.exponent
        )
        pending, total = {index: repeat(weight) for index, weight in rows.items()}, constant[None, :]
        while set(pending) - {0}:
            index = max(pending)
            form = self.maps.sources[index]
            weight, offsets = self.units[index].back(pending.pop(index))
            total = total + offsets + times(weight, form.constant)
            for source, matrix in form.weights.items():
                part = times(weight, matrix)
                pending[source] = pending[source] + part if source in pending else part
        return total + self.boxes.largest(pending[0]) if 0 in pending else total


def times(weight, matrix):
    """``weight @ matrix`` for weights (n, n_rows, size), as one product of matrices."""
    flat = weight.reshape(-1, weight.shape[-1]) @ matrix
    return flat.reshape(*weight.shape[:-1], *matrix.shape[1:])


def add_pair(rows, index, first, second):
    """Add coefficients of the two copies to those of a node."""
    known = rows.get(index)
    rows[index] = (first, second) if known is None else (known[0] + first, known[1] + second)
