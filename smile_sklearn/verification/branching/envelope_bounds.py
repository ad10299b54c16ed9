r"""Upper bounds of V(x', x'') on regions of pairs, by linear bounds.

For a row w of the head, :math:`\sigma_i = sign(w_i)`, :math:`q = hi - lo` and :math:`m = \max(0, q)`:

.. math::

    V_{box} &= \sum_i w_i (lo'_i - lo''_i) + w^+_i m'_i - w^-_i m''_i \\
    V_{shared} &= \sum_i |w_i| \max(0, \sigma_i dlo_i, \sigma_i dhi_i)

m lies between two lines in q, the maximum below a plane in dlo and dhi; what remains is linear in the
nodes and is pushed back to the input (:mod:`~smile_sklearn.verification.branching.linear_bounds`). With both
couplings each unit takes, region by region, the one whose interval bound is the smaller: V is the sum of
the smaller of the two.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn.properties.relation import UNIT_ROUNDOFF
from smile_sklearn.verification.branching.batch_intervals import UNDERFLOW, outward
from smile_sklearn.verification.branching.linear_bounds import GraphBounds, in_chunks
from smile_sklearn.verification.branching.linear_functions import (
    maximiser_on_regions,
    maximum_on_boxes,
    maximum_on_regions,
)
from smile_sklearn.verification.branching.relaxations import lower_line, upper_line, upper_of_three
from smile_sklearn.verification.intervals import Interval
from smile_sklearn.verification.rounding import gamma

MIXED_SHARES = (0.25, 0.5, 0.75)
"""Shares of the box coupling that are tried where both couplings are in the race."""


NEGLIGIBLE = 2.0**-900
"""Widths that change by less are taken as still when it is chosen what to compute: no bound rests on it."""


class RegionBounds(NamedTuple):
    """What linear bounds say of V on n regions.

    Parameters
    ----------
    upper : ndarray of shape (n,)
        V is at most that on the region.
    above, below : ndarray of shape (2, n, d)
        Coefficients over p' and p'' of the linear functions above and below V.
    """

    upper: np.ndarray
    above: np.ndarray
    below: np.ndarray


class EnvelopeBounds:
    """Bounds of V of one row of the head on batches of regions.

    Parameters
    ----------
    snapshot : NetworkSnapshot
    couplings : tuple of str
    row : ndarray of shape (n_latent,)
        With its sign: w for f(x') - f(x''), -w for f(x'') - f(x').
    graph : GraphBounds or None
        Of the snapshot, if it is there already.

    Attributes
    ----------
    at_once : int
        Regions bounded in one piece, so that memory stays small; few for large networks.
    """

    def __init__(self, snapshot, couplings, row, graph=None):
        self.snapshot, self.couplings, self.row = snapshot, couplings, row
        self.graph = GraphBounds(snapshot.graph, snapshot.domain) if graph is None else graph
        self._sign = np.where(row >= 0, 1.0, -1.0)
        self._gamma = gamma(8 * len(row) + 64)
        # Of both copies: each of dlo, dhi, dhi - dlo from both sides.
        self.at_once = max(1, self.graph.boxes_at_once(6 * len(row)) // 2)

    def bound(self, regions):
        """Bound V on every region.

        Returns
        -------
        RegionBounds
        """
        chunks = in_chunks(len(regions), self.at_once)
        parts = [self._bound(regions.take(chunk)) for chunk in chunks]
        upper, above, below = zip(*parts, strict=True)
        return RegionBounds(
            np.concatenate(upper), np.concatenate(above, axis=1), np.concatenate(below, axis=1)
        )

    def _bound(self, regions):
        snapshot, singles = self.snapshot, self.graph.single_ranges(regions)
        ranges = singles.paired()
        differences = self.graph.differences(regions, ranges)
        gap = gap_ranges(self.graph, snapshot, singles, self.row != 0) if "box" in self.couplings else None
        gap = gap and Interval(*(end.reshape(2, len(regions), -1) for end in gap))
        moves = self._moves(regions, ranges, differences)
        interval, shares = self._interval(gap, moves)
        rows, constant = self._rows(gap, moves, shares)
        linear = self.graph.upper(rows, ranges, differences)
        upper = maximum_on_regions(linear, regions, snapshot.domain)[:, : constant.shape[1]] + constant
        upper = outward(upper + self._slack(ranges, upper, constant), 1)
        upper = np.where(np.isnan(upper), np.inf, upper)
        best, each = upper.argmin(axis=1), np.arange(len(regions))
        above, below = linear.coefficients[:, each, best], -linear.coefficients[:, :, -1]
        return RegionBounds(np.minimum(upper[each, best], interval), above, below)

    def maximiser(self, bounds, regions):
        """Pair that maximises the linear bound of each region, two (n, d) arrays in unit coordinates."""
        return maximiser_on_regions(bounds.above, regions, self.snapshot.domain)

    def _slack(self, ranges, upper, constant):
        """Rounding of the rows: each weight is a product and at most two sums of |w| and shares <= 1."""
        snapshot = self.snapshot
        ends = {snapshot.lower, snapshot.upper, snapshot.width} - {None}
        reach = sum(ranges.magnitude(end).sum(axis=0) for end in sorted(ends)) @ np.abs(self.row)
        return 8 * UNIT_ROUNDOFF * (reach[:, None] + np.abs(upper) + np.abs(constant))

    def _moves(self, regions, ranges, differences):
        """Intervals of dlo, dhi and dhi - dlo times the sign of the weight, each (n, n_latent)."""
        snapshot = self.snapshot
        lower, upper = differences[snapshot.lower], differences[snapshot.upper]
        if "shared" not in self.couplings:
            return self._signed(lower), None, None
        growth = _minus(upper, lower) if snapshot.width is None else differences[snapshot.width]
        # Settled: the larger of 0, dlo and dhi is one of the three on every region.
        grows, shrinks = growth.high > NEGLIGIBLE, growth.low < -NEGLIGIBLE
        settled = (lower.high <= 0) & (upper.high <= 0) | (lower.low >= 0) & (upper.low >= 0)
        settled &= ~(grows & shrinks)
        units = np.flatnonzero((self.row != 0) & ~settled.all(axis=0))
        if len(units):
            moving = bool((grows | shrinks)[:, units].any())
            ends = self._linear_moves(units, moving, regions, ranges, differences)
            intervals = [lower, upper, growth]
            for place, (low, high) in enumerate(ends):
                intervals[place] = _cut(intervals[place], units, low, high)
            lower, upper, growth = intervals
        # dhi = dlo + growth
        upper = _meet(
            upper,
            np.nextafter(lower.low + growth.low, -np.inf),
            np.nextafter(lower.high + growth.high, np.inf),
        )
        return self._signed(lower), self._signed(upper), self._signed(growth)

    def _linear_moves(self, units, moving, regions, ranges, differences):
        """Linear bounds (low, high) of dlo, dhi and dhi - dlo of some units, each (n, len(units)).

        Of dlo alone where the widths are not moving, as those that read what Q holds equal.
        """
        snapshot, none = self.snapshot, np.zeros((len(units), len(self.row)))
        eye = np.eye(len(self.row))[units]
        lower, upper = np.concatenate([eye, none, -eye]), np.concatenate([none, eye, eye])
        if not moving:
            rows = {snapshot.lower: eye}
        elif snapshot.width is None:
            rows = {snapshot.lower: lower}
            rows[snapshot.upper] = rows.get(snapshot.upper, 0.0) + upper
        else:
            # hi = lo + width, so that dhi - dlo is dwidth alone.
            rows = {snapshot.lower: lower + upper}
            rows[snapshot.width] = rows.get(snapshot.width, 0.0) + upper  # one node may be both
        rows = {
            index: np.stack([both, -both])[:, None]
            for index, both in ((index, np.concatenate([row, -row])) for index, row in rows.items())
        }
        linear = self.graph.upper(rows, ranges, differences)
        ends = maximum_on_regions(linear, regions, snapshot.domain).reshape(len(regions), 2, -1, len(units))
        return [(-ends[:, 1, which], ends[:, 0, which]) for which in range(ends.shape[2])]

    def _signed(self, interval):
        swapped = interval.swapped()
        positive = self._sign > 0
        return Interval(
            np.where(positive, interval.low, swapped.low), np.where(positive, interval.high, swapped.high)
        )

    def _interval(self, gap, moves):
        """Interval bound of V, (n,), and shares of the box coupling to try in turn, (n, k, n_latent).

        Of a unit whose couplings are both in the race, each share of the two bounds its smaller one: V_i <=
        share box_i + (1 - share) shared_i. Where V is largest because they are equal, neither alone is tight.
        """
        lower, upper, _ = moves
        if "box" in self.couplings:
            opened = [np.where(self._sign > 0, *end) for end in gap]
            by_box = np.nextafter(lower.high + np.maximum(opened[1], 0.0), np.inf)
        if "shared" in self.couplings:
            by_share = np.maximum(0.0, np.maximum(lower.high, upper.high))
        if self.couplings == ("box",):
            return self._weighted(by_box), np.ones((len(by_box), 1, len(self.row)))
        if self.couplings == ("shared",):
            return self._weighted(by_share), np.zeros((len(by_share), 1, len(self.row)))
        first = np.where(by_box < by_share, 1.0, 0.0)
        # A box that is open by more than lo can fall never binds, nor does the other if it is closed.
        open_race = (lower.low + np.maximum(opened[0], 0.0) < 0) & (opened[1] > 0) & (self.row != 0)
        tried = [first]
        if open_race.any():
            tried += [np.where(open_race, share, first) for share in MIXED_SHARES]
        return self._weighted(np.minimum(by_box, by_share)), np.stack(tried, axis=1)

    def _weighted(self, rise):
        weight = np.abs(self.row)
        total = rise @ weight + 2 * self._gamma * (np.abs(rise) @ weight)
        return np.where(np.isnan(total), np.inf, outward(total, 1))

    def _rows(self, gap, moves, shares):
        """Rows over lo, hi and width of both copies, and constants, whose sums are above V; one below, last.

        Returns
        -------
        rows : dict of int to ndarray of shape (2, n, k + 1, n_latent)
            The last is above -V for the first shares; of it only the coefficients are read.
        constant : ndarray of shape (n, k)
        """
        snapshot, rows = self.snapshot, {}
        constant, size = 0.0, 0.0

        def add(index, *, above, below):
            row = np.concatenate([above, below[:, :, :1]], axis=2)
            rows[index] = rows[index] + row if index in rows else row

        if "box" in self.couplings:
            move = np.stack([self.row * shares, -self.row * shares])
            add(snapshot.lower, above=move, below=-move)
            # w > 0 opens the box of x', w < 0 that of x''; m <= s q + t, and -m <= -(s' q + t').
            opens = np.stack([np.maximum(self.row, 0.0) * shares, np.maximum(-self.row, 0.0) * shares])
            over, under = (line(*gap, 0.0, np.inf) for line in (upper_line, lower_line))
            widths = {"above": opens * over.slope[:, :, None], "below": -opens * under.slope[:, :, None]}
            if snapshot.width is not None:
                add(snapshot.width, **widths)
            else:
                add(snapshot.upper, **widths)
                add(snapshot.lower, **{name: -row for name, row in widths.items()})
            terms = opens * over.intercept[:, :, None]
            constant, size = constant + terms.sum(axis=(0, 3)), size + np.abs(terms).sum(axis=(0, 3))
        if "shared" in self.couplings:
            plane = upper_of_three(*moves)
            rest = self.row * (1.0 - shares)
            for index, part in ((snapshot.lower, plane.first), (snapshot.upper, plane.second)):
                # Below: the same combination of 0, t_1 and t_2 is at most their maximum.
                move = np.stack([rest * part[:, None], -rest * part[:, None]])
                add(index, above=move, below=-move)
            terms = np.abs(rest) * plane.intercept[:, None]
            constant, size = constant + terms.sum(axis=2), size + np.abs(terms).sum(axis=2)
        return rows, constant + 2 * self._gamma * size + UNDERFLOW


def gap_ranges(graph, snapshot, ranges, units):
    """Interval of q = hi - lo on boxes of one input; linear bounds where intervals leave its sign open.

    Parameters
    ----------
    graph : GraphBounds
    snapshot : NetworkSnapshot
    ranges : Ranges of shape (1, n, size)
    units : bool ndarray of shape (n_latent,)
        Units whose gap matters.

    Returns
    -------
    Interval of ndarrays of shape (n, n_latent)
    """
    eye = np.eye(snapshot.n_latent)
    if snapshot.width is not None:
        gap, rows = ranges[snapshot.width], {snapshot.width: eye}
    elif snapshot.lower == snapshot.upper:
        none = np.zeros((ranges[0].low.shape[1], len(eye)))
        return Interval(none, none)
    else:
        gap = _minus(ranges[snapshot.upper], ranges[snapshot.lower])
        rows = {snapshot.lower: -eye, snapshot.upper: eye}
    gap = Interval(gap.low[0], gap.high[0])
    if not ((gap.low < 0) & (gap.high > 0))[:, units].any():
        return gap
    both = {index: np.concatenate([row, -row])[None, None] for index, row in rows.items()}
    ends = maximum_on_boxes(graph.upper(both, ranges), ranges.boxes, snapshot.domain)
    return _meet(gap, -ends[:, len(eye) :], ends[:, : len(eye)])


def _minus(first, second):
    return Interval(outward(first.low - second.high, -1), outward(first.high - second.low, 1))


def _meet(interval, low, high):
    """Both hold; where they cross there is no pair, and any interval is right."""
    low, high = np.maximum(interval.low, low), np.minimum(interval.high, high)
    return Interval(np.minimum(low, high), np.maximum(low, high))


def _cut(interval, units, low, high):
    ends = [end.copy() for end in interval]
    for end, new in zip(ends, _meet(Interval(*(end[:, units] for end in interval)), low, high), strict=True):
        end[:, units] = new
    return Interval(*ends)
