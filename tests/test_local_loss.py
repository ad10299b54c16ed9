"""Local training: interval bounds against sampling and numpy, worst outputs against enumeration, fits."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from smile_sklearn import Fair, GloballyRobust, InputDomain, Monotonic, SMiLEClassifier, SMiLERegressor
from smile_sklearn.exceptions import CertificateError, PropertyError
from smile_sklearn.network import ConvolutionalAuxiliary, FreeAuxiliary, SMiLENetwork, build_auxiliary
from smile_sklearn.network.architecture import plan_architecture
from smile_sklearn.network.backbone import MLPBackbone
from smile_sklearn.training.local_loss import (
    LocalLoss,
    LocalTraining,
    OutputBounds,
    RowRegions,
    worst_logit,
    worst_logits,
    worst_prediction,
)
from smile_sklearn.training.losses import cross_entropy, logistic_loss, squared_error
from smile_sklearn.training.smile_method import SMiLEMethod
from smile_sklearn.verification.local.local_bounds import LocalBounds
from smile_sklearn.verification.local.neighbourhood import neighbourhoods

FAMILIES = ["affine", "relu", "lipschitz", "convolutional", "free"]


def untrained(family, domain, n_outputs=1, n_latent=3, seed=0):
    """A network of a family, with weights large enough for units to be cut."""
    torch.manual_seed(seed)
    plan = plan_architecture((), (), domain, n_outputs=n_outputs, n_latent=n_latent)
    plan = replace(plan, thin_boxes=True, n_free=0, reach=np.full(domain.n_features, 0.1))
    auxiliary = FreeAuxiliary(plan) if family == "free" else build_auxiliary(family, plan)
    network = SMiLENetwork(plan, MLPBackbone(domain.n_features, (4,), n_latent), auxiliary)
    with torch.no_grad():
        for parameter in auxiliary.parameters():
            parameter.mul_(2.0).add_(0.1 * torch.randn(parameter.shape, dtype=torch.float64))
    return network


def box_domain(n_features=16):
    return InputDomain(np.zeros(n_features), np.full(n_features, 2.0))


def bounds_around(network, premise, inputs, scale=1.0):
    low, high = RowRegions.of(premise, "cpu").around(torch.tensor(inputs), scale)
    return OutputBounds(network, network.auxiliary_graph(), low, high)


# --- bounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_bounds_contain_what_is_near_and_are_those_of_the_local_rule(family):
    domain = box_domain()
    network = untrained(family, domain)
    premise = GloballyRobust(0.3, None).premise(domain)
    generator = np.random.default_rng(0)
    inputs = generator.random((5, 16))
    with torch.no_grad():
        low, high = bounds_around(network, premise, inputs).ends()
        for _ in range(200):
            near = inputs + generator.choice([-0.15, 0.15, generator.uniform(-0.15, 0.15)], inputs.shape)
            components = network(torch.tensor(near.clip(0.0, 1.0)))
            ends = torch.maximum(components.lower, components.upper), components.lower
            for latent in (torch.where(network.head_weight > 0, *end) for end in (ends, ends[::-1])):
                output = network.head(latent)
                assert (low - 1e-5 <= output).all()
                assert (output <= high + 1e-5).all()
    # The proof, written apart: the same bound, but that of free ends composes them and is narrower.
    proven = LocalBounds(network.snapshot(domain), premise, shared=False)(2.0 * inputs, np.zeros((5, 3)))
    precise = 1e-4 if family == "convolutional" else 1e-9
    assert (proven.high <= high.numpy() + precise * (1 + high.abs().numpy())).all()
    assert (proven.low >= low.numpy() - precise * (1 + low.abs().numpy())).all()
    if family != "free":
        np.testing.assert_allclose(proven.high, high, rtol=precise, atol=precise)
        np.testing.assert_allclose(proven.low, low, rtol=precise, atol=precise)


@pytest.mark.parametrize("family", ["relu", "convolutional", "free"])
def test_bounds_have_gradients(family):
    domain = box_domain()
    network = untrained(family, domain)
    premise = GloballyRobust(0.3, None).premise(domain)
    low, high = bounds_around(network, premise, np.random.default_rng(0).random((5, 16))).ends()
    (high - low).sum().backward()
    gradients = [p.grad for p in network.certified_parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert sum(float(gradient.abs().sum()) > 0 for gradient in gradients) >= 3


def test_regions_are_the_neighbourhoods_of_the_local_rule():
    domain = InputDomain(
        [0, -1, 0, 0, 0, 5],
        [2, 4, 1, 1, 1, 5],
        integer=[1],
        one_hot=[[2, 3, 4]],
        feature_names=list("abcdef"),
    )
    rows = np.array([[0.1, 4.0, 0, 1, 0, 5], [1.0, 0.0, 1, 0, 0, 5]])
    inputs = torch.tensor(domain.to_unit(rows))
    for delta in ({"a": 0.5, "b": 1.0}, 0.25):
        premise = GloballyRobust(delta, None).premise(domain)
        low, high = RowRegions.of(premise, "cpu").around(inputs, 1.0)
        (near,) = neighbourhoods(premise, rows)
        for end, proven in zip((low, high), near.interval(), strict=True):
            np.testing.assert_allclose(end.numpy(), proven, rtol=0, atol=1e-15)
        assert torch.equal(low[:, 2:5], inputs[:, 2:5])  # the group is left equal
    free = Fair(["c", "d", "e"], 1.0).premise(domain)
    low, high = RowRegions.of(free, "cpu").around(inputs, 1.0)
    assert (low[:, 2:5] == 0).all()
    assert (high[:, 2:5] == 1).all()
    one_way = Monotonic({"a": 1}).premise(domain)
    low, high = RowRegions.of(one_way, "cpu").around(inputs, 1.0)
    assert (low[:, 0] == 0).all()  # x is x' in one role and x'' in the other
    assert (high[:, 0] == 1).all()


# --- worst outputs --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["affine", "relu"])
def test_worst_outputs_are_those_of_an_enumeration(family):
    """Boxes of a single feature: a fine grid over it is the truth, for one unit and exact intervals."""
    domain = box_domain(1)
    premise = GloballyRobust(0.5, None).premise(domain)
    inputs = np.linspace(0.0, 1.0, 7)[:, None]
    grid = np.linspace(-0.25, 0.25, 101)
    for n_outputs, seed in ((1, 0), (1, 1), (3, 2), (3, 3)):
        network = untrained("affine", domain, n_outputs, n_latent=2, seed=seed)
        bounds = bounds_around(network, premise, inputs)
        near = torch.tensor((inputs + grid).clip(0.0, 1.0)).reshape(-1, 1)
        with torch.no_grad():
            parts = network(near)
            corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 2).double()
            latents = parts.lower[None] + corners[:, None] * (parts.upper - parts.lower)
            outputs = network.head(latents).reshape(4, 7, 101, n_outputs)
            if n_outputs == 1:
                low, high = outputs.amin(dim=(0, 2)), outputs.amax(dim=(0, 2))
                ones, zeros = torch.ones(7), torch.zeros(7)
                torch.testing.assert_close(worst_logit(bounds, ones), low)
                torch.testing.assert_close(worst_logit(bounds, zeros), high)
                for target in (low[:, 0] - 1, high[:, 0] + 1):
                    expected = torch.where(
                        (target[:, None] - low).abs() > (target[:, None] - high).abs(), low, high
                    )
                    torch.testing.assert_close(worst_prediction(bounds, target), expected)
            else:
                for own in range(3):
                    margins = (outputs - outputs[..., own : own + 1]).amax(dim=(0, 2))
                    found = worst_logits(bounds, torch.full((7,), float(own)))
                    torch.testing.assert_close(found, margins)
                    assert (found[:, own] == 0).all()


def test_the_loss_goes_from_the_rows_to_their_worst_outputs():
    domain = box_domain()
    network = untrained("relu", domain)
    premise = GloballyRobust(0.2, None).premise(domain)
    inputs = torch.tensor(np.random.default_rng(0).random((6, 16)))
    targets, weights = torch.tensor([0.0, 1, 0, 1, 1, 0]).double(), torch.linspace(0.5, 1.5, 6).double()
    training = LocalTraining(point_weight=0.25, reach=1.5, ramp=0.5)
    loss = LocalLoss(logistic_loss, [premise], training, worst_logit)
    components = network(inputs)
    point = logistic_loss(components.output, targets, weights)
    assert torch.equal(loss(network, inputs, components, targets, weights, 0.0), point)

    def worst(scale):
        bounds = bounds_around(network, premise, inputs.numpy(), scale)
        return logistic_loss(worst_logit(bounds, targets), targets, weights)

    for progress, share in ((0.25, 0.5), (0.5, 1.0), (0.9, 1.0)):
        robust = 0.75 * share
        expected = (1 - robust) * point + robust * worst(1.5 * share)
        found = loss(network, inputs, components, targets, weights, progress)
        torch.testing.assert_close(found, expected)
    assert worst(1.5) > worst(0.5) > point
    # Two properties: the mean of their losses.
    both = LocalLoss(
        logistic_loss, [premise, GloballyRobust(0.4, None).premise(domain)], training, worst_logit
    )
    found = both(network, inputs, components, targets, weights, 1.0)
    torch.testing.assert_close(found, 0.25 * point + 0.375 * (worst(1.5) + worst(3.0)))


def test_the_worst_output_has_the_larger_loss_for_every_task():
    domain = box_domain()
    premise = GloballyRobust(0.2, None).premise(domain)
    inputs, weights = np.random.default_rng(0).random((6, 16)), torch.ones(6).double()
    for n_outputs, loss, worst, targets in (
        (1, squared_error, worst_prediction, torch.linspace(-1, 1, 6).double()),
        (3, cross_entropy, worst_logits, torch.tensor([0.0, 1, 2, 0, 1, 2]).double()),
    ):
        network = untrained("relu", domain, n_outputs)
        bounds = bounds_around(network, premise, inputs)
        at_rows = loss(network(torch.tensor(inputs)).output, targets, weights)
        assert loss(worst(bounds, targets), targets, weights) > at_rows


@pytest.mark.parametrize("wrong", [{"point_weight": 1.5}, {"reach": 0.0}, {"ramp": -0.1}])
def test_numbers_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="expected point_weight"):
        LocalTraining(**wrong)


# --- the family -----------------------------------------------------------------------------------


def test_the_convolutional_family_infers_a_square_image_or_takes_a_shape():
    plan = plan_architecture((), (), box_domain(64), n_outputs=1, n_latent=2)
    assert ConvolutionalAuxiliary(plan).image_shape == (1, 8, 8)
    assert ConvolutionalAuxiliary(plan, image_shape=(4, 4, 4)).image_shape == (4, 4, 4)
    with pytest.raises(ValueError, match=r"image_shape=\(1, 4, 4\) for 64 features"):
        ConvolutionalAuxiliary(plan, image_shape=(1, 4, 4))
    with pytest.raises(ValueError, match="nothing is left after 3"):
        ConvolutionalAuxiliary(plan, channels=(2, 2, 2), kernel=3, padding=0)
    oblong = plan_architecture((), (), box_domain(12), n_outputs=1, n_latent=2)
    with pytest.raises(ValueError, match="no square image"):
        ConvolutionalAuxiliary(oblong)
    assert ConvolutionalAuxiliary(oblong, image_shape=(1, 3, 4), channels=(2,)).image_shape == (1, 3, 4)
    X = np.random.default_rng(0).random((20, 16))
    with pytest.raises(ValueError, match="one weight for many features"):
        SMiLERegressor(Monotonic({0: 1}), auxiliary="convolutional").fit(X, X[:, 0])


def test_the_snapshot_holds_what_was_trained():
    domain = box_domain()
    network = untrained("convolutional", domain)
    snapshot = network.snapshot(domain)
    inputs = np.random.default_rng(0).random((7, 16))
    with torch.no_grad():
        components = network(torch.tensor(inputs))
    for end, computed in zip(snapshot.bounds(inputs), (components.lower, components.upper), strict=True):
        np.testing.assert_allclose(end, computed.numpy(), rtol=1e-4, atol=1e-5)
    kernel = next(network.auxiliary.kernels.children())
    assert (snapshot.graph.nodes[1].weight == kernel.weight.detach().float().double().numpy()).all()


# --- fits -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:700] / 16, y[:700], X[700:1100] / 16, y[700:1100]


FAST = {"max_iter": 15, "pretrain_iter": 0, "batch_size": 64, "n_latent": 2, "random_state": 0}
SMALL = partial(ConvolutionalAuxiliary, channels=(4, 8), hidden=16)


@pytest.fixture(scope="module")
def zeros(digits):
    X, y, _, _ = digits
    return SMiLEClassifier(GloballyRobust(0.1, None), auxiliary=SMALL, **{**FAST, "max_iter": 40}).fit(
        X, y == 0
    )


def test_local_training_certifies_most_rows(zeros, digits):
    _, _, X, y = digits
    found = zeros.predict_with_certificate(X, method="local")
    plain = SMiLEClassifier(auxiliary=SMALL, **FAST).fit(digits[0], digits[1] == 0)
    right = (found.prediction == (y == 0)) & found.certified
    of_plain = plain.predict_with_certificate(X, GloballyRobust(0.1, None), "local")
    assert right.mean() > 0.93
    assert right[y == 0].mean() > 0.8
    assert of_plain.certified.mean() < 0.6
    assert set(found.radius.tolist()) == {0.0, 1.0}


def test_no_attack_breaks_a_certified_row(zeros, digits):
    """Corners, noise, and signed gradients of the torch twin, replayed through decision_function."""
    _, _, X, _ = digits
    found = zeros.predict_with_certificate(X, method="local")
    sure = found.certified
    rows, sign = X[sure], np.where(found.prediction[sure], 1.0, -1.0)
    generator, worst = np.random.default_rng(0), np.full(sure.sum(), np.inf)
    domain, network = zeros.domain_, zeros.network_

    def attempt(near):
        near = np.clip(near, np.maximum(domain.lower, rows - 0.1), np.minimum(domain.upper, rows + 0.1))
        values = zeros.decision_function(near)
        assert (found.lower[sure] <= values).all()
        assert (values <= found.upper[sure]).all()
        return np.minimum(worst, sign * values)

    for _ in range(20):
        worst = attempt(rows + 0.1 * generator.choice([-1.0, 1.0], rows.shape))
        worst = attempt(rows + generator.uniform(-0.1, 0.1, rows.shape))
    for start in range(3):
        near = rows + start * generator.uniform(-0.05, 0.05, rows.shape)
        for _ in range(15):
            inputs = torch.tensor(domain.to_unit(near), requires_grad=True)
            (torch.tensor(sign) * network(inputs).output[:, 0]).sum().backward()
            near = np.clip(near - 0.04 * np.sign(inputs.grad.numpy()), rows - 0.1, rows + 0.1)
            worst = attempt(near)
    assert (worst > 0).all()


def test_without_a_global_claim_there_is_no_certificate(zeros, digits):
    _, _, X, _ = digits
    assert zeros.certificate_ is None
    assert not hasattr(zeros, "violation_bound_")
    with pytest.raises(PropertyError, match=r"nothing to prove.*method='local'"):
        zeros.certify()
    with pytest.raises(CertificateError, match=r"without an epsilon.*method='local'"):
        zeros.predict_with_certificate(X)
    # Another question may still be asked of it, and a name is as good as the default.
    assert np.isfinite(zeros.certify(GloballyRobust(0.01, 1.0), verifier="difference").bound)
    named = zeros.predict_with_certificate(X[:5], property="globallyrobust", method="local")
    default = zeros.predict_with_certificate(X[:5], method="local")
    np.testing.assert_array_equal(named.lower, default.lower)
    with pytest.raises(CertificateError, match="expected one of"):
        zeros.predict_with_certificate(X[:5], property="fair", method="local")
    with pytest.raises(ValueError, match="method='smile'"):
        clone(zeros).set_params(method="paper", auxiliary="relu").fit(digits[0][:50], digits[1][:50] == 0)


def test_local_and_global_properties_together(digits):
    X, y, Z, _ = digits
    both = GloballyRobust(0.1, None) & GloballyRobust(0.02, 1.0)
    model = SMiLEClassifier(both, auxiliary=SMALL, **FAST).fit(X, y == 0)
    assert model.certificate_.status.name == "HOLDS"
    assert [premise.name for premise in model.premises_] == ["globallyrobust-1", "globallyrobust-2"]
    assert [relation.name for relation in model.relations_] == ["globallyrobust-2"]
    assert model.predict_with_certificate(Z).certified.any()
    wide = model.predict_with_certificate(Z, property="globallyrobust-1", method="local").certified
    near = model.predict_with_certificate(Z, property="globallyrobust-2", method="local").certified
    every = model.predict_with_certificate(Z, method="local").certified
    np.testing.assert_array_equal(every, wide & near)
    assert wide.sum() <= near.sum()


def test_the_convolutional_family_serves_the_shared_coupling_too(digits):
    X, y, Z, _ = digits
    last_row, images = list(range(56, 64)), InputDomain(np.zeros(64), np.ones(64))
    model = SMiLEClassifier(Fair(last_row, 1.0), auxiliary=SMALL, domain=images, **{**FAST, "n_latent": 4})
    model.fit(X, y == 0)
    assert model.certificate_.status.name == "HOLDS"
    assert model.couplings_ == ("shared",)
    other = Z.copy()
    other[:, last_row] = np.random.default_rng(0).random((len(Z), 8))
    difference = model.decision_function(Z) - model.decision_function(other)
    assert 0 < np.abs(difference).max() <= 1.0


def test_several_classes_are_trained_by_their_margins(digits):
    X, y, Z, classes = digits
    model = SMiLEClassifier(GloballyRobust(0.05, None), auxiliary="relu", **{**FAST, "max_iter": 40})
    model.set_params(n_latent=8)
    found = model.fit(X, y).predict_with_certificate(Z, method="local")
    right = (found.prediction == classes) & found.certified
    plain = clone(model).set_params(properties=None).fit(X, y)
    of_plain = plain.predict_with_certificate(Z, GloballyRobust(0.05, None), "local")
    assert right.mean() > 0.5
    assert right.mean() > ((of_plain.prediction == classes) & of_plain.certified).mean() + 0.2


def test_regression_narrows_its_intervals():
    generator = np.random.default_rng(0)
    X = generator.random((300, 5))
    y = np.sin(6 * X[:, 0]) + 3 * (X[:, 1] > 0.5)
    options = {"max_iter": 40, "pretrain_iter": 0, "auxiliary": "relu", "random_state": 0}
    near = GloballyRobust({0: 0.1, 1: 0.1}, None)
    local = SMiLERegressor(near, **options).fit(X, y)
    plain = SMiLERegressor(**options).fit(X, y)
    found = local.predict_with_certificate(X, method="local")
    wide = plain.predict_with_certificate(X, near, "local")
    assert (found.upper - found.lower).mean() < 0.6 * (wide.upper - wide.lower).mean()
    assert local.score(X, y) > 0.6


def test_two_fits_with_one_seed_agree_and_the_strategy_counts(digits):
    X, y, _, _ = digits
    fit = lambda method: SMiLEClassifier(
        GloballyRobust(0.1, None), auxiliary=SMALL, method=method, **{**FAST, "max_iter": 3}
    ).fit(X[:200], y[:200] == 0)
    first, again = (fit(SMiLEMethod()) for _ in range(2))
    assert first.snapshot_.digest == again.snapshot_.digest
    assert fit(SMiLEMethod(local=LocalTraining(reach=0.5))).snapshot_.digest != first.snapshot_.digest
