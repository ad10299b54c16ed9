"""The MIP against enumeration, against itself on other solvers and formulations, and against lies."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exhaustive import _breakpoints, largest_value
from support.networks import (
    crossing,
    deployed,
    hand_drawn,
    random_snapshot,
    relate,
    related_pairs,
    unit_box,
)
from support.solvers import EVERY_SOLVER, needs_gurobi

from smile_sklearn.certificates import Status
from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.snapshot.graph import GraphBuilder
from smile_sklearn.verification import mip
from smile_sklearn.verification.difference import Analysis
from smile_sklearn.verification.formulations import maximise as doubt
from smile_sklearn.verification.formulations.pair import build_pair_model
from smile_sklearn.verification.formulations.value import pair_envelope
from smile_sklearn.verification.generator import generate
from smile_sklearn.verification.mip import MIP
from smile_sklearn.verification.replay import sample_pairs
from smile_sklearn.verification.solvers import SolverDoor, SolverResult, Termination

ALWAYS_CUTS = -1
NEVER_CUTS = 10**9


def solve(snapshot, relation, couplings, *, margin=0, sign=1, cut_threshold=NEVER_CUTS, door=None):
    """The solver's bound on V, without slack, and the pair model."""
    pair_model = build_pair_model(Analysis(snapshot, relation), couplings, margin, sign, cut_threshold)
    result = (door or SolverDoor("highs")).solve(pair_model.model)
    assert result.optimal
    return pair_model.scale * result.bound, result, pair_model


def assert_maximum(found, truth):
    # Primal tolerances may show a little more than there is; less would be unsound.
    assert truth - 1e-6 <= found <= truth + 1e-5


# --- the optimum -----------------------------------------------------------------------------------------


def test_hand_drawn_box():
    """lo = x, hi = lo + 0.5, |dx| <= 0.1: V = dx + width = 0.6; shared: max(0, dx) = 0.1."""
    snapshot = hand_drawn()
    relation = relate(snapshot.domain, 0.1)
    assert solve(snapshot, relation, ("box",))[0] == pytest.approx(0.6, abs=1e-6)
    assert solve(snapshot, relation, ("shared",))[0] == pytest.approx(0.1, abs=1e-6)


def test_hand_drawn_flipped_box():
    """lo = x, hi = 1 - x: the top is max(x, 1 - x), so V = 2 (max(x', 1 - x') - x''), at most 2 at 0, 0."""
    snapshot = crossing()
    relation = relate(snapshot.domain, 0.25)
    assert solve(snapshot, relation, ("box",))[0] == pytest.approx(2.0, abs=1e-5)
    # On [0.75, 1] every box is flipped, so f = g(lo): V = 2 max dx.
    flipped = crossing(InputDomain([0.75], [1.0]))
    narrow = NetworkSnapshot(*_shifted(flipped), flipped.domain)
    assert solve(narrow, relate(narrow.domain, 0.125), ("box",))[0] == pytest.approx(0.25, abs=1e-5)


def _shifted(snapshot):
    """The crossing network in unit coordinates of [0.75, 1]: x = 0.75 + 0.25 p."""
    builder = GraphBuilder(1)
    lower = builder.affine(np.array([[0.25]]), np.array([0.75]))
    upper = builder.affine(np.array([[-0.25]]), np.array([0.25]))
    return builder.build(), lower, upper, None, snapshot.head_weight, snapshot.head_bias, (0,)


@pytest.mark.parametrize("couplings", [("box",), ("shared",)])
@pytest.mark.parametrize("ends", ["free", "affine", "relu"])
@pytest.mark.parametrize(
    ("n_features", "hidden", "activation"),
    [
        (1, (), "relu"),
        (1, (4,), "clamp"),
        (1, (3, 3), "relu"),
        (1, (3, 2), "negative"),
        (2, (), "relu"),
        (2, (2,), "relu"),
    ],
)
def test_optimum_is_that_of_enumeration(n_features, hidden, activation, ends, couplings):
    for seed in range(2):
        snapshot = random_snapshot(seed, n_features, hidden, 2, ends=ends, activation=activation, reads=())
        delta = 0.15 if n_features == 1 else np.array([0.2, [0.3, 0.0][seed]])
        relation = relate(snapshot.domain, delta)
        truth = largest_value(snapshot, relation, couplings, snapshot.margins()[0])
        for cut_threshold in (NEVER_CUTS, ALWAYS_CUTS):
            assert_maximum(solve(snapshot, relation, couplings, cut_threshold=cut_threshold)[0], truth)


@pytest.mark.parametrize("couplings", [("box",), ("shared",)])
def test_optimum_of_the_lower_side_and_of_margins(couplings):
    snapshot = random_snapshot(5, 1, (3,), 2, n_outputs=3, reads=())
    relation = relate(snapshot.domain, (-0.1, 0.2), (-0.3, 0.2))
    for margin, row in enumerate(snapshot.margins()):
        for sign in (1, -1):
            truth = largest_value(snapshot, relation, couplings, sign * row)
            assert_maximum(solve(snapshot, relation, couplings, margin=margin, sign=sign)[0], truth)


@pytest.mark.parametrize("couplings", [("box",), ("shared",)])
@pytest.mark.parametrize("at_most_one", [False, True])
def test_optimum_with_groups_and_integers(couplings, at_most_one):
    """A group whose category may not move up, an integer of width 4 and a numeric feature."""
    groups = {"one_hot_at_most_one" if at_most_one else "one_hot": [[0, 1]]}
    domain = InputDomain([0, 0, 0, -1], [1, 1, 4, 1], integer=[2], **groups)
    deltas = [(-1, 1, -1, 0), (-1, -1, 0, -0.5)], [(1, 1, 2, 0.5), (0, 1, 1, 0.5)]
    for seed, (low, high) in enumerate(zip(*deltas, strict=True)):
        snapshot = random_snapshot(seed, 4, (3,), 2, domain=domain, reads=())
        relation = relate(domain, (np.array(low), np.array(high)))
        truth = largest_value(snapshot, relation, couplings, snapshot.margins()[0])
        found, result, pair_model = solve(snapshot, relation, couplings)
        assert_maximum(found, truth)
        first, second = (domain.from_unit(point[None])[0] for point in pair_model.pair(result.values))
        # The solution itself is a related pair, up to the solver's tolerance.
        assert (first[:2].round() - second[:2].round() >= np.array(low)[:2]).all()
        assert first[2] == pytest.approx(round(first[2]), abs=1e-5)


def test_both_couplings_together_are_no_looser_than_either_and_reached():
    for seed in range(4):
        snapshot = random_snapshot(seed, 1, (4,), 2, ends="affine", reads=())
        relation = relate(snapshot.domain, 0.3)
        both, result, pair_model = solve(snapshot, relation, ("box", "shared"))
        assert both <= min(solve(snapshot, relation, (name,))[0] for name in ("box", "shared")) + 1e-6
        first, second = (point[None] for point in pair_model.pair(result.values))
        assert (
            pair_envelope(snapshot, ("box", "shared"), pair_model.row, first, second).value[0] <= both + 1e-6
        )
        u, v = related_pairs(relation, 2000)
        assert pair_envelope(snapshot, ("box", "shared"), pair_model.row, u, v).value.max() <= both + 1e-6


@given(seed=st.integers(0, 10_000), ends=st.sampled_from(["free", "affine", "relu"]))
@settings(max_examples=8)
def test_no_related_pair_exceeds_the_proven_bound(seed, ends):
    snapshot = random_snapshot(
        seed, 5, (4,), 3, ends=ends, domain=InputDomain([0] * 5, [1, 1, 1, 3, 2], integer=[3]), reads=()
    )
    relation = relate(snapshot.domain, np.array([0.2, 0.0, 0.1, 1, 0.4]), (-0.2, 0.3))
    first, second = (snapshot.domain.to_unit(rows) for rows in related_pairs(relation, 3000, seed))
    for coupling in ("box", "shared"):
        certificate = MIP().verify(snapshot, relation, coupling=coupling)
        for answer in certificate.proof["problems"]:
            row = snapshot.margins()[answer["margin"]] * (1 if answer["side"] == "upper" else -1)
            assert pair_envelope(snapshot, (coupling,), row, first, second).value.max() <= answer["bound"]


# --- the model -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "negative", "clamp"])
def test_fixed_input_returns_what_the_snapshot_computes(activation):
    """With x' = x'' fixed by a relation of width zero, every unit has the value of the forward pass."""
    base = random_snapshot(3, 2, (4, 3), 2, ends="free", activation=activation)
    point = np.array([0.3, 0.8])
    domain = unit_box(2)
    snapshot = NetworkSnapshot(
        base.graph, base.lower, base.upper, None, base.head_weight, base.head_bias, (0, 1), domain
    )
    relation = relate(domain, 0.5)
    pair_model = build_pair_model(Analysis(snapshot, relation), ("box",), 0, 1)
    model = pair_model.model
    for copy in ("first", "second"):
        model.lower[model.blocks[copy]] = model.upper[model.blocks[copy]] = point
    result = SolverDoor("highs").solve(model)
    lower, upper = (end[0] for end in snapshot.bounds(point[None]))
    width = np.maximum(lower, upper) - lower
    assert pair_model.scale * result.bound == pytest.approx(np.abs(snapshot.head_weight[0]) @ width, abs=1e-6)


def test_equal_units_are_one_variable_and_stable_units_carry_no_binary():
    snapshot = random_snapshot(0, 2, (4,), 2, ends="affine")
    free = build_pair_model(Analysis(snapshot, relate(snapshot.domain, 0.1)), ("box",), 0, 1).model
    trivial = build_pair_model(Analysis(snapshot, relate(snapshot.domain, 0.0)), ("box",), 0, 1).model
    np.testing.assert_array_equal(trivial.blocks["first"], trivial.blocks["second"])
    assert trivial.n_columns < free.n_columns
    builder = GraphBuilder(1)
    hidden = builder.affine(np.array([[1.0], [-1.0]]), np.array([0.5, -0.5]))  # always on, always off
    hidden = builder.clamp(np.zeros(2), np.full(2, np.inf), hidden)
    lower = builder.affine(np.array([[1.0, 1.0]]), np.array([0.0]), hidden)
    gap = builder.affine(np.array([[0.0]]), np.array([0.1]))
    upper = builder.sum(lower, gap)
    stable = NetworkSnapshot(
        builder.build(), lower, upper, gap, np.array([[1.0]]), np.zeros(1), (0,), unit_box(1)
    )
    assert (
        build_pair_model(Analysis(stable, relate(stable.domain, 0.1)), ("box",), 0, 1).model.n_integers == 0
    )
    assert solve(stable, relate(stable.domain, 0.1), ("box",))[0] == pytest.approx(0.2, abs=1e-6)


def test_width_needs_no_binary_and_shared_none_where_the_sign_is_fixed():
    snapshot = random_snapshot(0, 2, (), 3, ends="affine", reads=())
    either = relate(snapshot.domain, 0.1)
    assert build_pair_model(Analysis(snapshot, either), ("box",), 0, 1).model.n_integers == 0
    monotone = hand_drawn()
    falling = relate(monotone.domain, (-0.5, 0.0), (-np.inf, 0.0))
    model = build_pair_model(Analysis(monotone, falling), ("shared",), 0, 1).model
    assert model.n_integers == 0
    assert not model.objective.any()


def test_a_width_that_may_be_negative_is_not_trusted():
    """Declared as a width but negative on half of X: the box is then flipped, and U - L is not lowered."""
    builder = GraphBuilder(1)
    lower = builder.affine(np.array([[0.0]]), np.array([0.0]))
    gap = builder.affine(np.array([[2.0]]), np.array([-1.0]))
    upper = builder.sum(lower, gap)
    snapshot = NetworkSnapshot(
        builder.build(), lower, upper, gap, np.array([[-1.0]]), np.zeros(1), (0,), unit_box(1)
    )
    relation = relate(snapshot.domain, 1.0)
    assert solve(snapshot, relation, ("box",))[0] == pytest.approx(1.0, abs=1e-5)
    low = relate(snapshot.domain, (0.5, 1.0), (-np.inf, 0.5))  # x'' <= 1/2: its box is flipped, V = 0
    assert solve(snapshot, low, ("box",))[0] == pytest.approx(0.0, abs=1e-5)


def test_tiny_weights_are_not_lost():
    """HiGHS drops entries below 1e-9; 1e-9 times a far larger unit above it is not nothing."""
    builder = GraphBuilder(1)
    big = builder.affine(np.array([[1e6]]), np.array([0.0]))
    lower = builder.affine(np.array([[5e-10]]), np.array([0.0]), big)
    gap = builder.affine(np.array([[0.0]]), np.array([0.0]))
    upper = builder.sum(lower, gap)
    snapshot = NetworkSnapshot(
        builder.build(), lower, upper, gap, np.array([[1.0]]), np.zeros(1), (0,), unit_box(1)
    )
    certificate = MIP().verify(snapshot, relate(snapshot.domain, 1.0), coupling="box")
    assert certificate.variation >= 5e-4


def test_group_sort_is_declined():
    builder = GraphBuilder(2)
    lower = builder.group_sort(2, builder.affine(np.eye(2), np.zeros(2)))
    snapshot = NetworkSnapshot(
        builder.build(), lower, lower, None, np.ones((1, 2)), np.zeros(1), (), unit_box(2)
    )
    with pytest.raises(UnsupportedError, match="GroupSort"):
        MIP().verify(snapshot, relate(snapshot.domain, 0.1))


# --- what it certifies -----------------------------------------------------------------------------------


@pytest.fixture
def without_difference_bounds(monkeypatch):
    """The solver is asked, and nothing but what it says is known."""
    monkeypatch.setattr(mip, "difference_bound", lambda *_: np.inf)


def test_holds_and_bounded(without_difference_bounds):
    snapshot = hand_drawn()
    holds = MIP().verify(snapshot, relate(snapshot.domain, 0.1, 0.61), coupling="box")
    assert holds.status is Status.HOLDS
    assert holds.rigor == "solver"
    assert holds.verifier.startswith("mip highs")
    assert 0.6 <= holds.variation <= 0.6001
    assert holds.attained == pytest.approx(-0.01, abs=1e-6)
    bounded = MIP().verify(snapshot, relate(snapshot.domain, 0.1, 0.5), coupling="box")
    assert bounded.status is Status.BOUNDED
    assert 0.1 <= bounded.bound <= 0.1001
    assert bounded.attained == pytest.approx(0.1, abs=1e-6)


def test_what_difference_bounds_decide_is_not_solved(monkeypatch):
    """One margin is within epsilon by differences: the solver is not asked, and the proof says so."""
    called = []
    solve_honestly = SolverDoor.solve
    monkeypatch.setattr(
        SolverDoor, "solve", lambda *given, **limits: called.append(1) or solve_honestly(*given, **limits)
    )
    base = random_snapshot(0, 2, (4,), 3, n_outputs=3)
    head = np.array([[1.0, 2.0, -1.0], [1.01, 2.0, -1.0], [3.0, -2.0, 4.0]])
    snapshot = dataclasses.replace(base, head_weight=head)
    relation = relate(snapshot.domain, 0.2, (-np.inf, 0.5))
    certificate = MIP().verify(snapshot, relation, coupling="box")
    problems = certificate.proof["problems"]
    by_differences = [problem["solver"] == "difference bounds" for problem in problems]
    assert len(problems) == 3
    assert by_differences[0]
    assert sum(by_differences) == 3 - len(called)
    assert 0 < len(called) < 3
    for problem in problems:
        truth = largest_value(snapshot, relation, ("box",), snapshot.margins()[problem["margin"]])
        assert truth <= problem["bound"]
        if problem["solver"] == "difference bounds":
            assert problem["termination"] == "not needed"
            assert problem["bound"] <= relation.epsilon_upper + max(0.0, certificate.attained)


def test_a_bound_equal_to_epsilon_is_not_proof():
    """The optimum is epsilon itself: only slack separates the two, and slack counts against HOLDS."""
    snapshot = hand_drawn(width=0.5)
    assert (
        MIP().verify(snapshot, relate(snapshot.domain, 0.125, 0.625), coupling="box").status is Status.BOUNDED
    )


def test_one_sided_relation_leaves_the_other_side_open():
    snapshot = hand_drawn(width=0.0)
    certificate = MIP().verify(snapshot, relate(snapshot.domain, (-0.1, 0.2), (-np.inf, 0.3)))
    assert certificate.status is Status.HOLDS
    assert certificate.variation == np.inf
    assert [problem["side"] for problem in certificate.proof["problems"]] == ["upper"]


def test_planted_violations_are_found_and_never_hold():
    for seed in range(6):
        snapshot = random_snapshot(seed, 3, (4,), 3, ends="free", gap=1.0)
        predict = deployed(snapshot)
        relation = relate(snapshot.domain, 0.2, 1.0)
        first, second = related_pairs(relation, 4000, seed)
        change = np.abs(predict(first) - predict(second)).max()
        planted = relate(snapshot.domain, 0.2, float(change) * (1 - 1e-9))
        certificate = MIP().verify(snapshot, planted, predict=predict)
        assert certificate.status in (Status.VIOLATED, Status.BOUNDED)
        if certificate.status is Status.VIOLATED:
            example = certificate.counterexample
            assert planted.contains_exactly(example.first, example.second)
            both = predict(np.stack([example.first, example.second]))
            assert abs(both[0, 0] - both[1, 0]) > planted.epsilon_upper


def test_a_real_violation_is_replayed_in_raw_units():
    domain = InputDomain([-3.0], [7.0])
    snapshot = hand_drawn(weight=2.0, width=0.0, domain=domain)
    certificate = MIP().verify(snapshot, relate(domain, 0.7, 0.1), predict=deployed(snapshot))
    assert certificate.status is Status.VIOLATED
    assert certificate.counterexample.violation == pytest.approx(2 * 0.07 - 0.1, abs=1e-6)


@pytest.mark.parametrize("time_limit", [0.01, 0.3])
def test_a_short_time_limit_never_holds(time_limit):
    """40 features, 32 relu units, free ends: HiGHS does not finish this in 10 s.

    Epsilon is above every V that is found (46.5), so that nothing refutes it and an incumbent read as
    a bound would say HOLDS; and below what is proven in 0.3 s (231), in 3 s (190) and in 8 s (107).
    """
    snapshot = random_snapshot(1, 40, (32,), 8, ends="free")
    relation = relate(snapshot.domain, 0.1, 100.0)
    certificate = MIP().verify(snapshot, relation, time_limit=time_limit, predict=deployed(snapshot))
    assert certificate.status in (Status.BOUNDED, Status.UNKNOWN)
    values = [problem["value"] for problem in certificate.proof["problems"]]
    assert all(value is None or value < relation.epsilon_upper for value in values)


@pytest.mark.parametrize("termination", [Termination.INFEASIBLE, Termination.UNKNOWN])
def test_infeasible_and_unknown_prove_nothing(monkeypatch, without_difference_bounds, termination):
    answer = SolverResult(termination, None, None, None, 0, 0.0, "liar", "1", 0.0)
    monkeypatch.setattr(SolverDoor, "solve", lambda *_, **__: answer)
    snapshot = hand_drawn()
    assert MIP().verify(snapshot, relate(snapshot.domain, 0.1, 100.0)).status is Status.UNKNOWN


def test_a_bound_below_a_pair_that_exists_proves_nothing(monkeypatch, without_difference_bounds):
    """A solver that cuts off the optimum but still shows a pair above its bound is not believed."""
    honest = SolverDoor.solve

    def lie(self, model, **limits):
        result = honest(self, model, **limits)
        return dataclasses.replace(result, bound=0.5 * result.bound)

    monkeypatch.setattr(SolverDoor, "solve", lie)
    snapshot = hand_drawn()
    assert MIP().verify(snapshot, relate(snapshot.domain, 0.1, 0.4), coupling="box").status is Status.UNKNOWN


@pytest.mark.parametrize("coupling", ["box", "shared"])
def test_a_bound_that_sampled_pairs_beat_proves_nothing(monkeypatch, without_difference_bounds, coupling):
    """The solver hides its pair as well: corners and random pairs are looked at, whatever it says."""
    honest = SolverDoor.solve

    def lie(self, model, **limits):
        return dataclasses.replace(honest(self, model, **limits), bound=1e-3, values=None, objective=None)

    monkeypatch.setattr(SolverDoor, "solve", lie)
    for seed in range(4):
        snapshot = random_snapshot(seed, 6, (4,), 3, reads=())
        relation = relate(snapshot.domain, (-0.3, 0.2), 0.5)
        certificate = MIP().verify(snapshot, relation, coupling=coupling)
        assert certificate.status is Status.UNKNOWN
        assert {problem["termination"] for problem in certificate.proof["problems"]} == {"unknown"}
        assert not generate(snapshot, relation, coupling=coupling, max_node_limit=64).optimal


def test_sampled_pairs_are_related_and_reach_the_ends():
    domain = InputDomain([-2, 0, 0, 0, 0.1], [3, 4, 1, 1, 0.9], integer=[1], one_hot=[[2, 3]])
    relation = relate(domain, (np.array([-0.5, 0, -1, 0, 0]), np.array([0.3, 2, 0, 1, 0])))
    first, second = sample_pairs(relation)
    assert len(first) > 128
    for pair in zip(first[:20], second[:20], strict=True):
        assert relation.contains(*(row[None] for row in pair)).all()
    np.testing.assert_array_equal(first[:, 4], second[:, 4])
    change = (first - second)[:, 0]
    assert change.min() == pytest.approx(-0.5)
    assert change.max() == pytest.approx(0.3)
    assert (second[:, 0] == -2.0).any()
    np.testing.assert_array_equal(first, sample_pairs(relation)[0])


# --- parts -----------------------------------------------------------------------------------------------


def protected(seed, coupling="shared", n_categories=3, at_most_one=False, **options):
    """A relation that lets a group change freely and two numeric features a little."""
    groups = {"one_hot_at_most_one" if at_most_one else "one_hot": [list(range(2, 2 + n_categories))]}
    d = 2 + n_categories
    domain = InputDomain(np.zeros(d), np.ones(d), **groups)
    reads = () if coupling == "shared" else range(d)
    snapshot = random_snapshot(seed, d, (5,), 2, domain=domain, reads=reads, **options)
    return snapshot, relate(domain, np.array([0.1, 0.0] + [1.0] * n_categories), 0.05)


@pytest.fixture
def always_in_parts(monkeypatch):
    monkeypatch.setattr(mip._Search, "n_undecided", lambda self: 0)


@pytest.mark.parametrize("at_most_one", [False, True])
@pytest.mark.parametrize("coupling", ["box", "shared"])
def test_parts_give_the_maximum_of_the_whole(always_in_parts, coupling, at_most_one):
    for seed in range(3):
        snapshot, relation = protected(seed, coupling, at_most_one=at_most_one)
        whole = MIP(most_pairs=0).verify(snapshot, relation, coupling=coupling)
        parts = MIP(most_pairs=30).verify(snapshot, relation, coupling=coupling)
        truth = largest_value(snapshot, relation, (coupling,), snapshot.margins()[0]) - 0.05
        for certificate in (whole, parts):
            assert truth <= certificate.bound <= truth + 2 * certificate.slack + 1e-6
            assert certificate.attained == pytest.approx(truth, abs=1e-5)
        assert all("pair" not in problem for problem in whole.proof["problems"])
        listed = [problem["pair"] for problem in parts.proof["problems"]]
        n = 3 + at_most_one
        assert sorted((pair["first"], pair["second"]) for pair in listed) == [
            (a, b) for a in range(n) for b in range(n)
        ]


def test_both_couplings_are_exact_in_parts_and_where_boxes_flip(always_in_parts):
    """Free ends that flip at one of the two rows: the box bound is then below dhi, V the smaller."""
    for seed in (1, 2):
        snapshot, relation = protected(seed)
        for most_pairs in (0, 30):
            certificate = MIP(most_pairs=most_pairs).verify(snapshot, relation)
            assert certificate.coupling == "box, shared"
            assert certificate.attained <= certificate.bound <= certificate.attained + 2 * certificate.slack


@pytest.mark.parametrize("coupling", ["box", "shared"])
def test_every_pair_of_categories_is_bounded(always_in_parts, coupling):
    """Related pairs of each entry of the proof stay within the bound of that entry."""
    for seed in range(4):
        snapshot, relation = protected(seed, coupling, ends=["free", "affine", "relu"][seed % 3])
        certificate = MIP().verify(snapshot, relation, coupling=coupling)
        raw = related_pairs(relation, 3000, seed)
        categories = [rows[:, 2:].argmax(axis=1) for rows in raw]
        first, second = (snapshot.domain.to_unit(rows) for rows in raw)
        value = pair_envelope(snapshot, (coupling,), snapshot.margins()[0], first, second).value
        for problem in certificate.proof["problems"]:
            pair = problem["pair"]
            chosen = (categories[0] == pair["first"]) & (categories[1] == pair["second"])
            assert chosen.any()
            assert value[chosen].max() <= problem["bound"]


def test_parts_pay_only_where_differences_decide_most_of_them():
    """Shared coupling: most pairs are far below the worst one; box with wide boxes: all are alike."""
    snapshot, relation = protected(1, "shared")
    assert any("pair" in problem for problem in MIP().verify(snapshot, relation).proof["problems"])
    snapshot, relation = protected(0, "box", 4, gap=3.0)
    certificate = MIP().verify(snapshot, relation, coupling="box")
    assert all("pair" not in problem for problem in certificate.proof["problems"])


def test_the_answer_does_not_depend_on_the_number_of_processes(always_in_parts):
    snapshot, relation = protected(0, "box", gap=1.0)
    proofs = [
        MIP(n_jobs=n_jobs).verify(snapshot, relation, coupling="box").proof["problems"] for n_jobs in (1, 2)
    ]
    for problem in (*proofs[0], *proofs[1]):
        del problem["seconds"]
    assert proofs[0] == proofs[1]
    assert sum(problem["solver"] != "difference bounds" for problem in proofs[0]) > 2


# --- weights across decades ------------------------------------------------------------------------------


def false_holds():
    """HiGHS, unscaled, proves V <= 6e-4 here; f(0) - f(0.0273) is 22.9.

    The second unit has a range of 2e-8 at weights of 1e-2, which presolve takes for a constant.
    """
    domain, builder = unit_box(1), GraphBuilder(1)
    hidden = builder.affine(np.array([[0.01], [-70.0]]), np.array([0.0, 7.0]))
    hidden = builder.clamp(np.zeros(2), np.full(2, np.inf), hidden)
    deep = builder.affine(np.array([[0.002, 0.0], [0.0, -0.01]]), np.array([-2e-6, 2e-8]), hidden)
    deep = builder.clamp(np.zeros(2), np.full(2, np.inf), deep)
    lower = builder.affine(np.array([[0.002, 0.09]]), np.zeros(1), deep)
    width = builder.affine(np.array([[0.0, 4.0]]), np.zeros(1), hidden)
    upper = builder.sum(lower, width)
    snapshot = NetworkSnapshot(
        builder.build(), lower, upper, width, np.array([[-3.0]]), np.zeros(1), (), domain
    )
    return snapshot, relate(domain, 0.02728139, 1e-3)


def snapshot_across_decades(seed, n_features):
    """Two clamped layers with weights of very different size; kinks lie inside the domain."""
    generator = np.random.default_rng(seed)
    span = generator.choice([1.0, 4.0, 8.0])

    def weights(n_rows, n_columns):
        shape = n_rows, n_columns
        sizes = 10.0 ** generator.uniform(-span, span / 2, size=shape)
        return generator.normal(size=shape) * sizes * (generator.random(shape) < 0.8)

    builder, inside = GraphBuilder(n_features), generator.random(n_features)
    weight = weights(3, n_features)
    hidden = builder.affine(weight, -weight @ inside)
    hidden = builder.clamp(np.zeros(3), np.full(3, np.inf), hidden)
    reached = np.maximum(0.0, weight @ generator.random(n_features) - weight @ inside)
    deep_weight = weights(3, 3)
    deep = builder.affine(deep_weight, -(deep_weight @ reached) * generator.random(3), hidden)
    top = np.inf if generator.random() < 0.5 else 0.3 * np.abs(deep_weight).max(axis=1) * np.abs(weight).max()
    deep = builder.clamp(np.zeros(3), np.broadcast_to(top, 3).copy(), deep)
    lower = builder.affine(weights(2, 3), np.zeros(2), deep)
    width = builder.affine(0.1 * weights(2, 3), np.zeros(2), hidden)
    upper = builder.sum(lower, width)
    declared = width if generator.random() < 0.5 else None
    head, domain = weights(1, 2), unit_box(n_features)
    return NetworkSnapshot(builder.build(), lower, upper, declared, head, np.zeros(1), (), domain)


def pairs_at_kinks(snapshot, relation):
    """One feature: every kink and end of the domain paired with all related ones and with its neighbours."""
    kinks = _breakpoints(snapshot.graph, np.zeros(1), 0)
    moved = [kinks, kinks + relation.delta_lower, kinks + relation.delta_upper]
    points = np.unique(np.clip(np.concatenate([*moved, *(2 * kinks - end for end in moved)]), 0.0, 1.0))
    first, second = (side.reshape(-1, 1) for side in np.meshgrid(points, points))
    related = relation.contains(first, second)
    return first[related], second[related]


def assert_no_pair_beats(certificate, snapshot, relation, pairs):
    couplings = tuple(certificate.coupling.split(", "))
    for answer in certificate.proof["problems"]:
        sign = 1 if answer["side"] == "upper" else -1
        bound = np.inf if answer["bound"] is None else answer["bound"]
        for first, second in pairs:
            value = pair_envelope(snapshot, couplings, sign * snapshot.margins()[0], first, second).value
            assert value.max(initial=-np.inf) <= bound


@pytest.mark.parametrize("solver", EVERY_SOLVER)
@pytest.mark.parametrize("coupling", ["auto", "shared", "box"])
def test_a_tiny_unit_before_a_large_weight_is_not_lost(monkeypatch, coupling, solver):
    monkeypatch.setattr(doubt, "refuted", lambda *_: False)  # the bound itself must be right
    snapshot, relation = false_holds()
    certificate = MIP(solver).verify(snapshot, relation, coupling=coupling)
    assert certificate.status is Status.BOUNDED
    assert certificate.variation >= 22.9
    assert_no_pair_beats(certificate, snapshot, relation, [pairs_at_kinks(snapshot, relation)])


@pytest.mark.parametrize(
    ("solver", "n_networks"), [("highs", 60), pytest.param("gurobi", 20, marks=needs_gurobi)]
)
def test_no_pair_beats_the_bound_with_weights_across_decades(monkeypatch, solver, n_networks):
    monkeypatch.setattr(doubt, "refuted", lambda *_: False)
    proven = 0
    for seed in range(n_networks):
        n_features = 1 + seed % 2
        snapshot = snapshot_across_decades(seed, n_features)
        generator = np.random.default_rng(seed)
        delta = np.where(generator.random(n_features) < 0.5, 1.0, 0.3 * generator.random(n_features))
        low = -delta if generator.random() < 0.7 else np.zeros(n_features)
        relation = relate(snapshot.domain, (low, delta), 1e-3)
        coupling = ["auto", "box", "shared"][seed % 3]
        certificate = MIP(solver, node_limit=500).verify(snapshot, relation, coupling=coupling)
        proven += np.isfinite(certificate.bound)
        pairs = [sample_pairs(relation, 4000, seed=seed + 1)]
        if n_features == 1:
            pairs.append(pairs_at_kinks(snapshot, relation))
        assert_no_pair_beats(certificate, snapshot, relation, pairs)
    assert proven > 0.9 * n_networks


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("weight", [1e300, 1e200, 1e20, np.inf, np.nan])
def test_what_may_overflow_is_not_certified(weight):
    snapshot = hand_drawn(weight=weight, width=weight)
    status = MIP().verify(snapshot, relate(snapshot.domain, 0.1, 1.0), coupling="box").status
    assert status in (Status.UNKNOWN, Status.BOUNDED)


# --- the generator of training ---------------------------------------------------------------------------


def test_generate_finds_the_worst_pair_and_its_ends():
    result = generate(hand_drawn(), relate(unit_box(1), 0.1, 0.2), coupling="box")
    assert result.found
    assert result.optimal
    assert result.value == pytest.approx(0.6, abs=1e-6)
    assert result.violation == pytest.approx(0.4, abs=1e-6)
    assert result.violation <= result.bound <= result.violation + 1e-4
    assert result.first[0] - result.second[0] == pytest.approx(0.1, abs=1e-6)
    assert result.first_at_upper.tolist() == [True]
    assert result.second_at_upper.tolist() == [False]


def test_generate_repeats_exactly_under_node_limits():
    snapshot = random_snapshot(2, 12, (10,), 4, ends="free")
    relation = relate(snapshot.domain, 0.05, 1e3)
    runs = [generate(snapshot, relation, node_limit=1, max_node_limit=4) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].first, runs[1].first)
    assert runs[0].dual_bounds == runs[1].dual_bounds
    assert runs[0].nodes == runs[1].nodes
    assert not runs[0].found


def test_generate_extends_the_limit_until_it_is_spent():
    """Nothing to find, too few nodes to prove it: the limit doubles to its maximum, the bound is reported."""
    snapshot = random_snapshot(1, 12, (12,), 4, ends="free")
    result = generate(snapshot, relate(snapshot.domain, 0.1, 1e3), node_limit=1, max_node_limit=4)
    assert not result.optimal
    assert np.isfinite(result.bound)
    assert result.bound + 1e3 >= result.value


def test_generate_under_the_shared_coupling():
    snapshot = hand_drawn()
    falling = relate(snapshot.domain, (-0.3, 0.2), (-np.inf, 0.1))
    snapshot = NetworkSnapshot(
        snapshot.graph,
        snapshot.lower,
        snapshot.upper,
        snapshot.width,
        snapshot.head_weight,
        snapshot.head_bias,
        (),
        snapshot.domain,
    )
    result = generate(snapshot, falling, coupling="shared")
    assert result.value == pytest.approx(0.2, abs=1e-6)
    assert set(result.dual_bounds) == {(0, 1)}
