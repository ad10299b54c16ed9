"""The auxiliary families: the structure is in the weights, and the graph is what training evaluates."""

import numpy as np
import pytest
import torch
from support.networks import relate

from smile_sklearn.network import (
    FreeAuxiliary,
    SMiLENetwork,
    build_auxiliary,
    build_backbone,
    plan_architecture,
)
from smile_sklearn.network.auxiliary import FREE_CHANNEL_BOUND
from smile_sklearn.network.families import FAMILIES
from smile_sklearn.network.lipschitz import LipschitzAuxiliary
from smile_sklearn.properties import Fair, GloballyRobust, InputDomain, Monotonic
from smile_sklearn.snapshot import Affine, evaluate
from smile_sklearn.verification import DifferenceBounds
from smile_sklearn.verification.intervals import node_differences, node_ranges

DOMAIN = InputDomain(np.zeros(6), np.ones(6), one_hot=[[4, 5]])
PROPERTIES = {
    "none": (None, ()),
    "monotone": (Monotonic([1, -1, 0, 0, 0, 0]), ("shared",)),
    "fair": (Fair([0], 1.0), ("shared",)),
    "fair, zero": (Fair([0, 4, 5], 0.0), ("shared",)),
    "robust": (GloballyRobust(0.1, 1.0), ("box",)),
    "monotone by box": (Monotonic([1, -1, 0, 0, 0, 0]), ("box",)),
    "set": (Monotonic([1, -1, 0, 0, 0, 0]) & GloballyRobust(0.1, 1.0), ("shared", "box")),
}


def network_of(family, name, *, seed=0, n_outputs=1):
    properties, couplings = PROPERTIES[name]
    resolved = () if properties is None else properties.resolve(DOMAIN, None, n_outputs)
    relations = resolved if isinstance(resolved, tuple) else (resolved,)
    architecture = plan_architecture(relations, couplings, DOMAIN, n_outputs=n_outputs, n_latent=6)
    torch.manual_seed(seed)
    auxiliary = FreeAuxiliary(architecture) if family == "free" else build_auxiliary(family, architecture)
    network = SMiLENetwork(architecture, build_backbone(None, len(architecture.reads), (4,), 6), auxiliary)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, dtype=torch.float64))
    return network, relations


DENSE = sorted(set(FAMILIES) - {"convolutional"})
"""Families of any table; images have a file of their own."""

EVERY = [(family, name) for family in [*DENSE, "free"] for name in PROPERTIES]


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_the_snapshot_computes_what_the_module_computes(family, name):
    network, _ = network_of(family, name, n_outputs=1)
    rows = np.random.default_rng(0).random((40, 6))
    with torch.no_grad():
        components = network(torch.tensor(rows))
    snapshot = network.snapshot(DOMAIN, output_scale=3.0, output_shift=-2.0)
    low, high = snapshot.bounds(rows)
    np.testing.assert_allclose(low, components.lower.numpy(), atol=1e-11)
    np.testing.assert_allclose(high, components.upper.numpy(), atol=1e-11)
    output = snapshot.forward(rows, components.embedding.numpy())
    np.testing.assert_allclose(output, 3.0 * components.output.numpy() - 2.0, atol=1e-10)
    assert snapshot.reads == network.architecture.reads
    assert (snapshot.width is None) == (family == "free")


@pytest.mark.parametrize("family", DENSE)
@pytest.mark.parametrize("name", PROPERTIES)
def test_the_width_is_never_negative(family, name):
    network, _ = network_of(family, name)
    snapshot = network.snapshot(DOMAIN)
    rows = np.vstack(
        [np.random.default_rng(0).random((200, 6)), np.eye(6), np.zeros((1, 6)), np.ones((1, 6))]
    )
    (width,) = evaluate(snapshot.graph, rows, (snapshot.width,))
    assert (width >= 0).all()
    if network.architecture.zero_width:
        assert (width == 0).all()


@pytest.mark.parametrize("family", DENSE)
@pytest.mark.parametrize("name", ["monotone", "monotone by box", "set"])
def test_signs_are_in_the_effective_weights(family, name):
    """Every path from a constrained feature to lo and f has its sign; a step of one float never breaks it."""
    network, _ = network_of(family, name)
    snapshot = network.snapshot(DOMAIN)
    assert (snapshot.head_weight >= 0).all()
    generator = np.random.default_rng(0)
    rows = generator.random((3000, 6))
    rows[:, 4:] = np.eye(2)[generator.integers(0, 2, 3000)]
    for feature, direction in ((0, 1), (1, -1)):
        higher = rows.copy()
        half = generator.random(3000) < 0.5
        higher[half, feature] = np.minimum(1.0, higher[half, feature] + generator.random(half.sum()))
        higher[~half, feature] = np.nextafter(higher[~half, feature], 2.0)
        (before,), (after,) = (evaluate(snapshot.graph, part, (snapshot.lower,)) for part in (rows, higher))
        assert (direction * (after - before) >= 0).all()
        assert (after != before).any()


@pytest.mark.parametrize("family", DENSE)
def test_a_feature_of_sign_zero_is_not_read(family):
    network, _ = network_of(family, "fair, zero")
    graph = network.snapshot(DOMAIN).graph
    for node in graph.nodes:
        if isinstance(node, Affine) and node.source == 0:
            assert (node.weight[:, [0, 4, 5]] == 0).all()


@pytest.mark.parametrize("family", DENSE)
@pytest.mark.parametrize("name", ["monotone", "fair"])
def test_free_channels_cost_nothing(family, name):
    network, (relation,) = network_of(family, name)
    n_free = network.architecture.n_free
    assert n_free == 3
    snapshot = network.snapshot(DOMAIN)
    ranges = node_ranges(snapshot.graph, DOMAIN)
    differences = node_differences(snapshot.graph, ranges, relation)
    for end, value in ((snapshot.lower, -FREE_CHANNEL_BOUND), (snapshot.upper, FREE_CHANNEL_BOUND)):
        assert (differences[end].low[:n_free] == 0).all()
        assert (differences[end].high[:n_free] == 0).all()
        assert ranges[end].low[:n_free] == pytest.approx(value)
        assert ranges[end].high[:n_free] == pytest.approx(value)


def test_lipschitz_units_differ_by_at_most_one():
    for name in ("robust", "fair", "set"):
        network, relations = network_of("lipschitz", name)
        snapshot = network.snapshot(DOMAIN)
        ranges = node_ranges(snapshot.graph, DOMAIN)
        for relation in relations:
            lower = node_differences(snapshot.graph, ranges, relation)[snapshot.lower]
            assert lower.magnitude.max() <= 1.0 + 1e-9
            assert lower.magnitude.max() > 0.1


@pytest.mark.parametrize(("hidden", "group"), [(8, 4), ((8,), 2), ((12, 8, 4), 4)])
def test_lipschitz_layers_of_any_sizes_use_all_of_epsilon(hidden, group):
    _, (relation,) = network_of("lipschitz", "robust")
    architecture = plan_architecture((relation,), ("box",), DOMAIN, n_outputs=1, n_latent=1)
    torch.manual_seed(0)
    auxiliary = LipschitzAuxiliary(architecture, hidden=hidden, group=group)
    with torch.no_grad():
        for parameter in auxiliary.parameters():
            parameter.add_(torch.randn(parameter.shape, dtype=torch.float64))
        auxiliary.raw_width.zero_()
    network = SMiLENetwork(architecture, build_backbone(None, 6, (4,), 1), auxiliary)
    (bound,) = np.abs(network.head_weight.detach().numpy())
    certificate = DifferenceBounds().verify(network.snapshot(DOMAIN), relation, coupling="box")
    # Rows outside the ball are projected onto its surface, and GroupSort loses nothing.
    assert certificate.variation == pytest.approx(bound, rel=1e-9)


@pytest.mark.parametrize(("hidden", "group"), [((), 4), ((6, 8), 4), (0, 1), ((8, -4), 4)])
def test_lipschitz_layers_are_whole_groups(hidden, group):
    architecture = network_of("relu", "robust")[0].architecture
    with pytest.raises(ValueError, match="multiples of the group"):
        LipschitzAuxiliary(architecture, hidden=hidden, group=group)


def test_the_context_reads_only_what_is_held_equal():
    network, (relation,) = network_of("relu", "monotone")
    assert network.architecture.reads == (2, 3, 4, 5)
    graph, _ = network.auxiliary_graph()
    first = [node for node in graph.nodes if isinstance(node, Affine) and node.source == 0]
    context, base = first[0], first[1]
    assert (context.weight[:, [0, 1]] == 0).all()
    assert (base.weight[:, [2, 3, 4, 5]] == 0).all()
    assert relation.equal.tolist() == [False, False, True, True, True, True]


def test_families_by_name():
    architecture = network_of("relu", "robust")[0].architecture
    assert build_auxiliary(FAMILIES["affine"], architecture).__class__ is FAMILIES["affine"]
    with pytest.raises(ValueError, match="affine"):
        build_auxiliary("convex", architecture)
    with pytest.raises(ValueError, match="function"):
        build_auxiliary(3, architecture)


def test_the_plan_reads_what_every_shared_property_holds_equal():
    first = relate(DOMAIN, [0.1, 0, 0, 0, 0, 0])
    second = relate(DOMAIN, [0, 0.1, 0, 0, 0, 0])
    plan = plan_architecture((first, second), ("shared", "shared"), DOMAIN, n_outputs=1, n_latent=4)
    assert plan.reads == (2, 3, 4, 5)
    assert not plan.thin_boxes
    mixed = plan_architecture((first, second), ("shared", "box"), DOMAIN, n_outputs=1, n_latent=4)
    assert mixed.reads == (1, 2, 3, 4, 5)
    assert mixed.thin_boxes
    opposite = [relate(DOMAIN, (np.array([-1.0, 0, 0, 0, 0, 0]), np.zeros(6)), (-np.inf, 0.0)),
                relate(DOMAIN, (np.zeros(6), np.array([1.0, 0, 0, 0, 0, 0])), (-np.inf, 0.0))]  # fmt: skip
    plan = plan_architecture(opposite, ("shared", "shared"), DOMAIN, n_outputs=1, n_latent=4)
    assert plan.column_signs[0] == 0
    assert np.isnan(plan.column_signs[1:]).all()
