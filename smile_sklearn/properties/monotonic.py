"""Monotonicity in some features, all others equal."""

import numbers

import numpy as np

from ..exceptions import PropertyError
from .base import Property
from .features import check_number, number_text


class Monotonic(Property):
    r"""The output does not decrease in features of direction +1, nor increase in those of -1.

    .. math:: x'_j \le x''_j \; (cst_j = 1), \quad x'_j \ge x''_j \; (cst_j = -1), \quad
              x'_j = x''_j \; (cst_j = 0) \quad\Rightarrow\quad f(x') - f(x'') \le tolerance

    Parameters
    ----------
    monotonic_cst : dict of feature -> {-1, 0, 1}, or array-like of {-1, 0, 1} of shape (n_features,)
        As in ``HistGradientBoostingRegressor``; features not in the dict are held equal. Keys are
        indices or exact names. The features are constrained jointly: all may change at once.
    tolerance : float, default=0.0
        Decrease that is forgiven, in output units.

    Examples
    --------
    >>> from smile_sklearn.properties import InputDomain, Monotonic
    >>> domain = InputDomain([18, 0], [90, 1], feature_names=["age", "debt"])
    >>> relation = Monotonic({"age": 1, "debt": -1}).resolve(domain)
    >>> print(relation.statement)  # doctest: +NORMALIZE_WHITESPACE
    for every two inputs, if age stays or increases, debt stays or decreases
    and all other features are equal, the output does not decrease
    """

    short_name = "monotonic"
    default_coupling = "shared"

    def __init__(self, monotonic_cst, tolerance=0.0):
        self.monotonic_cst = monotonic_cst
        self.tolerance = tolerance

    def _relation(self, features, n_outputs):
        tolerance = check_number(self.tolerance, "tolerance")
        if n_outputs > 1:
            raise PropertyError(
                f"Got Monotonic with {n_outputs} classes, expected a regression or two classes: "
                "margins of several classes have no common direction. Use GloballyRobust or Fair there."
            )
        direction = self._directions(features)
        lower = np.where(direction == 1, -np.inf, 0.0)
        upper = np.where(direction == -1, np.inf, 0.0)
        statement = _statement(direction, tolerance, features)
        return self._state(features, statement, (lower, upper), (-np.inf, tolerance))

    def _directions(self, features):
        """(n_features,) int8 of -1, 0, 1."""
        if isinstance(self.monotonic_cst, dict):
            direction = np.zeros(features.n_features, dtype=np.int8)
            for reference, columns in features.resolve(self.monotonic_cst, "monotonic_cst"):
                value = self.monotonic_cst[reference]
                if not isinstance(value, numbers.Real) or value not in (-1, 0, 1):
                    raise PropertyError(
                        f"monotonic_cst[{reference!r}] must be either -1, 0 or 1. Got {value!r}."
                    )
                direction[list(columns)] = value
        else:
            direction = _direction_array(self.monotonic_cst, features.n_features)
        categorical = np.flatnonzero((direction != 0) & features.domain.in_group)
        if categorical.size:
            raise PropertyError(
                "Categorical features cannot have monotonic constraints. "
                f"Got one on {features.labels(categorical)}, of a one-hot group; take it out."
            )
        return direction


def _direction_array(monotonic_cst, n_features):
    try:
        direction = np.asarray(monotonic_cst)
    except ValueError:  # rows of unequal length
        direction = np.asarray(None)
    if direction.ndim != 1:
        raise PropertyError(
            f"Got monotonic_cst={monotonic_cst!r}, expected a dict of feature -> -1, 0 or 1, "
            "or an array with one of them per feature."
        )
    unexpected = sorted({value for value in direction.tolist() if value not in (-1, 0, 1)}, key=str)
    if unexpected:
        raise PropertyError(
            f"monotonic_cst must be an array-like of -1, 0 or 1. Observed values: {unexpected}."
        )
    if direction.shape[0] != n_features:
        raise PropertyError(
            f"monotonic_cst has shape {direction.shape} but the input data X has {n_features} features."
        )
    return direction.astype(np.int8)


def _statement(direction, tolerance, features):
    moves = []
    for sign, verb in ((1, "increases"), (-1, "decreases")):
        columns = np.flatnonzero(direction == sign).tolist()
        if columns:
            moves.append(f"{features.labels(columns)} {_verb(verb, len(columns))}")
    others = "all other features are equal" if moves else "all features are equal"
    premise = " and ".join([", ".join(moves), others]) if moves else others
    change = f"decreases by at most {number_text(tolerance)}" if tolerance else "does not decrease"
    return f"for every two inputs, if {premise}, the output {change}"


def _verb(verb, count):
    return f"stays or {verb}" if count == 1 else f"stay or {verb[:-1]}"
