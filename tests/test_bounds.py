"""Bounds of training and of verification are one: torch <= numpy <= torch + slack."""

from functools import partial

import numpy as np
import pytest
import torch
from support.networks import relate

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.network import (
    ConvolutionalAuxiliary,
    FreeAuxiliary,
    SMiLENetwork,
    build_auxiliary,
    build_backbone,
    plan_architecture,
)
from smile_sklearn.network.families import FAMILIES
from smile_sklearn.properties import InputDomain
from smile_sklearn.training.bounds import DifferenceMeasure, margin_rows
from smile_sklearn.verification.difference import Analysis

DOMAIN = InputDomain(
    [-1.0, 0.0, 10.0, 7.0, 0, 0, 0, 0, 0, 0],
    [2.0, 1e-3, 1e4, 7.0, 4, 1, 1, 1, 1, 1],
    integer=[4],
    one_hot=[[5, 6, 7]],
    one_hot_at_most_one=[[8, 9]],
)


def deltas(**moving):
    lower, upper = np.zeros(10), np.zeros(10)
    for name, ends in moving.items():
        columns = {
            "numeric": [0],
            "wide": [2],
            "constant": [3],
            "integer": [4],
            "group": [5, 6, 7],
            "loose": [8, 9],
        }[name]
        lower[columns], upper[columns] = ends
    return lower, upper


RELATIONS = {
    "numeric": (deltas(numeric=(-0.5, 0.5), wide=(-100.0, 100.0)), (-1.0, 1.0)),
    "constant": (deltas(constant=(-1.0, 1.0), numeric=(-0.5, 0.5)), (-1.0, 1.0)),
    "integer": (deltas(integer=(-2.0, 1.0)), (-1.0, 1.0)),
    "group": (deltas(group=(-1.0, 1.0)), (-1.0, 1.0)),
    "group, some categories": (
        (np.array([0.0] * 5 + [-1.0, 0.0, 0.0, 0.0, 0.0]), np.array([0.0] * 5 + [0.0, 0.0, 1.0, 0.0, 0.0])),
        (-1.0, 1.0),
    ),
    "group that may be empty": (deltas(loose=(-1.0, 1.0), numeric=(0.0, 0.5)), (-1.0, 1.0)),
    "one-sided": (deltas(numeric=(0.0, 1.0), integer=(-1.0, 0.0)), (-np.inf, 0.5)),
    "monotone": (deltas(numeric=(-np.inf, 0.0), wide=(0.0, np.inf)), (-np.inf, 0.0)),
    "away from zero": (deltas(numeric=(0.5, 1.0)), (-2.0, 1.0)),
    "everything": (
        deltas(numeric=(-9, 9), wide=(-1e5, 1e5), integer=(-9, 9), group=(-1, 1), loose=(-1, 1)),
        (-1.0, 1.0),
    ),
}


BUILDERS = {
    **FAMILIES,
    # Ten features as an image of two rows, groups and all: the bounds see a matrix.
    "convolutional": partial(
        ConvolutionalAuxiliary, image_shape=(1, 2, 5), channels=(3,), hidden=8, kernel=2, stride=1
    ),
}

# A kernel has one weight for many features, so that no sign can be fixed: the family refuses.
CASES = [
    (family, name)
    for family in sorted(BUILDERS)
    for name in RELATIONS
    if (family, name) != ("convolutional", "monotone")
]


def build(family, relation, coupling, n_outputs, seed):
    torch.manual_seed(seed)
    architecture = plan_architecture((relation,), (coupling,), DOMAIN, n_outputs=n_outputs, n_latent=6)
    backbone = build_backbone(None, len(architecture.reads), (4,), 6)
    network = SMiLENetwork(architecture, backbone, build_auxiliary(BUILDERS[family], architecture))
    bias = network.auxiliary.kernels[0].bias if family == "convolutional" else network.auxiliary.bias
    with torch.no_grad():
        # Away from the initial values, where many biases are 0.
        for parameter in network.certified_parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, dtype=torch.float64))
        # Units that are flat, and linear, on all of X beside those that switch.
        bias[::4] -= 100.0
        bias[1::4] += 100.0
    return network


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("coupling", ["box", "shared"])
@pytest.mark.parametrize(("family", "name"), CASES)
def test_torch_and_numpy_agree(family, name, coupling, n_outputs):
    delta, epsilon = RELATIONS[name]
    relation = relate(DOMAIN, delta, epsilon)
    for seed in range(2):
        network = build(family, relation, coupling, n_outputs, seed)
        with torch.no_grad():
            measured = [float(end) for end in DifferenceMeasure(relation, coupling).bounds(network)]
        analysis = Analysis(network.snapshot(DOMAIN).lowered(), relation)
        bound = analysis.bounds(coupling)
        # The outward rounding and the slack of the forward pass: a few thousand units in the last place.
        scale = max(1.0, *(float(ends.magnitude.max()) for ends in analysis.ranges[1:]))
        slack = float(analysis.slack.max()) + 1e-11 * scale
        for torch_end, numpy_end in zip(measured, (bound.upper, -bound.lower), strict=True):
            assert numpy_end <= torch_end + slack
            # Verification may compose further than one layer (context networks of the shared coupling).
            assert torch_end <= numpy_end + 1e-11 * scale or composes_further(network, coupling)
        if relation.symmetric:
            assert measured[0] == measured[1]


def composes_further(network, coupling):
    """Whether lo's last affine layer stands on other affine layers, which only verification sees through."""
    graph, nodes = network.auxiliary_graph()
    last = graph.nodes[nodes.lower]
    source = graph.nodes[last.sources[0]]
    return coupling == "box" and type(source).__name__ in ("Affine", "Sum")


def test_the_bound_has_the_gradient_of_its_value():
    relation = relate(DOMAIN, RELATIONS["everything"][0])
    network = build("relu", relation, "box", 1, 0)
    measure = DifferenceMeasure(relation, "box")
    value, _ = measure.bounds(network)
    parameters = [parameter for parameter in network.certified_parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(value, parameters, allow_unused=True)
    step = 1e-7
    with torch.no_grad():
        moved = sum((gradient**2).sum() for gradient in gradients if gradient is not None)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                parameter.sub_(step * gradient)
        after, _ = measure.bounds(network)
    assert float(value.detach() - after) == pytest.approx(float(step * moved), rel=1e-3)


def test_free_ends_are_declined():
    relation = relate(DOMAIN, RELATIONS["numeric"][0])
    torch.manual_seed(0)
    architecture = plan_architecture((relation,), ("box",), DOMAIN, n_outputs=1, n_latent=6)
    network = SMiLENetwork(architecture, build_backbone(None, 10, (4,), 6), FreeAuxiliary(architecture))
    with pytest.raises(UnsupportedError, match="width"):
        DifferenceMeasure(relation, "box").bounds(network)


def test_margin_rows_are_those_of_the_snapshot():
    head = torch.arange(12.0, dtype=torch.float64).reshape(3, 4) ** 2
    assert margin_rows(head).tolist() == [
        (head[0] - head[1]).tolist(),
        (head[0] - head[2]).tolist(),
        (head[1] - head[2]).tolist(),
    ]
    assert margin_rows(head[:1]) is not None
    assert margin_rows(head[:1]).tolist() == head[:1].tolist()
