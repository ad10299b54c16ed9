"""Interval arithmetic of layers on batches of boxes and regions, rounded outward.

The same walks as in :mod:`~smile_sklearn.verification.intervals`, which speak of the whole domain, for
arrays with leading axes (copy, region).
"""

import numpy as np

from smile_sklearn.verification.intervals import Interval
from smile_sklearn.verification.rounding import gamma

UNDERFLOW = 2.0**-960
"""Above what all underflowing products of one function lose together, a unit of their factors' size:
fewer than 2^100 of them lose 2^-1074 each."""


class Layer:
    """An affine layer over boxes; over the input, groups count by their allowed categories."""

    def __init__(self, node, domain):
        self.bias, self.domain = node.bias, domain
        self._absolute_bias = np.abs(node.bias)
        weight = node.weight
        self._all_absolute = np.ascontiguousarray(np.abs(weight).T)
        if domain is not None:
            self._numeric = ~domain.in_group
            # A category is a row of zeros and ones: its score is one weight, or 0.
            self._scores = [weight[:, list(group.columns)] @ group.categories.T for group in domain.groups]
            weight = weight[:, self._numeric]
        self._weight = np.ascontiguousarray(weight.T)
        self._absolute = np.abs(self._weight)
        self._gamma = gamma(2 * node.weight.shape[1] + 16)

    def reach(self, magnitude):
        """``|W| magnitude + |b|``, at least."""
        reach = magnitude @ self._all_absolute
        return reach * (1.0 + 2.0 * self._gamma) + (self._absolute_bias + UNDERFLOW)

    def product(self, interval):
        """Interval of ``W x``: the image of the centre, and |W| times the radius.

        The radius errs by u |x|, the images of both by gamma |W| |x|, with |x| the larger end: 8 gamma
        |W| |x| is above the sum. An exact zero comes back as a tiny interval around zero.
        """
        low, high = interval
        # The radius reaches both ends from the centre as it was rounded: halves of subnormals lose a bit,
        # which a weight of 1e300 would make large.
        centre = 0.5 * low + 0.5 * high
        radius = np.maximum(high - centre, centre - low)
        magnitude = np.maximum(np.abs(low), np.abs(high))
        middle = centre @ self._weight
        spread = radius @ self._absolute + (8.0 * self._gamma * (magnitude @ self._absolute) + UNDERFLOW)
        return Interval(outward(middle - spread, -1), outward(middle + spread, 1))

    def input_range(self, boxes):
        """Interval of ``W x`` over boxes of the input."""
        low, high = self.product(Interval(boxes.low[..., self._numeric], boxes.high[..., self._numeric]))
        for scores, allowed in zip(self._scores, boxes.categories, strict=True):
            low = low + np.where(allowed[..., None, :], scores, np.inf).min(axis=-1)
            high = high + np.where(allowed[..., None, :], scores, -np.inf).max(axis=-1)
            low, high = outward(low, -1), outward(high, 1)
        return Interval(low, high)

    def input_difference(self, regions):
        """Interval of ``W (p' - p'')`` over regions; a group counts by its allowed ordered pairs."""
        numeric = self._numeric
        ends = (regions.difference_low[:, numeric], regions.difference_high[:, numeric])
        low, high = self.product(Interval(*ends))
        for scores, allowed in zip(self._scores, regions.pairs, strict=True):
            steps = scores[:, :, None] - scores[:, None, :]
            # One rounding in the step, one in the sum; a step of equal numbers is exactly zero.
            up = np.where(allowed[:, None], outward(steps, 1), -np.inf).max(axis=(2, 3))
            down = np.where(allowed[:, None], outward(steps, -1), np.inf).min(axis=(2, 3))
            low, high = outward(low + down, -1), outward(high + up, 1)
        return Interval(low, high)


def outward(value, sign):
    """The next float above (sign 1) or below (sign -1)."""
    return np.nextafter(value, sign * np.inf)


def sum_of(first, second):
    """Interval of the sum of two quantities."""
    return Interval(outward(first.low + second.low, -1), outward(first.high + second.high, 1))


def leads_of(low, high):
    """Upper bounds of p - q and of q - p of the pairs that a GroupSort of 2 sorts."""
    return (
        outward(high[..., 0::2] - low[..., 1::2], 1),
        outward(high[..., 1::2] - low[..., 0::2], 1),
    )


def clamp_difference(node, difference, source):
    """[min(0, D-), max(0, D+)]; D itself where both copies run with slope 1, 0 where both are flat alike."""
    linear = ((source.low >= node.lower) & (source.high <= node.upper)).all(axis=0)
    flat = (source.high <= node.lower).all(axis=0) | (source.low >= node.upper).all(axis=0)
    low = np.where(linear, difference.low, np.minimum(0.0, difference.low))
    high = np.where(linear, difference.high, np.maximum(0.0, difference.high))
    return Interval(np.where(flat, 0.0, low), np.where(flat, 0.0, high))


def cut_by_ranges(difference, values):
    """Cut by the ranges of the copies: node(p') - node(p'') within [l' - u'', u' - l'']."""
    low = np.maximum(difference.low, outward(values.low[0] - values.high[1], -1))
    high = np.minimum(difference.high, outward(values.high[0] - values.low[1], 1))
    return Interval(np.minimum(low, high), np.maximum(low, high))
