"""Finding the features a property names, and naming them in its statement."""

import numbers

import numpy as np

from ..exceptions import PropertyError
from .names import check_names, columns_with_prefix, common_prefix, find_column, is_index, label, listed


class Features:
    """The features of a domain under their names.

    A feature is an index, an exact name, or the prefix of the names of all columns of ONE one-hot
    group: ``race`` is the group of ``race_*`` or ``cat__race_*``.

    Parameters
    ----------
    domain : InputDomain
    feature_names : sequence of str or None
        Default: the names in the domain.
    """

    def __init__(self, domain, feature_names=None):
        names = check_names(feature_names, domain.n_features)
        if names is not None and domain.feature_names is not None and names != domain.feature_names:
            differing = [pair for pair in zip(names, domain.feature_names, strict=True) if pair[0] != pair[1]]
            raise PropertyError(
                f"Got feature {differing[0][0]!r} where the domain has {differing[0][1]!r}, "
                "expected the same names in the same order. Build the domain from the same columns."
            )
        self.domain = domain
        self.names = domain.feature_names if names is None else names

    @property
    def n_features(self):
        """Number of columns."""
        return self.domain.n_features

    def columns(self, reference):
        """Columns of one feature: one, or those of a one-hot group given by prefix.

        Raises
        ------
        PropertyError
            With the near matches, if there is no such feature, or the prefix is not that of one group.
        """
        exact = not isinstance(reference, str) or reference in (self.names or ())
        prefixed = () if exact else columns_with_prefix(reference, self.names)
        if any(prefixed == group.columns for group in self.domain.groups):
            return prefixed
        if prefixed:
            raise PropertyError(
                f"Got feature {reference!r}, which is the prefix of {self.labels(prefixed)}, "
                "but these are not one one-hot group of the domain. Name the columns one by one, "
                f"or declare the group: InputDomain(..., one_hot=[{list(prefixed)}])."
            )
        return (find_column(reference, self.names, self.n_features, PropertyError),)

    def resolve(self, references, argument):
        """Columns of several features, each named once.

        Parameters
        ----------
        references : iterable of int or str
        argument : str
            Name of the argument they came in, for messages. All problems go into one message.

        Returns
        -------
        list of (reference, columns)
        """
        found, problems, owner = [], [], {}
        for reference in references:
            try:
                columns = self.columns(reference)
            except PropertyError as error:
                problems.append(str(error))
                continue
            for column in columns:
                if column in owner:
                    problems.append(
                        f"Got {owner[column]!r} and {reference!r}, which are the same feature; keep one."
                    )
                owner[column] = reference
            found.append((reference, columns))
        if problems:
            raise PropertyError(f"In {argument}: " + " ".join(dict.fromkeys(problems)))
        return found

    def label(self, column):
        """Name of one column, ``x3`` where it has none."""
        return label(column, self.names)

    def labels(self, columns, note=""):
        """Names of several columns in a sentence; all columns of a group become the group's name."""
        columns, labels = set(columns), {}
        for group in self.domain.groups:
            if columns.issuperset(group.columns):
                labels[group.columns[0]] = self.group_label(group)
                columns.difference_update(group.columns)
        labels.update((column, self.label(column)) for column in columns)
        return listed([labels[column] for column in sorted(labels)], note)

    def group_label(self, group):
        """Name a group: the prefix by which it is found, else the list of its columns."""
        labels = [self.label(column) for column in group.columns]
        prefix = common_prefix(labels) if self.names and len(labels) > 1 else ""
        return (
            prefix if prefix and columns_with_prefix(prefix, self.names) == group.columns else listed(labels)
        )


def check_number(value, argument, *, lowest=0.0, finite=True):
    """`value` as a float.

    Raises
    ------
    PropertyError
        If it is no number, NaN, below `lowest`, or infinite although `finite`.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not is_number or np.isnan(value) or value < lowest or (finite and np.isinf(value)):
        kind = "a finite number" if finite else "a number"
        bound = "" if lowest == -np.inf else f" >= {lowest:g}"
        raise PropertyError(f"Got {argument}={value!r}, expected {kind}{bound}.")
    return float(value)


def check_per_feature(values, argument, features):
    """Return an array with one number per feature as float64; raise `PropertyError` if it is none."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PropertyError(
            f"Got {argument}={values!r}, expected a number, one number per feature, or a dict name -> number."
        ) from error
    if array.shape != (features.n_features,):
        raise PropertyError(
            f"Got {argument} of shape {array.shape}, expected ({features.n_features},), one per feature. "
            "Use a dict to name some features only."
        )
    if np.isnan(array).any():
        raise PropertyError(f"Got NaN in {argument} of {features.labels(np.flatnonzero(np.isnan(array)))}.")
    return array


def per_feature(values, argument, features, check_entry):
    """One number per feature from a scalar, an array or a dict.

    A scalar stands for all numeric and integer features; group columns, and features that a dict
    does not list, get 0.

    Parameters
    ----------
    values : float, array-like of shape (n_features,) or dict feature -> float
    argument : str
    features : Features
    check_entry : callable (value, argument) -> float

    Returns
    -------
    (n_features,) array
    """
    if isinstance(values, dict):
        array = np.zeros(features.n_features)
        for reference, columns in features.resolve(values, argument):
            array[list(columns)] = check_entry(values[reference], f"{argument}[{reference!r}]")
        return array
    if values is None or isinstance(values, numbers.Number | str):
        value = check_entry(values, argument)
        return np.where(features.domain.in_group, 0.0, value)
    array = check_per_feature(values, argument, features)
    return np.array(
        [check_entry(value, f"{argument}[{column}]") for column, value in enumerate(array.tolist())]
    )


def number_text(value):
    """Write a number as in a sentence: shortest repr, whole numbers without a point."""
    text = repr(float(value))
    return text[:-2] if text.endswith(".0") else text


def is_feature(reference):
    """Whether an argument is one feature (an index or a name), not several."""
    return isinstance(reference, str) or is_index(reference)
