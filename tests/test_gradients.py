"""V in plain floats and its gradient, against the fixed-order forward pass and finite differences."""

import numpy as np
import pytest
from support.networks import hand_drawn, random_snapshot, relu, unit_box
from support.random_networks import mixed_domain, mixed_snapshot

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.snapshot.graph import Graph, GraphBuilder, Input
from smile_sklearn.verification.falsifying.gradients import EnvelopeFunction, input_gradient, node_values
from smile_sklearn.verification.formulations.value import pair_envelope

COUPLINGS = [("box",), ("shared",), ("box", "shared")]


def every_node_type(seed, ends, n_outputs=1):
    """Affine layers, clamps of several kinds, a sort in blocks of 4, a skip through a sum."""
    return mixed_snapshot(seed, mixed_domain(seed), ends=ends, n_outputs=n_outputs)


def signed_rows(snapshot):
    return np.vstack([snapshot.margins(), -snapshot.margins()])


@pytest.mark.parametrize("couplings", COUPLINGS)
@pytest.mark.parametrize("ends", ["width", "free"])
def test_values_are_those_of_the_envelope(couplings, ends, rng):
    for seed in range(4):
        snapshot = every_node_type(seed, ends, n_outputs=3)
        first, second = rng.random((2, 50, snapshot.n_features))
        rows = signed_rows(snapshot)
        values = EnvelopeFunction(snapshot, couplings, rows).values(first, second)
        for row, column in zip(rows, values.T, strict=True):
            truth = pair_envelope(snapshot, couplings, row, first, second).value
            np.testing.assert_allclose(column, truth, atol=1e-10)


@pytest.mark.parametrize("couplings", COUPLINGS)
@pytest.mark.parametrize("ends", ["width", "free"])
def test_gradient_agrees_with_finite_differences(couplings, ends, rng):
    n_pairs, step = 60, 1e-6
    for seed in range(6):
        snapshot = every_node_type(seed, ends, n_outputs=1 + 2 * (seed % 2))
        rows = signed_rows(snapshot)
        function = EnvelopeFunction(snapshot, couplings, rows)
        # Away from the ends of the box, where flat units of the tests have their kinks.
        pair = 0.1 + 0.8 * rng.random((2, n_pairs, snapshot.n_features))
        chosen = rng.integers(len(rows), size=n_pairs)
        gradient = function.gradient(*pair, chosen)
        direction = rng.normal(size=pair.shape)
        behind, here, ahead = (
            function.values(*(pair + move * direction))[np.arange(n_pairs), chosen]
            for move in (-step, 0, step)
        )
        np.testing.assert_allclose(gradient.value, here, atol=1e-10)
        measured = (ahead - behind) / (2 * step)
        stated = (gradient.first * direction[0] + gradient.second * direction[1]).sum(axis=1)
        close = np.isclose(measured, stated, rtol=1e-5, atol=1e-6)
        # A kink between the two points spoils a difference quotient; it seldom lies there.
        assert close.mean() >= 0.97


def test_a_node_that_is_both_ends_is_counted_twice():
    builder = GraphBuilder(2)
    node = builder.affine(np.array([[1.0, -3.0]]), np.zeros(1))
    snapshot = NetworkSnapshot(
        builder.build(), node, node, None, np.array([[2.0]]), np.zeros(1), (), unit_box(2)
    )
    gradient = EnvelopeFunction(snapshot, ("box",), snapshot.margins()).gradient(
        np.full((1, 2), 0.5), np.zeros((1, 2)), np.array([0])
    )
    assert gradient.value == pytest.approx([-2.0])
    np.testing.assert_allclose(gradient.first, [[2.0, -6.0]])
    np.testing.assert_allclose(gradient.second, [[-2.0, 6.0]])


def test_a_leak_passes_through_units_that_are_off():
    builder = GraphBuilder(1)
    node = relu(builder, builder.affine(np.array([[4.0]]), np.array([-10.0])), 1)
    graph = builder.build()
    values = node_values(graph, np.array([[0.5]]), (node,))
    assert input_gradient(graph, values, {node: np.ones((1, 1))}) == 0.0
    assert input_gradient(graph, values, {node: np.ones((1, 1))}, leak=0.25) == 1.0


def test_a_leak_opens_the_flat_part_of_the_shared_coupling():
    """f falls in x and Q lets x only grow: V = 0, and nothing but the leak says which way is up."""
    snapshot = hand_drawn(weight=-1.0)
    function = EnvelopeFunction(snapshot, ("shared",), snapshot.margins())
    pair = np.array([[0.75]]), np.array([[0.25]])
    chosen = np.array([0])
    assert function.gradient(*pair, chosen).first == 0.0
    assert function.gradient(*pair, chosen, (0.5, 0.0)).first == -0.5


def test_the_leak_is_that_of_its_copy():
    """Off at both: with a leak at x' alone the gradient says where x' should go, and nothing of x''."""
    builder = GraphBuilder(1)
    lower = relu(builder, builder.affine(np.array([[4.0]]), np.array([-10.0])), 1)
    snapshot = NetworkSnapshot(
        builder.build(), lower, lower, None, np.array([[1.0]]), np.zeros(1), (), unit_box(1)
    )
    function = EnvelopeFunction(snapshot, ("box",), snapshot.margins())
    pair = np.array([[0.5]]), np.array([[0.25]])
    for leaks, slopes in (((0.25, 0.0), (1.0, 0.0)), ((0.0, 0.25), (0.0, -1.0))):
        gradient = function.gradient(*pair, np.array([0]), leaks)
        assert (gradient.first, gradient.second) == slopes


def test_only_what_the_targets_read_is_evaluated():
    snapshot = random_snapshot(0, 2, (3,), 2)
    values = node_values(snapshot.graph, np.zeros((1, 2)), (snapshot.lower,))
    assert snapshot.upper not in values


def test_an_unknown_node_raises():
    class Alien:
        size, source, sources = 1, 0, (0,)

    graph = Graph((Input(1),))
    object.__setattr__(graph, "nodes", (Input(1), Alien()))
    with pytest.raises(UnsupportedError, match="Alien"):
        node_values(graph, np.zeros((1, 1)), (1,))
    with pytest.raises(UnsupportedError, match="Alien"):
        input_gradient(graph, {0: np.zeros((1, 1))}, {1: np.ones((1, 1))})
