"""Ranges and differences of every unit, and the rounding error of the forward pass.

Three walks over the graph of a snapshot, each one pass and without a solver:

- :func:`node_ranges`: the interval of each unit on the domain;
- :func:`node_differences`: the interval of ``unit(x') - unit(x'')`` over all related pairs
  (lemma 3), in real arithmetic, rounded outward;
- :func:`forward_errors`: by how much the computed unit may differ from the real one.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.graph import Affine, Clamp, GroupSort, Input, Sum
from smile_sklearn.verification.rounding import (
    SMALLEST,
    absolute_matmul,
    add_lower,
    add_upper,
    gamma,
    inflate,
    matmul_interval,
)


class Interval(NamedTuple):
    """Lower and upper ends, one a unit."""

    low: np.ndarray
    high: np.ndarray

    @property
    def magnitude(self):
        """Largest absolute value in the interval."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def swapped(self):
        """The interval of the negated quantity: of differences, with the pair exchanged."""
        return Interval(-self.high, -self.low)


def input_range(domain):
    """Interval of every input in unit coordinates: [0, 1], a constant feature [0, 0]."""
    high = np.where(domain.in_group | (domain.scale > 0), 1.0, 0.0)
    return Interval(np.zeros_like(high), high)


def affine_input_range(weight, domain):
    """Interval of ``weight @ x`` on the domain; a group contributes its best category."""
    box = input_range(domain)
    numeric = ~domain.in_group
    low, high = matmul_interval(weight[:, numeric], box.low[numeric], box.high[numeric])
    for group in domain.groups:
        # Exactly one category: its weight alone counts (categories are rows of 0 and 1).
        scores = weight[:, list(group.columns)] @ group.categories.T
        low, high = add_lower(low, scores.min(axis=1)), add_upper(high, scores.max(axis=1))
    return Interval(low, high)


def affine_input_difference(weight, relation):
    """Interval of ``weight @ (x' - x'')`` over the related pairs.

    Numeric features: ``W+ D+ + W- D-``. A group: the extreme ``w_a - w_b`` over the ordered
    pairs (a, b) of categories that Q allows; a pair (a, a) contributes an exact zero.
    """
    domain = relation.domain
    lower, upper = relation.unit_delta()
    numeric = ~domain.in_group
    low, high = matmul_interval(weight[:, numeric], lower[numeric], upper[numeric])
    for group, allowed in zip(domain.groups, relation.group_pairs, strict=True):
        scores = weight[:, list(group.columns)] @ group.categories.T
        first, second = np.nonzero(allowed)
        steps = scores[:, first] - scores[:, second]
        # One rounding each; a difference of equal numbers is exactly zero.
        best = np.where(steps == 0, 0.0, np.nextafter(steps, np.inf)).max(axis=1)
        worst = np.where(steps == 0, 0.0, np.nextafter(steps, -np.inf)).min(axis=1)
        low, high = add_lower(low, worst), add_upper(high, best)
    return Interval(low, high)


def node_ranges(graph, domain):
    """Interval of every node on the domain, a list aligned with ``graph.nodes``."""
    ranges = []
    for node in graph.nodes:
        if isinstance(node, Input):
            ranges.append(input_range(domain))
        elif isinstance(node, Affine):
            base = affine_input_range(node.weight, domain) if node.source == 0 else None
            low, high = base or matmul_interval(node.weight, *ranges[node.source])
            ranges.append(Interval(add_lower(low, node.bias), add_upper(high, node.bias)))
        elif isinstance(node, Clamp):
            source = ranges[node.source]
            ranges.append(Interval(*(np.minimum(np.maximum(end, node.lower), node.upper) for end in source)))
        elif isinstance(node, GroupSort):
            # The k-th smallest of a block lies between the k-th smallest lower and upper end.
            ends = (np.sort(end.reshape(-1, node.group), axis=1).ravel() for end in ranges[node.source])
            ranges.append(Interval(*ends))
        elif isinstance(node, Sum):
            first, second = ranges[node.first], ranges[node.second]
            ranges.append(Interval(add_lower(first.low, second.low), add_upper(first.high, second.high)))
        else:
            raise _unknown(node)
    return ranges


def node_differences(graph, ranges, relation):
    """Interval of every node's difference over the related pairs (lemma 3).

    Parameters
    ----------
    graph : Graph
    ranges : list of Interval
        From :func:`node_ranges`, over the domain of the relation.
    relation : Relation

    Returns
    -------
    list of Interval
        Aligned with ``graph.nodes``; an exact zero means equal for every related pair.
    """
    differences = []
    for index, node in enumerate(graph.nodes):
        if isinstance(node, Input):
            difference = Interval(*relation.unit_delta())
        elif isinstance(node, Affine):
            if node.source == 0:
                difference = affine_input_difference(node.weight, relation)
            else:
                difference = Interval(*matmul_interval(node.weight, *differences[node.source]))
        elif isinstance(node, Clamp):
            difference = clamp_difference(node, differences[node.source], ranges[node.source])
        elif isinstance(node, GroupSort):
            # Sorting is a composition of max and min, each within the extremes of its arguments.
            low, high = (end.reshape(-1, node.group) for end in differences[node.source])
            low, high = low.min(axis=1), high.max(axis=1)
            difference = Interval(np.repeat(low, node.group), np.repeat(high, node.group))
        elif isinstance(node, Sum):
            first, second = differences[node.first], differences[node.second]
            difference = Interval(add_lower(first.low, second.low), add_upper(first.high, second.high))
        else:
            raise _unknown(node)
        differences.append(_within_range(difference, ranges[index]))
    return differences


def clamp_difference(node, difference, source):
    """Difference of a nondecreasing 1-Lipschitz unit: [min(0, D-), max(0, D+)].

    Where the unit has slope 1 on its whole range the difference passes unchanged (its ends
    may then have one sign), and where it is flat on its whole range nothing passes.
    """
    linear = (source.low >= node.lower) & (source.high <= node.upper)
    flat = (source.high <= node.lower) | (source.low >= node.upper)
    low = np.where(linear, difference.low, np.minimum(0.0, difference.low))
    high = np.where(linear, difference.high, np.maximum(0.0, difference.high))
    return Interval(np.where(flat, 0.0, low), np.where(flat, 0.0, high))


def _within_range(difference, values):
    """Intersect with the largest difference that the range of the unit allows."""
    span = np.where(values.high == values.low, 0.0, np.nextafter(values.high - values.low, np.inf))
    return Interval(np.maximum(difference.low, -span), np.minimum(difference.high, span))


def forward_errors(graph, ranges):
    """Upper bound on ``|computed unit - real unit|``, per node, for float64 inputs.

    The inputs are the floats that the network reads, so they carry no error; an affine unit
    over n inputs adds ``gamma_{n+1} (|W| |x| + |b|)`` in any order of summation (Higham) and
    passes ``|W| e`` on; clamps and sorts are 1-Lipschitz in the sup norm and exact.
    """
    errors = []
    for node in graph.nodes:
        if isinstance(node, Input):
            errors.append(np.zeros(node.size))
        elif isinstance(node, Affine):
            incoming = errors[node.source]
            errors.append(affine_error(node.weight, node.bias, ranges[node.source].magnitude, incoming))
        elif isinstance(node, Clamp):
            errors.append(errors[node.source])
        elif isinstance(node, GroupSort):
            worst = errors[node.source].reshape(-1, node.group).max(axis=1)
            errors.append(np.repeat(worst, node.group))
        elif isinstance(node, Sum):
            incoming = add_upper(errors[node.first], errors[node.second])
            magnitude = add_upper(ranges[node.first].magnitude, ranges[node.second].magnitude, incoming)
            errors.append(add_upper(incoming, inflate(gamma(1) * magnitude, 1)))
        else:
            raise _unknown(node)
    return errors


def affine_error(weight, bias, magnitude, incoming):
    """Error of one computed affine layer whose inputs err by ``incoming``, shape (k,)."""
    n_terms = weight.shape[1] + 1
    absolute = add_upper(absolute_matmul(weight, add_upper(magnitude, incoming)), np.abs(bias))
    rounding = inflate(gamma(n_terms) * absolute, n_terms)
    # Each product may also underflow, once.
    own = add_upper(rounding, np.full(len(bias), n_terms * SMALLEST))
    return add_upper(absolute_matmul(weight, incoming), own) if incoming.any() else own


def _unknown(node):
    return UnsupportedError(f"Got a node of type {type(node).__name__!r}, for which no bound is known.")
