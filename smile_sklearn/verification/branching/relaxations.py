r"""Lines above and below the nonlinear units, on an interval of their arguments.

Everything is elementwise and broadcasts. A line is a slope and an intercept; the slope may be any float
(it is chosen to be tight), the intercept is then computed to be right and rounded outward:

.. math:: a(q) \le s q + t \; \text{on} \; [l, u] \iff t \ge \max_{q \in \{l, u\} \cup kinks} a(q) - s q

for a piecewise linear a.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn.properties.relation import UNIT_ROUNDOFF
from smile_sklearn.verification.rounding import SMALLEST, add_upper


class Line(NamedTuple):
    """``slope * q + intercept``, and the most it is off by on the interval (in plain floats)."""

    slope: np.ndarray
    intercept: np.ndarray
    gap: np.ndarray

    def mirrored(self):
        """The line of -a(-q)."""
        return Line(self.slope, -self.intercept, self.gap)


def upper_line(low, high, bottom, top):
    """Line above ``clamp(q; bottom, top)`` on [low, high], finite.

    Its slope is that of the concave hull at the midpoint, which makes the area in between smallest:
    up to the knee (where the clamp reaches its top) the hull rises in one piece, then it is flat.
    """
    knee = np.minimum(np.maximum(top, low), high)
    at_low, at_knee = (np.minimum(np.maximum(q, bottom), top) for q in (low, knee))
    run = knee - low
    rises = (run > 0) & (low + high <= 2 * knee)
    slope = np.where(rises, np.minimum((at_knee - at_low) / np.where(run > 0, run, 1.0), 1.0), 0.0)
    # Kinks outside [low, high] are moved to its ends, which are looked at anyway.
    kink = np.minimum(np.maximum(bottom, low), high)
    excess = [np.minimum(np.maximum(q, bottom), top) - slope * q for q in (low, kink, knee, high)]
    most, least = np.maximum.reduce(excess), np.minimum.reduce(excess)
    # One product and one sum: off by at most u |s q| + u (|clamp(q)| + |s q|), s <= 1, to first order.
    at_high = np.minimum(np.maximum(high, bottom), top)
    size = np.maximum(np.abs(low), np.abs(high)) + np.maximum(np.abs(at_low), np.abs(at_high))
    return Line(slope, np.nextafter(most + 4 * UNIT_ROUNDOFF * size + SMALLEST, np.inf), most - least)


def lower_line(low, high, bottom, top):
    """Line below ``clamp(q; bottom, top)`` on [low, high]: clamp(q; c, e) = -clamp(-q; -e, -c)."""
    return upper_line(-high, -low, -top, -bottom).mirrored()


def difference_line(low, high):
    """Line above a(q') - a(q'') in q' - q'', for every nondecreasing 1-Lipschitz unit a.

    With t = q' - q'' in [low, high]: a(q') - a(q'') <= max(0, t), and that is below its chord. Its gap is
    taken to min(0, t), the least that the difference of the units can be.
    """
    line = upper_line(low, high, 0.0, np.inf)
    return line._replace(gap=_gap_to_least(line, low, high))


def _gap_to_least(line, low, high):
    ends = [line.slope * t + line.intercept - np.minimum(t, 0.0) for t in (low, high)]
    return np.maximum(*ends)


class PairLine(NamedTuple):
    """``share * p + (1 - share) * q + intercept`` over two arguments, and the most it is off by."""

    share: np.ndarray
    intercept: np.ndarray
    gap: np.ndarray


def upper_of_maximum(lead, trail):
    """Plane above max(p, q), where p - q <= lead and q - p <= trail.

    Where p is the larger, max(p, q) - share p - (1 - share) q = (1 - share)(p - q) <= (1 - share) lead,
    elsewhere share (q - p) <= share trail: the larger of the two is the intercept. The share makes
    them equal where both orders occur.
    """
    open_lead, open_trail = np.maximum(lead, 0.0), np.maximum(trail, 0.0)
    total = open_lead + open_trail
    share = np.where(total > 0, open_lead / np.where(total > 0, total, 1.0), 1.0)
    # share + fl(1 - share) may miss 1 by u: the user of the plane charges that with its other products.
    first, second = (1.0 - share) * lead, share * trail
    intercept = np.maximum(first, second)
    intercept = np.nextafter(intercept + 4 * UNIT_ROUNDOFF * np.abs(intercept) + SMALLEST, np.inf)
    return PairLine(share, intercept, np.maximum(intercept, 0.0))


def lower_of_maximum(lead, trail):
    """Plane below max(p, q): any share of the two, here the one that leads by more."""
    share = np.where(lead >= trail, 1.0, 0.0)
    return PairLine(share, np.zeros_like(share), np.maximum(np.minimum(lead, trail), 0.0))


class LargestOfThree(NamedTuple):
    """``first * t_1 + second * t_2 + intercept`` above max(0, t_1, t_2)."""

    first: np.ndarray
    second: np.ndarray
    intercept: np.ndarray


def upper_of_three(first, second, growth):
    r"""Plane above max(0, t_1, t_2) from intervals of t_1, t_2 and of growth = t_2 - t_1.

    With :math:`t_0 = 0` and :math:`S_{kj} \ge \sup(t_k - t_j)`, for any weights of sum 1

    .. math:: \max_k t_k \le \sum_k \lambda_k t_k + \max_k \sum_j \lambda_j S_{kj}

    since max t - t_j <= sup(t_k - t_j) for the k that is the largest. Tried are each candidate alone, the
    chord of each two, and the weights that make all rows of S equal; the smallest intercept wins.
    """
    # Row k, column j: how far t_k may lead t_j.
    lead = [[None, -first[0], -second[0]], [first[1], None, -growth[0]], [second[1], growth[1], None]]
    (_, a, b), (c, _, d), (e, f, _) = lead
    shape = np.broadcast_shapes(*(np.shape(entry) for entry in (a, b, c, d, e, f)))
    one, none = np.ones(shape), np.zeros(shape)
    choices = [(one, none, none), (none, one, none), (none, none, one)]
    for k, j in ((0, 1), (0, 2), (1, 2)):
        choices.append(_chord(lead, k, j, shape))
    # S^-1 (1, 1, 1), by the adjugate of a matrix with a zero diagonal; negative weights are cut off.
    equal = (b * f + a * d - d * f, d * e + b * c - b * e, c * f + a * e - a * c)
    choices.append(_normalised(equal, shape))
    best = None
    for weights in choices:
        intercept = _worst_lead(lead, weights)
        if best is None:
            best = (intercept, *weights)
        else:
            smaller = intercept < best[0]
            best = tuple(
                np.where(smaller, new, old) for new, old in zip((intercept, *weights), best, strict=True)
            )
    return LargestOfThree(best[2], best[3], best[0])


def _chord(lead, k, j, shape):
    ahead, behind = np.maximum(lead[k][j], 0.0), np.maximum(lead[j][k], 0.0)
    weights = [np.zeros(shape), np.zeros(shape), np.zeros(shape)]
    weights[k], weights[j] = ahead, behind
    return _normalised(weights, shape)


def _normalised(weights, shape):
    weights = [np.maximum(np.broadcast_to(weight, shape), 0.0) for weight in weights]
    total = weights[0] + weights[1] + weights[2]
    usable = (total > 0) & np.isfinite(total)
    first, second = (np.where(usable, weight / np.where(usable, total, 1.0), 0.0) for weight in weights[1:])
    # t_0 is 0, so its weight is whatever makes the sum one, up to a rounding that _worst_lead covers.
    return np.maximum(1.0 - first - second, 0.0), first, second


def _worst_lead(lead, weights):
    """max_k sum_j weight_j S_kj, rounded outward.

    In floats the weights sum to 1 + e only, |e| <= 4u. What holds for them is checked term by term:
    t_k - sum_j weight_j t_j = sum_j weight_j (t_k - t_j) - e t_k, and |t_k| is at most the larger of
    what t_k leads 0 by and what 0 leads t_k by (t_0 = 0 costs nothing).
    """
    worst = None
    for k in range(3):
        terms = [weights[j] * lead[k][j] for j in range(3) if j != k]
        size = np.abs(terms[0]) + np.abs(terms[1])
        if k:
            size = size + np.abs(lead[k][0]) + np.abs(lead[0][k])
        value = add_upper(terms[0] + terms[1], 8 * UNIT_ROUNDOFF * size + 4 * SMALLEST)
        worst = value if worst is None else np.maximum(worst, value)
    return worst
