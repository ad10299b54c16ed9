"""The proof of one certificate, by its kind: derived again, or compared with what it says of itself."""

import math
from fractions import Fraction

from smile_sklearn._check.claim import number
from smile_sklearn._check.derive import Derivation
from smile_sklearn._check.report import CheckFailure, shown
from smile_sklearn._check.signs import output_directions

ROUNDING = Fraction(1, 2**48)
"""Relative distance within which floats computed from the same numbers agree."""


def check_difference(journal, claim, network, pairs):
    """Difference bounds: derive every interval again, exactly, and compare."""
    snapshot, claimed = network.snapshot, _claimed_intervals(claim)
    if not _check_coupling(journal, claimed, snapshot, pairs):
        return
    derivation = _derivation(network, pairs)
    derived = {name: derivation.interval(name) if derivation else (-math.inf, math.inf) for name in claimed}
    rises, falls = (
        output_directions(snapshot, pairs, shared="shared" in claimed) if derivation else (True, True)
    )
    ours, theirs = (_join(intervals.values(), rises, falls) for intervals in (derived, claimed))
    _check_intervals(journal, claimed, derived)
    _check_bound(journal, claim.bound, _violation(ours, pairs), _violation(theirs, pairs), theirs)
    _check_variation(journal, claim.variation, ours, theirs)
    _check_rigor(journal, claim, derivation, pairs, rises, falls)


def check_solver(journal, claim, network, pairs):
    """A solver's proof: only what it says of itself can be compared."""
    problems = claim.proof.get("problems")
    solvers = _solvers(claim, problems)
    journal.note(
        "rigor", claim.rigor == "solver", f"rests on {', '.join(solvers)}, so rigor must be 'solver'"
    )
    for item in (*solvers, "the translation of the network into a mixed-integer program"):
        journal.trust(item)
    _check_coupling(journal, claim.coupling.split(", "), network.snapshot, pairs)
    interval = journal.take(
        "proof",
        lambda: _solved_interval(problems, network, pairs),
        lambda ends: f"its maximisations give {_text(ends)}",
    )
    if interval is not None:
        violation = _violation(interval, pairs)
        _check_bound(journal, claim.bound, violation, violation, interval)
        _check_variation(journal, claim.variation, interval, interval)


def check_nothing_claimed(journal, claim, network, pairs):
    """A certificate without a proof may claim no bound."""
    nothing = claim.bound == math.inf and claim.variation == math.inf
    kind = claim.proof.get("kind")
    journal.note(
        "proof", nothing, f"of kind {kind!r}, unknown here" + (", but it claims no bound" if nothing else "")
    )


KINDS = {"difference": check_difference, "mip": check_solver}
"""Kinds of proof that are known; any other proves nothing here."""


def _check_coupling(journal, names, snapshot, pairs):
    """The shared coupling applies only if Q holds equal all that the backbone reads."""
    if "shared" not in names:
        return journal.note("coupling", True, "box: the backbone may be anything")
    moving = pairs.may_rise | pairs.may_fall
    apart = [index for index in snapshot.reads if moving[index]]
    journal.trust(
        f"the backbone computes equal bits from equal features {list(snapshot.reads)}, all it reads"
    )
    return journal.note(
        "coupling",
        not apart,
        f"shared: of the features the backbone reads, {apart or 'none'} may differ",
    )


def _claimed_intervals(claim):
    intervals = claim.proof.get("couplings")
    named = set(claim.coupling.split(", "))
    if not isinstance(intervals, dict) or set(intervals) != named or not named <= {"box", "shared"}:
        raise CheckFailure(f"the proof must hold the intervals of its couplings {claim.coupling!r}")
    return {name: _interval(ends, name) for name, ends in intervals.items()}


def _interval(ends, name):
    if not isinstance(ends, list) or len(ends) != 2:
        raise CheckFailure(f"got {ends!r} for the interval of {name}")
    low = -math.inf if ends[0] == "-inf" else number(ends[0], name)
    return low, number(ends[1], name)


def _derivation(network, pairs):
    """None where the forward pass may overflow: then nothing can be shown."""
    try:
        return Derivation(network, pairs)
    except CheckFailure:
        return None


def _join(intervals, rises, falls):
    """The smallest of the intervals on each side; what cannot rise rises by at most 0."""
    intervals = list(intervals)
    low, high = max(low for low, _ in intervals), min(high for _, high in intervals)
    return (low if falls else max(low, Fraction(0))), (high if rises else min(high, Fraction(0)))


def _violation(interval, pairs):
    """Largest violation that an interval of f(x') - f(x'') leaves possible."""
    low, high = interval
    above = [] if pairs.epsilon_upper is None else [high - pairs.epsilon_upper]
    below = [] if pairs.epsilon_lower is None else [pairs.epsilon_lower - low]
    return max(above + below)


def _variation(interval):
    low, high = interval
    return max(high, -low, Fraction(0))


def _check_intervals(journal, claimed, derived):
    for name, (low, high) in claimed.items():
        inside = low <= derived[name][0] and derived[name][1] <= high
        text = " within ".join(_text(ends) for ends in (derived[name], (low, high)))
        journal.note("interval", inside, f"{name}: derived {text} claimed")


def _check_bound(journal, claimed, derived, stated, interval):
    """The bound must be proved, and be the one that the document's own intervals give."""
    journal.note(
        "bound",
        derived <= claimed and _agree(claimed, stated, interval),
        f"claimed {shown(claimed)}, derived {shown(derived)}, from its own intervals {shown(stated)}",
    )


def _check_variation(journal, claimed, ours, theirs):
    derived, stated = _variation(ours), _variation(theirs)
    journal.note(
        "variation",
        derived <= claimed and _agree(claimed, stated, theirs),
        f"claimed {shown(claimed)}, derived {shown(derived)}",
    )


def _check_rigor(journal, claim, derivation, pairs, rises, falls):
    if claim.rigor == "exact":
        # Signs prove 0 and nothing below it.
        upper = pairs.epsilon_upper is None or (pairs.epsilon_upper >= 0 and not rises)
        lower = pairs.epsilon_lower is None or (pairs.epsilon_lower <= 0 and not falls)
        journal.note("rigor", upper and lower, "exact: signs alone must decide every limited side")
        journal.trust("the forward pass sums each row in one fixed order")
    else:
        slack = derivation.largest_slack() if derivation else math.inf
        journal.note(
            "rigor",
            claim.rigor == "rounded" and slack <= claim.slack,
            f"{claim.rigor}: rounding slack {shown(slack)}, claimed {shown(claim.slack)}",
        )


def _agree(claimed, stated, interval):
    if math.inf in (claimed, stated):
        return claimed == stated
    size = max([abs(end) for end in interval if not isinstance(end, float)], default=0)
    return abs(claimed - stated) <= ROUNDING * (size + abs(stated) + abs(claimed)) + Fraction(1, 2**1070)


def _solvers(claim, problems):
    named = [item.get("solver") for item in problems or () if isinstance(item, dict)]
    return list(dict.fromkeys(name for name in named if isinstance(name, str))) or [claim.verifier]


def _solved_interval(problems, network, pairs):
    """Interval of f(x') - f(x'') that the listed maximisations give; a side not listed is unbounded."""
    if not isinstance(problems, list) or not all(isinstance(item, dict) for item in problems):
        raise CheckFailure("the proof must list the problems that were solved")
    best = {}
    for item in problems:
        key = (item.get("side"), item.get("margin"))
        bound = math.inf if item.get("bound") is None else number(item.get("bound"), "the bound of a problem")
        best[key] = min(best.get(key, math.inf), bound)
    margins = range(len(network.margins))
    high, low = (max(best.get((side, margin), math.inf) for margin in margins) for side in ("upper", "lower"))
    if not any(key[0] == "lower" for key in best) and _symmetric(pairs):
        low = high  # exchanging x' and x'' turns one side into the other
    return -low, high


def _symmetric(pairs):
    if (
        pairs.epsilon_upper is None
        or pairs.epsilon_lower is None
        or pairs.epsilon_lower != -pairs.epsilon_upper
    ):
        return False
    return all(low == -high for low, high in zip(pairs.delta_lower, pairs.delta_upper, strict=True))


def _text(ends):
    return f"[{shown(ends[0])}, {shown(ends[1])}]"
