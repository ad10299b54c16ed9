r"""The auxiliaries of both copies: Affine, Clamp and Sum over derived bounds only.

For a unit with pre-activation :math:`p \in [l, u]` (its range on the domain, rounded outward):

.. math::

    \text{Affine:}\quad & W x - p = -b \\
    \text{Sum:}\quad    & p_1 + p_2 - p = 0 \\
    \text{Clamp to } [c, e]:\quad
        & a = c \text{ if } u \le c, \quad a = e \text{ if } l \ge e, \quad a = p \text{ if } c \le l, u \le e
          \text{ (no new variable)} \\
        & \text{else, with } \bar c = \max(c, l), \bar e = \min(e, u), \quad \bar c \le a \le \bar e: \\
        & a \le c + (\bar e - c) s, \quad a \le p + (c - l) (1 - s)
          \qquad s = 1 \text{ if } p \ge c; \text{ if } c \le l \text{ only } a \le p \\
        & a \ge \bar c + (e - \bar c) t, \quad a \ge p - (u - e) t
          \qquad t = 1 \text{ if } p \ge e; \text{ if } u \le e \text{ only } a \ge p \\
        & t \le s \qquad \text{where both kinks are in reach}

Units that no related pair can tell apart (their difference is exactly 0) are ONE variable. The
differences :math:`d p = p' - p'' \in [D^-, D^+]` of lemma 3 are stated after the first layer, where
the linear relaxation does not imply them. Difference cuts, for models with many binaries:

.. math::

    D^- < 0 < D^+:\quad & a' - a'' \le \sigma \, dp + \rho, \quad a' - a'' \ge \sigma^* dp - \rho^* \\
    D^- \ge 0:\quad     & 0 \le a' - a'' \le dp \\
    D^+ \le 0:\quad     & dp \le a' - a'' \le 0

with the chords of max(0, dp) and min(0, dp) over :math:`[D^-, D^+]`.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.graph import Affine, Clamp, Input, Sum
from smile_sklearn.verification.formulations.inputs import encode_inputs
from smile_sklearn.verification.rounding import add_lower, add_upper

NODE_TYPES = (Input, Affine, Clamp, Sum)
"""Nodes that have a formulation; GroupSort would need a permutation matrix a block."""


class Unit(NamedTuple):
    """A unit in both copies: columns of x' and x'' and the interval of their difference."""

    first: int
    second: int
    low: float
    high: float

    @property
    def difference(self):
        """Terms of ``unit(x') - unit(x'')``; they cancel if it is one variable."""
        return [(self.first, 1.0), (self.second, -1.0)]


class PairEncoding:
    """Columns of every needed unit in both copies.

    Parameters
    ----------
    builder : ModelBuilder
    analysis : Analysis
        Ranges and differences of one snapshot under one relation.
    needed : dict of int to ndarray of bool
        Units of the target nodes that the objective reads; the rest of the graph follows.

    Attributes
    ----------
    columns : list of dict
        One a copy: node index -> (size,) column indices, -1 where a unit is not needed.
    """

    def __init__(self, builder, analysis, needed):
        self.builder, self.analysis = builder, analysis
        self.graph = analysis.snapshot.graph
        self.needed = _all_needed(self.graph, needed)
        first, second = encode_inputs(builder, analysis.relation)
        builder.blocks.update(first=first, second=second)
        self.columns = ({0: first}, {0: second})
        encoders = {Affine: self._affine, Clamp: self._clamp, Sum: self._sum}
        for index in sorted(self.needed.keys() - {0}):
            node = self.graph.nodes[index]
            if type(node) not in encoders:
                raise UnsupportedError(f"The MIP has no formulation of {type(node).__name__!r}.")
            for columns in self.columns:
                columns[index] = np.full(node.size, -1, dtype=np.intp)
            for unit in np.flatnonzero(self.needed[index]):
                encoders[type(node)](index, node, int(unit))

    def unit(self, index, unit):
        """Return the :class:`Unit` of a node."""
        low, high = self.analysis.differences[index]
        return Unit(
            *(int(columns[index][unit]) for columns in self.columns), float(low[unit]), float(high[unit])
        )

    def difference_cuts(self):
        """Add the chords of every clamped unit that differs between the copies and has a kink."""
        for index in self.needed:
            node = self.graph.nodes[index]
            if isinstance(node, Clamp):
                for unit in np.flatnonzero(self.needed[index]):
                    before, after = self.unit(node.source, unit), self.unit(index, unit)
                    if after.first not in (after.second, before.first):
                        _chords(self.builder, before, after)

    def _new(self, index, unit):
        """Append the column(s) of a unit within its range; yield a copy at a time what is new."""
        low, high = (end[unit] for end in self.analysis.ranges[index])
        shared = self._is_shared(index, unit)
        (self.columns[0][index][unit],) = self.builder.columns(low, high)
        if shared:
            self.columns[1][index][unit] = self.columns[0][index][unit]
            return self.columns[:1]
        (self.columns[1][index][unit],) = self.builder.columns(low, high)
        return self.columns

    def _is_shared(self, index, unit):
        low, high = self.analysis.differences[index]
        return low[unit] == 0.0 and high[unit] == 0.0

    def _affine(self, index, node, unit):
        weight, bias = node.weight[unit], float(node.bias[unit])
        read = np.flatnonzero(weight)
        for columns in self._new(index, unit):
            terms = list(zip(columns[node.source][read], weight[read], strict=True))
            self.builder.row([*terms, (columns[index][unit], -1.0)], -bias, -bias)
        if node.source != 0:
            self._state_difference(index, unit)

    def _sum(self, index, node, unit):
        for columns in self._new(index, unit):
            parts = [(columns[source][unit], 1.0) for source in node.sources]
            self.builder.row([*parts, (columns[index][unit], -1.0)], 0.0, 0.0)
        self._state_difference(index, unit)

    def _state_difference(self, index, unit):
        moved = self.unit(index, unit)
        if moved.first != moved.second:
            self.builder.row(moved.difference, moved.low, moved.high)

    def _clamp(self, index, node, unit):
        low, high = (float(end[unit]) for end in self.analysis.ranges[node.source])
        bottom, top = float(node.lower[unit]), float(node.upper[unit])
        if bottom <= low and high <= top:
            for columns in self.columns:
                columns[index][unit] = columns[node.source][unit]
            return
        for columns in self._new(index, unit):
            if low < top and bottom < high:
                pair = columns[node.source][unit], columns[index][unit]
                _kinks(self.builder, *pair, (low, high), (bottom, top))


def _all_needed(graph, needed):
    """Units that the needed ones depend on, walked backwards: {node: mask}."""
    needed = {index: np.array(mask, dtype=bool) for index, mask in needed.items()}
    for index in range(len(graph) - 1, 0, -1):
        if index not in needed:
            continue
        node = graph.nodes[index]
        mask = needed[index]
        for source in node.sources:
            reads = (node.weight[mask] != 0).any(axis=0) if isinstance(node, Affine) else mask
            needed[source] = needed.get(source, False) | reads
    return needed


def _kinks(builder, before, after, source, clamp):
    """Rows of ``after = clamp(before)``, a binary for each kink that the range reaches."""
    (low, high), (bottom, top) = source, clamp
    inner, outer = max(bottom, low), min(top, high)
    above_bottom = above_top = None
    if low < bottom:
        (above_bottom,) = builder.columns(0.0, 1.0, integer=True)
        rise, reach = float(add_upper(outer, -bottom)), float(add_upper(bottom, -low))
        builder.row([(after, 1.0), (above_bottom, -rise)], upper=bottom)
        builder.row([(after, 1.0), (before, -1.0), (above_bottom, reach)], upper=reach)
    else:
        builder.row([(after, 1.0), (before, -1.0)], upper=0.0)
    if top < high:
        (above_top,) = builder.columns(0.0, 1.0, integer=True)
        rise, reach = float(add_lower(top, -inner)), float(add_upper(high, -top))
        builder.row([(after, 1.0), (above_top, -rise)], lower=inner)
        builder.row([(after, 1.0), (before, -1.0), (above_top, reach)], lower=0.0)
    else:
        builder.row([(after, 1.0), (before, -1.0)], lower=0.0)
    if above_bottom is not None and above_top is not None:
        builder.row([(above_top, 1.0), (above_bottom, -1.0)], upper=0.0)


def _chords(builder, before, after):
    """Difference cuts of one unit: valid for every nondecreasing 1-Lipschitz clamp."""
    (slope_up, constant_up), (slope_down, constant_down) = (
        _chord(before.low, before.high),
        _chord(-before.high, -before.low),
    )
    outputs, inputs = after.difference, before.difference
    builder.row(outputs + [(column, -slope_up * sign) for column, sign in inputs], upper=constant_up)
    builder.row(outputs + [(column, -slope_down * sign) for column, sign in inputs], lower=-constant_down)


def _chord(low, high):
    """Slope and constant of a line above max(0, d) on [low, high].

    The function is convex: a line above it at both ends is above it in between, whatever its
    slope; so only the constant needs outward rounding.
    """
    if low >= 0.0 or high <= 0.0:
        return float(high > 0.0), 0.0
    slope = high / (high - low)
    return slope, max(_above(0.0, slope * low), _above(high, slope * high))


def _above(value, product):
    """Upper bound of ``value`` minus a product that was rounded once."""
    return float(add_upper(value, -product, np.spacing(abs(product))))
