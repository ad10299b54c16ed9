"""How far each feature may differ, the same in both directions."""

import numpy as np

from ..exceptions import PropertyError
from .features import check_number, number_text, per_feature


def symmetric_delta(delta, features, argument="delta"):
    """Largest difference per feature, in raw units.

    Parameters
    ----------
    delta : float, array-like of shape (n_features,), or dict feature -> float
        A scalar applies to numeric and integer features and leaves one-hot groups equal; features
        that a dict does not list are held equal. Columns of a group take 0, or 1 = any category.
    features : Features

    Returns
    -------
    (n_features,) array, >= 0, may be infinite; whole for integer features (rounding down relates
    the same pairs, since whole numbers differ by whole numbers)
    """
    array = per_feature(delta, argument, features, _check_delta)
    fractional = np.flatnonzero(features.domain.in_group & (array != 0) & (array != 1))
    if fractional.size:
        raise PropertyError(
            f"Got {argument}={number_text(array[fractional[0]])} for one-hot column "
            f"{features.label(fractional[0])!r}, expected 0 (held equal) or 1 (any category)."
        )
    return np.where(features.domain.is_integer, np.floor(array), array)


def related_inputs_text(delta, features):
    """Write ``that differ only in sex, and in age (by at most 5)`` for a symmetric delta per feature."""
    free = np.isinf(delta) | (features.domain.in_group & (delta > 0))
    parts = [features.labels(np.flatnonzero(free))] if free.any() else []
    for value in sorted(set(delta[~free & (delta > 0)].tolist())):
        columns = np.flatnonzero(~free & (delta == value)).tolist()
        each = "each " if len(columns) > 1 else ""
        parts.append(features.labels(columns, note=f"{each}by at most {number_text(value)}"))
    return f"that differ only in {', and in '.join(parts)}" if parts else "that are equal"


def _check_delta(value, argument):
    return check_number(value, argument, finite=False)
