"""The general form: any two boxes of differences."""

import numpy as np

from ..exceptions import PropertyError
from .base import Property, outputs_text
from .features import check_number, number_text, per_feature


class Relational(Property):
    r"""If the inputs differ by [dl, du], the outputs differ by [el, eu].

    .. math:: dl \le x' - x'' \le du \quad\Rightarrow\quad el \le f(x') - f(x'') \le eu

    Parameters
    ----------
    dl, du : float, array-like of shape (n_features,) or dict of feature -> float
        In the units of X, may be infinite (the domain cuts them). A scalar applies to numeric and
        integer features; features that a dict does not list are held equal. Columns of a one-hot
        group take -1, 0 or 1; ``{"race": -1}`` with ``{"race": 1}`` allows any two categories.
    el, eu : float
        In output units; one of them may be infinite. With several classes el = -eu.

    Examples
    --------
    >>> from smile_sklearn.properties import InputDomain, Relational
    >>> domain = InputDomain([18, 0], [90, 1], feature_names=["age", "debt"])
    >>> relation = Relational({"age": 0}, {"age": 5}, el=-1, eu=3).resolve(domain)
    >>> print(relation.statement)  # doctest: +NORMALIZE_WHITESPACE
    for every two inputs whose difference (first minus second) is in [0, 5] for age
    and 0 for all other features, the difference of the outputs is in [-1, 3]
    """

    short_name = "relational"
    default_coupling = "shared"

    def __init__(self, dl, du, el, eu):
        self.dl = dl
        self.du = du
        self.el = el
        self.eu = eu

    def _relation(self, features, n_outputs):
        lower = per_feature(self.dl, "dl", features, _check_entry)
        upper = per_feature(self.du, "du", features, _check_entry)
        for delta, argument in ((lower, "dl"), (upper, "du")):
            _check_groups(delta, argument, features)
        _check_order(lower, upper, features)
        el, eu = _check_entry(self.el, "el"), _check_entry(self.eu, "eu")
        if n_outputs > 1 and el != -eu:
            raise PropertyError(
                f"Got el={number_text(el)}, eu={number_text(eu)} with {n_outputs} classes, "
                "expected el = -eu: a margin f_j - f_k and its opposite f_k - f_j must be bounded alike."
            )
        return self._state(
            features, _statement(lower, upper, el, eu, features, n_outputs), (lower, upper), (el, eu)
        )


def _check_entry(value, argument):
    return check_number(value, argument, lowest=-np.inf, finite=False)


def _check_groups(delta, argument, features):
    wrong = np.flatnonzero(features.domain.in_group & ~np.isin(delta, (-1, 0, 1, -np.inf, np.inf)))
    if wrong.size:
        raise PropertyError(
            f"Got {argument}={number_text(delta[wrong[0]])} for one-hot column {features.label(wrong[0])!r}, "
            "expected -1, 0 or 1."
        )


def _check_order(lower, upper, features):
    crossed = np.flatnonzero(lower > upper)
    if crossed.size:
        first = crossed[0]
        raise PropertyError(
            f"Got dl={number_text(lower[first])} above du={number_text(upper[first])} for "
            f"{features.labels(crossed)}, expected dl <= du. "
            "A feature named in one of them only has 0 in the other."
        )


def _statement(lower, upper, el, eu, features, n_outputs):
    parts = []
    # Columns of a group between -1 and 1: any category to any other.
    anything = features.domain.in_group & (lower == -1) & (upper == 1)
    lower, upper = np.where(anything, -np.inf, lower), np.where(anything, np.inf, upper)
    free = (lower != 0) | (upper != 0)
    for ends in sorted(set(zip(lower[free].tolist(), upper[free].tolist(), strict=True))):
        columns = np.flatnonzero((lower == ends[0]) & (upper == ends[1])).tolist()
        parts.append(f"{_interval(*ends)} for {features.labels(columns)}")
    if parts and not free.all():
        parts.append("0 for all other features")
    premise = (
        f"whose difference (first minus second) is {_interval_list(parts)}" if parts else "that are equal"
    )
    conclusion = f"the difference of {outputs_text(n_outputs)} is {_interval(el, eu)}"
    return f"for every two inputs {premise}, {conclusion}"


def _interval_list(parts):
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _interval(lower, upper):
    if np.isinf(lower) and np.isinf(upper):
        return "anything"
    if lower == upper:
        return number_text(lower)
    if np.isinf(lower):
        return f"at most {number_text(upper)}"
    if np.isinf(upper):
        return f"at least {number_text(lower)}"
    return f"in [{number_text(lower)}, {number_text(upper)}]"
