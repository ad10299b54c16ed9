"""What a table of data says about its columns: values, names, binary dtypes, one-hot groups."""

from dataclasses import dataclass

import numpy as np

from ..exceptions import DomainError
from .names import check_names, label, without_transformer

# How the dtypes of pandas and polars that may mean "two values" begin, lower case.
BOOL_DTYPES = ("bool",)
CATEGORY_DTYPES = ("category", "categorical", "enum")


@dataclass(frozen=True)
class Table:
    """A numeric table.

    Attributes
    ----------
    values : (n_samples, n_features) float64
    names : tuple of str or None
    binary : tuple of int
        Columns of bool dtype, and of category dtype with values 0 and 1 only.
    """

    values: np.ndarray
    names: tuple
    binary: tuple


def read_table(X, feature_names=None):
    """Read an array or DataFrame of numbers; raises `DomainError` where it is none."""
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        columns = list(X.columns)
        if feature_names is None and all(isinstance(name, str) for name in columns):
            feature_names = columns
        dtypes = [str(dtype).lower() for dtype in X.dtypes]
        values = [_numeric(X[name], name) for name in columns]
        values = np.column_stack(values) if values else np.empty((len(X), 0))
    else:
        X = np.asarray(X)
        values = _numeric(X, "X")
        if values.ndim != 2:
            raise DomainError(f"Got X of shape {values.shape}, expected 2 dimensions.")
        dtypes = [str(X.dtype)] * values.shape[1]
    if values.shape[0] == 0:
        raise DomainError("Got X with no rows, expected at least one to learn the domain from.")
    names = check_names(feature_names, values.shape[1])
    broken = np.flatnonzero(~np.isfinite(values).all(axis=0))
    if broken.size:
        raise DomainError(
            f"Got NaN or inf in {label(broken[0], names)!r}, expected finite numbers. Impute it first."
        )
    return Table(values, names, _binary_columns(values, dtypes))


def find_one_hot_groups(values, names, taken=()):
    """Find groups: contiguous columns of one name prefix, values 0 and 1, rows that all sum to 1.

    Only whole runs of a prefix count, the shortest prefix first (``race`` before
    ``race_African``): a part of a run would be a guess, and leaving a group out is sound.

    Parameters
    ----------
    values : (n_samples, n_features) array
    names : tuple of str or None
    taken : set of int
        Columns that are declared already.

    Returns
    -------
    tuple of tuple of int
    """
    if names is None:
        return ()
    binary = ((values == 0) | (values == 1)).all(axis=0)
    groups, column = [], 0
    while column < len(names):
        run = next(
            (
                run
                for run in _runs_from(column, names)
                if binary[run].all()
                and not set(taken).intersection(run)
                and (values[:, run].sum(axis=1) == 1).all()
            ),
            None,
        )
        if run is not None:
            groups.append(tuple(run))
        column = column + 1 if run is None else run[-1] + 1
    return tuple(groups)


def _runs_from(column, names):
    """Maximal runs of two or more columns that begin at `column`, for each prefix of its name."""
    plain = without_transformer(names[column])
    transformer = names[column][: len(names[column]) - len(plain)]
    for position, letter in enumerate(plain):
        prefix = transformer + plain[: position + 1]
        if letter != "_" or position == 0 or (column > 0 and names[column - 1].startswith(prefix)):
            continue
        end = column
        while end < len(names) and names[end].startswith(prefix):
            end += 1
        if end - column > 1:
            yield list(range(column, end))


def _numeric(values, name):
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DomainError(
            f"Got {name!r} with values that are not numbers, expected a numeric table. "
            "Encode it first, for instance with OneHotEncoder."
        ) from error


def _binary_columns(values, dtypes):
    binary = []
    for column, dtype in enumerate(dtypes):
        zeros_and_ones = np.isin(values[:, column], (0.0, 1.0)).all()
        if dtype.startswith(BOOL_DTYPES) or (dtype.startswith(CATEGORY_DTYPES) and zeros_and_ones):
            binary.append(column)
    return tuple(binary)
