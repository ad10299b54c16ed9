"""Backward linear bounds against exact rational evaluation, with every node type and hostile weights."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import relate, related_pairs, unit_box
from support.random_networks import (
    HOSTILE,
    KINDS,
    exact_dot,
    exact_nodes,
    mixed_domain,
    mixed_relation,
    mixed_snapshot,
)

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.graph import GraphBuilder
from smile_sklearn.verification.branching import linear_bounds
from smile_sklearn.verification.branching.linear_bounds import GraphBounds
from smile_sklearn.verification.branching.linear_functions import maximiser_on_regions, maximum_on_regions
from smile_sklearn.verification.branching.output_bounds import output_bounds, row_bounds
from smile_sklearn.verification.branching.regions import Boxes, Cut, Regions, whole_domain
from smile_sklearn.verification.intervals import node_ranges


def some_regions(relation, seed):
    """The root, and what two rounds of cuts make of it."""
    generator, domain = np.random.default_rng(seed), relation.domain
    leaves = [Regions.root(relation)]
    for _ in range(2):
        region = leaves[-1]
        widths = region.widths(relation)
        variable = np.array(
            [generator.choice(np.flatnonzero(row > 0)) if row.any() else -1 for row in widths]
        )
        kept = tuple(pairs & (generator.random(pairs.shape) < 0.5) for pairs in region.pairs)
        left, right, *alive = region.cut(Cut(variable, region.middle(variable, domain), kept), domain)
        parts = [half.take(mask) for half, mask in zip((left, right), alive, strict=True) if mask.any()]
        leaves.append(Regions.joined(parts))
    return Regions.joined(leaves)


def random_rows(snapshot, seed, copies):
    generator = np.random.default_rng(seed)
    ends = {snapshot.lower, snapshot.upper, len(snapshot.graph) - 1}
    return {
        index: generator.normal(size=(copies, 1, 3, snapshot.graph.nodes[index].size))
        for index in sorted(ends)
    }


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(KINDS), hostile=st.booleans())
@settings(max_examples=15)
def test_linear_bounds_of_pairs_hold_exactly(seed, kind, hostile):
    domain = mixed_domain(seed % 40)
    relation = mixed_relation(seed, domain, kind)
    snapshot = mixed_snapshot(
        seed, domain, ends=("width", "free")[seed % 2], sizes=HOSTILE if hostile else (1.0,)
    )
    regions = some_regions(relation, seed)
    graph = GraphBounds(snapshot.graph, domain)
    ranges = graph.single_ranges(regions).paired()
    differences = graph.differences(regions, ranges)
    rows = random_rows(snapshot, seed, 2)
    bound = graph.upper(rows, ranges, differences)
    top = maximum_on_regions(bound, regions, domain)
    first, second = (domain.to_unit(rows) for rows in related_pairs(relation, 5, seed))
    for p, q in zip(first, second, strict=True):
        nodes = [exact_nodes(snapshot.graph, row) for row in (p, q)]
        held = np.flatnonzero(regions.contains(p, q, domain))
        assert len(held)
        for region in held:
            for copy in range(2):
                for index, interval in enumerate(ranges.nodes):
                    low, high = interval.low[copy, region], interval.high[copy, region]
                    if index:
                        assert all(a <= x <= b for a, x, b in zip(low, nodes[copy][index], high, strict=True))
            for index in range(1, len(nodes[0])):
                steps = [a - b for a, b in zip(nodes[0][index], nodes[1][index], strict=True)]
                low, high = differences[index].low[region], differences[index].high[region]
                assert all(a <= x <= b for a, x, b in zip(low, steps, high, strict=True))
            for function in range(3):
                value = sum(
                    exact_dot(weight[copy, 0, function], nodes[copy][index])
                    for index, weight in rows.items()
                    for copy in range(2)
                )
                line = Fraction(float(bound.constant[region, function])) + sum(
                    exact_dot(bound.coefficients[copy, region, function], nodes[copy][0]) for copy in range(2)
                )
                assert value <= line <= top[region, function]


@given(seed=st.integers(0, 10_000), hostile=st.booleans())
@settings(max_examples=15)
def test_row_bounds_of_one_input_hold_exactly(seed, hostile):
    domain = mixed_domain(seed % 40)
    snapshot = mixed_snapshot(
        seed, domain, ends=("width", "free")[seed % 2], sizes=HOSTILE if hostile else (1.0,)
    )
    generator = np.random.default_rng(seed)
    raw, _ = related_pairs(mixed_relation(seed, domain, "everything"), 4, seed)
    units = domain.to_unit(raw)
    low = np.maximum(units - 0.2 * generator.random(units.shape), 0.0)
    high = np.minimum(units + 0.2 * generator.random(units.shape), 1.0)
    categories = tuple(
        (group.categories[None] == units[:, None, list(group.columns)]).all(axis=2) for group in domain.groups
    )
    eye = np.eye(snapshot.n_latent)
    boxes = Boxes(low, high, categories)
    bounds = row_bounds(snapshot.graph, domain, {snapshot.upper: eye, snapshot.lower: -eye}, boxes)
    envelope = output_bounds(snapshot, snapshot.head_weight, boxes)
    for place, unit in enumerate(units):
        nodes = exact_nodes(snapshot.graph, unit)
        gap = [hi - lo for hi, lo in zip(nodes[snapshot.upper], nodes[snapshot.lower], strict=True)]
        assert all(a <= x <= b for a, x, b in zip(bounds.low[place], gap, bounds.high[place], strict=True))
        tops = [max(hi, lo) for hi, lo in zip(nodes[snapshot.upper], nodes[snapshot.lower], strict=True)]
        for row, least, most in zip(
            snapshot.head_weight, envelope.low[place], envelope.high[place], strict=True
        ):
            up, down = np.maximum(row, 0.0), np.minimum(row, 0.0)
            assert exact_dot(up, tops) + exact_dot(down, nodes[snapshot.lower]) <= most
            assert exact_dot(up, nodes[snapshot.lower]) + exact_dot(down, tops) >= least


def test_on_an_affine_network_the_bound_is_the_maximum():
    builder = GraphBuilder(2)
    node = builder.affine(np.array([[2.0, -3.0]]), np.array([1.0]))
    graph, domain = builder.build(), unit_box(2)
    bounds = row_bounds(graph, domain, {node: np.eye(1)}, whole_domain(domain))
    np.testing.assert_allclose([bounds.low, bounds.high], [[[-2.0]], [[3.0]]], atol=1e-13)


@pytest.mark.parametrize("seed", range(8))
def test_what_rounding_takes_from_weights_that_cancel_is_given_back(seed):
    """Pairs of equal rows, read with nearly opposite weights of 1e8: what is composed is mostly rounding."""
    generator, domain = np.random.default_rng(seed), unit_box(6)
    first = np.repeat(generator.normal(size=(16, 6)), 2, axis=0)
    second = np.repeat(generator.normal(size=(1, 16)) * 1e8, 2, axis=1) * np.tile([1.0, -1.0 - 2e-16], 16)
    builder = GraphBuilder(6)
    hidden = builder.affine(first, np.repeat(generator.normal(size=16), 2))
    node = builder.affine(second, np.zeros(1), hidden)
    graph, point = builder.build(), generator.random((1, 6))
    bounds = row_bounds(graph, domain, {node: np.eye(1)}, Boxes(point, point))
    (value,) = exact_nodes(graph, point[0])[node]
    assert bounds.low[0, 0] <= value <= bounds.high[0, 0]


def test_weights_that_cancel_behind_a_unit_cancel_in_the_bound():
    builder = GraphBuilder(1)
    hidden = builder.clamp(
        np.zeros(1), np.full(1, np.inf), builder.affine(np.array([[4.0]]), np.array([-2.0]))
    )
    node = builder.affine(np.array([[1.0]]), np.array([0.0]), hidden)
    other = builder.affine(np.array([[-1.0]]), np.array([0.0]), hidden)
    graph, domain = builder.build(), unit_box(1)
    bounds = row_bounds(graph, domain, {node: np.eye(1), other: np.eye(1)}, whole_domain(domain))
    np.testing.assert_allclose([bounds.low, bounds.high], 0.0, atol=1e-12)


def test_a_difference_of_units_is_relaxed_as_a_difference():
    """relu(40 p' - 20) - relu(40 p'' - 20) with |p' - p''| <= 0.01: at most 0.4, whatever the ranges are."""
    builder = GraphBuilder(1)
    hidden = builder.clamp(
        np.zeros(1), np.full(1, np.inf), builder.affine(np.array([[40.0]]), np.array([-20.0]))
    )
    graph, domain = builder.build(), unit_box(1)
    regions = Regions.root(relate(domain, [0.01]))
    bounds = GraphBounds(graph, domain)
    ranges = bounds.single_ranges(regions).paired()
    linear = bounds.upper(
        {hidden: np.array([1.0, -1.0]).reshape(2, 1, 1, 1)}, ranges, bounds.differences(regions, ranges)
    )
    np.testing.assert_allclose(maximum_on_regions(linear, regions, domain), 0.4, rtol=1e-9)


def test_deep_ranges_are_within_interval_arithmetic_and_sometimes_tighter():
    domain = unit_box(3)
    builder, generator, source = GraphBuilder(3), np.random.default_rng(0), 0
    for _ in range(3):
        size = builder.build().nodes[source].size
        source = builder.affine(generator.normal(size=(6, size)), generator.normal(size=6), source)
        source = builder.clamp(np.zeros(6), np.full(6, np.inf), source)
    graph = builder.build()
    ours = GraphBounds(graph, domain).ranges(whole_domain(domain))
    tighter = []
    for mine, plain in zip(ours.nodes, node_ranges(graph, domain), strict=True):
        assert (mine.high[0, 0] <= plain.high + 1e-9).all()
        tighter.append((mine.high[0, 0] < 0.9 * plain.high).any())
    assert any(tighter)


@given(seed=st.integers(0, 1000), kind=st.sampled_from(KINDS))
@settings(max_examples=15)
def test_the_maximiser_attains_the_maximum(seed, kind):
    domain = mixed_domain(seed % 40)
    relation = mixed_relation(seed, domain, kind)
    regions = some_regions(relation, seed)
    snapshot = mixed_snapshot(seed, domain)
    graph = GraphBounds(snapshot.graph, domain)
    ranges = graph.single_ranges(regions).paired()
    bound = graph.upper(random_rows(snapshot, seed, 2), ranges, graph.differences(regions, ranges))
    top = maximum_on_regions(bound, regions, domain)[:, 0]
    first, second = maximiser_on_regions(bound.coefficients[:, :, 0], regions, domain)
    value = (bound.coefficients[0, :, 0] * first + bound.coefficients[1, :, 0] * second).sum(axis=1)
    np.testing.assert_allclose(value + bound.constant[:, 0], top, rtol=1e-9, atol=1e-6)


def test_many_boxes_are_bounded_in_chunks_alike(monkeypatch):
    """Memory is bounded by taking fewer boxes at once; the numbers do not change."""
    domain = mixed_domain(3)
    snapshot = mixed_snapshot(3, domain)
    raw, _ = related_pairs(mixed_relation(3, domain, "everything"), 7, 3)
    units = domain.to_unit(raw)
    categories = tuple(np.ones((len(units), len(group.categories)), dtype=bool) for group in domain.groups)
    boxes = Boxes(np.maximum(units - 0.1, 0.0), units, categories)
    whole = output_bounds(snapshot, snapshot.head_weight, boxes)
    monkeypatch.setattr(linear_bounds, "CELLS", 2000)
    np.testing.assert_allclose(output_bounds(snapshot, snapshot.head_weight, boxes), whole, rtol=1e-12)


def test_an_unknown_node_raises():
    class Sine:
        sources, size = (0,), 1

    graph = GraphBuilder(1).build()
    object.__setattr__(graph, "nodes", (*graph.nodes, Sine()))
    with pytest.raises(UnsupportedError, match="Sine"):
        GraphBounds(graph, unit_box(1))
