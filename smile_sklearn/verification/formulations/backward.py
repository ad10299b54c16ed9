r"""Backward linear bounds of units and of their differences: smaller ranges, hence smaller big-Ms.

Intervals forget that units read the same inputs. Here a row over units is written over the inputs before
it is bounded; each clamped unit on the way is replaced by a line above it where its coefficient is
positive, and by a line below it where it is negative (CROWN). For :math:`a = clamp(p; c, e)` on
:math:`p \in [l, u]` and ANY slope s, the line :math:`s p + t` is above a if

.. math:: t \ge \max_{q \in \{l, c, e, u\} \cap [l, u]} clamp(q; c, e) - s q

since the difference of the two is piecewise linear with those breakpoints; mirrored for a line below.
For differences, :math:`da \le s \, dp + t` with a line above max(0, dp) on :math:`[D^-, D^+]`: it is above
da for every nondecreasing 1-Lipschitz unit, and the mirrored line is below.

Rounding: what a coefficient may be off by is multiplied with the largest value of its unit and added.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn.verification.linear_form import linear_form
from smile_sklearn.verification.rounding import (
    SMALLEST,
    UNIT_ROUNDOFF,
    absolute_matmul,
    add_upper,
    matmul_upper,
)


class Lines(NamedTuple):
    """Lines above and below the units of one node, ``slope * source + constant``, each (size,)."""

    slope_above: np.ndarray
    above: np.ndarray
    slope_below: np.ndarray
    below: np.ndarray


def value_lines(node, source):
    """Lines of clamped units on the ranges of their sources, a :class:`Lines`."""
    low, high = source
    linear = (low >= node.lower) & (high <= node.upper)
    flat = (high <= node.lower) | (low >= node.upper)
    inner, outer = np.clip(node.lower, low, high), np.clip(node.upper, low, high)
    at = lambda point: np.minimum(np.maximum(point, node.lower), node.upper)
    # Chords where the unit is convex at its start (above) or concave at its end (below); else the
    # slope, 0 or 1, that leaves the smaller area.
    slope_above = np.where(
        low < node.lower, _ratio(at(outer) - at(low), outer - low), outer - low > high - outer
    )
    slope_below = np.where(
        high > node.upper, _ratio(at(high) - at(inner), high - inner), high - inner > inner - low
    )
    slope_above, slope_below = (
        np.where(linear, 1.0, np.where(flat, 0.0, slope)) for slope in (slope_above, slope_below)
    )
    points = [low, inner, outer, high]
    above = np.max([_excess(at(point), slope_above * point) for point in points], axis=0)
    below = -np.max([_excess(-at(point), -slope_below * point) for point in points], axis=0)
    return Lines(slope_above, np.where(linear, 0.0, above), slope_below, np.where(linear, 0.0, below))


def difference_lines(node, source, difference):
    """Lines of the difference of clamped units over that of their sources, a :class:`Lines`."""
    linear = (source.low >= node.lower) & (source.high <= node.upper)
    flat = (source.high <= node.lower) | (source.low >= node.upper)
    slope_above, above = chord(difference.low, difference.high)
    slope_below, below = chord(-difference.high, -difference.low)
    through = lambda slope: np.where(linear, 1.0, np.where(flat, 0.0, slope))
    nothing = linear | flat
    return Lines(
        through(slope_above),
        np.where(nothing, 0.0, above),
        through(slope_below),
        np.where(nothing, 0.0, -below),
    )


def chord(low, high):
    """Slope and constant of a line above max(0, d) on [low, high]; broadcasts.

    The function is convex: a line above it at both ends is above it in between, whatever its
    slope; so only the constant needs outward rounding.
    """
    crosses = (low < 0.0) & (high > 0.0)
    slope = np.where(crosses, _ratio(high, high - low), high > 0.0)
    constant = np.maximum(_excess(0.0 * slope, slope * low), _excess(high, slope * high))
    return slope, np.where(crosses, constant, 0.0)


def backward_upper(graph, rows, lines, magnitudes, at_input, *, constants):
    """Upper bound of ``sum_k rows[k] @ node_k``, rounded outward, (m,).

    Parameters
    ----------
    graph : Graph
    rows : dict of int to ndarray of shape (m, size)
    lines : dict of int to Lines
        Of every clamped node below the rows.
    magnitudes : list of ndarray
        Largest absolute value of every node below the rows.
    at_input : callable
        Upper bound (m,) of ``weight @ input``.
    constants : bool
        Whether biases count; they drop out of differences.
    """
    total = np.zeros(len(next(iter(rows.values()))))
    pending, errors = {}, {}
    while rows:
        form = linear_form(graph, rows)
        if constants:
            total = add_upper(
                total, form.constant + np.zeros_like(total), form.constant_error + np.zeros_like(total)
            )
        for node, weight in form.coefficients.items():
            _accumulate(pending, errors, node, weight, form.errors[node])
        index = max(pending)
        weight = pending.pop(index)
        total = add_upper(total, absolute_matmul(errors.pop(index), magnitudes[index]))
        if index == 0:
            return add_upper(total, at_input(weight))
        line, source = lines[index], graph.nodes[index].source
        total = add_upper(total, matmul_upper(weight, line.below, line.above))
        # One of the two products is 0, so an entry is rounded once (and may underflow).
        weight = np.maximum(weight, 0.0) * line.slope_above + np.minimum(weight, 0.0) * line.slope_below
        rounding = np.where(weight != 0.0, UNIT_ROUNDOFF * np.abs(weight), 0.0) + SMALLEST
        total = add_upper(total, absolute_matmul(rounding, magnitudes[source]))
        rows = {source: weight}
    return total


def _accumulate(pending, errors, node, weight, error):
    if node in pending:
        weight = pending[node] + weight
        error = (error + errors[node] + UNIT_ROUNDOFF * np.abs(weight)) * (1.0 + 8 * UNIT_ROUNDOFF)
    pending[node], errors[node] = weight, error


def _ratio(numerator, denominator):
    usable = denominator > 0.0
    return np.where(usable, numerator / np.where(usable, denominator, 1.0), 0.0)


def _excess(value, product):
    """Upper bound of ``value`` minus a product that was rounded once."""
    return add_upper(value, -product, np.spacing(np.abs(product)))
