"""The falsifier: what it finds is real, what it finds is large, and it proves nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import (
    deployed,
    hand_drawn,
    random_backbone,
    random_snapshot,
    relate,
    related_pairs,
    relu,
    unit_box,
)
from support.random_networks import KINDS, mixed_domain, mixed_relation, mixed_snapshot

from smile_sklearn.certificates import Status
from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.snapshot.graph import GraphBuilder
from smile_sklearn.verification.falsifier import Falsifier
from smile_sklearn.verification.falsifying.envelope_search import worst_pairs
from smile_sklearn.verification.falsifying.pair_space import PairSpace
from smile_sklearn.verification.formulations.value import pair_envelope
from smile_sklearn.verification.mip import MIP


def small_domain():
    return InputDomain(
        [-2, 0, 0, 0, 0, 0], [3, 4, 1, 1, 1, 1], integer=[1], one_hot=[[2, 3]], one_hot_at_most_one=[[4, 5]]
    )


SMALL_DELTA = np.array([0.5, 1, 1, 1, 1, 1])


# --- moves among related pairs --------------------------------------------------------------------


def assert_related(relation, first, second):
    """Numeric features up to the rounding of unit coordinates, whole numbers and categories exactly."""
    domain = relation.domain
    low, high = relation.unit_delta()
    numeric = ~domain.in_group
    for rows in (first, second):
        assert ((rows >= 0) & (rows <= 1)).all()
        steps = (rows * domain.scale)[:, domain.is_integer]
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-12)
    difference = (first - second)[:, numeric]
    assert (difference >= low[numeric] - 1e-15).all()
    assert (difference <= high[numeric] + 1e-15).all()
    np.testing.assert_array_equal(first[:, relation.equal], second[:, relation.equal])
    space = PairSpace(relation)
    raw_first, raw_second = space.to_raw(first), space.to_raw(second)
    assert domain.contains(raw_first).all()
    assert domain.contains(raw_second).all()
    exact = domain.is_integer | domain.in_group
    steps = (raw_first - raw_second)[:, exact]
    assert (steps >= relation.delta_lower[exact]).all()
    assert (steps <= relation.delta_upper[exact]).all()
    for group, allowed in zip(domain.groups, relation.group_pairs, strict=True):
        columns = list(group.columns)
        a, b = (
            (rows[:, None, columns] == group.categories[None]).all(axis=2).argmax(axis=1)
            for rows in (first, second)
        )
        assert allowed[a, b].all()


@given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
@settings(max_examples=60)
def test_every_move_stays_in_q(seed, kind):
    generator = np.random.default_rng(seed)
    domain = mixed_domain(seed)
    relation = mixed_relation(seed, domain, kind)
    space = PairSpace(relation)
    pairs = space.draw(generator, 20)
    assert_related(relation, *pairs)
    slope = generator.normal(size=(2, 20, domain.n_features))
    goal = space.best(*slope)
    assert_related(relation, *goal)
    assert_related(relation, *space.between(pairs, goal, 0.3))
    assert_related(relation, *space.mixed(generator, pairs, goal, 0.5))
    assert_related(relation, *space.nudged(generator, pairs, 0.2))
    numeric = np.where(domain.in_group, pairs[0], generator.normal(size=pairs[0].shape))
    assert_related(relation, *space.project(numeric, pairs[1]))
    # Linear functions of related pairs are nowhere larger than at the best vertices.
    linear = lambda rows: (slope[0] * rows[0] + slope[1] * rows[1]).sum(axis=1)
    assert (linear(goal) >= linear(pairs) - 1e-9).all()


def test_the_best_category_pair_is_an_allowed_one(rng):
    """x' may only keep its category or fall back to none."""
    domain = unit_box(3, one_hot_at_most_one=[[0, 1, 2]])
    relation = relate(domain, (-np.ones(3), np.zeros(3)))
    slope = rng.normal(size=(2, 200, 3))
    first, second = PairSpace(relation).best(*slope)
    found = (slope[0] * first + slope[1] * second).sum(axis=1)
    (group,), (allowed,) = domain.groups, relation.group_pairs
    scores = [part @ group.categories.T for part in slope]
    every = scores[0][:, :, None] + scores[1][:, None, :]
    np.testing.assert_allclose(found, np.where(allowed, every, -np.inf).max(axis=(1, 2)))


# --- V --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_related_exactly_and_have_the_value_stated(kind):
    for seed in range(3):
        domain = mixed_domain(seed)
        snapshot = mixed_snapshot(seed, domain, n_outputs=3)
        relation = mixed_relation(seed, domain, kind)
        found = worst_pairs(snapshot, relation, ("box",), n_best=5, n_pairs=64, n_steps=4)
        assert 1 <= len(found) <= 5
        assert (np.diff(found.violation) <= 0).all()
        for first, second, value, violation, margin, sign in zip(
            *(getattr(found, name) for name in found.__dataclass_fields__), strict=True
        ):
            assert relation.contains_exactly(first, second)
            unit = domain.to_unit(np.stack([first, second]))
            row = sign * snapshot.margins()[margin]
            assert value == pair_envelope(snapshot, ("box",), row, unit[:1], unit[1:]).value[0]
            limit = relation.epsilon_upper if sign > 0 else -relation.epsilon_lower
            assert violation == value - limit
        assert len({row.tobytes() for row in np.hstack([found.first, found.second])}) >= len(found) // 3


@pytest.mark.parametrize("coupling", ["box", "shared", "auto"])
def test_it_comes_within_a_twentieth_of_the_optimum(coupling):
    domain = small_domain()
    for seed in range(4):
        snapshot = random_snapshot(
            seed,
            6,
            ((), (4,), (3, 3), (5,))[seed % 4],
            3,
            n_outputs=1 + 2 * (seed % 2),
            ends=("affine", "relu", "free")[seed % 3],
            domain=domain,
            reads=(),
        )
        relation = relate(domain, SMALL_DELTA, (-0.7, 0.4))
        found = Falsifier().verify(snapshot, relation, coupling=coupling)
        # The smaller epsilon is 0.4, so V reaches at most the bound plus that.
        solved = MIP().verify(snapshot, relation, coupling=coupling)
        assert found.attained + 0.4 >= 0.95 * (solved.bound + 0.4)


def corner_network(n_features, corner, width=0.0):
    """lo = relu(10 (sum of matches with the corner - n + 1/2)): 0 but near one of 2^n corners."""
    builder = GraphBuilder(n_features)
    sign = np.where(corner, 1.0, -1.0)
    start = -(1 - corner).sum()  # sum of sign * x is largest, the number of ones, at the corner
    node = builder.affine(10 * sign[None, :], np.array([-10.0 * (n_features + start - 0.5)]))
    lower = relu(builder, node, 1)
    gap = builder.affine(np.zeros((1, n_features)), np.array([width]))
    upper = builder.sum(lower, gap)
    return NetworkSnapshot(
        builder.build(), lower, upper, gap, np.array([[1.0]]), np.zeros(1), (), unit_box(n_features)
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_violation_planted_at_one_corner_of_thirty_features_is_found(seed):
    corner = np.random.default_rng(seed).integers(0, 2, 30)
    snapshot = corner_network(30, corner)
    relation = relate(snapshot.domain, 0.1, 4.9)
    certificate = Falsifier().verify(snapshot, relation, predict=deployed(snapshot))
    assert certificate.status is Status.VIOLATED
    assert certificate.attained == pytest.approx(0.1)
    assert certificate.counterexample.violation == pytest.approx(0.1)
    # Random pairs alone never see it.
    first, second = related_pairs(relation, 20_000, seed)
    predict = deployed(snapshot)
    assert np.abs(predict(first) - predict(second)).max() == 0.0


def test_starts_are_searched_from():
    corner = np.ones(30, dtype=int)
    snapshot = corner_network(30, corner)
    relation = relate(snapshot.domain, 0.1, 1.0)
    at_corner = np.ones((1, 30)), np.full((1, 30), 0.9)
    options = {"n_pairs": 8, "n_steps": 0}
    assert worst_pairs(snapshot, relation, ("box",), starts=at_corner, **options).value[0] == pytest.approx(5)
    assert worst_pairs(snapshot, relation, ("box",), **options).value[0] == 0.0


def test_every_margin_and_side_is_searched():
    """Only the margin of classes 1 and 2 can fall by much."""
    builder = GraphBuilder(2)
    lower = builder.affine(np.eye(2), np.zeros(2))
    head = np.array([[0.1, 0.0], [0.0, -3.0], [0.0, 3.0]])
    snapshot = NetworkSnapshot(builder.build(), lower, lower, None, head, np.zeros(3), (0, 1), unit_box(2))
    relation = relate(unit_box(2), (np.zeros(2), np.array([0.2, 0.2])), (-0.5, 0.5))
    found = worst_pairs(snapshot, relation, ("box",), n_best=1)
    assert (found.margin[0], found.sign[0]) == (2, -1)
    assert found.violation[0] == pytest.approx(0.7)
    certificate = Falsifier().verify(snapshot, relation, predict=deployed(snapshot))
    assert certificate.counterexample.violation == pytest.approx(0.7)


# --- f --------------------------------------------------------------------------------------------


def test_it_breaks_f_through_a_backbone_it_knows_nothing_of():
    """The box is wide, f is the backbone's doing; epsilon is 60 % of what 20,000 random pairs show."""
    found = 0
    for seed in range(8):
        snapshot = random_snapshot(seed, 5, (4,), 3, ends="affine", gap=3.0)
        predict = deployed(snapshot, random_backbone(snapshot, seed))
        generous = relate(snapshot.domain, 0.2, 1e3)
        first, second = related_pairs(generous, 20_000, seed)
        shown = float(np.abs(predict(first) - predict(second)).max())
        relation = relate(snapshot.domain, 0.2, 0.6 * shown)
        certificate = Falsifier().verify(snapshot, relation, predict=predict)
        if certificate.status is Status.VIOLATED:
            found += 1
            example = certificate.counterexample
            assert relation.contains_exactly(example.first, example.second)
            outputs = predict(np.stack([example.first, example.second]))[:, 0]
            assert abs(outputs[0] - outputs[1]) - relation.epsilon_upper == pytest.approx(example.violation)
    assert found >= 7


def test_f_is_not_asked_where_v_stays_below_epsilon():
    snapshot = hand_drawn(width=0.5)
    relation = relate(snapshot.domain, 0.1, 0.7)

    def predict(rows):
        raise AssertionError("V <= 0.6 < epsilon everywhere: f cannot break it")

    certificate = Falsifier().verify(snapshot, relation, predict=predict)
    assert certificate.status is Status.UNKNOWN
    assert certificate.attained == pytest.approx(-0.1)


def test_outputs_that_are_not_finite_are_no_counterexample():
    snapshot = hand_drawn(width=0.5)
    certificate = Falsifier().verify(
        snapshot, relate(snapshot.domain, 0.1, 0.1), predict=lambda rows: np.full((len(rows), 1), np.nan)
    )
    assert certificate.status is Status.UNKNOWN


# --- what it says ---------------------------------------------------------------------------------


@given(seed=st.integers(0, 10**6), epsilon=st.sampled_from([1e-3, 1.0, 1e3]))
@settings(max_examples=15)
def test_it_never_proves(seed, epsilon):
    snapshot = random_snapshot(seed, 3, (4,), 2, ends="relu")
    relation = relate(snapshot.domain, 0.2, epsilon)
    certificate = Falsifier(n_pairs=32, n_steps=4).verify(snapshot, relation, predict=deployed(snapshot))
    assert certificate.status in (Status.UNKNOWN, Status.VIOLATED)
    assert certificate.bound == certificate.variation == np.inf
    assert certificate.rigor == "replayed"
    assert np.isfinite(certificate.attained)
    if certificate.status is Status.VIOLATED:
        assert certificate.attained >= certificate.counterexample.violation - 1e-9
        assert relation.contains_exactly(certificate.counterexample.first, certificate.counterexample.second)


def test_equal_calls_give_equal_answers_and_the_seed_matters():
    snapshot = random_snapshot(3, 8, (8,), 3, ends="relu")
    relation = relate(snapshot.domain, 0.2, 0.1)
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global generator must stay untouched
    options = {"n_pairs": 16, "n_steps": 3}
    once, again = (worst_pairs(snapshot, relation, ("box",), **options) for _ in range(2))
    np.testing.assert_array_equal(once.first, again.first)
    np.testing.assert_array_equal(once.value, again.value)
    other = worst_pairs(snapshot, relation, ("box",), random_state=1, **options)
    assert other.value.tolist() != once.value.tolist()
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_no_time_is_no_error():
    snapshot = random_snapshot(3, 8, (8,), 3, ends="relu")
    relation = relate(snapshot.domain, 0.2, 0.1)
    hurried = Falsifier().verify(snapshot, relation, time_limit=0.0)
    assert hurried.status is Status.UNKNOWN
    assert hurried.attained <= Falsifier().verify(snapshot, relation).attained


def test_networks_that_overflow_show_nothing():
    huge = replace(hand_drawn(weight=1e308), head_weight=np.array([[1e308]]))
    with np.errstate(all="ignore"):
        certificate = Falsifier().verify(huge, relate(huge.domain, 1.0, 1.0))
    assert certificate.status is Status.UNKNOWN


@pytest.mark.parametrize(
    "options", [{"n_pairs": 0}, {"n_pairs": 2.5}, {"n_steps": -1}, {"random_state": None}]
)
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Falsifier(**options)
