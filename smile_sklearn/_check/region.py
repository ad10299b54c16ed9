"""Regions of related pairs: boxes for p', p'' and p' - p'', pairs of categories; and their splits.

All ends are integers in units of 2^-GRID, rounded outward where they arise. A split point may be rounded
anywhere, as long as both sides use the same number: they cover the region together.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn._check.exact import Exact
from smile_sklearn._check.report import CheckFailure

GRID = 96
"""Ends are multiples of 2^-GRID: far finer than the unit roundoff of coordinates in [0, 1]."""

_ONE = 1 << GRID
_ROUNDING = 1 << (GRID - 52)  # 2u: an integer coordinate is that near to its k / w


class Ends(NamedTuple):
    """Ends of one numeric feature: of p', of p'', and of p' - p''; integers in units of 2^-GRID."""

    first_low: int
    first_high: int
    second_low: int
    second_high: int
    low: int
    high: int


class Region(NamedTuple):
    """A set of pairs: the product over the features, and over the groups of one (k, k) bool array each."""

    features: tuple
    pairs: tuple


class Cutter:
    """Builds the region of all related pairs, and cuts regions.

    Parameters
    ----------
    pairs : RelatedPairs

    Notes
    -----
    Every cut keeps all related pairs of the region on one side or the other: the box, the band and the
    whole numbers only take away coordinates that no related pair of the network's inputs has.
    """

    def __init__(self, pairs):
        domain = pairs.domain
        self._scale = [
            int(scale) if whole and scale > 0 else None
            for whole, scale in zip(domain.is_integer.tolist(), domain.scale.tolist(), strict=True)
        ]
        self.numeric = [not grouped for grouped in domain.in_group.tolist()]
        low, high = pairs.unit_difference()
        features = []
        for index, (below, above) in enumerate(zip(low.fractions(), high.fractions(), strict=True)):
            top = _ONE if domain.in_group[index] or domain.scale[index] > 0 else 0
            band = (below * _ONE).__floor__(), (above * _ONE).__ceil__()
            features.append(self._tighten(index, Ends(0, top, 0, top, *band)))
        if None in features or not all(allowed.any() for allowed in pairs.allowed):
            raise CheckFailure("no pair of inputs is related, so nothing can be said of any")
        self.root = Region(tuple(features), pairs.allowed)

    def split_second(self, region, feature, point):
        """The parts with p''_j <= point and p''_j >= point; None for an empty one."""
        ends = region.features[feature]
        return self._parts(
            region,
            feature,
            ends._replace(second_high=min(ends.second_high, point)),
            ends._replace(second_low=max(ends.second_low, point)),
        )

    def split_difference(self, region, feature, point):
        """The parts with p'_j - p''_j <= point and >= point; None for an empty one."""
        ends = region.features[feature]
        return self._parts(
            region,
            feature,
            ends._replace(high=min(ends.high, point)),
            ends._replace(low=max(ends.low, point)),
        )

    def split_pairs(self, region, group, chosen):
        """The parts with the pairs of categories that are in the (k, k) mask, and the others."""
        return tuple(
            region._replace(pairs=(*region.pairs[:group], kept, *region.pairs[group + 1 :]))
            if kept.any()
            else None
            for kept in (region.pairs[group] & chosen, region.pairs[group] & ~chosen)
        )

    def _parts(self, region, feature, *parts):
        tightened = [self._tighten(feature, ends) for ends in parts]
        before, after = region.features[:feature], region.features[feature + 1 :]
        return tuple(
            None if ends is None else region._replace(features=(*before, ends, *after)) for ends in tightened
        )

    def _tighten(self, feature, ends):
        """Smaller ends that hold the same related pairs, or None if there is none."""
        ends = _close(ends)
        if ends is None or self._scale[feature] is None or not self.numeric[feature]:
            return ends
        scale = self._scale[feature]
        # fl(x - l) = x - l is exact for a feature of width 1: there the coordinate is 0 or 1 itself.
        near = 0 if scale == 1 else _ROUNDING
        steps = ((ends.first_low, ends.first_high, near), (ends.second_low, ends.second_high, near))
        whole = [end for step in (*steps, (ends.low, ends.high, 2 * near)) for end in _whole(*step, scale)]
        return _close(Ends(*whole))


def grid_point(value):
    """A finite float as a nearby multiple of 2^-GRID, in those units."""
    # Far outside [-1, 1] every point splits alike: no integer of a thousand bits is needed.
    numerator, denominator = max(-2.0, min(2.0, value)).as_integer_ratio()
    return numerator * _ONE // denominator


def ends_array(regions, columns):
    """The six ends of the features in ``columns``, an Exact array (n, len(columns), 6)."""
    ends = np.empty((len(regions), len(columns), 6), dtype=object)
    for place, region in enumerate(regions):
        for position, column in enumerate(columns):
            ends[place, position] = region.features[column]
    return Exact(ends, -GRID)


def _close(ends):
    """Ends that follow from each other: p' in p'' + d, p'' in p' - d, d in p' - p''."""
    first_low, first_high, second_low, second_high, low, high = ends
    first_low, first_high = max(first_low, second_low + low), min(first_high, second_high + high)
    second_low, second_high = max(second_low, first_low - high), min(second_high, first_high - low)
    low, high = max(low, first_low - second_high), min(high, first_high - second_low)
    if first_low > first_high or second_low > second_high or low > high:
        return None
    return Ends(first_low, first_high, second_low, second_high, low, high)


def _whole(low, high, near, scale):
    """[low, high] cut to what lies within ``near`` of some k / scale, k whole."""
    least = -((-scale * (low - near)) >> GRID)
    most = (scale * (high + near)) >> GRID
    return max(low, (least << GRID) // scale - near), min(high, near - ((-most << GRID) // scale))
