"""The set of inputs a property speaks about: a box, with integer features and one-hot groups."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..exceptions import DomainError
from .domain_checks import bound_array, check_bounds, check_groups, group_rule, resolve_groups, sequence
from .names import check_names, common_prefix, find_column, label, listed
from .tables import find_one_hot_groups, read_table


@dataclass(frozen=True)
class OneHotGroup:
    """Columns of which exactly one is 1 (or at most one) and the others are 0.

    Parameters
    ----------
    columns : tuple of int
    at_most_one : bool
        Whether the zero row is a category too, as with ``OneHotEncoder(drop="first")``.
    """

    columns: tuple
    at_most_one: bool = False

    @property
    def categories(self):
        """(k, len(columns)) array: one row per category; the zero row comes last if allowed."""
        rows = np.eye(len(self.columns))
        return np.vstack([rows, np.zeros(len(self.columns))]) if self.at_most_one else rows


@dataclass(frozen=True, eq=False, repr=False)
class InputDomain:
    r"""A box of inputs in raw units, some features integer, some in one-hot groups.

    .. math:: X = \{x : lower \le x \le upper, \; x_j \in \mathbb{Z} \; (j \in integer), \;
              x_G \in categories(G)\}

    A certificate speaks about pairs from X only. Declaring fewer integers and groups makes X larger
    and a proof on it stronger, so leaving them out is always sound.

    Parameters
    ----------
    lower, upper : array-like of shape (n_features,)
        Finite bounds, lower <= upper. Columns of a group may be anywhere in [0, 1], stored as [0, 1].
    integer : sequence of int or str
        Features with whole values only, by index or exact name; their bounds must be whole.
    one_hot : sequence of groups
        Exactly one column is 1. A group is a sequence of columns, or the prefix of their names.
    one_hot_at_most_one : sequence of groups
        At most one column is 1.
    feature_names : sequence of str or None

    Raises
    ------
    DomainError
        (a ValueError) if bounds are not finite or cross, a whole-valued feature has fractional
        bounds, or groups overlap or leave [0, 1].

    Examples
    --------
    >>> from smile_sklearn.properties import InputDomain
    >>> domain = InputDomain([0, 18], [1, 90], integer=["age"], feature_names=["score", "age"])
    >>> domain.contains([[0.5, 40], [0.5, 40.5]])
    array([ True, False])
    """

    lower: np.ndarray
    upper: np.ndarray
    integer: tuple = ()
    one_hot: tuple = ()
    one_hot_at_most_one: tuple = ()
    feature_names: tuple = None

    def __post_init__(self):
        lower, upper = (bound_array(getattr(self, end), end) for end in ("lower", "upper"))
        if lower.shape != upper.shape:
            raise DomainError(
                f"Got {lower.size} lower and {upper.size} upper bounds, expected as many of each."
            )
        names = check_names(self.feature_names, lower.size)
        integer = tuple(sorted({find_column(column, names, lower.size) for column in sequence(self.integer)}))
        one_hot = resolve_groups(self.one_hot, names, lower.size, "one_hot")
        at_most_one = resolve_groups(self.one_hot_at_most_one, names, lower.size, "one_hot_at_most_one")
        check_bounds(lower, upper, integer, names)
        check_groups(one_hot + at_most_one, integer, lower, upper, names)
        for columns in one_hot + at_most_one:
            lower[list(columns)], upper[list(columns)] = 0.0, 1.0
        lower.setflags(write=False)
        upper.setflags(write=False)
        fields = {"lower": lower, "upper": upper, "integer": integer, "one_hot": one_hot}
        fields.update(one_hot_at_most_one=at_most_one, feature_names=names)
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_data(cls, X, feature_names=None, integer=(), one_hot=(), one_hot_at_most_one=()):
        """Smallest box around the rows of X.

        Columns of bool dtype, and of category dtype with values 0 and 1, become integers in [0, 1].
        Besides the groups told, contiguous columns of one name prefix (``race_*``, ``cat__race_*``)
        become a one-hot group if they hold only 0 and 1 and every row sums to 1. Every other column
        is continuous, which is always sound, unless it is declared.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        feature_names : sequence of str or None
            Default: the columns of the DataFrame.
        integer, one_hot, one_hot_at_most_one : as in the class

        Raises
        ------
        DomainError
            If X is not numeric and finite, or a row breaks what is declared.
        """
        table = read_table(X, feature_names)
        n_features = table.values.shape[1]
        groups = resolve_groups(one_hot, table.names, n_features, "one_hot")
        at_most_one = resolve_groups(one_hot_at_most_one, table.names, n_features, "one_hot_at_most_one")
        whole = {find_column(column, table.names, n_features) for column in sequence(integer)}
        taken = whole.union(*groups, *at_most_one)
        groups += find_one_hot_groups(table.values, table.names, taken)
        grouped = sorted(set().union(*groups, *at_most_one))

        lower, upper = table.values.min(axis=0), table.values.max(axis=0)
        binary = sorted(set(table.binary) - set(grouped))
        lower[binary + grouped], upper[binary + grouped] = 0.0, 1.0
        # A fractional value in a declared integer is reported below with its row, not by its bound.
        declared = sorted(whole)
        lower[declared], upper[declared] = np.floor(lower[declared]), np.ceil(upper[declared])
        domain = cls(lower, upper, tuple(whole.union(binary)), groups, at_most_one, table.names)
        domain.check_training_rows(table.values)
        return domain

    @property
    def n_features(self):
        """Number of columns."""
        return self.lower.size

    @cached_property
    def is_integer(self):
        """(n_features,) bool: whole-valued features (columns of groups do not count)."""
        return _mask(self.integer, self.n_features)

    @cached_property
    def in_group(self):
        """(n_features,) bool: columns of one-hot groups."""
        return _mask([column for group in self.groups for column in group.columns], self.n_features)

    @cached_property
    def groups(self):
        """The groups of both kinds, as `OneHotGroup`, in the order of their first column."""
        exact = [OneHotGroup(columns, at_most_one=False) for columns in self.one_hot]
        loose = [OneHotGroup(columns, at_most_one=True) for columns in self.one_hot_at_most_one]
        return tuple(sorted(exact + loose, key=lambda group: group.columns))

    @property
    def scale(self):
        """(n_features,) fl(upper - lower): the one width every unit map divides by.

        Derived at every use: a digest covers the bounds, and no cache of them can go stale.
        """
        scale = self.upper - self.lower
        scale.setflags(write=False)
        return scale

    def clip(self, X):
        """X with numeric and integer features clipped to the box; group columns are left alone."""
        X = self._rows(X)
        return np.where(self.in_group, X, np.clip(X, self.lower, self.upper))

    def to_unit(self, X):
        """Coordinates in which the box is [0, 1]: (clip(x) - lower) / scale, 0 for constant features.

        Clip, subtract and divide by a positive number are monotone under rounding, so the map is
        nondecreasing in floats too, and fl(x - lower) <= scale keeps it within [0, 1].
        """
        width = np.where(self.scale > 0, self.scale, 1.0)
        unit = np.where(self.scale > 0, (self.clip(X) - self.lower) / width, 0.0)
        # Equal inputs must be equal bit for bit: + 0.0 turns -0.0 into 0.0.
        return np.where(self.in_group, self._rows(X), unit) + 0.0

    def from_unit(self, U):
        """Raw inputs at unit coordinates U, clipped to the box; rounding makes it an approximate inverse."""
        U = self._rows(U)
        return np.where(self.in_group, U, np.clip(self.lower + U * self.scale, self.lower, self.upper))

    def valid_rows(self, X):
        """(n,) bool: finite, integers whole, and each group exactly one of its categories."""
        X = self._rows(X)
        return (
            np.isfinite(X).all(axis=1)
            & ~self._broken_integers(X).any(axis=1)
            & ~self._broken_groups(X).any(axis=1)
        )

    def contains(self, X):
        """(n,) bool: valid and inside the box."""
        X = self._rows(X)
        return self.valid_rows(X) & ((self.lower <= X) & (self.upper >= X)).all(axis=1)

    def check_training_rows(self, X):
        """Raise `DomainError` naming the declared integer feature or group that a row of X breaks."""
        X = self._rows(X)
        problems = []
        for column, broken in zip(self.integer, self._broken_integers(X).T, strict=True):
            if broken.any():
                row = int(np.argmax(broken))
                problems.append(
                    f"Got {X[row, column]} in row {row} of integer feature "
                    f"{label(column, self.feature_names)!r}, expected whole numbers. "
                    "Take it out of integer= to treat it as continuous."
                )
        for group, broken in zip(self.groups, self._broken_groups(X).T, strict=True):
            if broken.any():
                row = int(np.argmax(broken))
                problems.append(
                    f"Got {X[row, list(group.columns)].tolist()} in row {row} of one-hot group "
                    f"{self.group_label(group)!r}, expected {group_rule(group)}."
                )
        if problems:
            raise DomainError(" ".join(problems))

    def group_label(self, group):
        """Name a group: the common prefix of its columns, else the list of them."""
        labels = [label(column, self.feature_names) for column in group.columns]
        prefix = common_prefix(labels) if len(labels) > 1 else ""
        return prefix or listed(labels)

    def to_dict(self):
        """Plain JSON types; floats keep every bit through their repr."""
        return {
            "lower": self.lower.tolist(),
            "upper": self.upper.tolist(),
            "integer": list(self.integer),
            "one_hot": [list(columns) for columns in self.one_hot],
            "one_hot_at_most_one": [list(columns) for columns in self.one_hot_at_most_one],
            "feature_names": None if self.feature_names is None else list(self.feature_names),
        }

    @classmethod
    def from_dict(cls, content):
        """Read the domain that `to_dict` wrote."""
        return cls(**content)

    def __str__(self):
        integers = [label(column, self.feature_names) for column in self.integer]
        groups = [f"{self.group_label(group)} ({group_rule(group)})" for group in self.groups]
        parts = [f"a box of {self.n_features} features"]
        parts.append(f"integers: {', '.join(integers)}" if integers else "no integers")
        parts.append(f"one-hot groups: {', '.join(groups)}" if groups else "no one-hot groups")
        return "; ".join(parts)

    def __repr__(self):
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.to_dict().items() if value)
        return f"InputDomain({arguments})"

    def __eq__(self, other):
        return self._content() == other._content() if isinstance(other, InputDomain) else NotImplemented

    def __hash__(self):
        return hash(self._content())

    def __reduce__(self):
        # Through the constructor, so that the arrays of a copy are read-only as well.
        columns = (self.integer, self.one_hot, self.one_hot_at_most_one)
        return InputDomain, (self.lower, self.upper, *columns, self.feature_names)

    def _content(self):
        columns = (self.integer, self.one_hot, self.one_hot_at_most_one)
        return (self.lower.tobytes(), self.upper.tobytes(), *columns, self.feature_names)

    def _rows(self, X):
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise DomainError(f"Got an array of shape {X.shape}, expected (n, {self.n_features}).")
        return X

    def _broken_integers(self, X):
        """(n, len(integer)) bool; NaN and inf are no whole numbers."""
        values = X[:, list(self.integer)]
        return ~(np.isfinite(values) & (np.floor(values) == values))

    def _broken_groups(self, X):
        """(n, len(groups)) bool."""
        broken = np.zeros((len(X), len(self.groups)), dtype=bool)
        for number, group in enumerate(self.groups):
            values = X[:, list(group.columns)]
            ones = (values == 1).sum(axis=1)
            enough = ones <= 1 if group.at_most_one else ones == 1
            broken[:, number] = ~(((values == 0) | (values == 1)).all(axis=1) & enough)
        return broken


def _mask(columns, n_features):
    mask = np.zeros(n_features, dtype=bool)
    mask[list(columns)] = True
    mask.setflags(write=False)
    return mask
