"""Ranges, differences and forward errors of every unit against exact evaluation."""

from fractions import Fraction

import numpy as np
import pytest
from support import attack
from support.networks import relate, unit_box
from support.random_networks import (
    HOSTILE,
    KINDS,
    exact_nodes,
    mixed_domain,
    mixed_relation,
    mixed_snapshot,
    within,
)

from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.snapshot import GraphBuilder, evaluate
from smile_sklearn.verification.intervals import (
    affine_input_difference,
    affine_input_range,
    forward_errors,
    input_range,
    node_differences,
    node_ranges,
)

WIDTHS = {
    "mixed": (1.0, 1e-12, 1e9, 50.0),
    "huge and tiny": (1e300, 1e-300, 1e150, 1e-9),
    "denormal": (5e-324, 1e-310, 1.0, 3e-320),
}


def sample(relation, seed, n=5):
    generator = np.random.default_rng(seed)
    parts = [attack.random_pairs(relation, n, generator, corners=corners) for corners in (False, True)]
    pairs = attack.join(*parts)
    return relation.domain.to_unit(pairs.first), relation.domain.to_unit(pairs.second)


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("sizes", [(1.0,), HOSTILE], ids=["plain", "hostile"])
@pytest.mark.parametrize("kind", KINDS)
def test_exact_values_and_differences_are_inside(kind, sizes, widths):
    checked = 0
    for seed in range(3):
        domain = mixed_domain(seed, WIDTHS[widths])
        relation = mixed_relation(seed, domain, kind)
        graph = mixed_snapshot(seed, domain, sizes=sizes, ends="free" if seed % 2 else "width").graph
        ranges = node_ranges(graph, domain)
        differences = node_differences(graph, ranges, relation)
        for first, second in zip(*sample(relation, seed), strict=True):
            one, other = exact_nodes(graph, first), exact_nodes(graph, second)
            for index in range(len(graph)):
                for unit in range(graph.nodes[index].size):
                    assert within(ranges[index].low[unit], one[index][unit], ranges[index].high[unit])
                    change = one[index][unit] - other[index][unit]
                    assert within(differences[index].low[unit], change, differences[index].high[unit])
                    checked += 1
    assert checked > 1000


@pytest.mark.parametrize("sizes", [(1.0,), HOSTILE, (1e-160, 1e-170), (1e100, 1e-100)])
def test_computed_values_are_within_the_forward_error(sizes):
    tightest = 0.0
    for seed in range(4):
        domain = mixed_domain(seed)
        graph = mixed_snapshot(seed, domain, sizes=sizes).graph
        errors = forward_errors(graph, node_ranges(graph, domain))
        rows, _ = sample(mixed_relation(seed, domain, "everything"), seed)
        computed = evaluate(graph, rows, range(len(graph)))
        for number, row in enumerate(rows):
            for error, value, exact in zip(errors, computed, exact_nodes(graph, row), strict=True):
                for unit in range(len(exact)):
                    off = abs(Fraction(float(value[number, unit])) - exact[unit])
                    assert off <= Fraction(float(error[unit]))
                    if error[unit] > 1e-250:
                        tightest = max(tightest, float(off / Fraction(float(error[unit]))))
    # The bound is one of the worst case: far, but not absurdly far, from what happens.
    assert tightest > 1e-4


def test_the_forward_error_of_a_long_sum_is_bounded():
    """A thousand equal terms round in one direction: the worst that summation does."""
    n = 1000
    builder = GraphBuilder(n)
    builder.affine(np.full((1, n), 0.1), np.array([0.1]))
    graph, domain = builder.build(), unit_box(n)
    row = np.full((1, n), 0.7)
    (value,) = evaluate(graph, row, (1,))
    exact = n * Fraction(0.1) * Fraction(0.7) + Fraction(0.1)
    error = forward_errors(graph, node_ranges(graph, domain))[1][0]
    assert abs(Fraction(float(value[0, 0])) - exact) <= Fraction(error)
    assert error < 1e-9


def test_underflow_is_part_of_the_forward_error():
    builder = GraphBuilder(1)
    node = builder.affine(np.array([[1e-200]]), np.array([0.0]))
    builder.affine(np.array([[1e-200]]), np.array([0.0]), node)
    graph, domain = builder.build(), unit_box(1)
    (value,) = evaluate(graph, np.array([[1.0]]), (2,))
    error = forward_errors(graph, node_ranges(graph, domain))[2][0]
    exact = Fraction(1e-200) * Fraction(1e-200)
    assert abs(Fraction(float(value[0, 0])) - exact) <= Fraction(error)
    assert error > 0


def test_input_range_is_the_unit_box_but_for_constants():
    domain = InputDomain([2.0, 5.0, 0, 0], [3.0, 5.0, 1, 1], one_hot=[[2, 3]])
    assert input_range(domain).low.tolist() == [0, 0, 0, 0]
    assert input_range(domain).high.tolist() == [1, 0, 1, 1]


def test_a_group_counts_one_category():
    weight = np.array([[3.0, -1.0, 2.0], [1.0, 1.0, 1.0]])
    exactly = InputDomain(np.zeros(3), np.ones(3), one_hot=[[0, 1, 2]])
    at_most = InputDomain(np.zeros(3), np.ones(3), one_hot_at_most_one=[[0, 1, 2]])
    low, high = affine_input_range(weight, exactly)
    assert (low.tolist(), high.tolist()) == ([-1.0, 1.0], [3.0, 1.0])
    low, high = affine_input_range(weight, at_most)
    assert (low.tolist(), high.tolist()) == ([-1.0, 0.0], [3.0, 1.0])
    free = relate(exactly, (np.full(3, -1.0), np.full(3, 1.0)))
    low, high = affine_input_difference(weight, free)
    assert low == pytest.approx([-4.0, 0.0], abs=1e-12)
    assert high == pytest.approx([4.0, 0.0], abs=1e-12)
    # Equal weights of all categories: exactly no difference.
    assert (low[1], high[1]) == (0.0, 0.0)
    # Only from category 2 to category 0.
    one_way = relate(exactly, (np.array([0.0, 0.0, -1.0]), np.array([1.0, 0.0, 0.0])), (-1.0, 9.0))
    low, high = affine_input_difference(weight, one_way)
    assert low == pytest.approx([0.0, 0.0], abs=1e-12)
    assert high == pytest.approx([1.0, 0.0], abs=1e-12)


def test_exact_zeros_stay_zero_through_all_layers():
    domain = unit_box(3)
    relation = relate(domain, (np.array([-1.0, 0.0, 0.0]), np.array([1.0, 0.0, 0.0])))
    builder = GraphBuilder(3)
    node = builder.affine(np.array([[0.0, 0.3, -1e9], [0.1, 0.0, 0.0]]), np.array([0.1, 0.2]))
    node = builder.clamp(np.zeros(2), np.full(2, np.inf), node)
    node = builder.affine(np.array([[7.0, 0.0], [1.0, 1.0]]), np.zeros(2), node)
    node = builder.sum(node, builder.affine(np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]), np.zeros(2)))
    graph = builder.build()
    for low, high in [node_differences(graph, node_ranges(graph, domain), relation)[node]]:
        assert (low[0], high[0]) == (0.0, 0.0)
        assert low[1] < 0 < high[1]


@pytest.mark.parametrize(
    ("bias", "expected"),
    [
        (1.0, (0.2, 0.5)),  # linear on all of X: the difference passes, sign and all
        (0.0, (0.2, 0.5)),  # touches the kink at x = 0: still linear
        (-1e-12, (0.0, 0.5)),  # crosses it
        (-1.0, (0.0, 0.0)),  # flat: ends exactly at the kink
        (-2.0, (0.0, 0.0)),
    ],
)
def test_units_that_switch_exactly_on_the_boundary(bias, expected):
    domain = unit_box(1)
    relation = relate(domain, (np.array([0.2]), np.array([0.5])), (-1.0, 1.0))
    builder = GraphBuilder(1)
    node = builder.affine(np.array([[1.0]]), np.array([bias]))
    node = builder.clamp(np.zeros(1), np.array([np.inf]), node)
    graph = builder.build()
    low, high = node_differences(graph, node_ranges(graph, domain), relation)[node]
    assert (low[0], high[0]) == pytest.approx(expected, abs=1e-12)
    assert low[0] <= expected[0]
    assert high[0] >= expected[1]


def test_the_range_of_a_unit_cuts_its_difference():
    domain = unit_box(1)
    relation = relate(domain, [1.0])
    builder = GraphBuilder(1)
    node = builder.affine(np.array([[100.0]]), np.array([-50.0]))
    node = builder.clamp(np.array([-1.0]), np.array([1.0]), node)
    graph = builder.build()
    low, high = node_differences(graph, node_ranges(graph, domain), relation)[node]
    assert (low[0], high[0]) == pytest.approx((-2.0, 2.0))
    assert low[0] <= -2.0
    assert high[0] >= 2.0


# --- each term of the error, alone ----------------------------------------------------------------


def assert_within_error(graph, rows, node):
    domain = unit_box(rows.shape[1])
    (computed,) = evaluate(graph, rows, (node,))
    error = forward_errors(graph, node_ranges(graph, domain))[node]
    worst = 0
    for value, row in zip(computed, rows, strict=True):
        for one, exact, limit in zip(value, exact_nodes(graph, row)[node], error, strict=True):
            worst = max(worst, abs(Fraction(float(one)) - exact))
            assert abs(Fraction(float(one)) - exact) <= Fraction(float(limit))
    assert worst > 0
    return worst


def test_an_error_passes_a_clamp_that_hides_its_size():
    """1e9 - 1e9 errs by 1e-7; the clamp leaves a range of 1, and three times the error goes on."""
    generator = np.random.default_rng(0)
    weight = 1e9 * generator.normal(size=(4, 8))
    weight[:, -1] = -weight[:, :-1].sum(axis=1)
    builder = GraphBuilder(8)
    node = builder.affine(weight, np.zeros(4))
    node = builder.clamp(np.full(4, -1.0), np.ones(4), node)
    node = builder.affine(np.full((2, 4), 3.0), np.zeros(2), node)
    rows = np.repeat(generator.random((200, 1)), 8, axis=1)
    assert assert_within_error(builder.build(), rows, node) > 1e-8


def test_a_product_of_a_denormal_weight_errs_by_a_denormal():
    builder = GraphBuilder(3)
    node = builder.affine(np.array([[1e-310, 3e-311, -7e-312]]), np.zeros(1))
    assert_within_error(builder.build(), np.random.default_rng(0).random((100, 3)), node)


def test_a_sum_of_two_nodes_rounds_too():
    builder = GraphBuilder(4)
    node = builder.sum(builder.group_sort(4, 0), 0)
    assert_within_error(builder.build(), np.random.default_rng(0).random((100, 4)), node)


def test_the_span_of_a_range_is_rounded_up():
    """x' at one end of the clamp and x'' at the other: their difference is no float."""
    generator = np.random.default_rng(0)
    low, high = -generator.random(200), 10.0 * generator.random(200)
    builder = GraphBuilder(1)
    node = builder.affine(np.full((200, 1), 1e3), np.full(200, -500.0))
    node = builder.clamp(low, high, node)
    graph, domain = builder.build(), unit_box(1)
    change = node_differences(graph, node_ranges(graph, domain), relate(domain, [1.0]))[node]
    for bottom, top, least, most in zip(low, high, change.low, change.high, strict=True):
        span = Fraction(float(top)) - Fraction(float(bottom))
        assert span <= Fraction(float(most))
        assert Fraction(float(least)) <= -span
