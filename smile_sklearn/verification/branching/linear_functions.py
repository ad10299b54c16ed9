"""Linear functions of one input or of a pair, and their largest values on boxes and regions."""

from typing import NamedTuple

import numpy as np

from smile_sklearn.verification.bands import band_maximiser, band_maximum
from smile_sklearn.verification.branching.batch_intervals import UNDERFLOW, outward
from smile_sklearn.verification.rounding import gamma


class LinearBound(NamedTuple):
    """``sum_copy coefficients @ input + constant``, above the function; constant rounded outward.

    Parameters
    ----------
    coefficients : ndarray of shape (copies, n, m, d)
    constant : ndarray of shape (n, m)
    """

    coefficients: np.ndarray
    constant: np.ndarray


def maximum_on_boxes(bound, boxes, domain):
    """Upper bound of a one-input linear function on boxes, (n, m).

    Parameters
    ----------
    bound : LinearBound
        With one copy.
    boxes : Boxes of shape (1, n, d)
    domain : InputDomain
    """
    weight, numeric = bound.coefficients[0], ~domain.in_group
    positive = np.maximum(weight, 0.0)
    negative = weight - positive
    terms = positive * boxes.high[0, :, None] + negative * boxes.low[0, :, None]
    parts = [terms[..., numeric]]
    for group, allowed in zip(domain.groups, boxes.categories, strict=True):
        scores = weight[..., list(group.columns)] @ group.categories.T
        parts.append(np.where(allowed[0, :, None], scores, -np.inf).max(axis=2)[..., None])
    return _total(parts, bound.constant)


def maximum_on_regions(bound, regions, domain):
    """Upper bound of a linear function of a pair on regions, (n, m).

    Parameters
    ----------
    bound : LinearBound
        With two copies.
    regions : Regions
    domain : InputDomain
    """
    numeric = ~domain.in_group
    first, second = bound.coefficients[..., numeric]
    parts = [band_maximum(first, second, *_ends(regions, numeric))]
    for group, allowed in zip(domain.groups, regions.pairs, strict=True):
        scores = _pair_scores(bound.coefficients, group)
        parts.append(np.where(allowed[:, None], scores, -np.inf).max(axis=(2, 3))[..., None])
    return _total(parts, bound.constant)


def maximiser_on_regions(coefficients, regions, domain):
    """Where a linear function of a pair is largest on each region, in plain floats.

    Parameters
    ----------
    coefficients : ndarray of shape (2, n, d)
    regions : Regions
    domain : InputDomain

    Returns
    -------
    tuple of two ndarray of shape (n, d)
        Feasible up to rounding.
    """
    numeric = ~domain.in_group
    first, second = np.zeros(coefficients.shape[1:]), np.zeros(coefficients.shape[1:])
    ends = (end[:, 0] for end in _ends(regions, numeric))
    point = band_maximiser(*coefficients[..., numeric], *ends)
    first[:, numeric], second[:, numeric] = point.first, point.second
    for group, allowed in zip(domain.groups, regions.pairs, strict=True):
        scores = np.where(allowed, _pair_scores(coefficients[:, :, None], group)[:, 0], -np.inf)
        a, b = np.unravel_index(scores.reshape(len(scores), -1).argmax(axis=1), scores.shape[1:])
        columns = list(group.columns)
        first[:, columns], second[:, columns] = group.categories[a], group.categories[b]
    return first, second


def _pair_scores(coefficients, group):
    """Value of every ordered pair of categories, rounded outward: (2, n, m, d) -> (n, m, k, k)."""
    scores = coefficients[..., list(group.columns)] @ group.categories.T
    return outward(scores[0][..., :, None] + scores[1][..., None, :], 1)


def _ends(regions, numeric):
    boxes = (regions.first_low, regions.first_high, regions.second_low, regions.second_high)
    return tuple(box[:, None, numeric] for box in (*boxes, regions.difference_low, regions.difference_high))


def _total(parts, constant):
    terms = np.concatenate([*parts, constant[..., None]], axis=-1)
    value = terms.sum(axis=-1)
    # n terms, each rounded twice at most before the sum: within gamma_{n+2} of the sum of their sizes.
    slack = 2 * gamma(terms.shape[-1] + 2) * np.abs(terms).sum(axis=-1) + UNDERFLOW
    bound = np.nextafter(value + slack, np.inf)
    return np.where(np.isnan(bound), np.inf, bound)
