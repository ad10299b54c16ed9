"""Weights of a convex combination above the largest of three numbers: chosen in floats, exact as numbers.

See :meth:`~smile_sklearn._check.envelope.Envelope`: any weights >= 0 of sum 1 give a bound.
"""

from itertools import permutations

import numpy as np

from smile_sklearn._check.exact import Exact, minimum
from smile_sklearn._check.relaxation import dyadic


def sum_of_products(weights, values):
    """Sum of elementwise products."""
    total = weights[0] * values[0]
    for weight, value in zip(weights[1:], values[1:], strict=True):
        total = total + weight * value
    return total


def weights_of_three(leads, low, high, judge):
    """Three weights that sum to 1, exactly: of those tried, the best that ``judge`` finds."""
    leads = [[lead.floats for lead in line] for line in leads]
    levels = [np.zeros_like(low), low, high]
    choices = [[np.full_like(low, float(place == k)) for place in range(3)] for k in range(3)]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for j, k in permutations(range(3), 2):
            # The chord of max(t_j, t_k): a relu of t_j - t_k.
            share = np.clip(np.nan_to_num(leads[j][k] / (leads[j][k] + leads[k][j])), 0.0, 1.0)
            choice = [np.zeros_like(low) for _ in range(3)]
            choice[j], choice[k] = share, 1.0 - share
            choices.append(choice)
        choices.append(_balanced(leads))
        values = []
        for choice in choices:
            height = sum(weight * level for weight, level in zip(choice, levels, strict=True))
            offset = np.max(
                [sum(w * lead for w, lead in zip(choice, line, strict=True)) for line in leads], axis=0
            )
            values.append(judge(height + offset, offset))
    best = np.argmin(np.nan_to_num(values, nan=np.inf), axis=0)
    second, third = (dyadic(np.choose(best, [choice[k] for choice in choices])) for k in (1, 2))
    one = Exact(np.full(low.shape, 1, dtype=object))
    third = minimum(third, one - second)
    return one - second - third, second, third


def _balanced(leads):
    """Weights for which every row of leads gives the same offset, as far as they are not negative."""
    (_, a, b), (c, _, d), (e, f, _) = leads
    # The inverse of a matrix with a zero diagonal times (1, 1, 1), up to its determinant.
    raw = [b * f + a * d - d * f, d * e + b * c - b * e, c * f + a * e - a * c]
    positive = [np.maximum(np.nan_to_num(part), 0.0) for part in raw]
    total = sum(positive)
    return [
        np.where(total > 0, part / np.where(total > 0, total, 1.0), float(k == 0))
        for k, part in enumerate(positive)
    ]
