"""What a property says once the features are known: which pairs it relates, and what it claims of them."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from ..exceptions import PropertyError
from .domain import InputDomain
from .names import label, listed

# u, the unit roundoff of float64 (half the distance from 1 to the next float).
UNIT_ROUNDOFF = np.finfo(np.float64).eps / 2


@dataclass(frozen=True, eq=False)
class Premise:
    r"""Which pairs of inputs of a domain X are related, in raw units: the premise Q of a property.

    .. math:: x', x'' \in X, \quad \delta_l \le x' - x'' \le \delta_u

    It claims nothing, so there is nothing to prove of it: verifiers take a `Relation`. The deltas are
    cut by the domain to what a pair in X can reach, so the same pairs of X are related before and
    after; a cut end is rounded outward.

    Parameters
    ----------
    name : str
        Key of the property in its set, such as ``fair`` or ``fair-1``.
    statement : str
        The property as an English sentence in raw units.
    domain : InputDomain
    delta_lower, delta_upper : array-like of shape (n_features,)
        May be infinite. Stored: finite, whole for integers, in {-1, 0, 1} for group columns.

    Attributes
    ----------
    group_pairs : tuple of (k, k) bool arrays
        One per group of the domain: [a, b] says whether x' may be in category a and x'' in b.

    Raises
    ------
    PropertyError
        (a ValueError) if no pair of the domain is related.
    """

    name: str
    statement: str
    domain: InputDomain
    delta_lower: np.ndarray
    delta_upper: np.ndarray

    def __post_init__(self):
        lower, upper = self._delta_array("delta_lower"), self._delta_array("delta_upper")
        self._check_order(lower, upper)
        lower, upper = _cut(lower, upper, self.domain)
        self._check_reachable(lower > upper)
        pairs = []
        for group in self.domain.groups:
            allowed, columns = _allowed_pairs(group, lower, upper), list(group.columns)
            if not allowed.any():
                self._check_reachable(np.isin(np.arange(lower.size), columns))
            # The hull of the allowed pairs relates the same pairs, and makes a group that
            # cannot move visibly equal (one column of an exactly-one group never moves alone).
            lower[columns], upper[columns] = _hull(group, allowed)
            allowed.setflags(write=False)
            pairs.append(allowed)
        lower, upper = lower + 0.0, upper + 0.0  # no -0.0
        lower.setflags(write=False)
        upper.setflags(write=False)
        fields = {"delta_lower": lower, "delta_upper": upper, "group_pairs": tuple(pairs)}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @cached_property
    def equal(self):
        """(n_features,) bool: features that Q holds equal."""
        equal = (self.delta_lower == 0) & (self.delta_upper == 0)
        equal.setflags(write=False)
        return equal

    @property
    def trivial(self):
        """Whether Q allows x' = x'' only."""
        return bool(self.equal.all())

    @property
    def reversible(self):
        """Whether swapping x' and x'' relates the same pairs."""
        return bool((self.delta_lower == -self.delta_upper).all())

    @property
    def covers_all_inputs(self):
        """Whether dl <= 0 <= du: then clipping carries the claim to all numeric inputs.

        Clipping is nondecreasing and 1-Lipschitz per coordinate, so it maps a difference d to one
        between 0 and d, which Q allows as well.
        """
        return bool(((self.delta_lower <= 0) & (self.delta_upper >= 0)).all())

    def unit_delta(self):
        """Bounds on p' - p'' for related inputs, with p = ``domain.to_unit(x)`` as floats compute it.

        Returns
        -------
        lower, upper : (n_features,) read-only arrays within [-1, 1]; an end that is 0 stays exactly 0
        """
        return self._unit_delta

    @cached_property
    def _unit_delta(self):
        # With l the lower bound and w = scale, p = fl(s / w), s = fl(x - l) <= w. By the two forms
        # of the rounding model, s = (x - l) / (1 + e) and p = s / w * (1 + e') with |e|, |e'| <= u,
        # hence |p - (x - l) / w| = (s / w) |e' - e| < 2u as s / w <= 1 (underflow happens only for
        # tiny s / w, where this has room to spare). Two inputs: less than 4u, an ABSOLUTE amount.
        # Each of the two operations below rounds to nearest; nextafter makes it an upper bound.
        # The map is nondecreasing in floats, so an end that is 0 needs no widening and no end may
        # cross 0; and p lies in [0, 1], so differences never leave [-1, 1].
        width = np.where(self.domain.scale > 0, self.domain.scale, 1.0)
        upper = _widen(self.delta_upper / width, self.delta_upper)
        lower = -_widen(-self.delta_lower / width, -self.delta_lower)
        # Values of group columns are 0 and 1 and are not scaled.
        lower = np.where(self.domain.in_group, self.delta_lower, lower) + 0.0
        upper = np.where(self.domain.in_group, self.delta_upper, upper) + 0.0
        constant = self.domain.scale == 0
        ends = np.where(constant, 0.0, lower), np.where(constant, 0.0, upper)
        for end in ends:
            end.setflags(write=False)
        return ends

    def contains(self, first, second):
        """(n,) bool: pairs of the domain that Q relates, the difference rounded once.

        Parameters
        ----------
        first, second : array-like of shape (n, n_features), raw units
        """
        inside = self.domain.contains(first) & self.domain.contains(second)
        difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
        return inside & ((self.delta_lower <= difference) & (difference <= self.delta_upper)).all(axis=1)

    def contains_exactly(self, first, second):
        """Whether Q relates one pair of rows of the domain, in exact rational arithmetic.

        Parameters
        ----------
        first, second : array-like of shape (n_features,), raw units
        """
        first, second = (np.asarray(row, dtype=np.float64) for row in (first, second))
        # Membership in X compares floats with floats, which is exact.
        if not (self.domain.contains(first[None]) & self.domain.contains(second[None]))[0]:
            return False
        return all(
            Fraction(low) <= Fraction(a) - Fraction(b) <= Fraction(high)
            for a, b, low, high in zip(
                *map(_floats, (first, second, self.delta_lower, self.delta_upper)), strict=True
            )
        )

    def __eq__(self, other):
        return self._content() == other._content() if type(other) is type(self) else NotImplemented

    def __hash__(self):
        return hash(self._content())

    def __reduce__(self):
        # Through the constructor, so that the arrays of a copy are read-only as well.
        return type(self), tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def _content(self):
        values = (getattr(self, name) for name in self.__dataclass_fields__)
        return tuple(value.tobytes() if isinstance(value, np.ndarray) else value for value in values)

    def _delta_array(self, end):
        delta = np.array(getattr(self, end), dtype=np.float64)
        if delta.shape != (self.domain.n_features,):
            raise PropertyError(f"Got {end} of shape {delta.shape}, expected ({self.domain.n_features},).")
        if np.isnan(delta).any():
            raise PropertyError(f"Got NaN in {end} of {self._labels(np.isnan(delta))}, expected numbers.")
        return delta

    def _check_order(self, lower, upper):
        crossed = lower > upper
        if crossed.any():
            column = int(np.argmax(crossed))
            raise PropertyError(
                f"Got lower delta {lower[column]} above upper delta {upper[column]} for "
                f"{self._labels(crossed)}, expected lower <= upper."
            )

    def _check_reachable(self, unreachable):
        if unreachable.any():
            raise PropertyError(
                f"Got deltas of {self._labels(unreachable)} that no pair of inputs in the domain meets, "
                "so the property would say nothing. Compare them with the bounds of the domain, "
                "and note that integer and one-hot features differ by whole numbers."
            )

    def _labels(self, mask):
        return listed(repr(label(column, self.domain.feature_names)) for column in np.flatnonzero(mask))


@dataclass(frozen=True, eq=False)
class Relation(Premise):
    r"""A relational property of arity 2: a `Premise` Q and what it implies, the conclusion R.

    .. math:: x', x'' \in X, \quad \delta_l \le x' - x'' \le \delta_u
              \quad\Rightarrow\quad \epsilon_l \le f(x') - f(x'') \le \epsilon_u

    Parameters
    ----------
    name, statement, domain, delta_lower, delta_upper
        See `Premise`.
    epsilon_lower, epsilon_upper : float
        In output units; one of them may be infinite.

    Raises
    ------
    PropertyError
        (a ValueError) if no pair of the domain is related, or x' = x'' is and R excludes 0.
    """

    epsilon_lower: float
    epsilon_upper: float

    def __post_init__(self):
        super().__post_init__()
        for name in ("epsilon_lower", "epsilon_upper"):
            object.__setattr__(self, name, float(getattr(self, name)))
        self._check_epsilon()

    @property
    def symmetric(self):
        """Whether swapping x' and x'' changes nothing, so that one side of R suffices."""
        return self.reversible and self.epsilon_lower == -self.epsilon_upper

    @property
    def two_sided(self):
        """Whether R bounds both what f may gain and what it may lose."""
        return bool(np.isfinite(self.epsilon_lower) and np.isfinite(self.epsilon_upper))

    def _check_epsilon(self):
        lower, upper = self.epsilon_lower, self.epsilon_upper
        if not lower <= upper or (np.isinf(lower) and np.isinf(upper)):
            raise PropertyError(
                f"Got output bounds [{lower}, {upper}], expected lower <= upper, one of them finite."
            )
        if self.covers_all_inputs and not lower <= 0 <= upper:
            raise PropertyError(
                f"Got output bounds [{lower}, {upper}] without 0, but equal inputs are related and their "
                "outputs differ by 0, so no model can meet this. Include 0, or exclude equal inputs."
            )


def _floats(array):
    return array.tolist()


def _cut(lower, upper, domain):
    """Deltas cut to what two inputs of the domain can differ by, rounded outward."""
    width = np.where(domain.in_group, 1.0, _width_rounded_up(domain.lower, domain.upper))
    lower, upper = np.maximum(lower, -width), np.minimum(upper, width)
    # Differences of whole numbers are whole: this drops no pair.
    whole = domain.is_integer | domain.in_group
    return np.where(whole, np.ceil(lower), lower), np.where(whole, np.floor(upper), upper)


def _width_rounded_up(lower, upper):
    """Smallest float that is at least upper - lower, exactly."""
    width = upper - lower
    # TwoSum (Knuth): `rest` is exactly (upper - lower) - width; the domain excludes overflow.
    virtual = width - upper
    rest = (upper - (width - virtual)) + (-lower - virtual)
    return np.where(rest > 0, np.nextafter(width, np.inf), width)


def _allowed_pairs(group, lower, upper):
    """(k, k) bool: lower <= category[a] - category[b] <= upper on the columns of the group."""
    allowed = np.ones((len(group.categories),) * 2, dtype=bool)
    for column, difference in _category_differences(group):
        allowed &= (lower[column] <= difference) & (difference <= upper[column])
    return allowed


def _hull(group, allowed):
    """Least and greatest difference of the allowed pairs, per column."""
    differences = [difference[allowed] for _, difference in _category_differences(group)]
    return [values.min() for values in differences], [values.max() for values in differences]


def _category_differences(group):
    """Per column the (k, k) array category[a] - category[b]; one at a time, as k may be large."""
    for column, values in zip(group.columns, group.categories.T, strict=True):
        yield column, values[:, None] - values[None, :]


def _widen(quotient, delta):
    """Upper end of a unit difference: outward by 4u, but not across 0 (so 0 stays 0) nor 1."""
    wide = np.nextafter(quotient, np.inf)
    wide = np.nextafter(wide + 4 * UNIT_ROUNDOFF, np.inf)
    return np.minimum(wide, np.where(delta > 0, 1.0, 0.0))
