r"""A maximisation in parts: one for every ordered pair of categories of a protected group.

.. math:: \max_{Q} V = \max_{(a, b) \in Q_G} \max_{Q, \; x'_G = a, \; x''_G = b} V

With the categories fixed the group leaves the model: first layers get tighter ranges in each copy and
tighter differences, often of one sign, and many parts need no solver, because difference bounds alone
show that they are not the largest. Pairs (a, a) are one part together: the group is then equal in both
copies. ALL allowed pairs are listed; what holds for each holds for the relation.
"""

from dataclasses import dataclass

import numpy as np

from smile_sklearn.verification.formulations.coupling import Gap
from smile_sklearn.verification.formulations.pair import float_slack
from smile_sklearn.verification.rounding import absolute_matmul, add_upper, matmul_upper

MOST_PAIRS = 30
"""Groups with more allowed ordered pairs of different categories are not enumerated: 6 categories. Bounding
a part takes milliseconds; whether parts pay is decided by their bounds (``mip``)."""


@dataclass(frozen=True)
class Part:
    """Allowed pairs of categories of one group; the whole relation if ``group`` is None.

    Parameters
    ----------
    group : int or None
        Index into ``domain.groups``.
    pairs : tuple of (int, int)
    """

    group: int | None = None
    pairs: tuple = ()

    def group_pairs(self, relation):
        """Allowed pairs of every group, those of this part alone for its own."""
        allowed = list(relation.group_pairs)
        if self.group is not None:
            allowed[self.group] = np.zeros_like(allowed[self.group])
            allowed[self.group][tuple(np.transpose(self.pairs))] = True
        return tuple(allowed)

    def to_dicts(self):
        """What a proof says of it: one entry a pair, or one without a pair."""
        if self.group is None:
            return [{}]
        return [{"pair": {"group": self.group, "first": int(a), "second": int(b)}} for a, b in self.pairs]


WHOLE = (Part(),)


def parts_of(relation, most_pairs=MOST_PAIRS):
    """The parts of a relation: by the group with the most pairs that is small enough, else the whole.

    Parameters
    ----------
    relation : Relation
    most_pairs : int

    Returns
    -------
    tuple of Part
    """
    moving = [int(allowed.sum() - np.trace(allowed)) for allowed in relation.group_pairs]
    small = [group for group, count in enumerate(moving) if 0 < count <= most_pairs]
    if not small:
        return WHOLE
    group = max(small, key=lambda index: moving[index])
    pairs = [tuple(pair) for pair in np.argwhere(relation.group_pairs[group]).tolist()]
    equal = tuple(pair for pair in pairs if pair[0] == pair[1])
    parts = [Part(group, (pair,)) for pair in pairs if pair[0] != pair[1]]
    return tuple(parts + [Part(group, equal)] * bool(equal))


def belongs(relation, first, second):
    """Which related pairs of rows (raw units) have categories that a part of the relation allows, (n,)."""
    inside = np.ones(len(first), dtype=bool)
    for group, allowed in zip(relation.domain.groups, relation.group_pairs, strict=True):
        columns = list(group.columns)
        places = [_category(group, rows[:, columns]) for rows in (first, second)]
        inside &= allowed[places[0], places[1]]
    return inside


def _category(group, rows):
    return np.argmax((rows[:, None, :] == group.categories[None]).all(axis=2), axis=1)


def difference_bound(analysis, couplings, margin, sign):
    """Upper bound of f(x') - f(x''), or its negative, by differences alone, slack included.

    Parameters
    ----------
    analysis : PairAnalysis
    couplings : tuple of str
    margin : int
    sign : {1, -1}
    """
    gap, row = Gap(analysis), sign * analysis.margins[[margin]]
    bounds = {"box": _box_bound, "shared": _shared_bound}
    best = min(float(bounds[name](analysis, gap, row)) for name in couplings)
    return float(add_upper(best, float_slack(analysis, gap, margin)))


def _box_bound(analysis, gap, row):
    """``w (lo' - lo'') + w+ width' + |w-| width''``."""
    moved = analysis.difference({analysis.snapshot.lower: row}).high
    first, second = (np.maximum(0.0, interval.high) for interval in gap.ranges)
    width = np.where(row[0] > 0, first, second)
    return add_upper(moved, absolute_matmul(row, width))[0]


def _shared_bound(analysis, _, row):
    """``w+ max(0, dlo, dhi) + w- min(0, dlo, dhi)``."""
    lower, upper = (analysis.differences[end] for end in (analysis.snapshot.lower, analysis.snapshot.upper))
    most = np.maximum(0.0, np.maximum(lower.high, upper.high))
    least = np.minimum(0.0, np.minimum(lower.low, upper.low))
    return matmul_upper(row, least, most)[0]
