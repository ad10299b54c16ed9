"""A claimed violation: the pair is related, its outputs break R, and the model can produce them."""

from fractions import Fraction

import numpy as np

from smile_sklearn._check.claim import finite, row
from smile_sklearn._check.derive import node_ranges, output_error
from smile_sklearn._check.exact import maximum, minimum, zeros
from smile_sklearn._check.network import PointInputs
from smile_sklearn._check.report import CheckFailure, shown

FIELDS = {"first", "second", "first_output", "second_output", "violation"}


def check_counterexample(data, network, pairs):
    """Return the exact violation, a Fraction.

    The backbone is not in the file, so the outputs cannot be computed again; but whatever it is,
    they must lie between L(x) and U(x) of the model's box at their row.

    Raises
    ------
    CheckFailure
        If the pair is not related, breaks nothing, or no backbone could give these outputs.
    """
    snapshot = network.snapshot
    if not isinstance(data, dict) or set(data) != FIELDS:
        raise CheckFailure(f"a violation needs a counterexample with {sorted(FIELDS)}")
    first, second = (row(data[name], snapshot.n_features, name) for name in ("first", "second"))
    outputs = [row(data[name], snapshot.n_outputs, name) for name in ("first_output", "second_output")]
    reason = pairs.contains(first, second)
    if reason:
        raise CheckFailure(f"the pair is not related: {reason}")
    violation = _violation(outputs, pairs)
    if violation <= 0:
        raise CheckFailure("the two outputs do not break the property")
    # A margin may have been rounded: the claim may be the smaller reading, not a larger one.
    if not 0 < finite(data["violation"], "violation") <= violation * (1 + Fraction(1, 2**50)):
        raise CheckFailure(
            f"it claims a violation of {data['violation']}, but the outputs show {shown(violation)}"
        )
    points = [_Point(network, unit) for unit in snapshot.domain.to_unit(np.array([first, second]))]
    for name, point, produced in zip(("first", "second"), points, outputs, strict=True):
        _check_box(name, point, produced, network)
    _check_common(points, outputs, network)
    return violation


def _violation(outputs, pairs):
    """By how much the worst margin leaves [el, eu], exactly."""
    first, second = ([Fraction(value) for value in values] for values in outputs)
    change = [a - b for a, b in zip(first, second, strict=True)]
    if len(change) > 1:
        # (f_j - f_k)(x') - (f_j - f_k)(x'')
        change = [a - b for j, a in enumerate(change) for b in change[j + 1 :]]
    above = [] if pairs.epsilon_upper is None else [value - pairs.epsilon_upper for value in change]
    below = [] if pairs.epsilon_lower is None else [pairs.epsilon_lower - value for value in change]
    return max(above + below)


class _Point:
    """What the file tells of one row: its exact lo and hi, and by how much the computed outputs may err.

    Parameters
    ----------
    network : ExactNetwork
    unit : ndarray of shape (d,)
        Unit coordinates, as the network reads them.
    """

    def __init__(self, network, unit):
        self.unit = unit
        ranges = node_ranges(network, PointInputs(unit))
        self.lo, self.hi = (ranges[end].low for end in (network.snapshot.lower, network.snapshot.upper))
        _, self.error = output_error(network, ranges)


def _check_box(name, point, produced, network):
    """Every output and every margin at one row must be within what its box allows, but for rounding."""
    bottom, top = point.lo, maximum(point.lo, point.hi)
    for what, weight, bias, error, value in _quantities(network, point.error, produced):
        least, most = _extremes(weight, bottom, top)
        low, high = ((end + bias).fraction() for end in (least - error, most + error))
        if not low <= value <= high:
            raise CheckFailure(
                f"{what} {shown(value)} at its {name} row is outside [{shown(low)}, {shown(high)}], "
                "the box that holds whatever the backbone computes"
            )


def _check_common(points, outputs, network):
    """Rows with equal coordinates in all that the backbone reads have one embedding z.

    Then each unit moves within [min(0, dlo, dhi), max(0, dlo, dhi)], as max(lo, min(hi, z)) is nondecreasing
    and 1-Lipschitz in (lo, hi), whatever z is. That equal coordinates give equal bits is what the shared
    coupling rests on too.
    """
    first, second = points
    if np.array_equal(first.unit, second.unit):
        if outputs[0] != outputs[1]:
            raise CheckFailure("its two rows are one input of the network, with two outputs")
        return
    reads = list(network.snapshot.reads)
    if not np.array_equal(first.unit[reads], second.unit[reads]):
        return
    none, lo, hi = zeros(len(first.lo)), first.lo - second.lo, first.hi - second.hi
    fall, rise = minimum(none, minimum(lo, hi)), maximum(none, maximum(lo, hi))
    change = [Fraction(a) - Fraction(b) for a, b in zip(*outputs, strict=True)]
    for what, weight, _, error, value in _quantities(network, first.error + second.error, change):
        least, most = _extremes(weight, fall, rise)
        low, high = ((least - error).fraction(), (most + error).fraction())
        if not low <= value <= high:
            raise CheckFailure(
                f"{what} changes by {shown(value)}, but by [{shown(low)}, {shown(high)}] at most: its two "
                f"rows are equal in {reads}, all that the backbone reads"
            )


def _quantities(network, error, values):
    """(what, row of the head, bias, error, value) of every output, and of every margin of several."""
    head = network.head
    values = [Fraction(value) for value in values]
    for j, value in enumerate(values):
        yield (
            f"the output {j}" if len(values) > 1 else "the output",
            head.weight[[j]],
            head.bias[[j]],
            error[[j]],
            value,
        )
    for j, k in zip(*np.triu_indices(len(values), k=1), strict=True):
        weight, bias = (part[[j]] - part[[k]] for part in (head.weight, head.bias))
        yield (
            f"the margin of outputs {j} and {k}",
            weight,
            bias,
            error[[j]] + error[[k]],
            values[j] - values[k],
        )


def _extremes(weight, low, high):
    """Least and largest ``weight @ z`` over low <= z <= high, arrays of one element."""
    plus, minus = maximum(weight, zeros(*weight.shape)), minimum(weight, zeros(*weight.shape))
    return plus @ low + minus @ high, plus @ high + minus @ low
