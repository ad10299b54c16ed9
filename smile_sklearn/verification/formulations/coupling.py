r"""The objective: V(x', x'') >= f(x') - f(x'') for one row w of the head, or its negative.

.. math:: V = \sum_i w^+_i up_i + w^-_i dn_i

- box, :math:`q = hi - lo`:
  :math:`up_i = lo'_i + m'_i - lo''_i`, :math:`dn_i = lo'_i - lo''_i - m''_i`, with :math:`m = \max(0, q)`:

  .. math:: m = q \text{ if } q \ge 0, \quad m = 0 \text{ if } q \le 0, \quad
            \text{else } m \le q^+ t, \quad m \le q + q^- (1 - t), \quad t \in \{0, 1\}

- shared: :math:`up_i = \max(0, dlo, dhi)`, :math:`dn_i = \min(0, dlo, dhi) = -\max(0, -dlo, -dhi)`:

  .. math:: r \le c_k + M_k (1 - s_k), \quad \textstyle\sum_k s_k = 1

  over the candidates :math:`c_k \in \{0, \pm dlo, \pm dhi\}` that lemma 3 leaves in the race;
- both: r is below the box expression as well.

Everything is maximised with a positive coefficient, so only upper rows are needed: a variable that may
be smaller than the maximum it stands for never helps the objective, and the optimum is exact. For a
unit with :math:`w_i < 0` all differences change sign (:math:`w^-_i dn_i = |w_i| \max(...)`), so one
rule serves both signs: with :math:`\sigma = sign(w_i)`, the rise is that of :math:`\sigma (z' - z'')`.
"""

from dataclasses import dataclass

import numpy as np

from smile_sklearn.verification.rounding import add_lower, add_upper

NEARLY_OPEN = 1e-9
"""A box proven wider than minus this needs no binary; what is missing goes to the slack."""


@dataclass(frozen=True)
class Expression:
    """Linear terms over columns and an interval of their value."""

    terms: tuple
    low: float
    high: float

    def plus(self, other):
        """Sum of two expressions."""
        low, high = float(add_lower(self.low, other.low)), float(add_upper(self.high, other.high))
        return Expression(self.terms + other.terms, low, high)

    def times(self, sign):
        """The expression, or its negative."""
        if sign > 0:
            return self
        return Expression(tuple((column, -value) for column, value in self.terms), -self.high, -self.low)


ZERO = Expression((), 0.0, 0.0)


class Gap:
    """``q = hi - lo`` of every unit: its range in each copy, its difference, and its terms.

    Attributes
    ----------
    ranges : tuple of two Interval
    difference : Interval
    """

    def __init__(self, analysis):
        self._snapshot = snapshot = analysis.snapshot
        eye = np.eye(snapshot.n_latent)
        # Composed before it is bounded: lo and hi may share units whose weights cancel.
        if snapshot.width is not None:
            rows = {snapshot.width: eye}
        elif snapshot.lower == snapshot.upper:
            rows = {snapshot.upper: np.zeros_like(eye)}
        else:
            rows = {snapshot.upper: eye, snapshot.lower: -eye}
        self.ranges = tuple(analysis.range(rows, copy) for copy in (0, 1))
        self.difference = analysis.difference(rows)

    def negligible(self):
        """By how much a box treated as open may be flipped, (n_latent,)."""
        low = np.minimum(*(interval.low for interval in self.ranges))
        return np.where(low >= -NEARLY_OPEN, np.maximum(0.0, -low), 0.0)

    def is_open(self, copy):
        """Units with hi >= lo on the whole domain, (n_latent,)."""
        return self.ranges[copy].low >= -NEARLY_OPEN

    def is_closed(self, copy):
        """Units with hi <= lo on the whole domain, so that the clip returns lo."""
        return self.ranges[copy].high <= 0.0

    def at(self, encoding, unit, copy):
        """The gap of one copy as an expression."""
        snapshot, columns = self._snapshot, encoding.columns[copy]
        if snapshot.width is not None:
            terms = ((columns[snapshot.width][unit], 1.0),)
        else:
            terms = ((columns[snapshot.upper][unit], 1.0), (columns[snapshot.lower][unit], -1.0))
        low, high = self.ranges[copy]
        return Expression(terms, float(low[unit]), float(high[unit]))


def needed_units(snapshot, couplings, row, gap):
    """Units of lo, hi and width that the objective of ``row`` reads: {node: mask}."""
    moving = row != 0
    needed = {snapshot.lower: moving.copy()}
    if "shared" not in couplings:
        moving = moving & ~(gap.is_closed(0) & gap.is_closed(1))
    ends = snapshot.upper if snapshot.width is None else snapshot.width
    needed[ends] = needed.get(ends, False) | moving
    return needed


def encode_objective(builder, encoding, gap, couplings, row):
    """Add V of ``row``, divided by ``scale``, to be maximised; return the scale, a power of two.

    Dividing by a power of two is exact, and makes the solver's absolute tolerances relative to
    the head: a target in cents or in millions gets the same relative slack.
    """
    scale = 2.0 ** np.ceil(np.log2(np.abs(row).max())) if row.any() else 1.0
    for unit in np.flatnonzero(row):
        rise = _rise(builder, encoding, gap, couplings, int(unit), float(np.sign(row[unit])))
        weight = abs(row[unit]) / scale
        builder.maximise([(column, weight * sign) for column, sign in rise.terms])
    return float(scale)


def _rise(builder, encoding, gap, couplings, unit, sign):
    """Expression of the largest ``sign * (z'_i - z''_i)``; V is its weighted sum."""
    snapshot = encoding.analysis.snapshot
    lower = encoding.unit(snapshot.lower, unit)
    move = Expression(tuple(lower.difference), lower.low, lower.high).times(sign)
    if "shared" not in couplings:
        return move.plus(_open_gap(builder, encoding, gap, unit, sign))
    shared = _largest(builder, *_candidates(encoding, gap, unit, move, sign))
    if "box" not in couplings or _box_is_above(gap, unit, sign, move):
        return shared
    box = move.plus(_open_gap(builder, encoding, gap, unit, sign))
    (column,) = builder.columns(min(shared.low, box.low), min(shared.high, box.high))
    for cap in (shared, box):
        builder.row([(column, 1.0), *_negated(cap.terms)], upper=0.0)
    return Expression(((column, 1.0),), min(shared.low, box.low), min(shared.high, box.high))


def _open_gap(builder, encoding, gap, unit, sign):
    """``max(0, q)`` at x' for a positive weight, at x'' for a negative one."""
    copy = _copy_at_the_top(sign)
    if gap.is_closed(copy)[unit]:
        return ZERO
    width = gap.at(encoding, unit, copy)
    return width if gap.is_open(copy)[unit] else _largest(builder, [ZERO, width])


def _copy_at_the_top(sign):
    """The copy whose embedding stands at the upper end of its box in the worst case."""
    return 0 if sign > 0 else 1


def _box_is_above(gap, unit, sign, move):
    """Whether the box bound, ``top - lo`` of the other copy, is never below 0, dlo and dhi.

    It is at least dlo, as top >= lo; at least dhi, as top >= hi, if the other copy's hi is not below
    its lo; and at least 0 if dlo and the least width say so.
    """
    top = _copy_at_the_top(sign)
    least_width = max(0.0, gap.ranges[top].low[unit])
    return gap.ranges[1 - top].low[unit] >= 0.0 and add_lower(move.low, least_width) >= 0.0


def _candidates(encoding, gap, unit, move, sign):
    """0, dlo and dhi (times the sign), and what the latter two can lead each other by."""
    first, second = (gap.at(encoding, unit, copy) for copy in (0, 1))
    growth = Expression(
        first.terms + second.times(-1).terms,
        float(gap.difference.low[unit]),
        float(gap.difference.high[unit]),
    ).times(sign)
    upper = encoding.analysis.differences[encoding.analysis.snapshot.upper]
    direct = Expression((), float(upper.low[unit]), float(upper.high[unit])).times(sign)
    composed = move.plus(growth)
    other = Expression(composed.terms, max(composed.low, direct.low), min(composed.high, direct.high))
    if growth.high <= 0.0:
        return [ZERO, move], {}  # dhi <= dlo always
    if growth.low >= 0.0:
        return [ZERO, other], {}  # dhi >= dlo always
    return [ZERO, move, other], {(move, other): -growth.low, (other, move): growth.high}


def _largest(builder, candidates, leads=None):
    """A variable that may be as large as the largest candidate, and no larger.

    M_k is what the largest can exceed candidate k by: from the intervals of the two, or from
    ``leads``, a dict (leader, follower) -> bound of their difference.
    """
    floor = max(candidate.low for candidate in candidates)
    # One that never exceeds another's least value is out of the race (ties: keep the first of them).
    best = next(candidate for candidate in candidates if candidate.low == floor)
    race = [candidate for candidate in candidates if candidate is best or candidate.high > floor]
    if len(race) == 1:
        return best
    high = max(candidate.high for candidate in race)
    (column,) = builder.columns(floor, high)
    chosen = builder.columns(0.0, 1.0, integer=True) if len(race) == 2 else None
    if chosen is not None:
        selectors = [(0.0, [(chosen[0], 1.0)]), (1.0, [(chosen[0], -1.0)])]
    else:
        chosen = builder.columns(np.zeros(len(race)), 1.0, integer=True)
        builder.row([(place, 1.0) for place in chosen], 1.0, 1.0)
        selectors = [(0.0, [(place, 1.0)]) for place in chosen]
    for candidate, (constant, selector) in zip(race, selectors, strict=True):
        excess = max(_lead(other, candidate, leads or {}) for other in race if other is not candidate)
        terms = [
            (column, 1.0),
            *_negated(candidate.terms),
            *((place, excess * sign) for place, sign in selector),
        ]
        builder.row(terms, upper=excess * (1.0 - constant))
    return Expression(((column, 1.0),), floor, high)


def _lead(leader, follower, leads):
    apart = float(add_upper(leader.high, -follower.low))
    return min(apart, leads.get((leader, follower), apart))


def _negated(terms):
    return [(column, -value) for column, value in terms]
