r"""The largest value of a linear function of two related coordinates.

For one feature of a pair, x at x' and y at x'':

.. math:: \max_{x, y} \; a x + b y, \quad x \in [x^-, x^+], \; y \in [y^-, y^+], \; x - y \in [d^-, d^+]

a linear program over a hexagon. For a fixed x the best y is the largest that is allowed if b >= 0, else the
smallest; what remains is concave and piecewise linear in x with one kink, so its maximum is at an end
or at the kink. All arguments are arrays and broadcast: a feature, a row of the head, a sub-box each.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn.properties.relation import UNIT_ROUNDOFF
from smile_sklearn.verification.rounding import SMALLEST


class BandPoint(NamedTuple):
    """Coordinates at x' and x'' where the maximum is attained, up to rounding, and its value."""

    first: np.ndarray
    second: np.ndarray
    value: np.ndarray


def band_maximum(first_weight, second_weight, first_low, first_high, second_low, second_high, low, high):
    """Upper bound of ``a x + b y``, rounded outward; broadcasts.

    Parameters
    ----------
    first_weight, second_weight : array-like
        a and b.
    first_low, first_high, second_low, second_high : array-like
        Boxes of x and y.
    low, high : array-like
        Interval of x - y.

    Returns
    -------
    ndarray
        Exactly 0.0 where a = b = 0 (or where x and y can only be 0); -inf where no pair exists for certain.
    """
    ends = (first_low, first_high, second_low, second_high)
    value = band_maximiser(first_weight, second_weight, *ends, low, high).value
    # Each candidate coordinate is one rounded sum of box and band ends, off by at most u (|end| + |d|);
    # moving a feasible point by e moves the value by at most (|a| + |b|) e; two products and a sum
    # err by 3u (|a x| + |b y|). With `size` above every coordinate, 8u (|a| + |b|) size covers all of it.
    size = _size(*ends, low, high)
    weight = np.abs(first_weight) + np.abs(second_weight)
    slack = 8 * UNIT_ROUNDOFF * weight * size + 4 * SMALLEST
    bound = np.nextafter(value + slack, np.inf)
    nothing = (weight == 0) | (_largest(*ends) == 0)
    bound = np.where(nothing, 0.0, np.where(np.isnan(bound), np.inf, bound))
    return np.where(_is_empty(*ends, low, high, size), -np.inf, bound)


def band_maximiser(first_weight, second_weight, first_low, first_high, second_low, second_high, low, high):
    """Where the maximum of :func:`band_maximum` is attained, a :class:`BandPoint` in plain floats."""
    start = np.maximum(first_low, second_low + low)
    stop = np.maximum(start, np.minimum(first_high, second_high + high))
    grows = np.asarray(second_weight) >= 0
    # Where the best y leaves its own bound and begins to follow x.
    kink = np.clip(np.where(grows, second_high + low, second_low + high), start, stop)
    best = None
    for first in (start, stop, kink):
        second = np.where(grows, np.minimum(second_high, first - low), np.maximum(second_low, first - high))
        value = first_weight * first + second_weight * second
        if best is None:
            best = BandPoint(*np.broadcast_arrays(first, second, value))
        else:
            better = value > best.value
            point = (first, second, value)
            best = BandPoint(*(np.where(better, new, old) for new, old in zip(point, best, strict=True)))
    return best


def _size(first_low, first_high, second_low, second_high, low, high):
    return _largest(first_low, first_high, second_low, second_high) + _largest(low, high)


def _largest(*ends):
    size = np.abs(ends[0])
    for end in ends[1:]:
        size = np.maximum(size, np.abs(end))
    return size


def _is_empty(first_low, first_high, second_low, second_high, low, high, size):
    """Whether the ends cross by more than the rounding of the sums that compare them."""
    margin = 4 * UNIT_ROUNDOFF * size
    crossed = (np.asarray(first_low) > first_high) | (np.asarray(second_low) > second_high)
    crossed = crossed | (np.asarray(low) > high)
    return crossed | (second_low + low > first_high + margin) | (first_low > second_high + high + margin)
