"""Repair and replay: only an exactly related pair that breaks R in the deployed model is a counterexample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import relate, unit_box

from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.verification.replay import counterexample_from_unit, repair, repair_unit, replay


@given(
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([1e-9, 1.0, 7.3e5]),
    noise=st.sampled_from([0.0, 1e-7, 0.3]),
)
@settings(max_examples=200)
def test_repair_ends_on_an_exactly_related_pair(seed, scale, noise):
    generator = np.random.default_rng(seed)
    lower = scale * generator.normal(size=3)
    domain = InputDomain(
        [*lower, -3, 0, 0, 0],
        [*(lower + scale * generator.random(3)), 4, 1, 1, 1],
        integer=[3],
        one_hot=[[4, 5, 6]],
    )
    width = domain.upper - domain.lower
    low = np.array([-0.1, 0.05, 0.0, -2, -1, 0, 0]) * np.where(np.arange(7) < 3, width, 1)
    high = np.array([0.1, 0.3, 0.0, -1, 0, 1, 0]) * np.where(np.arange(7) < 3, width, 1)
    relation = relate(domain, (low, high), (-np.inf, 1.0))
    second = generator.random(7)
    first = np.clip(
        second + generator.choice([-0.1, 0.05, 0.1, 0.3]) + noise * generator.normal(size=7), 0, 1
    )
    pair = repair_unit(relation, first, second)
    assert pair is not None
    assert relation.contains_exactly(*pair)


def test_repair_moves_a_related_pair_little():
    domain = InputDomain([0.1, -5.0], [0.9, 12.0])
    relation = relate(domain, np.array([0.3, 1.7]))
    first, second = np.array([0.4, 3.7]), np.array([0.1, 2.0])  # 0.4 - 0.1 > 0.3 in exact arithmetic
    assert not relation.contains_exactly(first, second)
    repaired = repair(relation, first, second)
    np.testing.assert_allclose(repaired, [first, second], rtol=1e-14)


def test_repair_near_zero_does_not_crawl():
    """x' = 0: the smallest float steps of x' would never mend a rounding error of size 1e-17."""
    domain = InputDomain([-0.2], [1.0])
    relation = relate(domain, (-0.1, 0.05), (-np.inf, 1.0))
    second = np.nextafter(0.1, 1.0)
    pair = repair(relation, np.array([0.0]), np.array([second]))
    assert relation.contains_exactly(*pair)
    np.testing.assert_allclose(pair, [[0.0], [second]], atol=1e-15)


def test_a_difference_no_two_floats_have_is_given_up():
    domain = InputDomain([0.0], [2.0**60])
    relation = relate(domain, (0.1, 0.1), (-np.inf, 1.0))
    assert repair(relation, np.array([2.0**59]), np.array([2.0**59])) is None


def test_replay_wants_both_rows_in_one_call_and_a_true_violation():
    relation = relate(unit_box(1), 0.5, 0.25)
    calls = []

    def predict(rows):
        calls.append(len(rows))
        return rows

    example = replay(relation, np.array([0.75]), np.array([0.25]), predict)
    assert example.violation == 0.25
    assert calls == [2]
    assert replay(relation, np.array([0.5]), np.array([0.25]), predict) is None  # exactly epsilon
    assert replay(relation, np.array([0.8]), np.array([0.25]), predict) is None  # not related
    assert replay(relation, np.array([0.75]), np.array([0.25]), lambda rows: rows * np.nan) is None


def test_replay_of_margins_and_of_the_lower_side():
    relation = relate(unit_box(1), 0.5, (-0.25, np.inf))
    logits = lambda rows: np.hstack([rows, -rows, 0 * rows])  # f_0 - f_1 = 2 x
    example = replay(relation, np.array([0.25]), np.array([0.5]), logits)
    assert example.violation == pytest.approx(0.25)
    assert replay(relation, np.array([0.25]), np.array([0.25]), logits) is None


def test_without_predict_nothing_is_a_counterexample():
    assert (
        counterexample_from_unit(relate(unit_box(1), 0.5, 0.1), np.array([0.5]), np.array([0.0]), None)
        is None
    )
