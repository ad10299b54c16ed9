"""Proofs by branch and bound: every leaf of the tree is bounded again, and split further where that fails."""

import math
from itertools import islice
from typing import NamedTuple

import numpy as np

from smile_sklearn._check.boxes import Boxes
from smile_sklearn._check.claim import number
from smile_sklearn._check.compare import (
    check_bound,
    check_coupling,
    check_rigor,
    check_variation,
    derivation_of,
    interval_text,
    join_sides,
    read_couplings,
    read_interval,
    violation_of,
)
from smile_sklearn._check.envelope import Envelope
from smile_sklearn._check.exact import Exact
from smile_sklearn._check.linear_bounds import LinearMaps
from smile_sklearn._check.region import Cutter
from smile_sklearn._check.report import CheckFailure, shown
from smile_sklearn._check.tree import leaves
from smile_sklearn._check.witness import Witness

BATCH = 128
"""Regions bounded at once."""

FEW = 24
"""Regions bounded at once among the parts of leaves that were not proved."""

DEPTH = 24
"""How often a leaf is split further, at most, before it counts as not proved."""

_ITEM = {"margin", "side", "bound", "tree"}


def check_branch_and_bound(journal, claim, network, pairs):
    """Walk the tree of every side and prove its leaves; then compare what they give with the claim."""
    couplings = read_couplings(claim)
    if claim.proof.get("couplings") != list(couplings):
        raise CheckFailure(f"the proof must name its couplings {list(couplings)}")
    if not check_coupling(journal, couplings, network.snapshot, pairs):
        return
    sides, derivation = _read_sides(claim.proof.get("sides"), network), derivation_of(network, pairs)
    prover = None if derivation is None else Prover(network, pairs, couplings, derivation.slack)
    proved = {}
    for key, side in sides.items():
        bound, name = side["bound"], f"margin {key[1]}, {key[0]}"
        if bound < math.inf and prover is None:
            raise CheckFailure(f"{name}: the float64 forward pass may overflow, so nothing is proved")
        outcome = journal.take(
            "tree",
            lambda key=key, side=side: (
                0 if prover is None else prover.prove(key, side["bound"], side["tree"], journal.effort)
            ),
            lambda count, name=name, bound=bound: f"{name}: {count} leaves prove at most {shown(bound)}",
        )
        if outcome is None:
            return  # the other sides could not make up for it
        proved[key] = bound
    ours = join_sides(proved, network, pairs)
    theirs = read_interval(claim.proof.get("bounds"), "the bounds of the proof")
    inside = theirs[0] <= ours[0] and ours[1] <= theirs[1]
    journal.note("interval", inside, f"proved {interval_text(ours)} within {interval_text(theirs)} claimed")
    check_bound(journal, claim.bound, violation_of(ours, pairs), violation_of(theirs, pairs), theirs)
    check_variation(journal, claim.variation, ours, theirs)
    check_rigor(journal, claim, derivation, pairs, True, True)


def _read_sides(items, network):
    """The sides by ("upper" or "lower", margin), each listed once, its bound read."""
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and set(item) >= _ITEM for item in items
    ):
        raise CheckFailure(f"the proof must list its sides, each with {sorted(_ITEM)}")
    sides = {}
    for item in items:
        margin, side = item["margin"], item["side"]
        whole = isinstance(margin, int) and not isinstance(margin, bool)
        if not whole or not 0 <= margin < len(network.margins) or side not in ("upper", "lower"):
            raise CheckFailure(f"there is no side {side!r} of margin {margin!r}")
        if (side, margin) in sides:
            raise CheckFailure(f"the side {side!r} of margin {margin} is listed twice")
        sides[side, margin] = {**item, "bound": number(item["bound"], "the bound of a side")}
    return sides


class _Task(NamedTuple):
    """What is to be proved of V: at most ``enough``; above ``refuting`` a pair decides against it."""

    envelope: Envelope
    witness: Witness
    enough: Exact
    refuting: float


class Refuted(CheckFailure):
    """A pair has more than the bound that was to be proved."""


class Prover:
    """Bounds V on regions of one network and relation.

    Parameters
    ----------
    network : ExactNetwork
    pairs : RelatedPairs
    couplings : tuple of str
    slack : Exact of shape (n_margins,)
        What the float64 forward pass may add to a difference of two outputs.
    """

    def __init__(self, network, pairs, couplings, slack):
        self._network, self._couplings, self._slack = network, couplings, slack
        self._maps, self._cutter = LinearMaps(network), Cutter(pairs)

    def prove(self, key, claimed, tree, effort):
        """Prove the bound of one side on all leaves of its tree; return their number.

        Parameters
        ----------
        key : tuple of (str, int)
            "upper" or "lower", and the margin.
        claimed : Fraction or inf
        tree : list
        effort : Effort
            What may still be spent on splits of our own; a leaf of the tree adds one.

        Raises
        ------
        CheckFailure
            If the tree is malformed, or a leaf is not proved (`Refuted` if it cannot be).
        """
        walk = leaves(tree, self._cutter)
        if claimed == math.inf:
            return sum(1 for _ in walk)
        (which, margin), count = key, 0
        row = self._network.margins[margin] if which == "upper" else -self._network.margins[margin]
        # f' - f'' as computed is at most V plus the slack of the forward pass.
        slack, bound = self._slack[[margin]], Exact.of([float(claimed)])
        task = _Task(
            Envelope(self._maps, self._couplings, row),
            Witness(self._network, self._couplings, row),
            bound - slack,
            float((bound + slack).floats[0]),
        )
        while batch := list(islice(walk, BATCH)):
            count += len(batch)
            effort.splits += len(batch)
            self._prove_regions(task, batch, effort)
        return count

    def _prove_regions(self, task, batch, effort):
        """Bound (number, region) pairs, depth first."""
        waiting = [(origin, region, 0) for origin, region in batch]
        while waiting:
            # Depth first in small steps once leaves have failed: a false claim is then found out early.
            size = BATCH if waiting[-1][2] == 0 else FEW
            current = waiting[-size:]
            del waiting[-size:]
            bounds = task.envelope.bounds([region for _, region, _ in current], task.enough)
            failed = np.flatnonzero(~(bounds.value <= task.enough)).tolist()
            effort.splits -= len(failed)
            if failed:
                self._refute(task, [current[place] for place in failed], bounds, failed)
            for place in failed:
                origin, region, depth = current[place]
                parts = () if depth == DEPTH else self._split(region, bounds, place, depth)
                if not parts or effort.splits < 0:
                    excess = (bounds.value[[place]] - task.enough).fraction()
                    raise CheckFailure(
                        f"the leaf at node {origin} is not proved: after {depth} more splits a part of it is "
                        f"bounded by {shown(excess)} more than claimed"
                    )
                waiting += [(origin, part, depth + 1) for part in parts if part is not None]

    def _refute(self, task, failed, bounds, places):
        """Give up at once where a pair of a region has more than is claimed."""
        boxes = Boxes(self._network.snapshot.domain, [region for _, region, _ in failed])
        values = task.witness.values(boxes, bounds.first[places].floats, bounds.second[places].floats)
        worst = int(np.argmax(np.nan_to_num(values, nan=-np.inf)))
        if values[worst] > task.refuting:
            raise Refuted(
                f"the leaf at node {failed[worst][0]} cannot be proved: V of a pair in it is "
                f"{shown(values[worst])}, above the claimed bound"
            )

    def _split(self, region, bounds, place, depth):
        """Cut where the linear bound has most room to fall; () if the region is a single point.

        Every other time by widths alone: a coefficient may be small because the relaxation is coarse.
        """
        first, second = (part[place].floats for part in (bounds.first, bounds.second))
        if depth % 2:
            first, second = np.where(np.abs(first) + np.abs(second) > 0, 1.0, 0.0), np.zeros_like(first)
        best, cut = 0.0, None
        for feature in np.flatnonzero(self._cutter.numeric).tolist():
            ends = region.features[feature]
            moves = (
                (abs(first[feature] + second[feature]), ends.second_low, ends.second_high, "split_second"),
                (max(abs(first[feature]), abs(second[feature])), ends.low, ends.high, "split_difference"),
            )
            for weight, low, high, name in moves:
                score = (weight + 1e-12) * (high - low)
                if score > best and high > low:
                    best, cut = score, (getattr(self._cutter, name), feature, (low + high) // 2)
        pairs = self._split_pairs(region, first, second, best / float(1 << 96))
        if pairs is not None:
            return pairs
        return () if cut is None else cut[0](region, *cut[1:])

    def _split_pairs(self, region, first, second, best):
        """Halve the pairs of the group whose scores differ most, if that is more than ``best``."""
        chosen = None
        for number_, (group, mask) in enumerate(
            zip(self._network.snapshot.domain.groups, region.pairs, strict=True)
        ):
            a, b = np.nonzero(mask)
            columns = list(group.columns)
            scores = (group.categories @ first[columns])[a] + (group.categories @ second[columns])[b]
            room = np.ptp(scores) + 1e-12
            if len(a) > 1 and room > best:
                upper = np.argsort(scores, kind="stable")[len(a) // 2 :]
                half = np.zeros_like(mask)
                half[a[upper], b[upper]] = True
                best, chosen = room, (number_, half)
        return None if chosen is None else self._cutter.split_pairs(region, *chosen)
