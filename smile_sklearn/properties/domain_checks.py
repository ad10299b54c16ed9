"""Checks and small readers behind `InputDomain`: bounds, groups, single features."""

import numbers

import numpy as np

from ..exceptions import DomainError
from .names import columns_with_prefix, find_column, label, unknown_name


def bound_array(bound, end):
    """Copy one end of the box into a float64 array."""
    bound = np.array(bound, dtype=np.float64, ndmin=1) + 0.0  # + 0.0: no -0.0 in content and digest
    if bound.ndim != 1:
        raise DomainError(f"Got {end} of shape {bound.shape}, expected one bound per feature.")
    return bound


def sequence(references):
    """Take a single feature, given by itself, as a sequence of one."""
    return (references,) if isinstance(references, str | numbers.Integral) else tuple(references)


def group_rule(group):
    """Say what the rows of a group look like."""
    return f"{'at most' if group.at_most_one else 'exactly'} one 1 among {len(group.columns)} columns"


def resolve_groups(groups, names, n_features, argument):
    """Find the columns of groups: sorted tuples, in the order of their first column."""
    resolved = []
    for group in sequence(groups):
        if isinstance(group, str):
            columns = columns_with_prefix(group, names)
            if not columns:
                raise DomainError(
                    f"{unknown_name(group, names)} {argument} takes groups of columns or a prefix."
                )
        elif isinstance(group, numbers.Integral):
            raise DomainError(
                f"Got {argument} with the single column {group}, expected groups. "
                f"Write {argument}=[[...]], a sequence of columns for each group."
            )
        else:
            columns = tuple(sorted(find_column(column, names, n_features) for column in group))
        # One column with exactly one 1 is the constant 1; one with at most one 1 is a binary feature.
        if len(columns) < (2 if argument == "one_hot" else 1):
            raise DomainError(
                f"Got {argument} group {group!r} with {len(columns)} column(s), expected 2 or more."
            )
        resolved.append(columns)
    return tuple(sorted(resolved))


def check_bounds(lower, upper, integer, names):
    """Raise unless the bounds are finite, ordered, of finite width, and whole for integers."""
    problems = []
    for column in np.flatnonzero(~(np.isfinite(lower) & np.isfinite(upper)) | (lower > upper)):
        problems.append(f"{label(column, names)!r}: [{lower[column]}, {upper[column]}]")
    if problems:
        raise DomainError(f"Got bounds {'; '.join(problems)}; expected finite lower <= upper.")
    with np.errstate(over="ignore"):
        # One float to spare, for relations round widths up.
        wide = np.flatnonzero(np.isinf(np.nextafter(upper - lower, np.inf)))
    if wide.size:
        raise DomainError(
            f"Got bounds of {label(wide[0], names)!r} further apart than a float can hold. Rescale it."
        )
    broken = [column for column in integer if lower[column] % 1 or upper[column] % 1]
    if broken:
        first = broken[0]
        raise DomainError(
            f"Got bounds [{lower[first]}, {upper[first]}] of integer feature {label(first, names)!r}, "
            "expected whole numbers. Round them, or take the feature out of integer=."
        )


def check_groups(groups, integer, lower, upper, names):
    """Raise unless groups are disjoint, not integers, and within [0, 1]."""
    seen = set(integer)
    for columns in groups:
        for column in columns:
            if column in seen:
                raise DomainError(
                    f"Got {label(column, names)!r} twice among integer, one_hot and one_hot_at_most_one, "
                    "expected once at most."
                )
            if lower[column] < 0 or upper[column] > 1:
                raise DomainError(
                    f"Got bounds [{lower[column]}, {upper[column]}] of one-hot column "
                    f"{label(column, names)!r}, expected them within [0, 1]."
                )
            seen.add(column)
