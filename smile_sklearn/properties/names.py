"""Names of columns: how a feature is referred to, and what to suggest when it is not found."""

import difflib
import numbers

import numpy as np

from ..exceptions import DomainError

# How many names an error message or a statement lists before it abbreviates.
LISTED_NAMES = 8


def check_names(feature_names, n_features):
    """Return `feature_names` as a tuple of distinct strings, or None."""
    if feature_names is None:
        return None
    if isinstance(feature_names, str):
        raise DomainError(f"Got feature_names={feature_names!r}, expected a sequence of {n_features} names.")
    names = tuple(feature_names)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise DomainError(f"Got feature_names with {wrong[0]!r}, expected strings only. Rename the columns.")
    if len(names) != n_features:
        raise DomainError(f"Got {len(names)} feature_names, expected {n_features}, one per feature.")
    repeated = (
        sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    )
    if repeated:
        raise DomainError(
            f"Got repeated feature_names {repeated}, expected distinct ones. Rename the columns."
        )
    # Subclasses of str (numpy.str_) would end in JSON and in pickles.
    return tuple(str(name) for name in names)


def without_transformer(name):
    """Drop what ``ColumnTransformer`` puts in front: ``cat__race_White`` is ``race_White``."""
    return name.split("__", 1)[1] if "__" in name else name


def columns_with_prefix(prefix, names):
    """Find the columns called ``prefix_*`` or ``transformer__prefix_*``."""
    start = prefix if prefix.endswith("_") else prefix + "_"
    return tuple(
        column
        for column, name in enumerate(names or ())
        if name.startswith(start) or without_transformer(name).startswith(start)
    )


def common_prefix(labels):
    """Longest ``prefix`` with all labels of the form ``prefix_*``, transformer dropped; ``""`` if none."""
    plain = [without_transformer(label) for label in labels]
    first, last = min(plain), max(plain)
    length = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(map(len, plain))
    )
    return first[:length].rpartition("_")[0]


def label(column, names):
    """Name of a column, ``x3`` (scikit-learn's default) where it has none."""
    return names[column] if names is not None else f"x{column}"


def listed(items, note=""):
    """Write ``a, b and c (note)``; the middle of a long list is left out, with the count said."""
    items = [str(item) for item in items]
    if len(items) > LISTED_NAMES:
        notes = [f"{len(items)} of them", note]
        text = f"{items[0]}, {items[1]}, ..., {items[-1]}"
    else:
        notes = [note]
        text = f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else "".join(items)
    notes = ", ".join(filter(None, notes))
    return f"{text} ({notes})" if notes else text


def is_index(reference):
    """Whether a reference is an integer; a bool is not (a mask is no list of features)."""
    return isinstance(reference, numbers.Integral) and not isinstance(reference, bool | np.bool_)


def near_matches(name, names):
    """Names a user may have meant, likeliest first; group prefixes count as names."""
    names = list(names or ())
    plain = [without_transformer(known) for known in names]
    prefixes = [known.rpartition("_")[0] for known in plain if "_" in known]
    same = [known for known, short in zip(names, plain, strict=True) if name in (short, short.lower())]
    candidates = dict.fromkeys(names + plain + prefixes)
    close = difflib.get_close_matches(name, candidates, n=3)
    folded = [known for known in candidates if known.lower() == name.lower()]
    return list(dict.fromkeys(same + folded + close))[:3]


def unknown_name(name, names):
    """Message for a name that no column has."""
    if names is None:
        return (
            f"Got feature {name!r}, but the features have no names. "
            "Use column indices, or pass a DataFrame or feature_names."
        )
    near = near_matches(name, names)
    hint = f"Did you mean {listed(map(repr, near))}? " if near else ""
    return f"Got unknown feature {name!r}. {hint}The features are {listed(map(repr, names))}."


def find_column(reference, names, n_features, error=DomainError):
    """Index of one column given by index or exact name.

    Parameters
    ----------
    reference : int or str
    names : tuple of str or None
    n_features : int
    error : exception class to raise when there is no such column
    """
    if is_index(reference):
        if not 0 <= reference < n_features:
            raise error(f"Got feature index {reference}, expected 0 to {n_features - 1}.")
        return int(reference)
    if not isinstance(reference, str):
        raise error(f"Got feature {reference!r}, expected a column index or name.")
    if names is None or reference not in names:
        raise error(unknown_name(reference, names))
    return names.index(reference)
