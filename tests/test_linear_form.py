"""Rows over the nonlinear units: coefficients known up to their error, bounds outward, cancellation kept."""

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

from smile_sklearn.snapshot import Clamp, GraphBuilder, GroupSort, Input
from smile_sklearn.verification.intervals import node_differences, node_ranges
from smile_sklearn.verification.linear_form import linear_form


def exact_row(rows, values):
    """sum_k rows[k] @ node_k in fractions, for the first row of each."""
    return sum(
        Fraction(weight) * value
        for index, matrix in rows.items()
        for weight, value in zip(matrix[0].tolist(), values[index], strict=True)
    )


@pytest.mark.parametrize("sizes", [(1.0,), HOSTILE], ids=["plain", "hostile"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_form_bounds_its_row(kind, sizes):
    for seed in range(3):
        domain = mixed_domain(seed)
        relation = mixed_relation(seed, domain, kind)
        snapshot = mixed_snapshot(seed, domain, sizes=sizes, ends="free" if seed % 2 else "width")
        graph = snapshot.graph
        generator = np.random.default_rng(seed)
        # Two starting nodes, one of which is below the other: coefficients accumulate.
        rows = {snapshot.upper: generator.normal(size=(1, 4)), snapshot.lower: generator.normal(size=(1, 4))}
        form = linear_form(graph, rows)
        assert all(isinstance(graph.nodes[index], Input | Clamp | GroupSort) for index in form.coefficients)
        ranges = node_ranges(graph, domain)
        differences = node_differences(graph, ranges, relation)
        span, change = form.range(ranges, domain), form.difference(differences, relation)
        pairs = attack.random_pairs(relation, 12, generator)
        for first, second in zip(domain.to_unit(pairs.first), domain.to_unit(pairs.second), strict=True):
            one, other = (exact_row(rows, exact_nodes(graph, row)) for row in (first, second))
            assert within(span.low[0], one, span.high[0])
            assert within(change.low[0], one - other, change.high[0])


@pytest.mark.parametrize("sizes", [(1.0,), HOSTILE, (1e-160,)])
def test_coefficients_and_constants_are_known_up_to_their_error(sizes):
    """w (W2 (W1 x + b1) + b2) written over x, the exact coefficients computed in fractions."""
    generator = np.random.default_rng(0)
    shape = [(5, 4), (3, 5), (2, 3)]
    first, second, row = (generator.normal(size=s) * generator.choice(sizes, s) for s in shape)
    biases = [generator.normal(size=5) * 1e9, generator.normal(size=3) * 1e-9]
    builder = GraphBuilder(4)
    node = builder.affine(second, biases[1], builder.affine(first, biases[0]))
    form = linear_form(builder.build(), {node: row})

    def product(a, b):
        return [
            [
                sum(Fraction(x) * Fraction(y) for x, y in zip(line, column, strict=True))
                for column in zip(*b, strict=True)
            ]
            for line in a
        ]

    lists = [matrix.tolist() for matrix in (first, second, row)]
    middle = product(lists[2], lists[1])
    exact = product(middle, lists[0])
    for i in range(2):
        for j in range(4):
            off = abs(Fraction(float(form.coefficients[0][i, j])) - exact[i][j])
            assert off <= Fraction(float(form.errors[0][i, j]))
        constant = sum(
            Fraction(a) * Fraction(b) for a, b in zip(lists[2][i], biases[1].tolist(), strict=True)
        )
        constant += sum(a * Fraction(b) for a, b in zip(middle[i], biases[0].tolist(), strict=True))
        assert abs(Fraction(float(form.constant[i])) - constant) <= Fraction(float(form.constant_error[i]))


def test_opposite_weights_cancel():
    """lo_1 - lo_2 of two equal units is 0 in the composed form, and +-2 layer by layer."""
    domain = unit_box(2)
    relation = relate(domain, [1.0, 1.0])
    builder = GraphBuilder(2)
    hidden = builder.affine(np.array([[1.0, 1.0]]), np.zeros(1))
    both = builder.affine(np.array([[1.0], [1.0]]), np.zeros(2), hidden)
    graph = builder.build()
    ranges = node_ranges(graph, domain)
    differences = node_differences(graph, ranges, relation)
    form = linear_form(graph, {both: np.array([[1.0, -1.0]])})
    low, high = form.difference(differences, relation)
    assert abs(low[0]) < 1e-12
    assert abs(high[0]) < 1e-12
    assert low[0] <= 0 <= high[0]


def test_structural_zeros_carry_no_error():
    builder = GraphBuilder(3)
    hidden = builder.affine(np.array([[1.0, 0.0, 0.5], [2.0, 0.0, 0.1]]), np.zeros(2))
    node = builder.affine(np.array([[0.3, 0.7]]), np.zeros(1), hidden)
    form = linear_form(builder.build(), {node: np.array([[1.1]])})
    assert form.coefficients[0][0, 1] == 0
    assert form.errors[0][0, 1] == 0
    assert (form.errors[0][0, [0, 2]] > 0).all()


# --- coefficients that cancel to nothing in floats ------------------------------------------------

LOST = np.array([[1e16, 1.0, -1e16]])
"""Sums to 1, and to 0 (or 2) in floats."""


def bounds_of(builder, rows):
    """Range and difference of the form on [0, 1], where the exact row is x: (0, 1) and (-1, 1)."""
    graph, domain = builder.build(), unit_box(1)
    ranges = node_ranges(graph, domain)
    form = linear_form(graph, rows)
    change = form.difference(node_differences(graph, ranges, relate(domain, [1.0])), relate(domain, [1.0]))
    return form.range(ranges, domain), change


def assert_contain_x(span, change):
    assert span.low[0] <= 0
    assert span.high[0] >= 1
    assert change.low[0] <= -1
    assert change.high[0] >= 1


@pytest.mark.parametrize("hidden", [False, True])
def test_a_coefficient_lost_to_rounding_is_in_its_error(hidden):
    builder = GraphBuilder(1)
    source = 0
    if hidden:
        source = builder.clamp(np.full(1, -5.0), np.full(1, 5.0), 0)
    node = builder.affine(np.ones((3, 1)), np.zeros(3), source)
    assert_contain_x(*bounds_of(builder, {node: LOST}))


def test_the_error_of_a_coefficient_passes_the_next_layer():
    builder = GraphBuilder(1)
    node = builder.affine(np.ones((1, 1)), np.zeros(1))
    node = builder.affine(np.ones((3, 1)), np.zeros(3), node)
    assert_contain_x(*bounds_of(builder, {node: LOST}))


def test_coefficients_of_two_paths_add_with_both_errors():
    """x reached through two nodes: one path exact, the other with a coefficient lost to rounding."""
    builder = GraphBuilder(1)
    lossy = builder.affine(np.ones((3, 1)), np.zeros(3))
    plain = builder.affine(np.zeros((1, 1)), np.zeros(1))
    for order in ({lossy: LOST, plain: np.ones((1, 1))}, {plain: np.ones((1, 1)), lossy: LOST}):
        assert_contain_x(*bounds_of(builder, order))
    # The sum of the coefficients itself rounds: 1e16 + 1, less 1e16.
    builder = GraphBuilder(1)
    first = builder.affine(np.full((1, 1), 1e16), np.zeros(1))
    second = builder.affine(np.ones((1, 1)), np.zeros(1))
    third = builder.affine(np.full((1, 1), -1e16), np.zeros(1))
    rows = {first: np.ones((1, 1)), second: np.ones((1, 1)), third: np.ones((1, 1))}
    assert_contain_x(*bounds_of(builder, rows))


def test_a_constant_lost_to_rounding_is_in_its_error():
    builder = GraphBuilder(1)
    node = builder.affine(np.zeros((3, 1)), np.ones(3))
    graph = builder.build()
    form = linear_form(graph, {node: LOST})
    span = form.range(node_ranges(graph, unit_box(1)), unit_box(1))
    assert span.low[0] <= 1 <= span.high[0]
