"""The proof of one certificate, by its kind: derived again, or compared with what it says of itself."""

import math
from fractions import Fraction

from smile_sklearn._check.branch_and_bound import check_branch_and_bound
from smile_sklearn._check.closed_form import closed_form_interval
from smile_sklearn._check.compare import (
    check_bound,
    check_coupling,
    check_rigor,
    check_variation,
    derivation_of,
    interval_text,
    read_couplings,
    read_interval,
    violation_of,
)
from smile_sklearn._check.report import CheckFailure
from smile_sklearn._check.signs import output_directions
from smile_sklearn._check.solver import check_solver

NOTHING = (-math.inf, math.inf)


def check_difference(journal, claim, network, pairs):
    """Difference bounds: derive every interval again, exactly, and compare."""
    _check_intervals(journal, claim, network, pairs, lambda derivation, name: derivation.interval(name))


def check_closed_form(journal, claim, network, pairs):
    """The closed form: derive its interval again, exactly, and compare."""
    if claim.coupling != "box":
        raise CheckFailure(f"the closed form speaks of the box coupling, got {claim.coupling!r}")
    _check_intervals(
        journal, claim, network, pairs, lambda derivation, _: closed_form_interval(derivation, pairs)
    )


def check_nothing_claimed(journal, claim, network, pairs):
    """A certificate without a proof may claim no bound, and only that a pair was replayed."""
    nothing = claim.bound == math.inf and claim.variation == math.inf
    kind = claim.proof.get("kind")
    text = repr(kind) if isinstance(kind, (str, type(None))) else f"a {type(kind).__name__}"
    journal.note(
        "proof", nothing, f"of kind {text}, which proves no bound" + (", nor is one claimed" * nothing)
    )
    journal.note(
        "rigor", claim.rigor == "replayed", f"{claim.rigor}: nothing is derived, so it must be 'replayed'"
    )


def check_proof(journal, claim, network, pairs):
    """The proof by its kind."""
    kind = claim.proof.get("kind")
    # JSON may hold a list there, which is no key.
    checker = KINDS.get(kind, check_nothing_claimed) if isinstance(kind, str) else check_nothing_claimed
    checker(journal, claim, network, pairs)


KINDS = {
    "difference": check_difference,
    "closed form": check_closed_form,
    "branch and bound": check_branch_and_bound,
    "mip": check_solver,
}
"""Kinds of proof that are known; any other proves nothing here."""


def _check_intervals(journal, claim, network, pairs, derive):
    """One interval a coupling: each must contain what is derived, and the claim must follow from them."""
    snapshot, claimed = network.snapshot, _claimed_intervals(claim)
    if not check_coupling(journal, claimed, snapshot, pairs):
        return
    derivation = derivation_of(network, pairs)
    derived = {name: derive(derivation, name) if derivation else NOTHING for name in claimed}
    rises, falls = (
        output_directions(snapshot, pairs, shared="shared" in claimed) if derivation else (True, True)
    )
    ours, theirs = (_join(intervals.values(), rises, falls) for intervals in (derived, claimed))
    for name, (low, high) in claimed.items():
        inside = low <= derived[name][0] and derived[name][1] <= high
        text = " within ".join(interval_text(ends) for ends in (derived[name], (low, high)))
        journal.note("interval", inside, f"{name}: derived {text} claimed")
    check_bound(journal, claim.bound, violation_of(ours, pairs), violation_of(theirs, pairs), theirs)
    check_variation(journal, claim.variation, ours, theirs)
    check_rigor(journal, claim, derivation, pairs, rises, falls)


def _claimed_intervals(claim):
    intervals = claim.proof.get("couplings")
    if not isinstance(intervals, dict) or set(intervals) != set(read_couplings(claim)):
        raise CheckFailure(f"the proof must hold the intervals of its couplings {claim.coupling!r}")
    return {name: read_interval(ends, name) for name, ends in intervals.items()}


def _join(intervals, rises, falls):
    """The smallest of the intervals on each side; what cannot rise rises by at most 0."""
    intervals = list(intervals)
    low, high = max(low for low, _ in intervals), min(high for _, high in intervals)
    return (low if falls else max(low, Fraction(0))), (high if rises else min(high, Fraction(0)))
