r"""Sub-boxes of related pairs, many at a time: what branch and bound divides.

A region holds a box for p'', a box for the difference d = p' - p'', a box for p', and for every
one-hot group the ordered pairs (a, b) of categories still allowed (x' in a, x'' in b):

.. math:: p'' \in [y^-, y^+], \quad p' - p'' \in [d^-, d^+], \quad p' \in [x^-, x^+], \quad (a, b) \in M_g

Coordinates are those of :meth:`InputDomain.to_unit`. A region is cut at a value of p''_j or of d_j, or
by sharing the pairs of a group between its halves; every pair of the region is in one half at least.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from smile_sklearn.properties.relation import UNIT_ROUNDOFF
from smile_sklearn.verification.intervals import input_range
from smile_sklearn.verification.rounding import add_lower, add_upper

SMALLEST_WIDTH = 2.0**-40
"""A variable narrower than that is not cut again: its bounds would soon be rounding alone."""


class Boxes(NamedTuple):
    """Boxes of single inputs.

    Parameters
    ----------
    low, high : ndarray of shape (..., d)
        In unit coordinates; columns of groups are not read.
    categories : tuple of bool ndarrays of shape (..., k)
        Per group of the domain, the categories allowed.
    """

    low: np.ndarray
    high: np.ndarray
    categories: tuple = ()

    def take(self, rows):
        """Some of the boxes."""
        return Boxes(self.low[rows], self.high[rows], tuple(mask[rows] for mask in self.categories))


def whole_domain(domain):
    """The domain as one box of shape (1, d)."""
    low, high = input_range(domain)
    categories = (np.ones((1, len(group.categories)), dtype=bool) for group in domain.groups)
    return Boxes(low[None], high[None], tuple(categories))


class Cut(NamedTuple):
    """Where each of n regions is cut in two.

    Parameters
    ----------
    variable : int ndarray of shape (n,)
        j for p''_j, d + j for the difference of feature j, 2 d + g for group g; -1: it cannot be cut.
    value : ndarray of shape (n,)
        The left half is below it, the right one above; not read for groups.
    kept : tuple of bool ndarrays of shape (n, k, k)
        Per group the pairs of categories that go left, in the rows that cut that group.
    """

    variable: np.ndarray
    value: np.ndarray
    kept: tuple

    def take(self, rows):
        """The cuts of some rows."""
        return Cut(self.variable[rows], self.value[rows], tuple(kept[rows] for kept in self.kept))


_BOXES = ("first_low", "first_high", "second_low", "second_high", "difference_low", "difference_high")


@dataclass(frozen=True, eq=False)
class Regions:
    """A batch of n regions; each array has one row a region.

    Parameters
    ----------
    first_low, first_high, second_low, second_high, difference_low, difference_high : (n, d) arrays
    pairs : tuple of bool ndarrays of shape (n, k, k)
    """

    first_low: np.ndarray
    first_high: np.ndarray
    second_low: np.ndarray
    second_high: np.ndarray
    difference_low: np.ndarray
    difference_high: np.ndarray
    pairs: tuple

    @classmethod
    def root(cls, relation):
        """All related pairs, as one region (tightened; it may still hold pairs that are not related)."""
        low, high = input_range(relation.domain)
        ends = [np.array(end[None]) for end in (low, high, low, high, *relation.unit_delta())]
        region = cls(*ends, tuple(allowed[None].copy() for allowed in relation.group_pairs))
        return region.tightened(relation.domain)[0]

    @classmethod
    def joined(cls, parts):
        """Several batches as one."""
        pairs = zip(*(part.pairs for part in parts), strict=True)
        boxes = (np.concatenate([getattr(part, name) for part in parts]) for name in _BOXES)
        return cls(*boxes, tuple(map(np.concatenate, pairs)))

    def __len__(self):
        return len(self.first_low)

    def take(self, rows):
        """Copy some of the regions."""
        return Regions(*(box[rows] for box in self._boxes()), tuple(pairs[rows] for pairs in self.pairs))

    def copies(self):
        """The boxes of p' and of p'', stacked along a new first axis: (2, n, d)."""
        low = np.stack([self.first_low, self.second_low])
        high = np.stack([self.first_high, self.second_high])
        # x' may be in category a if some b is left for x''.
        categories = (np.stack([pairs.any(axis=2), pairs.any(axis=1)]) for pairs in self.pairs)
        return Boxes(low, high, tuple(categories))

    def contains(self, first, second, domain):
        """(n,) bool: whether one pair in unit coordinates lies in each region."""
        numeric, difference = ~domain.in_group, first - second
        inside = (self.first_low <= first) & (first <= self.first_high)
        inside &= (self.second_low <= second) & (second <= self.second_high)
        inside &= (self.difference_low <= difference) & (difference <= self.difference_high)
        held = inside[:, numeric].all(axis=1)
        for group, pairs in zip(domain.groups, self.pairs, strict=True):
            a, b = (_category(group, row) for row in (first, second))
            held &= pairs[:, a, b]
        return held

    def cut(self, cut, domain):
        """Cut every region in two.

        Returns
        -------
        left, right : Regions
            Tightened halves, row by row.
        left_alive, right_alive : bool ndarrays of shape (n,)
            False where a half certainly holds no pair.
        """
        d, rows = domain.n_features, np.arange(len(self))
        left, right = self.take(rows), self.take(rows)
        for start, end in ((0, "second"), (d, "difference")):
            chosen = np.flatnonzero((cut.variable >= start) & (cut.variable < start + d))
            feature = cut.variable[chosen] - start
            getattr(left, f"{end}_high")[chosen, feature] = cut.value[chosen]
            getattr(right, f"{end}_low")[chosen, feature] = cut.value[chosen]
        for number, kept in enumerate(cut.kept):
            chosen = cut.variable == 2 * d + number
            left.pairs[number][chosen] &= kept[chosen]
            right.pairs[number][chosen] &= ~kept[chosen]
        (left, left_alive), (right, right_alive) = left.tightened(domain), right.tightened(domain)
        return left, right, left_alive, right_alive

    def tightened(self, domain):
        """Draw the boxes together, p' within p'' + d and so on; no pair is lost.

        Returns
        -------
        Regions
        alive : bool ndarray of shape (n,)
            False where a box is certainly empty.
        """
        x = [self.first_low, self.first_high]
        y = [self.second_low, self.second_high]
        d = [self.difference_low, self.difference_high]
        whole = domain.is_integer & (domain.scale > 0)
        for _ in range(2):
            d = _meet(d, add_lower(x[0], -y[1]), add_upper(x[1], -y[0]))
            d = _whole(d, whole, domain.scale, 4 * UNIT_ROUNDOFF)
            x = _meet(x, add_lower(y[0], d[0]), add_upper(y[1], d[1]))
            x = _whole(x, whole, domain.scale, 2 * UNIT_ROUNDOFF)
            y = _meet(y, add_lower(x[0], -d[1]), add_upper(x[1], -d[0]))
            y = _whole(y, whole, domain.scale, 2 * UNIT_ROUNDOFF)
        # Every end is rounded outward, so ends that cross leave no pair in between.
        numeric = ~domain.in_group
        alive = np.all([(low <= high)[:, numeric].all(axis=1) for low, high in (x, y, d)], axis=0)
        for pairs in self.pairs:
            alive &= pairs.any(axis=(1, 2))
        ends = dict(zip(_BOXES, (*x, *y, *d), strict=True))
        return replace(
            self, **{name: np.where(numeric, end, getattr(self, name)) for name, end in ends.items()}
        ), alive

    def widths(self, relation):
        """Width of every variable that can still be cut, (n, 2 d + n_groups); 0 for the others.

        Features that Q holds equal are one variable, constant ones are none; a group counts 1, the width
        of its columns, while more than one pair of categories is left.
        """
        domain = relation.domain
        numeric = ~domain.in_group & (domain.scale > 0)
        second = np.where(numeric, self.second_high - self.second_low, 0.0)
        difference = self.difference_high - self.difference_low
        difference = np.where(numeric & ~relation.equal, difference, 0.0)
        widths = np.concatenate([second, difference], axis=1)
        widths = np.where(widths > SMALLEST_WIDTH, widths, 0.0)
        groups = [(pairs.sum(axis=(1, 2)) > 1).astype(float)[:, None] for pairs in self.pairs]
        return np.concatenate([widths, *groups], axis=1)

    def middle(self, variable, domain):
        """Where to cut the chosen numeric variable of each region: half-way, (n,).

        Between two whole numbers for integer features, so that both halves shrink to whole numbers.
        """
        rows, d = np.arange(len(self)), domain.n_features
        feature = np.where((variable >= 0) & (variable < 2 * d), variable % d, 0)
        second = (self.second_low[rows, feature], self.second_high[rows, feature])
        difference = (self.difference_low[rows, feature], self.difference_high[rows, feature])
        low, high = (np.where(variable < d, y, step) for y, step in zip(second, difference, strict=True))
        scale = domain.scale[feature]
        integer = domain.is_integer[feature] & (scale > 0)
        between = (np.floor((low + high) / 2 * scale + 0.25) + 0.5) / np.where(integer, scale, 1.0)
        return np.where(integer, between, low + (high - low) / 2)

    def _boxes(self):
        return tuple(getattr(self, name) for name in _BOXES)


def _meet(box, low, high):
    return [np.maximum(box[0], low), np.minimum(box[1], high)]


def _whole(box, whole, scale, error):
    """Shrink integer coordinates to whole numbers, each off by at most ``error``.

    p = k / w + e with |e| <= error and low <= p give k >= w low - w error. The product errs by
    u |w low| <= u w, so ceil(w low - 4 w error) is at most k; the quotient and the sum below err by less
    than 2u as |k / w| <= 1, which the second margin covers.
    """
    if not whole.any():
        return box
    margin = 4 * error
    low, high = (box[0][:, whole], box[1][:, whole])
    steps = scale[whole]
    bottom = np.ceil(low * steps - margin * steps) / steps - margin
    top = np.floor(high * steps + margin * steps) / steps + margin
    shrunk = [box[0].copy(), box[1].copy()]
    shrunk[0][:, whole], shrunk[1][:, whole] = np.maximum(low, bottom), np.minimum(high, top)
    return shrunk


def _category(group, row):
    matches = (group.categories == row[list(group.columns)]).all(axis=1)
    return int(np.argmax(matches))
