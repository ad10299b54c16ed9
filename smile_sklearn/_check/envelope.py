r"""V, the bound on a pair that all verifiers share, from above on a batch of regions (DESIGN, lemma 2).

With a row r of the head (its sign included), V is the sum of :math:`|r_i|` times the rise of unit i,

.. math:: box: \; \Delta lo + \max(0, hi - lo \text{ at one copy}), \qquad
          shared: \; \max(0, \Delta lo, \Delta hi), \qquad both: \text{ the smaller},

with :math:`\Delta` the change in the direction of the sign of :math:`r_i`. Each rise is replaced by a
linear function above it.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn._check.exact import Exact, maximum, minimum, replaced, stack, where, zeros
from smile_sklearn._check.largest_of_three import sum_of_products, weights_of_three
from smile_sklearn._check.linear_bounds import Batch, add_pair
from smile_sklearn._check.network import Interval, Limits
from smile_sklearn._check.relaxation import upper_lines


class Attempt(NamedTuple):
    """A way to choose lines; any choice gives a bound, and the least bound counts.

    Parameters
    ----------
    prefer : callable
        Of the gaps of a line for the difference of two copies of a unit and of two lines for the copies
        (float arrays): where to take the former.
    judge : callable
        Of the height of a line in the middle of the region and of its offset (float arrays): what to keep
        small where there is a choice between lines.
    """

    prefer: object
    judge: object


def _pair(pair, copies):
    return np.ones(pair.shape, dtype=bool)


def _copies(pair, copies):
    return np.zeros(pair.shape, dtype=bool)


def _height(height, offset):
    return height


def _offset(height, offset):
    return offset


FIRST = Attempt(np.less_equal, _height)
OTHERS = tuple(Attempt(prefer, judge) for judge in (_height, _offset) for prefer in (np.less, _pair, _copies))
"""The first is made on every region, the others where it does not suffice."""


class Rise(NamedTuple):
    """Lines above the rise of every unit: ``move * dlo + growth * dgap + opening * gap + offset``.

    ``most`` is the largest value of the rise, and ``height`` the line's in the middle of the region (floats).
    """

    move: Exact
    growth: Exact
    opening: Exact
    offset: Exact
    most: Exact
    height: np.ndarray

    @classmethod
    def choose(cls, mask, first, second):
        """Lines of the first where the mask is true, else of the second."""
        exact = [where(mask, *parts) for parts in zip(first[:-1], second[:-1], strict=True)]
        return cls(*exact, np.where(mask, first.height, second.height))._replace(
            most=minimum(first.most, second.most)
        )


class Moves(NamedTuple):
    """Intervals of dlo, dhi and dgap, (n, n_latent), in the direction that raises the output."""

    lower: Interval
    upper: Interval | None
    growth: Interval | None

    def closed(self):
        """Cut by dhi = dlo + dgap."""
        lower, upper, growth = self
        least, most = lower.low + growth.low, lower.high + growth.high
        return self._replace(upper=Interval(maximum(upper.low, least), minimum(upper.high, most)))

    def settled(self):
        """Units whose max(0, dlo, dhi) is one of the three on all of the region."""
        none = zeros()
        never = (self.lower.high <= none) & (self.upper.high <= none)
        always = (none <= self.lower.low) & (none <= self.upper.low)
        return never | (always & ((none <= self.growth.low) | (self.growth.high <= none)))


class Bounds(NamedTuple):
    """Upper bounds of V on each region (n,), and the input coefficients of the last of them, (n, d) each."""

    value: Exact
    first: Exact
    second: Exact


class Envelope:
    """Upper bounds of V for one row of the head.

    Parameters
    ----------
    maps : LinearMaps
    couplings : tuple of str
    row : Exact of shape (n_latent,)
    """

    def __init__(self, maps, couplings, row):
        self._maps, self._couplings, self._row = maps, couplings, row
        self._positive = zeros() <= row

    def bounds(self, regions, enough):
        """Bound V on regions; where a bound is above ``enough``, more is computed and tried."""
        batch = Batch(self._maps, regions)
        bounds = self._attempt(batch, self._moves(batch), FIRST)
        failed = np.flatnonzero(~(bounds.value <= enough))
        if not len(failed):
            return bounds
        batch, best = Batch(self._maps, [regions[place] for place in failed]), bounds.value[failed]
        moves = self._refined(batch, self._moves(batch))
        for attempt in (FIRST, *OTHERS):
            best = minimum(best, self._attempt(batch, moves, attempt).value)
            if (best <= enough).all():
                break
        return bounds._replace(value=replaced(bounds.value, failed, best))

    def _attempt(self, batch, moves, attempt):
        """Upper bounds with one choice of lines."""
        rise = self._rise(batch, moves, attempt.judge)
        rows, constant = self._linear(rise)
        rows = {index: tuple(part[:, None] for part in pair) for index, pair in rows.items()}
        value, coefficients = batch.largest_of_pair(rows, constant[:, None], attempt.prefer)
        # Nor is any unit's rise above its own largest value.
        most = (abs(self._row) * rise.most).sum(axis=1)
        return Bounds(minimum(value[:, 0], most), *(part[:, 0] for part in coefficients))

    def _linear(self, rise):
        """Coefficients on the nodes that lo and hi read, a dict of pairs, and the constant (n,)."""
        row, none = self._row, zeros()
        size, opening = abs(row), abs(row) * rise.opening
        growth = row * rise.growth
        first = growth + where(self._positive, opening, none)
        second = where(self._positive, none, opening) - growth
        constant = (size * rise.offset).sum(axis=1) + (first + second) @ self._maps.gap.constant
        rows, move = {}, row * rise.move
        for index, weight in self._maps.lower.weights.items():
            # The constant of lo cancels between the copies.
            part = move @ weight
            add_pair(rows, index, part, -part)
        if (abs(first) + abs(second)).mantissa.any():
            for index, weight in self._maps.gap.weights.items():
                add_pair(rows, index, first @ weight, second @ weight)
        return rows, constant

    def _moves(self, batch):
        """Intervals of dlo, dhi and dgap in the direction that raises the output, by lemma 3."""
        names = ("lower", "upper", "gap") if "shared" in self._couplings else ("lower",)
        ranges = [self._directed(batch.difference_range(getattr(self._maps, name))) for name in names]
        return Moves(*ranges).closed() if len(ranges) == 3 else Moves(*ranges, None, None)

    def _refined(self, batch, moves):
        """The same intervals, cut by backward linear bounds of the units whose maximum is open."""
        if moves.upper is None:
            return moves
        units = np.flatnonzero((self._row.mantissa != 0) & ~moves.settled().all(axis=0))
        if not len(units):
            return moves
        ranges = []
        for name, interval in zip(("lower", "upper", "gap"), moves, strict=True):
            rows = {}
            for index, weight in getattr(self._maps, name).weights.items():
                both = stack([weight[units], -weight[units]]).mantissa
                tiled = Exact(np.broadcast_to(both, (batch.size, *both.shape)), weight.exponent)
                add_pair(rows, index, tiled, -tiled)
            # Constants cancel in differences.
            most, _ = batch.largest_of_pair(rows, zeros(batch.size, 2 * len(units)), FIRST.prefer)
            up, down = most[:, : len(units)], most[:, len(units) :]
            turned = self._positive[units]
            high, low = where(turned, up, down), -where(turned, down, up)
            ranges.append(_cut_units(interval, units, low, high))
        return Moves(*ranges).closed()

    def _rise(self, batch, moves, judge):
        if "shared" not in self._couplings:
            return self._box(batch, moves.lower)
        shared = self._shared(moves, judge)
        if "box" not in self._couplings:
            return shared
        box = self._box(batch, moves.lower)
        first, second = ((rise.height, rise.most.floats) for rise in (box, shared))
        return Rise.choose(judge(*first) < judge(*second), box, shared)

    def _box(self, batch, low):
        """The change of lo, and a line above max(0, gap) at the copy whose box is open upwards."""
        n, gap = batch.size, batch.copy_range(self._maps.gap)
        gap = Interval(*(where(self._positive, end[:n], end[n:]) for end in gap))
        flat = np.zeros(gap.low.shape[1], dtype=bool)
        relu = Limits(zeros(len(flat)), zeros(len(flat)), ~flat, flat)
        lines = upper_lines(*gap, relu)
        height = middle(low) + lines.slope.floats * middle(gap) + lines.offset.floats
        one = Exact(np.full(gap.low.shape, 1, dtype=object))
        most = low.high + maximum(gap.high, zeros())
        return Rise(one, zeros(*gap.low.shape), lines.slope, lines.offset, most, height)

    def _shared(self, moves, judge):
        r"""A convex combination of 0, dlo and dhi.

        .. math:: \max_k t_k \le \sum_j \lambda_j t_j + \max_k \sum_j \lambda_j \sup(t_k - t_j),
                  \qquad \lambda \ge 0, \; \sum_j \lambda_j = 1
        """
        low, high, growth = moves
        none = zeros(*low.low.shape)
        # leads[k][j] is the most that t_k exceeds t_j by.
        leads = [
            [none, -low.low, -high.low],
            [low.high, none, -growth.low],
            [high.high, growth.high, none],
        ]
        _, second, third = weights = weights_of_three(leads, middle(low), middle(high), judge)
        excess = [sum_of_products(weights, leads[k]) for k in range(3)]
        offset = maximum(maximum(excess[0], excess[1]), excess[2])
        height = second.floats * middle(low) + third.floats * middle(high) + offset.floats
        most = maximum(none, maximum(low.high, high.high))
        return Rise(second + third, third, none, offset, most, height)

    def _directed(self, interval):
        """Changes in the direction that raises the output: turned round for negative weights."""
        return Interval(
            where(self._positive, interval.low, -interval.high),
            where(self._positive, interval.high, -interval.low),
        )


def _cut_units(interval, units, low, high):
    """Intervals of some units cut to [low, high]."""
    ends = []
    for end, other, tighter in ((interval.low, low, maximum), (interval.high, high, minimum)):
        cut = tighter(end[:, units], other)
        ends.append(replaced(end, (slice(None), units), cut))
    return Interval(*ends)


def middle(interval):
    """Midpoints, in floats."""
    return interval.low.floats / 2 + interval.high.floats / 2
