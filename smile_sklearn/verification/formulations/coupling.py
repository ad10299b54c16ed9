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

from smile_sklearn.verification.intervals import Interval
from smile_sklearn.verification.linear_form import linear_form
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
    """``q = hi - lo`` of every unit: its range, its difference, and its terms in each copy."""

    def __init__(self, analysis):
        snapshot = analysis.snapshot
        self._snapshot = snapshot
        eye = np.eye(snapshot.n_latent)
        if snapshot.width is not None:
            form = linear_form(snapshot.graph, {snapshot.width: eye})
        elif snapshot.lower == snapshot.upper:
            form = linear_form(snapshot.graph, {snapshot.upper: np.zeros_like(eye)})
        else:
            form = linear_form(snapshot.graph, {snapshot.upper: eye, snapshot.lower: -eye})
        # Composed before it is bounded: lo and hi may share units whose weights cancel.
        self.range = Interval(
            *map(np.broadcast_to, form.range(analysis.ranges, snapshot.domain), [len(eye)] * 2)
        )
        self.difference = form.difference(analysis.differences, analysis.relation)

    def negligible(self):
        """By how much a box treated as open may be flipped, (n_latent,)."""
        return np.where(self.range.low >= -NEARLY_OPEN, np.maximum(0.0, -self.range.low), 0.0)

    def is_open(self, unit):
        """Whether hi >= lo on the whole domain."""
        return self.range.low[unit] >= -NEARLY_OPEN

    def is_closed(self, unit):
        """Whether hi <= lo on the whole domain, so that the clip returns lo."""
        return self.range.high[unit] <= 0.0

    def at(self, columns, unit):
        """The gap of one copy as an expression."""
        snapshot = self._snapshot
        if snapshot.width is not None:
            terms = ((columns[snapshot.width][unit], 1.0),)
        else:
            terms = ((columns[snapshot.upper][unit], 1.0), (columns[snapshot.lower][unit], -1.0))
        return Expression(terms, float(self.range.low[unit]), float(self.range.high[unit]))


def needed_units(snapshot, couplings, row, gap):
    """Units of lo, hi and width that the objective of ``row`` reads: {node: mask}."""
    moving = row != 0
    needed = {snapshot.lower: moving.copy()}
    if "shared" not in couplings:
        moving = moving & np.array([not gap.is_closed(unit) for unit in range(len(row))])
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
    if "box" not in couplings or add_lower(move.low, max(0.0, gap.range.low[unit])) >= 0.0:
        # The box bound lo' + m' - lo'' is at least dlo, dhi, and here also at least 0. (With a
        # flip it may fall below dhi; leaving it out is sound, it only makes V larger.)
        return shared
    box = move.plus(_open_gap(builder, encoding, gap, unit, sign))
    (column,) = builder.columns(min(shared.low, box.low), min(shared.high, box.high))
    for cap in (shared, box):
        builder.row([(column, 1.0), *_negated(cap.terms)], upper=0.0)
    return Expression(((column, 1.0),), min(shared.low, box.low), min(shared.high, box.high))


def _open_gap(builder, encoding, gap, unit, sign):
    """``max(0, q)`` at x' for a positive weight, at x'' for a negative one."""
    if gap.is_closed(unit):
        return ZERO
    width = gap.at(encoding.columns[0 if sign > 0 else 1], unit)
    return width if gap.is_open(unit) else _largest(builder, [ZERO, width])


def _candidates(encoding, gap, unit, move, sign):
    """0, dlo and dhi (times the sign), and what the latter two can lead each other by."""
    first, second = (gap.at(columns, unit) for columns in encoding.columns)
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
