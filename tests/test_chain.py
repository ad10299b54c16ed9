"""The chain: cheapest first, the best of all, no contradiction, no time wasted."""

import time
from dataclasses import replace

import numpy as np
import pytest
from support.networks import deployed, hand_drawn, random_snapshot, relate, unit_box

from smile_sklearn.certificates import Counterexample, Status
from smile_sklearn.exceptions import (
    CertificationWarning,
    ContradictionError,
    SolverError,
    UnsupportedError,
)
from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.verification.chain import (
    NAMES,
    Chain,
    FewCoordinates,
    free_coordinates,
    make_verifier,
)
from smile_sklearn.verification.closed_form import ClosedForm
from smile_sklearn.verification.difference import DifferenceBounds
from smile_sklearn.verification.falsifier import Falsifier
from smile_sklearn.verification.mip import MIP

SNAPSHOT = hand_drawn()
RELATION = relate(SNAPSHOT.domain, 0.1, 0.5)
TEMPLATE = DifferenceBounds().verify(SNAPSHOT, RELATION)
"""BOUNDED by 0.1, box coupling; what the verifiers below answer is written over it."""


def bounded(bound, attained=-np.inf, **changes):
    changes = {"slack": 0.0, "seconds": 0.0, **changes}
    return replace(TEMPLATE, bound=bound, attained=attained, **changes)


def unknown(attained=-np.inf):
    return bounded(np.inf, attained, status=Status.UNKNOWN, rigor="replayed", verifier="falsifier")


def holds():
    return bounded(-0.01, status=Status.HOLDS)


def violated(violation, bound=np.inf):
    pair = Counterexample(np.zeros(1), np.ones(1), np.zeros(1), np.ones(1), violation)
    return replace(unknown(), bound=bound, status=Status.VIOLATED, counterexample=pair)


class Answers:
    """A verifier with a fixed answer, or an error."""

    name, refutes = "answers", False

    def __init__(self, answer):
        self.answer, self.calls, self.time_limits = answer, 0, []

    def verify(self, *_, time_limit=None, **__):
        self.calls += 1
        self.time_limits.append(time_limit)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def run(*answers, **options):
    return Chain([Answers(answer) for answer in answers]).verify(SNAPSHOT, RELATION, **options)


def calls_of_the_last(*answers, **options):
    last = Answers(bounded(0.05))
    Chain([*(Answers(answer) for answer in answers), last]).verify(SNAPSHOT, RELATION, **options)
    return last.calls


DECLINED = UnsupportedError("not this one")


# --- the best of all ------------------------------------------------------------------------------


def test_the_smallest_bound_is_kept_in_any_order():
    loose, tight = bounded(0.1, verifier="loose"), bounded(0.05, verifier="tight", rigor="solver")
    for order in ([loose, tight, unknown()], [unknown(), loose, tight], [tight, loose], [DECLINED, tight]):
        best = run(*order)
        assert (best.bound, best.verifier, best.rigor) == (0.05, "tight", "solver")
        assert best.status is Status.BOUNDED


def test_bounds_that_differ_by_nothing_a_user_sees_keep_the_earlier_rigor():
    rounded, solved = bounded(0.05), bounded(0.05 * (1 - 1e-5), rigor="solver")
    assert run(rounded, solved).rigor == "rounded"
    assert run(bounded(1e-9), holds()).status is Status.HOLDS


def test_what_was_attained_and_what_was_proven_come_together():
    best = run(bounded(0.1), unknown(attained=0.03), bounded(0.05, attained=0.02))
    assert (best.bound, best.attained) == (0.05, 0.03)


def test_a_pair_of_fewer_couplings_says_nothing_of_all_of_them():
    """The box V of a pair is above the V of both couplings; its value must not end the chain."""
    snapshot = random_snapshot(0, 1, (), 1, reads=())
    both, box = bounded(0.1, coupling="box, shared"), unknown(attained=0.1)
    last = Answers(bounded(0.05, coupling="box, shared"))
    best = Chain([Answers(both), Answers(box), last]).verify(snapshot, RELATION)
    assert last.calls == 1
    assert best.attained == -np.inf
    shared = replace(box, coupling="box, shared")
    last.calls = 0
    assert Chain([Answers(both), Answers(shared), last]).verify(snapshot, RELATION).attained == 0.1
    assert last.calls == 0


def test_unknown_is_what_remains_where_nothing_is_proven():
    assert run(DECLINED, unknown()).status is Status.UNKNOWN
    assert run(unknown(), bounded(0.1)).status is Status.BOUNDED


def test_seconds_are_those_of_the_chain():
    class Slow(Answers):
        def verify(self, *arguments, **options):
            time.sleep(0.02)
            return super().verify(*arguments, **options)

    best = Chain([Slow(bounded(0.1)), Slow(bounded(0.2)), Slow(unknown())]).verify(SNAPSHOT, RELATION)
    assert 0.06 <= best.seconds < 5.0


# --- when it ends ---------------------------------------------------------------------------------


def test_it_ends_at_a_decision():
    assert calls_of_the_last(bounded(0.1), holds()) == 0
    assert calls_of_the_last(bounded(0.1), violated(0.05)) == 0
    assert calls_of_the_last(bounded(0.1), unknown()) == 1


@pytest.mark.parametrize(
    ("bound", "attained", "slack", "ends"),
    [
        (0.3, 0.29, 0.0, False),
        (0.3, 0.3 - 1e-5, 0.0, True),
        (0.3, 0.3 - 1e-4, 0.0, False),
        (0.3, 0.29, 0.005, True),
        # V <= epsilon as far as is known: HOLDS is still within reach, and only slack may end it.
        (1e-7, -1e-7, 0.0, False),
        (1e-7, -1e-7, 1e-7, True),
        (np.inf, 0.3, np.inf, False),
    ],
)
def test_it_ends_where_the_bound_cannot_fall(bound, attained, slack, ends):
    status = Status.BOUNDED if np.isfinite(bound) else Status.UNKNOWN
    first = bounded(bound, slack=slack, status=status)
    assert calls_of_the_last(first, unknown(attained)) == (not ends)


def test_an_envelope_counterexample_does_not_stop_the_complete_verifiers():
    best = run(bounded(0.9), unknown(attained=0.2), bounded(0.21))
    assert (best.bound, best.attained, best.status) == (0.21, 0.2, Status.BOUNDED)


def test_time_is_handed_on_and_ends_it():
    chain = Chain([Answers(bounded(0.1)), Answers(unknown())])
    chain.verify(SNAPSHOT, RELATION, time_limit=60.0)
    limits = [verifier.time_limits[0] for verifier in chain.verifiers]
    assert 59.0 < limits[1] <= limits[0] <= 60.0
    assert calls_of_the_last(bounded(0.1), time_limit=0.0) == 0
    # Something is always tried.
    assert run(DECLINED, bounded(0.1), time_limit=0.0).bound == 0.1


# --- refusals, failures, contradictions -----------------------------------------------------------


def test_all_declining_is_an_error():
    with pytest.raises(UnsupportedError, match="not this one"):
        run(DECLINED, UnsupportedError("nor this"))


def test_a_failed_solver_takes_nothing_away():
    with pytest.warns(CertificationWarning, match="no licence"):
        best = run(bounded(0.1), SolverError("no licence"), unknown(attained=0.05))
    assert (best.bound, best.attained) == (0.1, 0.05)
    with pytest.raises(SolverError, match="no licence"):
        run(SolverError("no licence"), bounded(0.1))


def test_a_counterexample_keeps_the_best_proof():
    best = run(bounded(0.3, verifier="prover"), violated(0.2))
    assert best.status is Status.VIOLATED
    assert best.counterexample.violation == 0.2
    assert (best.bound, best.verifier, best.rigor) == (0.3, "prover", "rounded")
    alone = run(DECLINED, violated(0.2))
    assert (alone.status, alone.bound, alone.rigor) == (Status.VIOLATED, np.inf, "replayed")


@pytest.mark.parametrize(
    "answers",
    [[bounded(0.1), violated(0.2)], [violated(0.2, bound=0.1)], [bounded(0.1), violated(0.2, 0.15)]],
)
def test_a_pair_that_breaks_more_than_was_proven_raises(answers):
    with pytest.raises(ContradictionError, match="breaks"):
        run(*answers)


def test_holding_and_violated_raises():
    """Chains end at HOLDS, so this takes a certificate that says both at once."""
    with pytest.raises(ContradictionError, match=r"0\.2"):
        run(bounded(0.1), violated(0.2, bound=-0.01))


def test_another_network_behind_predict_is_a_contradiction():
    relation = relate(SNAPSHOT.domain, 0.1, 0.5)
    other = deployed(hand_drawn(weight=9.0, width=0.0))
    with pytest.raises(ContradictionError, match="predict"):
        make_verifier("auto").verify(SNAPSHOT, relation, predict=other)


# --- verifiers by name ----------------------------------------------------------------------------


def test_names():
    assert NAMES == ("auto", "difference", "closed_form", "falsifier", "branch_and_bound", "mip")
    for name in NAMES[1:]:
        verifier = make_verifier(name)
        assert verifier.name.replace(" ", "_") == {"difference": "difference_bounds"}.get(name, name)
    assert make_verifier("mip", solver="gurobi").solver == "gurobi"
    own = DifferenceBounds()
    assert make_verifier(own) is own
    with pytest.raises(ValueError, match="closed_form"):
        make_verifier("exact")


def test_auto_is_cheapest_first():
    names = [verifier.name for verifier in make_verifier("auto").verifiers]
    assert names == ["difference bounds", "closed form", "falsifier", "branch and bound", "mip"]


def test_few_coordinates_guard_and_halve_the_time():
    domain = InputDomain(
        [0, 0, 5, 0, 0, 0, 0],
        [1, 3, 5, 1, 1, 1, 1],
        integer=[1],
        one_hot=[[3, 4]],
        one_hot_at_most_one=[[5, 6]],
    )
    # x'' moves in two features and two groups (the third feature is constant), x' apart in one of each.
    relation = relate(domain, np.array([0.1, 0, 0, 0, 0, 1, 1]))
    assert free_coordinates(relation) == 6
    inner = Answers(TEMPLATE)
    assert FewCoordinates(inner, 6).verify(None, relation, time_limit=8.0) is TEMPLATE
    assert inner.time_limits == [4.0]
    with pytest.raises(UnsupportedError, match="leaves 6"):
        FewCoordinates(inner, 5).verify(None, relation)


# --- the real chain -------------------------------------------------------------------------------


def test_a_closed_form_that_is_attained_ends_it():
    """Affine boxes: nothing is left for a search or a solver, whether the property holds or not."""
    for seed in range(6):
        snapshot = random_snapshot(seed, 5, (), 3, ends="affine")
        relation = relate(unit_box(5), 0.2, 0.1)
        closed = ClosedForm().verify(snapshot, relation)
        late = Answers(TEMPLATE)
        best = Chain([DifferenceBounds(), ClosedForm(), late]).verify(snapshot, relation)
        assert late.calls == 0
        assert best.bound == pytest.approx(closed.bound, rel=1e-9)
        assert best.bound - best.attained <= 1e-6


def test_auto_agrees_with_the_solver():
    for seed in range(3):
        snapshot = random_snapshot(seed, 3, (4,), 3, ends="relu", reads=())
        relation = relate(unit_box(3), 0.3, (-0.4, 0.3))
        for coupling in ("box", "shared"):
            best = make_verifier("auto").verify(snapshot, relation, coupling=coupling)
            solved = MIP().verify(snapshot, relation, coupling=coupling)
            assert best.bound <= solved.bound + 1e-4 * abs(solved.bound)
            assert best.attained <= solved.bound
            assert best.bound >= solved.bound - 2 * solved.slack - 1e-4 * abs(solved.bound)
            assert best.attained >= 0.9 * best.bound - 1e-9 if best.bound > 0 else best.status is Status.HOLDS


def test_auto_refutes_what_the_falsifier_breaks_and_still_bounds_it():
    snapshot = random_snapshot(1, 4, (4,), 3, ends="affine", gap=0.1)
    predict = deployed(snapshot)
    relation = relate(unit_box(4), 0.3, 0.05)
    certificate = make_verifier("auto").verify(snapshot, relation, predict=predict)
    assert certificate.status is Status.VIOLATED
    assert certificate.counterexample.violation <= certificate.bound < np.inf
    assert certificate.rigor == "rounded"
    alone = Falsifier().verify(snapshot, relation, predict=predict)
    assert alone.counterexample.violation == certificate.counterexample.violation


def test_jobs_reach_the_verifiers_that_can_use_them():
    chain = make_verifier("auto", n_jobs=2)
    assert [verifier.n_jobs for verifier in (chain.verifiers[3].verifier, chain.verifiers[4])] == [2, 2]
    assert make_verifier("branch_and_bound", n_jobs=2).n_jobs == make_verifier("mip", n_jobs=2).n_jobs == 2
    snapshot = random_snapshot(3, 2, (4,), 3, n_outputs=3)
    relation = relate(snapshot.domain, 0.3, (-0.1, 0.2))
    one, two = (make_verifier("mip", n_jobs=jobs).verify(snapshot, relation) for jobs in (1, 2))
    assert (one.bound, one.attained) == (two.bound, two.attained)
