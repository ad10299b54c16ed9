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

Each kind of kink is encoded only if the objective can lean against it (:mod:`.slopes`): a unit that no
optimum pulls up needs no s and none of its two rows, one that none pulls down needs no t.

Units that no related pair can tell apart (their difference is exactly 0) are ONE variable. The
differences :math:`dp = p' - p'' \in [D^-, D^+]` of lemma 3 are stated after the first layer, where
the linear relaxation does not imply them. Difference cuts, for models with many binaries, on
:math:`da = a' - a''` where the objective can lean against them; from above (from below by exchange):

.. math::

    D^- \ge 0:\quad     & da \le dp \qquad\quad D^+ \le 0:\quad da \le 0 \\
    D^- < 0 < D^+:\quad & da \le \sigma \, dp + \rho, \text{ the chord of } \max(0, dp)
                        \text{ over } [D^-, D^+] \\
    \text{relu with } s':\quad & da \le D^+ s', \quad da \le dp - D^- (1 - s')

The last two replace the chord, which is what they give when s' is relaxed, and they get tight when s' is
fixed. Valid: s' = 1 says a' = p', and a'' >= p'', so da <= dp <= D+; s' = 0 says a' = 0 <= a'', so
da <= 0 <= dp - D-.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.graph import Affine, Clamp, Sum
from smile_sklearn.verification.formulations.backward import chord
from smile_sklearn.verification.formulations.inputs import encode_inputs
from smile_sklearn.verification.rounding import add_lower, add_upper


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

    def swapped(self):
        """The unit with the copies exchanged."""
        return Unit(self.second, self.first, -self.high, -self.low)


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

    def __init__(self, builder, analysis, needed, slopes):
        self.builder, self.analysis, self.slopes = builder, analysis, slopes
        self._active = {}  # (node, unit, copy): binary that is 1 where a relu is active
        self.graph = analysis.snapshot.graph
        self.needed = _all_needed(self.graph, needed)
        first, second = encode_inputs(
            builder, analysis.relation, tuple(ranges[0] for ranges in analysis.ranges)
        )
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
        """Add the difference rows of every clamped unit that differs between the copies and has a kink."""
        for index in self.needed:
            node = self.graph.nodes[index]
            if isinstance(node, Clamp):
                for unit in np.flatnonzero(self.needed[index]):
                    before, after = self.unit(node.source, unit), self.unit(index, unit)
                    if after.first not in (after.second, before.first):
                        self._cut_difference(index, int(unit), before, after)

    def _cut_difference(self, index, unit, before, after):
        """Rows on ``after' - after''`` from above and from below, where the objective leans against them."""
        (first_up, first_down), (second_up, second_down) = (self._pulls(index, unit, copy) for copy in (0, 1))
        node = self.graph.nodes[index]
        relu = all(self._range(node.source, unit, copy)[1] <= node.upper[unit] for copy in (0, 1))
        if first_up or second_down:
            active = self._active.get((index, unit, 0)) if relu else None
            _cut(self.builder, before, after, active)
        if second_up or first_down:
            active = self._active.get((index, unit, 1)) if relu else None
            _cut(self.builder, before.swapped(), after.swapped(), active)

    def _new(self, index, unit):
        """Append the column(s) of a unit within its range; yield a copy at a time what is new."""
        (self.columns[0][index][unit],) = self.builder.columns(*self._range(index, unit, 0))
        if self._is_shared(index, unit):
            self.columns[1][index][unit] = self.columns[0][index][unit]
            return self.columns[:1]
        (self.columns[1][index][unit],) = self.builder.columns(*self._range(index, unit, 1))
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
        bottom, top = float(node.lower[unit]), float(node.upper[unit])
        ranges = [self._range(node.source, unit, copy) for copy in (0, 1)]
        if all(bottom <= low and high <= top for low, high in ranges):
            for columns in self.columns:
                columns[index][unit] = columns[node.source][unit]
            return
        for copy, columns in enumerate(self._new(index, unit)):
            low, high = self._range(node.source, unit, copy)
            if low < top and bottom < high:
                pair = columns[node.source][unit], columns[index][unit]
                pulls = self._pulls(index, unit, copy)
                above = _kinks(self.builder, *pair, (low, high), (bottom, top), pulls)
                if above is not None and high <= top:
                    self._active[index, unit, copy] = above

    def _range(self, index, unit, copy):
        low, high = self.analysis.ranges[copy][index]
        return float(low[unit]), float(high[unit])

    def _pulls(self, index, unit, copy):
        """Whether the objective may pull a unit up, and down."""
        slopes = self.slopes[index]
        return slopes.high[copy, unit] > 0.0, slopes.low[copy, unit] < 0.0


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


def _kinks(builder, before, after, source, clamp, pulls):
    """Rows of ``after = clamp(before)``, a binary for each kink in reach that the objective leans against."""
    (low, high), (bottom, top) = source, clamp
    inner, outer = max(bottom, low), min(top, high)
    above_bottom = above_top = None
    up, down = pulls
    if low < bottom and up:
        (above_bottom,) = builder.columns(0.0, 1.0, integer=True)
        rise, reach = float(add_upper(outer, -bottom)), float(add_upper(bottom, -low))
        builder.row([(after, 1.0), (above_bottom, -rise)], upper=bottom)
        builder.row([(after, 1.0), (before, -1.0), (above_bottom, reach)], upper=reach)
    elif low >= bottom:
        builder.row([(after, 1.0), (before, -1.0)], upper=0.0)
    if top < high and down:
        (above_top,) = builder.columns(0.0, 1.0, integer=True)
        rise, reach = float(add_lower(top, -inner)), float(add_upper(high, -top))
        builder.row([(after, 1.0), (above_top, -rise)], lower=inner)
        builder.row([(after, 1.0), (before, -1.0), (above_top, reach)], lower=0.0)
    elif high <= top:
        builder.row([(after, 1.0), (before, -1.0)], lower=0.0)
    if above_bottom is not None and above_top is not None:
        builder.row([(above_top, 1.0), (above_bottom, -1.0)], upper=0.0)
    return above_bottom


def _cut(builder, before, after, active):
    """Upper rows of ``after' - after''``: the chord, or what the binary of a relu at x' makes of it."""
    outputs, inputs, low, high = after.difference, before.difference, before.low, before.high
    if low >= 0.0 or high <= 0.0 or active is None:
        slope, constant = (float(end) for end in chord(low, high))
        builder.row(outputs + [(column, -slope * sign) for column, sign in inputs], upper=constant)
    if active is not None and high > 0.0:
        builder.row([*outputs, (active, -high)], upper=0.0)
        if low < 0.0:
            lowered = [(column, -sign) for column, sign in inputs]
            builder.row([*outputs, *lowered, (active, -low)], upper=-low)
