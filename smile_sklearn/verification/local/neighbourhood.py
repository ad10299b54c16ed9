"""The inputs that a premise relates to given rows, as boxes in unit coordinates."""

from typing import NamedTuple

import numpy as np

from smile_sklearn.verification.intervals import Interval
from smile_sklearn.verification.rounding import sum_upper


class Neighbourhood(NamedTuple):
    """Inputs around n rows in unit coordinates, for one role of Q.

    Parameters
    ----------
    low, high : ndarray of shape (n, d)
        Interval of every numeric and integer feature; 0 in the columns of groups.
    groups : tuple of OneHotGroup
    own : tuple of ndarray of shape (n,)
        Per group the category of each row.
    allowed : tuple of ndarray of shape (k, k), bool
        Per group, [a, b]: whether a row in category a may become one in category b.
    """

    low: np.ndarray
    high: np.ndarray
    groups: tuple
    own: tuple
    allowed: tuple

    def interval(self):
        """Interval of every input by itself, columns of groups included: the hull of what they may become."""
        low, high = self.low.copy(), self.high.copy()
        for group, own, allowed in zip(self.groups, self.own, self.allowed, strict=True):
            columns = list(group.columns)
            low[:, columns] = np.stack([group.categories[may].min(axis=0) for may in allowed])[own]
            high[:, columns] = np.stack([group.categories[may].max(axis=0) for may in allowed])[own]
        return Interval(low, high)

    def taken(self, rows):
        """The neighbourhoods of some of the rows."""
        own = tuple(category[rows] for category in self.own)
        return self._replace(low=self.low[rows], high=self.high[rows], own=own)


def neighbourhoods(premise, rows):
    """Neighbourhoods of rows of the domain, one a role of Q: one if swapping a pair changes nothing.

    A float x' with dl <= x' - x <= du exactly lies between the outward-rounded x + dl and x + du,
    and scaling is nondecreasing in floats: its unit coordinate lies between theirs. Integers stay
    whole, as their deltas and bounds are. A role that allows no input at all is widened to a
    neighbourhood that is not empty: what is true of all of it is true of none.

    Parameters
    ----------
    premise : Premise
    rows : ndarray of shape (n, d)
        Raw units, inside the domain.

    Returns
    -------
    tuple of Neighbourhood
    """
    domain = premise.domain
    own = tuple(
        (rows[:, None, list(group.columns)] == group.categories).all(axis=2).argmax(axis=1)
        for group in domain.groups
    )
    # x' = x + d with d in [dl, du] and (category of x', of x) allowed; or x = x' + d.
    roles = [(premise.delta_lower, premise.delta_upper, [pairs.T for pairs in premise.group_pairs])]
    if not premise.reversible:
        roles.append((-premise.delta_upper, -premise.delta_lower, premise.group_pairs))
    found = []
    for lower, upper, pairs in roles:
        low, high = -sum_upper(-rows, -lower), sum_upper(rows, upper)
        low, high = (np.where(domain.in_group, 0.0, domain.to_unit(end)) for end in (low, high))
        allowed = tuple(_never_empty(pair) for pair in pairs)
        found.append(Neighbourhood(low, high, domain.groups, own, allowed))
    return tuple(found)


def _never_empty(allowed):
    return allowed | (np.eye(len(allowed), dtype=bool) & ~allowed.any(axis=1, keepdims=True))
