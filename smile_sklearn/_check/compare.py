"""What the proofs have in common: comparing what was derived with what the certificate claims."""

import math
from fractions import Fraction

from smile_sklearn._check.claim import number
from smile_sklearn._check.derive import Derivation
from smile_sklearn._check.report import CheckFailure, shown

ROUNDING = Fraction(1, 2**48)
"""Relative distance within which floats computed from the same numbers agree."""


COUPLINGS = (("box",), ("shared",), ("box", "shared"))
"""What a proof may rest on; any other list, a repeated name included, is refused."""


def read_couplings(claim):
    """The couplings that the certificate names, one of `COUPLINGS`."""
    for names in COUPLINGS:
        if claim.coupling == ", ".join(names):
            return names
    raise CheckFailure(f"got the coupling {claim.coupling!r}, expected 'box', 'shared' or 'box, shared'")


def check_coupling(journal, names, snapshot, pairs):
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


def read_interval(ends, name):
    """A claimed interval: two numbers, or "-inf" below and "inf" above."""
    if not isinstance(ends, list) or len(ends) != 2:
        raise CheckFailure(f"got {ends!r} for the interval of {name}")
    low = -math.inf if ends[0] == "-inf" else number(ends[0], name)
    return low, number(ends[1], name)


def derivation_of(network, pairs):
    """None where the forward pass may overflow: then nothing can be shown."""
    try:
        return Derivation(network, pairs)
    except CheckFailure:
        return None


def violation_of(interval, pairs):
    """Largest violation that an interval of f(x') - f(x'') leaves possible."""
    low, high = interval
    above = [] if pairs.epsilon_upper is None else [high - pairs.epsilon_upper]
    below = [] if pairs.epsilon_lower is None else [pairs.epsilon_lower - low]
    return max(above + below)


def _variation(interval):
    low, high = interval
    return max(high, -low, Fraction(0))


def check_bound(journal, claimed, derived, stated, interval):
    """The bound must be proved, and be the one that the document's own intervals give."""
    journal.note(
        "bound",
        derived <= claimed and _agree(claimed, stated, interval),
        f"claimed {shown(claimed)}, derived {shown(derived)}, from its own intervals {shown(stated)}",
    )


def check_variation(journal, claimed, ours, theirs):
    """The variation likewise."""
    derived, stated = _variation(ours), _variation(theirs)
    journal.note(
        "variation",
        derived <= claimed and _agree(claimed, stated, theirs),
        f"claimed {shown(claimed)}, derived {shown(derived)}",
    )


def check_rigor(journal, claim, derivation, pairs, rises, falls):
    """Exact where signs decide (``rises``, ``falls``: whether any output may), else rounded, with slack."""
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


def join_sides(best, network, pairs):
    """Interval of f(x') - f(x'') from bounds by (side, margin); a side that is not listed is unbounded."""
    margins = range(len(network.margins))
    high, low = (max(best.get((side, margin), math.inf) for margin in margins) for side in ("upper", "lower"))
    if not any(side == "lower" for side, _ in best) and symmetric(pairs):
        low = high
    return -low, high


def symmetric(pairs):
    """Whether exchanging x' and x'' turns each side into the other: only then may one be left out."""
    ends = pairs.epsilon_lower, pairs.epsilon_upper
    if None in ends or ends[0] != -ends[1]:
        return False
    deltas = zip(pairs.delta_lower, pairs.delta_upper, strict=True)
    return all(low == -high for low, high in deltas) and all(
        (allowed == allowed.T).all() for allowed in pairs.allowed
    )


def interval_text(ends):
    """An interval for people."""
    return f"[{shown(ends[0])}, {shown(ends[1])}]"
