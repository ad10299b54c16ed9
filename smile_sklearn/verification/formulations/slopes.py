r"""Which way the objective pulls every unit: kinks that it never leans against need no binary.

The objective of the pair model is a maximum of linear functions of lo and hi (which end of a box, which
candidate of the shared coupling). For each latent unit and each of these choices, lo and hi are written
over the clamped units, in both copies; the hull over the choices, summed over the latent units, holds
the slope of the objective in each unit. Through a clamp, slopes shrink by a factor in [0, 1]; below it
they go on.

A unit whose slope is never positive is pushed down by every optimum, so the rows that hold it down from
above are not needed, and with them the binary of a kink where the clamp is convex (a relu from below):

.. math:: a \ge c, \; a \ge p \quad\text{instead of}\quad a = \max(c, p)

Sound: rows are only left out, so every true pair stays feasible. Exact: put all units to what the network
computes from the inputs of a feasible point, from the first layer on. Each move is in the direction of
a slope of one sign, so the objective does not fall. Slopes are computed in floats; an error in one could
only loosen the bound.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn.snapshot.graph import Clamp
from smile_sklearn.verification.intervals import Interval
from smile_sklearn.verification.linear_form import linear_form


class Slopes(NamedTuple):
    """Interval of the slope of the objective in each unit of one node, (2, size): one row a copy.

    A unit that is one variable in both copies has its slope in the first row.
    """

    low: np.ndarray
    high: np.ndarray


def objective_slopes(analysis, couplings, row, gap):
    """Slopes of V in the units of every nonlinear node.

    Parameters
    ----------
    analysis : Analysis
    couplings : tuple of str
    row : ndarray of shape (n_latent,)
    gap : Gap

    Returns
    -------
    dict of int to Slopes
    """
    graph = analysis.snapshot.graph
    merged = [(low == 0.0) & (high == 0.0) for low, high in analysis.differences]
    slopes = _at_the_ends(analysis, couplings, row, gap, merged)
    for index in range(len(graph) - 1, 0, -1):
        node = graph.nodes[index]
        if isinstance(node, Clamp) and index in slopes:
            sources = [ranges[node.source] for ranges in analysis.ranges]
            before = _through_clamp(node, slopes[index], sources)
            form = linear_form(graph, {node.source: np.eye(node.size)})
            for source, weight in form.coefficients.items():
                _add(slopes, source, _times(before, weight), merged[source])
    return slopes


def _at_the_ends(analysis, couplings, row, gap, merged):
    """Hull over the choices of every latent unit, summed over the units."""
    snapshot, slopes = analysis.snapshot, {}
    weight, rising = np.abs(row)[:, None], (row > 0)[:, None]
    forms = [
        linear_form(snapshot.graph, {end: np.eye(snapshot.n_latent)}).coefficients
        for end in (snapshot.lower, snapshot.upper)
    ]
    choices = _choices(analysis, couplings, gap, rising[:, 0])
    for node in sorted(set(forms[0]) | set(forms[1])):
        zero = np.zeros((snapshot.n_latent, snapshot.graph.nodes[node].size))
        lower, upper = (form.get(node, zero) for form in forms)
        ends = {"lower": lower, "upper": upper, None: zero}
        low, high = np.full((2, *zero.shape), np.inf), np.full((2, *zero.shape), -np.inf)
        for possible, plus, minus in choices:
            # sign > 0: plus end at x', minus end at x''; the other way round for a negative weight.
            first = np.where(rising, ends[plus], -ends[minus])
            second = np.where(rising, -ends[minus], ends[plus])
            pair = np.stack(
                [first + np.where(merged[node], second, 0.0), np.where(merged[node], 0.0, second)]
            )
            taken = possible[:, None]
            low, high = (
                np.where(taken, np.minimum(low, pair), low),
                np.where(taken, np.maximum(high, pair), high),
            )
        total = [(np.where(weight > 0, end * weight, 0.0)).sum(axis=1) for end in (low, high)]
        slopes[node] = Slopes(*total)
    return slopes


def _choices(analysis, couplings, gap, rising):
    """(units with that choice, end with plus, end with minus), as the objective encodes them."""
    choices = []
    if "shared" in couplings:
        zero, lower, upper = _candidates_in_the_race(analysis, gap, rising)
        choices += [(zero, None, None), (lower, "lower", "lower"), (upper, "upper", "upper")]
    if "box" in couplings:
        # The copy at the top is the first for a positive weight, the second for a negative one.
        opened, closed = (
            np.where(rising, *(test(copy) for copy in (0, 1))) for test in (gap.is_open, gap.is_closed)
        )
        choices += [(~opened | closed, "lower", "lower"), (~closed, "upper", "lower")]
    return choices


def _candidates_in_the_race(analysis, gap, rising):
    """Units in which the shared coupling may choose 0, dlo and dhi: (n_latent,) masks."""
    snapshot = analysis.snapshot
    move, direct, growth = (
        Interval(*(np.where(rising, *ends) for ends in zip(interval, interval.swapped(), strict=True)))
        for interval in (
            analysis.differences[snapshot.lower],
            analysis.differences[snapshot.upper],
            gap.difference,
        )
    )
    no_upper = growth.high <= 0.0
    no_lower = (growth.low >= 0.0) & ~no_upper
    above_zero = (~no_lower & (move.low > 0.0)) | (~no_upper & (direct.low > 0.0))
    return ~above_zero, ~no_lower, ~no_upper


def _through_clamp(node, slopes, sources):
    """Slopes in the sources: those of the units, times anything in [0, 1] where there is a kink."""
    low, high = (np.stack([source[end] for source in sources]) for end in (0, 1))
    linear = (low >= node.lower) & (high <= node.upper)
    flat = (high <= node.lower) | (low >= node.upper)
    least = np.where(linear, slopes.low, np.minimum(0.0, slopes.low))
    most = np.where(linear, slopes.high, np.maximum(0.0, slopes.high))
    return Slopes(np.where(flat, 0.0, least), np.where(flat, 0.0, most))


def _times(slopes, weight):
    positive, negative = np.maximum(weight, 0.0), np.minimum(weight, 0.0)
    return Slopes(
        slopes.low @ positive + slopes.high @ negative, slopes.high @ positive + slopes.low @ negative
    )


def _add(slopes, node, more, merged):
    low, high = (
        np.stack([end[0] + np.where(merged, end[1], 0.0), np.where(merged, 0.0, end[1])]) for end in more
    )
    if node in slopes:
        low, high = low + slopes[node].low, high + slopes[node].high
    slopes[node] = Slopes(low, high)
