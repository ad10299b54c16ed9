"""One step of a backward linear bound: from the outputs of a nonlinear node to its inputs.

Weights have the axes (copy, region, function, unit). Every step adds its constant to the ledger, and the
sizes of all that it rounds.
"""

import numpy as np

from smile_sklearn.verification.branching.batch_intervals import leads_of
from smile_sklearn.verification.branching.relaxations import difference_line, upper_of_maximum


class Ledger:
    """The constant of a linear bound, and the sizes of all that was rounded on the way."""

    def __init__(self):
        self.constant, self.size = 0.0, 0.0

    def add(self, weight, value):
        """Add ``weight @ value`` to the constant."""
        self.constant = self.constant + _contract(weight, value)
        self.size = self.size + _contract(np.abs(weight), np.abs(value))

    def charge(self, weight, magnitude):
        """Note that something of this size was rounded."""
        self.size = self.size + _contract(weight, magnitude)


def _contract(weight, value):
    """Sum over copies and units: (c, n, m, u) with (c, n, u) or (u,) -> (n, m)."""
    if value.ndim == 1:
        return (weight @ value).sum(axis=0)
    return np.einsum("cnmu,cnu->nm", weight, value)


def through_clamp(index, node, weight, ranges, differences, ledger):
    """C a(q) <= c+ (s q + t) + c- (s' q + t'), the lines above and below; differences apart."""
    above, below = ranges.lines(index, node)
    source = ranges.magnitude(node.source)
    charged = source + np.maximum(np.abs(above.intercept), np.abs(below.intercept)) + ranges.magnitude(index)
    ledger.charge(np.abs(weight), charged)
    passed = 0.0
    if len(weight) == 2:
        low, high = differences[node.source]
        rise, fall = difference_line(low, high), difference_line(-high, -low)
        weight, up, down = _split(weight, above.gap, below.gap, rise.gap, fall.gap)
        # up (a' - a'') <= up (k (q' - q'') + kappa), and the mirror image for down (a'' - a').
        step = up * rise.slope[:, None] - down * fall.slope[:, None]
        passed = np.stack([step, -step])
        ledger.add(up[None], rise.intercept[None])
        ledger.add(down[None], fall.intercept[None])
        ledger.charge((up + down)[None], source.sum(axis=0)[None])
    positive = np.maximum(weight, 0.0)
    negative = weight - positive
    ledger.add(positive, above.intercept)
    ledger.add(negative, below.intercept)
    return positive * above.slope[:, :, None] + negative * below.slope[:, :, None] + passed


def _split(weight, above, below, rise, fall):
    """Take the common part of opposite weights of the two copies out, where that is tighter.

    c' a' + c'' a'' with c' > 0 > c'' holds up (a' - a'') with up = min(c', -c''); it is kept apart where
    the gap of the difference is less than those of the line above a' and the line below a'' together.

    Returns
    -------
    weight : ndarray of shape (2, n, m, u)
        What is left.
    up, down : ndarrays of shape (n, m, u), >= 0
        Weights of a' - a'' and of a'' - a'.
    """
    first, second = weight
    up_gains = (rise < above[0] + below[1])[:, None]
    down_gains = (fall < above[1] + below[0])[:, None]
    up = np.where(up_gains, np.maximum(np.minimum(first, -second), 0.0), 0.0)
    down = np.where(down_gains, np.maximum(np.minimum(-first, second), 0.0), 0.0)
    return np.stack([first - up + down, second + up - down]), up, down


def through_sort(index, node, weight, ranges, differences, ledger):
    """c_min min(p, q) + c_max max(p, q) = c_min (p + q) + (c_max - c_min) max(p, q), one plane a pair."""
    above, below = ranges.lines(index, node)
    base, excess = weight[..., 0::2], weight[..., 1::2] - weight[..., 0::2]
    size = np.abs(weight[..., 0::2]) + np.abs(weight[..., 1::2])
    magnitude = ranges.magnitude(node.source)
    magnitude = magnitude[..., 0::2] + magnitude[..., 1::2]
    ledger.charge(size, 2.0 * magnitude + np.abs(above.intercept))
    passed = (0.0, 0.0)
    if len(weight) == 2:
        low, high = differences[node.source]
        lead, trail = leads_of(low, high)
        # max(p', q') - max(p'', q'') <= max(dp, dq), and its negative <= max(-dp, -dq).
        rise, fall = upper_of_maximum(lead, trail), upper_of_maximum(trail, lead)
        spread = np.maximum(np.maximum(lead, trail), 0.0)
        excess, up, down = _split(excess, above.gap, below.gap, rise.gap + spread, fall.gap + spread)
        first = up * rise.share[:, None] - down * fall.share[:, None]
        second = up * (1.0 - rise.share)[:, None] - down * (1.0 - fall.share)[:, None]
        passed = (np.stack([first, -first]), np.stack([second, -second]))
        ledger.add(up[None], rise.intercept[None])
        ledger.add(down[None], fall.intercept[None])
        ledger.charge((up + down)[None], magnitude.sum(axis=0)[None])
    positive = np.maximum(excess, 0.0)
    negative = excess - positive
    ledger.add(positive, above.intercept)
    shares = (above.share[:, :, None], below.share[:, :, None])
    first = base + positive * shares[0] + negative * shares[1] + passed[0]
    second = base + positive * (1.0 - shares[0]) + negative * (1.0 - shares[1]) + passed[1]
    return np.stack(np.broadcast_arrays(first, second), axis=-1).reshape(*first.shape[:-1], -1)


def end_at(index, weight, ranges, differences, ledger):
    """A longer sort: c a <= c+ sup a + c- inf a, and up (a' - a'') <= up sup(a' - a'')."""
    ledger.charge(np.abs(weight), 2.0 * ranges.magnitude(index))
    if len(weight) == 2:
        # The interval of the difference lies within those of the copies: it is never the looser one.
        low, high = differences[index]
        none, some = np.zeros_like(low), np.ones((2, *low.shape))
        weight, up, down = _split(weight, some, some, none, none)
        ledger.add(up[None], high[None])
        ledger.add(down[None], -low[None])
    positive = np.maximum(weight, 0.0)
    ledger.add(positive, ranges[index].high)
    ledger.add(weight - positive, ranges[index].low)
