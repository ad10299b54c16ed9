"""The sign-constrained auxiliary: where its kinks start, and what it reaches because of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import r2_score

from smile_sklearn import Monotonic, SMiLERegressor
from smile_sklearn.datasets import make_sine
from smile_sklearn.network import SMiLENetwork, build_backbone, plan_architecture
from smile_sklearn.network.monotone import INITIAL_RANGE, MonotoneAuxiliary
from smile_sklearn.properties import InputDomain
from smile_sklearn.verification.difference import DifferenceBounds


def architecture_of(directions, *, coupling="shared", shared_embedding=True):
    domain = InputDomain(np.zeros(len(directions)), np.ones(len(directions)))
    relation = Monotonic(directions).resolve(domain, None, 1)
    architecture = plan_architecture((relation,), (coupling,), domain, n_outputs=1, n_latent=4)
    return replace(architecture, shared_embedding=shared_embedding), relation, domain


def first_layer(auxiliary):
    with torch.no_grad():
        return auxiliary.column_weights(auxiliary.weight).numpy(), auxiliary.bias.numpy()


@pytest.mark.parametrize(
    ("directions", "coupling"), [([1], "shared"), ([1, -1, 0, 0], "shared"), ([1, -1, 0, 0], "box")]
)
def test_every_kink_starts_inside_the_box(directions, coupling):
    torch.manual_seed(0)
    auxiliary = MonotoneAuxiliary(architecture_of(directions, coupling=coupling)[0], hidden=300)
    weight, bias = first_layer(auxiliary)
    lowest = np.minimum(weight, 0).sum(axis=1) + bias
    highest = np.maximum(weight, 0).sum(axis=1) + bias
    assert (lowest < 0).all()
    assert (highest > 0).all()


def test_kinks_of_one_feature_are_spread_over_its_range():
    torch.manual_seed(0)
    weight, bias = first_layer(MonotoneAuxiliary(architecture_of([1])[0], hidden=300))
    kinks = -bias / weight[:, 0]
    # Uniform on [0, 1]: the largest distance of 300 draws from its distribution function is below .12
    # with probability .9997 (Kolmogorov).
    distance = np.abs(np.sort(kinks) - (np.arange(300) + 0.5) / 300).max()
    assert distance < 0.12


@pytest.mark.parametrize("directions", [[1], [1, -1, 1], [1] * 20, [1, 0, 0, 0]])
def test_a_unit_moves_as_far_over_the_box_whatever_the_number_of_features(directions):
    torch.manual_seed(0)
    weight, _ = first_layer(MonotoneAuxiliary(architecture_of(directions)[0], hidden=2000))
    assert np.abs(weight).sum(axis=1).mean() == pytest.approx(INITIAL_RANGE, rel=0.05)


def test_an_auxiliary_that_may_read_nothing_is_finite():
    """Two properties that ask for opposite signs leave no column to read."""
    architecture, _, _ = architecture_of([1])
    auxiliary = MonotoneAuxiliary(replace(architecture, column_signs=np.zeros(1)))
    weight, bias = first_layer(auxiliary)
    assert (weight == 0).all()
    assert (bias == 0).all()


@pytest.mark.parametrize("shared_embedding", [True, False])
def test_any_weights_are_exactly_monotone(shared_embedding, rng):
    architecture, relation, domain = architecture_of([1, -1, 0, 0], shared_embedding=shared_embedding)
    torch.manual_seed(1)
    network = SMiLENetwork(architecture, build_backbone(None, 2, (8,), 4), MonotoneAuxiliary(architecture))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, dtype=torch.float64))
    snapshot = network.snapshot(domain)
    certificate = DifferenceBounds().verify(snapshot, relation, coupling="shared")
    assert (str(certificate.status), certificate.rigor, certificate.bound) == ("HOLDS", "exact", 0.0)
    # The certificate may be wrong: sweeps of one feature at a time, h at its largest and smallest too.
    sweep = np.linspace(0.0, 1.0, 500)
    moved = 0.0
    for embedding in (rng.normal(size=4), np.full(4, 1e6), np.full(4, -1e6)):
        for column, direction in ((0, 1), (1, -1)):
            rows = np.tile(rng.random(4), (500, 1))
            rows[:, column] = sweep
            outputs = snapshot.forward(rows, np.tile(embedding, (500, 1)))
            assert (direction * np.diff(outputs, axis=0) >= 0).all()
            moved = max(moved, np.ptp(outputs))
    assert moved > 0.1


def test_defaults_reach_what_any_monotone_function_can():
    """The hardest task of the paper: where the kinks start used to cost .015 of R2 here."""
    X, y = make_sine(alpha=4, omega=0.8, random_state=0)
    model = SMiLERegressor(Monotonic([1]), random_state=0).fit(X, y)
    limit = r2_score(y, IsotonicRegression().fit(X, y).predict(X))
    assert model.score(X, y) > limit - 0.002
    assert (str(model.certificate_.status), model.certificate_.rigor) == ("HOLDS", "exact")
    grid = np.linspace(-10.0, 10.0, 10_001).reshape(-1, 1)
    together = model.predict(grid)
    assert (np.diff(together) >= 0).all()
    for row in range(0, 10_000, 500):
        assert model.predict(grid[[row]])[0] <= together[row + 1]
        assert together[row] <= model.predict(grid[[row + 1]])[0]
