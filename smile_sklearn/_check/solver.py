"""Proofs by a mixed-integer solver: its bounds are trusted, and checked as far as they can be.

The list of its problems must be complete and must give the claim. Bounds that needed no solver are
proved again. The others go through a few splits of our own: a pair may refute them.
"""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np

from smile_sklearn._check.branch_and_bound import Prover, Refuted
from smile_sklearn._check.claim import number
from smile_sklearn._check.compare import (
    check_bound,
    check_coupling,
    check_variation,
    derivation_of,
    interval_text,
    join_sides,
    read_couplings,
    violation_of,
)
from smile_sklearn._check.derive import Derivation
from smile_sklearn._check.report import CheckFailure, Effort, shown

DIFFERENCE = "difference bounds"
"""The "solver" of problems whose bound needed none: those are proved again."""

SPLITS = 200
"""Splits a side that are spent, at most, on proving or refuting what the solver is trusted for."""

SIZE = 5000
"""Weights of a network up to which these take about a second."""


def check_solver(journal, claim, network, pairs):
    """A solver's proof: what it says of itself is compared, and what needed no solver is proved."""
    problems, couplings = claim.proof.get("problems"), read_couplings(claim)
    solvers, derivation = _solvers(claim, problems), derivation_of(network, pairs)
    rounding = derivation.largest_slack() if derivation else math.inf
    journal.note(
        "rigor",
        claim.rigor == "solver" and (claim.bound == math.inf or rounding <= claim.slack < math.inf),
        f"rests on {', '.join(solvers) or 'no solver'}; rigor must be 'solver', is {claim.rigor!r}; "
        f"rounding slack {shown(rounding)}, claimed {shown(claim.slack)}",
    )
    for item in (*solvers, *["the translation of the network into a mixed-integer program"] * bool(solvers)):
        journal.trust(item)
    if not check_coupling(journal, couplings, network.snapshot, pairs):
        return
    bounds = journal.take(
        "proof",
        lambda: _solved_bounds(problems, _Reproof(couplings, network, pairs, journal.effort), network, pairs),
        lambda bounds: f"its maximisations give {interval_text(join_sides(bounds, network, pairs))}",
    )
    if bounds is None:
        return
    interval = join_sides(bounds, network, pairs)
    violation = violation_of(interval, pairs)
    check_bound(journal, claim.bound, violation, violation, interval)
    check_variation(journal, claim.variation, interval, interval)
    if derivation is None:
        nothing = all(bound == math.inf for bound in bounds.values())
        journal.note("solver", nothing, "the float64 forward pass may overflow: no bound speaks of it")
    elif not solvers:
        return
    elif _size(network) <= SIZE:
        prover = Prover(network, pairs, couplings, derivation.slack)
        journal.take(
            "solver",
            lambda: _examine(bounds, prover, journal.curiosity),
            lambda proved: (
                f"of {len(bounds)} bounds {proved} are proved here, and no pair refutes the others"
            ),
        )
    else:
        journal.trust("the solver's bounds were not examined here: the network is too large")


def _size(network):
    return sum(int(np.prod(layer.weight.shape)) for layer in network.layers.values())


def _examine(bounds, prover, effort):
    """Try to prove or to refute what a solver is trusted for, with few splits; return how many are proved."""
    proved = 0
    for key, bound in bounds.items():
        few = Effort(min(SPLITS, max(effort.splits, 0)))
        effort.splits -= few.splits
        try:
            prover.prove(key, bound, ["leaf"], few)
        except Refuted as refuted:
            raise CheckFailure(f"{key[0]} side of margin {key[1]}: {refuted}") from refuted
        except CheckFailure:
            continue  # open: neither proved nor refuted, so the solver is trusted for it
        finally:
            effort.splits += max(few.splits, 0)
        proved += bound < math.inf
    return proved


def _solvers(claim, problems):
    """All that is trusted: an item that names no solver rests on what issued the certificate."""
    items = problems if isinstance(problems, list) else ()
    issuer = claim.verifier.strip() or "an unnamed solver"
    named = [item.get("solver") for item in items if isinstance(item, dict)]
    trusted = [
        (name.strip() if isinstance(name, str) else "") or issuer for name in named if name != DIFFERENCE
    ]
    return list(dict.fromkeys(trusted)) if named else [issuer]


def _solved_bounds(problems, reproof, network, pairs):
    """Bounds by (side, margin) that the listed maximisations give."""
    if not isinstance(problems, list) or not all(isinstance(item, dict) for item in problems):
        raise CheckFailure("the proof must list the problems that were solved")
    whole, parts, without_solver = {}, {}, {}
    for item in problems:
        key, pair = _key(item, network), _pair(item.get("pair"), pairs)
        bound = math.inf if item.get("bound") is None else number(item.get("bound"), "the bound of a problem")
        if item.get("solver") == DIFFERENCE and bound < math.inf:
            without_solver[key, pair] = min(without_solver.get((key, pair), math.inf), bound)
        if pair is None:
            whole[key] = min(whole.get(key, math.inf), bound)
        else:
            group, *categories = pair
            known = parts.setdefault((key, group), {})
            known[tuple(categories)] = min(known.get(tuple(categories), math.inf), bound)
    # The least of several bounds implies the others.
    for (key, pair), bound in without_solver.items():
        reproof.prove(key, pair, bound)
    for (key, group), bounds in parts.items():
        whole[key] = min(whole.get(key, math.inf), _enumerated(group, bounds, pairs))
    return whole


def _key(item, network):
    side, margin = item.get("side"), item.get("margin")
    whole = isinstance(margin, int) and not isinstance(margin, bool)
    if side not in ("upper", "lower") or not whole or not 0 <= margin < len(network.margins):
        raise CheckFailure(f"there is no side {side!r} of margin {margin!r}")
    return side, margin


def _pair(item, pairs):
    """(group, a, b) of a problem that speaks of one pair of categories only; None for all pairs."""
    if item is None:
        return None
    if not isinstance(item, dict) or set(item) != {"group", "first", "second"}:
        raise CheckFailure(f"got {item!r} for a pair of categories")
    group, first, second = (item[name] for name in ("group", "first", "second"))
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in (group, first, second)):
        raise CheckFailure(f"got {item!r} for a pair of categories, expected whole numbers")
    if not 0 <= group < len(pairs.allowed):
        raise CheckFailure(f"there is no group {group}")
    size = len(pairs.allowed[group])
    if not (0 <= first < size and 0 <= second < size and pairs.allowed[group][first, second]):
        raise CheckFailure(f"the pair of categories {[first, second]} of group {group} is not allowed")
    return group, first, second


def _enumerated(group, bounds, pairs):
    """The largest bound over the pairs of a group; none, if one is missing: a search may end at a violation.

    Pairs of equal categories may be missing where everything else is equal too: then x' = x'', and the
    outputs differ by 0.
    """
    allowed = {(int(a), int(b)) for a, b in np.argwhere(pairs.allowed[group])}
    missing = allowed - set(bounds)
    columns = list(pairs.domain.groups[group].columns)
    moving = pairs.may_rise | pairs.may_fall
    moving[columns] = False
    if moving.any() or any(a != b for a, b in missing):
        if missing:
            return math.inf
    elif missing:
        return max(Fraction(0), *bounds.values())
    return max(bounds.values())


class _Reproof:
    """Bounds that needed no solver: derived again, or proved by a few splits of our own."""

    def __init__(self, couplings, network, pairs, effort):
        self._couplings, self._network, self._pairs = couplings, network, pairs
        self._effort, self._known = effort, {}

    def prove(self, key, pair, bound):
        """Prove the bound of a side and margin over all pairs, or over those of two categories."""
        if pair not in self._known:
            related = self._restricted(pair)
            derivation = Derivation(self._network, related)
            intervals = [derivation.margin_intervals(name) for name in self._couplings]
            self._known[pair] = intervals, related, derivation.slack
        intervals, related, slack = self._known[pair]
        side, margin = key
        ends = [interval.high if side == "upper" else -interval.low for interval in intervals]
        if min(end[[margin]].fraction() for end in ends) <= bound:
            return
        try:
            prover = Prover(self._network, related, self._couplings, slack)
            prover.prove(key, bound, ["leaf"], self._effort)
        except CheckFailure as failure:
            raise CheckFailure(
                f"{side} side of margin {margin}: {shown(bound)} is not proved without a solver: {failure}"
            ) from failure

    def _restricted(self, pair):
        """The related pairs that have these two categories."""
        if pair is None:
            return self._pairs
        group, first, second = pair
        only = np.zeros_like(self._pairs.allowed[group])
        only[first, second] = True
        allowed = list(self._pairs.allowed)
        allowed[group] = only
        lower, upper = list(self._pairs.delta_lower), list(self._pairs.delta_upper)
        columns = self._pairs.domain.groups[group]
        steps = columns.categories[first] - columns.categories[second]
        for column, step in zip(columns.columns, steps.tolist(), strict=True):
            lower[column] = upper[column] = Fraction(step)
        return replace(self._pairs, delta_lower=lower, delta_upper=upper, allowed=tuple(allowed))
