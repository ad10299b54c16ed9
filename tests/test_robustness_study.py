"""The attack and the CROWN-IBP baseline of the robustness study, against closed forms."""

import numpy as np
import pytest
import torch

from benchmarks.paper.crown_ibp import ConvolutionalNet, CrownIBP, ball, crown_lower_bound, interval_bounds
from benchmarks.paper.pgd import Attack, smile_logit, surviving_rows
from smile_sklearn import GloballyRobust, InputDomain, SMiLEClassifier


class LinearModel:
    """``w x + b``, whose worst case within delta is known."""

    def __init__(self, weight, bias):
        self.weight, self.bias = weight, bias

    def logit(self, rows):
        return rows @ torch.tensor(self.weight, dtype=torch.float32) + self.bias

    def predict(self, rows):
        return (rows @ self.weight + self.bias > 0).astype(int)


@pytest.fixture
def linear(rng):
    return LinearModel(rng.normal(size=9), 0.1)


def test_the_attack_reaches_the_worst_point_of_a_linear_model(linear, rng):
    rows, signs = rng.random((30, 9)), np.where(np.arange(30) % 3, 1.0, -1.0)
    found = Attack(0.07, steps=40, restarts=2)(linear.logit, rows, signs)
    worst = np.clip(rows - 0.07 * np.sign(signs[:, None] * linear.weight), 0.0, 1.0)
    np.testing.assert_allclose(found @ linear.weight, worst @ linear.weight, atol=1e-5)


def test_the_attack_stays_in_the_ball_and_in_the_box(linear, rng):
    rows = np.vstack([rng.random((20, 9)), np.zeros((1, 9)), np.ones((1, 9))])
    for restarts in (1, 3):
        found = Attack(0.1, steps=7, restarts=restarts)(linear.logit, rows, np.ones(len(rows)))
        assert (np.abs(found - rows) <= 0.1).all()
        assert ((found >= 0) & (found <= 1)).all()


def test_surviving_rows_are_those_whose_margin_exceeds_what_delta_can_do(linear, rng):
    rows = 0.3 + 0.4 * rng.random((200, 9))
    labels = np.where(rng.random(200) < 0.8, linear.predict(rows), 1)
    margin = np.abs(rows @ linear.weight + linear.bias) - 0.05 * np.abs(linear.weight).sum()
    clear = np.abs(margin) > 1e-4
    right = linear.predict(rows) == labels
    for certified in (np.zeros(200, dtype=bool), margin > 0, np.ones(200, dtype=bool)):
        found = surviving_rows(linear, linear.logit, rows, labels, certified, Attack(0.05, steps=20))
        assert np.array_equal(found[clear], (right & (margin > 0))[clear])


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    rows = generator.random((40, 784)) * (generator.random((40, 784)) < 0.3)
    return rows, (rows[:, :392].sum(axis=1) > rows[:, 392:].sum(axis=1)).astype(int)


@pytest.mark.parametrize("auxiliary", ["lipschitz", "relu"])
def test_the_torch_copy_is_the_model(images, auxiliary):
    rows, labels = images
    model = SMiLEClassifier(
        GloballyRobust(0.05, 1.0), auxiliary=auxiliary, domain=InputDomain(np.zeros(784), np.ones(784)),
        max_iter=1, pretrain_iter=0, posttrain_iter=0, random_state=0,
    ).fit(rows, labels)  # fmt: skip
    copy = smile_logit(model)(torch.tensor(rows, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(copy, model.decision_function(rows), atol=1e-4)
    assert model.network_.head_bias.dtype == torch.float64  # the model itself stays as it was
    assert next(model.network_.backbone.parameters()).dtype == torch.float64


def test_another_domain_is_refused():
    X = np.random.default_rng(0).random((30, 2))
    model = SMiLEClassifier(GloballyRobust(0.05, 1.0), max_iter=1).fit(X, np.arange(30) % 2)
    with pytest.raises(ValueError, match="domain"):
        smile_logit(model)


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = ConvolutionalNet(channels=(3, 4), hidden=8).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2.0)
    return net


@pytest.mark.parametrize("delta", [0.0, 0.01, 0.2])
def test_interval_and_crown_bounds_contain_every_output(net, images, delta):
    low, high = ball(torch.tensor(images[0]), delta)
    ones = torch.ones(40, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        ends = interval_bounds(net, low, high)
        interval = [end[:, 0] for end in ends[-1]]
        crown = crown_lower_bound(net, ends, low, high, ones), -crown_lower_bound(net, ends, low, high, -ones)
        for _ in range(50):
            share = torch.rand(low.shape, generator=generator, dtype=torch.float64).round()
            value = net(low + share * (high - low))
            for least, most in (interval, crown):
                assert ((value >= least - 1e-10) & (value <= most + 1e-10)).all()
    if delta == 0.0:
        np.testing.assert_allclose(crown[0], crown[1], atol=1e-10)


def test_crown_is_exact_where_no_relu_is_open(net, images):
    """Large biases keep every unit on: the network is affine, and the bound is |gradient| times delta."""
    with torch.no_grad():
        for layer in net.layers[:-1]:
            layer.bias.fill_(100.0)
    rows = torch.tensor(0.4 + 0.2 * images[0], requires_grad=True)
    output = net(rows)
    (gradient,) = torch.autograd.grad(output.sum(), rows)
    low, high = ball(rows.detach(), 0.1)
    with torch.no_grad():
        ends = interval_bounds(net, low, high)
        found = crown_lower_bound(net, ends, low, high, torch.ones(40, dtype=torch.float64))
    expected = output.detach() - 0.1 * gradient.abs().sum(dim=1)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-9)


def test_training_certifies_and_repeats(images):
    rows, labels = images
    trainer = CrownIBP(0.01, epochs=30, batch_size=20, learning_rate=1e-2)
    state = torch.get_rng_state()
    first, second = (trainer.fit(rows, labels)[0] for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    classes, certified = trainer.verify(first, rows)
    assert np.array_equal(classes, first.predict(rows))
    assert ((classes == labels) & certified).mean() > 0.8
    assert np.array_equal(trainer.verify(second, rows)[1], certified)
    attack = Attack(0.01, steps=20)
    survives = surviving_rows(first, first, rows, labels, certified, attack)
    assert survives[(classes == labels) & certified].all()
