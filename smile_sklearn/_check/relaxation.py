r"""Lines above and below a clamp on an interval, exactly.

For ANY slope s, :math:`clamp(q) \le s q + t` on [l, u] iff t is at least the largest
:math:`clamp(q) - s q`, and this is piecewise linear: its maximum is at l, at u, or at a kink between them.
The slope is chosen in floats, as a number nothing rests on; the offset t is then computed exactly.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn._check.exact import Exact, maximum, minimum, where
from smile_sklearn._check.network import Limits

SLOPE_BITS = 60
"""Slopes are multiples of 2^-SLOPE_BITS."""


class Lines(NamedTuple):
    """``slope * q + offset``, one a unit, and by how much each is off at worst (floats, for choices)."""

    slope: Exact
    offset: Exact
    gap: np.ndarray

    def for_rows(self, chosen=slice(None)):
        """Lines of some regions, with an axis for rows of coefficients: (n, 1, size)."""
        return Lines(*(part[chosen][:, None] for part in self))


def clamp(values, limits):
    """``min(max(x, lower), upper)``."""
    raised = where(limits.has_lower, maximum(values, limits.lower), values)
    return where(limits.has_upper, minimum(raised, limits.upper), raised)


def upper_lines(low, high, limits):
    """Lines above the clamps on [low, high]: the piece of the concave hull over its midpoint."""
    slope = dyadic(_hull_slope(low, high, limits))
    kinks = [
        minimum(maximum(where(has, end, low), low), high)
        for end, has in ((limits.lower, limits.has_lower), (limits.upper, limits.has_upper))
        if has.any()
    ]
    excess = [clamp(point, limits) - slope * point for point in (low, high, *kinks)]
    offset, least = excess[0], excess[0]
    for value in excess[1:]:
        offset, least = maximum(offset, value), minimum(least, value)
    return Lines(slope, offset, (offset - least).floats)


def lower_lines(low, high, limits):
    """Lines below the clamps: the mirror image of :func:`upper_lines`."""
    mirrored = Limits(-limits.upper, -limits.lower, limits.has_upper, limits.has_lower)
    above = upper_lines(-high, -low, mirrored)
    return Lines(above.slope, -above.offset, above.gap)


def dyadic(values):
    """Floats as multiples of ``2**-SLOPE_BITS`` in [0, 1]; what is no number counts as 0."""
    values = np.clip(np.nan_to_num(values, nan=0.0), 0.0, 1.0)
    return Exact(np.rint(np.ldexp(values, SLOPE_BITS)).astype(np.int64).astype(object), -SLOPE_BITS)


def _hull_slope(low, high, limits):
    """Slope of the concave hull of the clamp at the midpoint of [low, high], in floats.

    Its knots are low, high, and the upper end of the clamp where it lies between them. (Below its lower
    end a clamp is flat and then rises: the hull passes over that kink.)
    """
    low, high = low.floats, high.floats
    bottom = np.where(limits.has_lower, limits.lower.floats, -np.inf)
    top = np.where(limits.has_upper, limits.upper.floats, np.inf)
    end = np.clip(top, low, high)
    rise = np.minimum(np.maximum(end, bottom), top) - np.minimum(np.maximum(low, bottom), top)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slope = rise / (end - low)
        return np.where(low / 2 + high / 2 < end, slope, np.where(end == high, slope, 0.0))
