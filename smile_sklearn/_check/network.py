"""The network in exact numbers, and what feeds it: a domain, a pair, or one row."""

from typing import NamedTuple

import numpy as np

from smile_sklearn._check.exact import Exact, maximum, stack, zeros
from smile_sklearn._check.report import CheckFailure
from smile_sklearn.snapshot.graph import Affine, Clamp


class Interval(NamedTuple):
    """Exact lower and upper ends, one a unit."""

    low: Exact
    high: Exact

    @property
    def magnitude(self):
        """Largest absolute value in the interval."""
        return maximum(abs(self.low), abs(self.high))


class Layer(NamedTuple):
    """An affine map; the absolute weight is kept, as every bound reads it."""

    weight: Exact
    absolute: Exact
    bias: Exact

    @property
    def fan_in(self):
        """Number of inputs."""
        return self.weight.shape[1]


class Limits(NamedTuple):
    """Bounds of a clamp; the masks say where they are finite."""

    lower: Exact
    upper: Exact
    has_lower: np.ndarray
    has_upper: np.ndarray


class ExactNetwork:
    """The arrays of a snapshot, converted once.

    Raises
    ------
    CheckFailure
        If a weight is not finite, or a clamp has no bounds to speak of.
    """

    def __init__(self, snapshot):
        # Convolutions as dense matrices; the digest is that of the model as it was stored.
        self.digest, snapshot = snapshot.digest, snapshot.lowered()
        self.snapshot, self.nodes = snapshot, snapshot.graph.nodes
        _check_indices(snapshot)
        self.layers, self.limits = {}, {}
        for index, node in enumerate(self.nodes):
            if isinstance(node, Affine):
                self.layers[index] = _layer(node.weight, node.bias)
            elif isinstance(node, Clamp):
                self.limits[index] = _limits(node)
        self.head = _layer(snapshot.head_weight, snapshot.head_bias)
        if snapshot.n_outputs > 1:
            self.first, self.second = np.triu_indices(snapshot.n_outputs, k=1)
            self.margins = self.head.weight[self.first] - self.head.weight[self.second]
        else:
            self.margins = self.head.weight


class DomainInputs:
    """Every input of the domain, in unit coordinates."""

    def __init__(self, domain):
        self.domain = domain
        varies = domain.in_group | (domain.upper > domain.lower)
        self.box = Interval(zeros(domain.n_features), Exact(varies.astype(int).astype(object)))

    def affine(self, weight):
        """Interval of ``weight @ p``; of a group, one category counts."""
        numeric = ~self.domain.in_group
        low, high = interval_matmul(weight[:, numeric], Interval(*(end[numeric] for end in self.box)))
        for group in self.domain.groups:
            scores = category_scores(weight, group)
            low, high = low + scores.min(axis=1), high + scores.max(axis=1)
        return Interval(low, high)


class PairInputs:
    """Differences p' - p'' of all related pairs."""

    def __init__(self, pairs):
        self.pairs = pairs
        self.box = Interval(*pairs.unit_difference())

    def affine(self, weight):
        """Interval of ``weight @ (p' - p'')``; of a group, one allowed pair of categories counts."""
        domain = self.pairs.domain
        numeric = ~domain.in_group
        low, high = interval_matmul(weight[:, numeric], Interval(*(end[numeric] for end in self.box)))
        for group, allowed in zip(domain.groups, self.pairs.allowed, strict=True):
            scores, (a, b) = category_scores(weight, group), np.nonzero(allowed)
            steps = scores[:, a] - scores[:, b]
            low, high = low + steps.min(axis=1), high + steps.max(axis=1)
        return Interval(low, high)


class PointInputs:
    """One row in unit coordinates, as the network reads it."""

    def __init__(self, row):
        point = Exact.of(row)
        self.box = Interval(point, point)

    def affine(self, weight):
        """``weight @ p``, as an interval of one point."""
        value = weight @ self.box.low
        return Interval(value, value)


def interval_matmul(weight, interval, absolute=None):
    """``weight @ x`` over an interval: the image of its centre, and |weight| times its radius."""
    absolute = abs(weight) if absolute is None else absolute
    centre, spread = weight @ (interval.low + interval.high), absolute @ (interval.high - interval.low)
    return Interval((centre - spread).half(), (centre + spread).half())


def category_scores(weight, group):
    """Contribution of each category, the last axis; the zero row of an at-most-one group comes last."""
    scores = weight[..., list(group.columns)]
    return stack([scores, zeros(*scores.shape[:-1], 1)], axis=-1) if group.at_most_one else scores


def _check_indices(snapshot):
    # Negative indices would count from the end and upset the order in which nodes are taken.
    ends = [snapshot.lower, snapshot.upper, *([] if snapshot.width is None else [snapshot.width])]
    if not all(0 <= index < len(snapshot.graph) for index in ends):
        raise CheckFailure(f"the ends {ends} of the model are no nodes")
    if not all(0 <= index < snapshot.n_features for index in snapshot.reads):
        raise CheckFailure(f"the backbone reads {snapshot.reads}, which are no features")


def _layer(weight, bias):
    try:
        exact = Exact.of(weight)
        return Layer(exact, abs(exact), Exact.of(bias))
    except ValueError as error:
        raise CheckFailure(f"a weight of the model is not finite: {error}") from error


def _limits(node):
    lower, upper = np.asarray(node.lower), np.asarray(node.upper)
    if np.isnan(lower).any() or np.isnan(upper).any() or (lower == np.inf).any() or (upper == -np.inf).any():
        raise CheckFailure("a clamp of the model has bounds that are no bounds")
    if (lower > upper).any():
        # Everything here takes a clamp to pass on what lies between its ends.
        raise CheckFailure("a clamp of the model has a lower end above its upper end")
    has_lower, has_upper = np.isfinite(lower), np.isfinite(upper)
    return Limits(
        Exact.of(np.where(has_lower, lower, 0.0)),
        Exact.of(np.where(has_upper, upper, 0.0)),
        has_lower,
        has_upper,
    )
