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
    for name, values, produced in (("first", first, outputs[0]), ("second", second, outputs[1])):
        _check_box(name, np.array(values), produced, network)
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


def _check_box(name, values, produced, network):
    """The outputs at one row must lie in [L(x), U(x)], but for rounding."""
    snapshot, head = network.snapshot, network.head
    ranges = node_ranges(network, PointInputs(snapshot.domain.to_unit(values[None])[0]))
    lo, hi = ranges[snapshot.lower].low, ranges[snapshot.upper].low
    top = maximum(lo, hi)
    _, error = output_error(network, ranges)
    none = zeros(*head.weight.shape)
    plus, minus = maximum(head.weight, none), minimum(head.weight, none)
    least = (plus @ lo + minus @ top + head.bias - error).fractions()
    most = (plus @ top + minus @ lo + head.bias + error).fractions()
    for output, low, high in zip(produced, least, most, strict=True):
        if not low <= Fraction(output) <= high:
            raise CheckFailure(
                f"the output {output!r} at its {name} row is outside [{shown(low)}, {shown(high)}], "
                "the box that holds whatever the backbone computes"
            )
