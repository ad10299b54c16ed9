r"""The closed form a second time: the largest V of affine auxiliaries under the box coupling.

With affine lo and hi, :math:`V = w (lo' - lo'') + \sum_i |w_i| \max(0, q_i)`, with the gap q = hi - lo at x'
for a positive weight and at x'' for a negative one. A gap that is at most 0 on the domain counts 0; for
any other :math:`\max(0, q) \le q + \max(0, -\min q)`, which is q itself where q >= 0. What remains is linear
in the pair: a sum over the features, each with its own box and band, and over the groups, each with its
own pairs of categories. Clamps that never reach a kink on the domain count as affine.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn._check.bands import band_maximum
from smile_sklearn._check.derive import gap_rows, linear_form
from smile_sklearn._check.exact import Exact, identity, maximum, where, zeros
from smile_sklearn._check.network import DomainInputs, Interval, Layer, category_scores
from smile_sklearn._check.report import CheckFailure
from smile_sklearn.snapshot.graph import Affine


def closed_form_interval(derivation, pairs):
    """Exact interval of f(x') - f(x'') over all margins, rounding slack included, two Fractions.

    Raises
    ------
    CheckFailure
        If an auxiliary is not affine.
    """
    network, affine = derivation.network, _without_stable_clamps(derivation)
    highest = (
        _largest(network, affine, row, pairs) + derivation.slack
        for row in (network.margins, -network.margins)
    )
    upper, lower = (value.max().fraction() for value in highest)
    return -lower, upper


class _AffineNetwork(NamedTuple):
    """What :func:`linear_form` reads of a network."""

    nodes: list
    layers: dict


def _without_stable_clamps(derivation):
    """The network with every clamp that is affine on the domain written as a layer."""
    network = derivation.network
    nodes, layers = list(network.nodes), dict(network.layers)
    for index, limits in network.limits.items():
        source = nodes[index].source
        low, high = derivation.ranges[source]
        passes = (~limits.has_lower | (limits.lower <= low)) & (~limits.has_upper | (high <= limits.upper))
        below = limits.has_lower & (high <= limits.lower)
        above = limits.has_upper & (limits.upper <= low)
        if (passes | below | above).all():
            weight = where(passes[:, None], identity(len(passes)), zeros())
            bias = where(passes, zeros(), where(below, limits.lower, limits.upper))
            nodes[index], layers[index] = Affine(None, None, source), Layer(weight, weight, bias)
    return _AffineNetwork(nodes, layers)


def _largest(network, affine, margins, pairs):
    """Largest V of each row of ``margins``, (n_margins,)."""
    lower, _ = _affine(affine, {network.snapshot.lower: margins})
    gap, constant = _affine(affine, gap_rows(network.snapshot))
    least = constant - _domain_maximum(network, -gap)
    closed = _domain_maximum(network, gap) + constant <= zeros()
    open_by = where(closed, zeros(), constant + maximum(zeros(), -least))
    gap = where(closed[:, None], zeros(), gap)
    plus, minus = maximum(margins, zeros()), maximum(-margins, zeros())
    first, second = lower + plus @ gap, minus @ gap - lower
    return _pair_maximum(first, second, pairs) + abs(margins) @ open_by


def _affine(affine, rows):
    """Coefficients over the input, and the constant, of rows over nodes that must be affine."""
    coefficients, constant = linear_form(affine, rows)
    if set(coefficients) - {0}:
        kinds = sorted({type(affine.nodes[index]).__name__ for index in coefficients if index})
        raise CheckFailure(f"the closed form is for affine lo and width, but they read nodes of {kinds}")
    return coefficients.get(0, zeros(len(constant), affine.nodes[0].size)), constant


def _domain_maximum(network, weight):
    """Largest ``weight @ p`` on the domain, (n_rows,)."""
    return DomainInputs(network.snapshot.domain).affine(weight).high


def _pair_maximum(first, second, pairs):
    """Largest ``first @ p' + second @ p''`` over the related pairs, (n_rows,)."""
    domain = pairs.domain
    numeric = ~domain.in_group
    top = Exact((domain.upper > domain.lower).astype(int).astype(object))[numeric]
    box, band = Interval(zeros(*top.shape), top), Interval(*(end[numeric] for end in pairs.unit_difference()))
    total = band_maximum(first[:, numeric], second[:, numeric], box, box, band).sum(axis=1)
    for group, allowed in zip(domain.groups, pairs.allowed, strict=True):
        a, b = np.nonzero(allowed)
        scores = category_scores(first, group)[:, a] + category_scores(second, group)[:, b]
        total = total + scores.max(axis=1)
    return total
