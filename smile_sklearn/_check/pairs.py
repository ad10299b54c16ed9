"""Q and R rebuilt from the certificate, in exact numbers."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np

from smile_sklearn._check.claim import finite, row
from smile_sklearn._check.exact import Exact
from smile_sklearn._check.report import CheckFailure, exactly

UNIT_ROUNDOFF = Fraction(1, 2**53)


@dataclass(frozen=True, eq=False)
class RelatedPairs:
    """All pairs of the domain with ``delta_lower <= x' - x'' <= delta_upper``, and what must follow.

    Parameters
    ----------
    domain : InputDomain
    delta_lower, delta_upper : list of Fraction
        Raw units, cut to what the domain allows, exactly.
    allowed : tuple of (k, k) bool arrays
        One a group of the domain: whether x' may be in category a and x'' in category b.
    epsilon_lower, epsilon_upper : Fraction or None
        Limits of f(x') - f(x''); None for no limit.
    """

    domain: object
    delta_lower: list
    delta_upper: list
    allowed: tuple
    epsilon_lower: Fraction | None
    epsilon_upper: Fraction | None

    @property
    def may_rise(self):
        """(d,) bool: features in which x' may be the larger one."""
        return np.array([end > 0 for end in self.delta_upper])

    @property
    def may_fall(self):
        """(d,) bool: features in which x' may be the smaller one."""
        return np.array([end < 0 for end in self.delta_lower])

    def unit_difference(self):
        """Exact ends of p' - p'' for the floats p = ``domain.to_unit(x)`` that the network reads.

        p = fl(fl(x - l) / w) with w = fl(u - l). Each of the two roundings moves p by at most
        u p <= u (first order; a subtraction does not underflow, and where the division does, p is
        far below u), so p' - p'' is within 4u of (x' - x'') / w. The map is nondecreasing in floats
        and onto [0, 1]: no end crosses 0, an end at 0 stays there, and no difference exceeds 1.
        """
        high = [self._unit_end(j, end) for j, end in enumerate(self.delta_upper)]
        low = [self._unit_end(j, -end) for j, end in enumerate(self.delta_lower)]
        return -Exact.above(low), Exact.above(high)

    def _unit_end(self, feature, end):
        if self.domain.in_group[feature]:
            return end
        width = Fraction(float(self.domain.scale[feature]))
        if width == 0 or end == 0:
            return Fraction(0)
        return min(end / width + 4 * UNIT_ROUNDOFF, Fraction(int(end > 0)))

    def contains(self, first, second):
        """Why a pair of raw rows is not one of these, or None if it is."""
        for name, values in (("first", first), ("second", second)):
            if not self.domain.contains(np.array([values]))[0]:  # compares floats: exact
                return f"its {name} row is no input of the domain"
        for j, (a, b) in enumerate(zip(first, second, strict=True)):
            if not self.delta_lower[j] <= Fraction(a) - Fraction(b) <= self.delta_upper[j]:
                return (
                    f"its difference in feature {j} is outside [{self.delta_lower[j]}, {self.delta_upper[j]}]"
                )
        return None

    def sentence(self):
        """What is proved, in raw units and the checker's own words."""
        alike = {}
        for feature, ends in enumerate(zip(self.delta_lower, self.delta_upper, strict=True)):
            if any(ends):
                alike.setdefault(ends, []).append(feature)
        # Every feature is named: one that is left out could be one that hardly moves.
        moving = [
            f"{self._labels(features)} in [{exactly(low)}, {exactly(high)}]"
            for (low, high), features in alike.items()
        ]
        ends = [
            infinite if end is None else exactly(end)
            for end, infinite in ((self.epsilon_lower, "-inf"), (self.epsilon_upper, "inf"))
        ]
        return (
            f"x' - x'': {'; '.join(moving) or 'none'}; others 0; then f(x') - f(x'') in [{', '.join(ends)}]"
        )

    def _labels(self, features):
        names = self.domain.feature_names
        if names is not None:
            # In quotes, or a name could imitate the rest of the line.
            return ", ".join(repr(names[feature]) for feature in features)
        known = set(features)
        starts = [j for j in features if j - 1 not in known]
        stops = [j for j in features if j + 1 not in known]
        runs = zip(starts, stops, strict=True)
        return ", ".join(f"x{first}" if first == last else f"x{first} to x{last}" for first, last in runs)


def rebuild_pairs(data, domain):
    """Build :class:`RelatedPairs` from ``proof["relation"]``.

    Raises
    ------
    CheckFailure
        If it is missing or malformed, or relates no pair.
    """
    names = {"delta_lower", "delta_upper", "epsilon_lower", "epsilon_upper"}
    if not isinstance(data, dict) or set(data) != names:
        raise CheckFailure(f"the proof must hold a relation with {sorted(names)}")
    lower, upper = (row(data[name], domain.n_features, name) for name in ("delta_lower", "delta_upper"))
    ends = [
        None if data[name] is None else finite(data[name], name)
        for name in ("epsilon_lower", "epsilon_upper")
    ]
    if ends == [None, None] or (None not in ends and ends[0] > ends[1]):
        raise CheckFailure(f"the output limits {ends} are no interval with a finite end")
    cut = [_cut(domain, j, low, high) for j, (low, high) in enumerate(zip(lower, upper, strict=True))]
    allowed = []
    for group in domain.groups:
        columns = list(group.columns)
        pairs = _allowed(group, np.array(lower)[columns], np.array(upper)[columns])
        if not pairs.any():
            raise CheckFailure(f"no pair of categories of the group {columns} is related")
        for column, values in zip(columns, group.categories.T, strict=True):
            steps = (values[:, None] - values[None, :])[pairs]
            cut[column] = (Fraction(steps.min()), Fraction(steps.max()))
        allowed.append(pairs)
    empty = [j for j, (low, high) in enumerate(cut) if low > high]
    if empty:
        raise CheckFailure(f"no pair of inputs is related: features {empty}")
    return RelatedPairs(domain, [low for low, _ in cut], [high for _, high in cut], tuple(allowed), *ends)


def _cut(domain, feature, low, high):
    """Delta of one feature as two inputs of the domain can attain it (groups are cut by category)."""
    width = Fraction(float(domain.upper[feature])) - Fraction(float(domain.lower[feature]))
    low, high = max(Fraction(low), -width), min(Fraction(high), width)
    return (Fraction(ceil(low)), Fraction(floor(high))) if domain.is_integer[feature] else (low, high)


def _allowed(group, lower, upper):
    """(k, k) bool; differences of categories are -1, 0 or 1, so that comparing floats is exact."""
    allowed = np.ones((len(group.categories),) * 2, dtype=bool)
    for values, low, high in zip(group.categories.T, lower, upper, strict=True):
        steps = values[:, None] - values[None, :]
        allowed &= (low <= steps) & (steps <= high)
    return allowed
