"""Losses of algorithms 2 and 3, by hand and against scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.metrics import log_loss, mean_squared_error

from smile_sklearn.exceptions import PropertyError
from smile_sklearn.network.smile import Components
from smile_sklearn.properties import Fair, GloballyRobust, InputDomain, Monotonic
from smile_sklearn.training.losses import (
    MarginLoss,
    box_loss,
    cross_entropy,
    logistic_loss,
    squared_error,
)


@pytest.fixture
def weights(rng):
    weights = rng.random(20)
    return weights / weights.mean()


def tensor(array):
    return torch.as_tensor(array, dtype=torch.float64)


def test_losses_are_scikit_learns_metrics(rng, weights):
    output, target = rng.normal(size=(20, 1)), rng.normal(size=20)
    expected = mean_squared_error(target, output[:, 0], sample_weight=weights)
    assert float(squared_error(tensor(output), tensor(target), tensor(weights))) == pytest.approx(expected)
    binary = rng.integers(0, 2, 20)
    expected = log_loss(binary, expit(output[:, 0]), sample_weight=weights)
    assert float(logistic_loss(tensor(output), tensor(binary), tensor(weights))) == pytest.approx(expected)
    logits, classes = rng.normal(size=(20, 3)), np.arange(20) % 3
    expected = log_loss(classes, softmax(logits, axis=1), sample_weight=weights)
    assert float(cross_entropy(tensor(logits), tensor(classes), tensor(weights))) == pytest.approx(expected)


def test_box_loss_by_hand():
    # One row, three units, the first a free channel: above by 2, below by 1, so (2 + 1) / 2.
    components = Components(
        None, tensor([[99.0, 5.0, -1.0]]), tensor([[-10.0, 0.0, 0.0]]), tensor([[10.0, 3.0, 3.0]])
    )
    assert float(box_loss(components, n_free=1)) == 1.5


# --- the margin loss ------------------------------------------------------------------------------


def test_margin_loss_of_one_logit_by_hand(rng, weights):
    output, classes = 3 * rng.normal(size=(20, 1)), rng.integers(0, 2, 20)
    missing = [
        max(0.0, 1.5 - (1 if y else -1) * f / 0.25) for f, y in zip(output[:, 0], classes, strict=True)
    ]
    found = MarginLoss(multiple=1.5).with_epsilon(0.25)(tensor(output), tensor(classes), tensor(weights))
    assert float(found) == pytest.approx(np.mean(weights * missing))


def test_margin_loss_of_several_classes_speaks_of_every_margin(rng, weights):
    output, classes = rng.normal(size=(20, 4)), np.arange(20) % 4
    missing = [
        sum(max(0.0, 2.0 - (row[y] - row[k]) / 0.5) for k in range(4) if k != y)
        for row, y in zip(output, classes, strict=True)
    ]
    found = MarginLoss().with_epsilon(0.5)(tensor(output), tensor(classes), tensor(weights))
    assert float(found) == pytest.approx(np.mean(weights * missing))


def test_a_row_far_enough_costs_nothing_and_pulls_no_weight():
    loss = MarginLoss(multiple=2.0).with_epsilon(1.0)
    output = torch.tensor([[2.0], [-7.0]], dtype=torch.float64, requires_grad=True)
    value = loss(output, tensor([1.0, 0.0]), tensor([1.0, 1.0]))
    value.backward()
    assert float(value.detach()) == 0.0
    assert (output.grad == 0).all()


def relations_of(*properties):
    domain = InputDomain(np.zeros(2), np.ones(2))
    return tuple(named.resolve(domain, None, 1) for named in properties)


def test_the_unit_is_the_largest_two_sided_epsilon():
    relations = relations_of(GloballyRobust(0.1, 0.5), Fair([0], 2.0), Monotonic({0: 1}, tolerance=9.0))
    loss = MarginLoss(multiple=1.0).for_relations(relations)
    one = torch.ones(1, dtype=torch.float64)
    assert float(loss(one[:, None], one, one)) == 0.5  # 1 - 1 / 2


@pytest.mark.parametrize(
    "properties", [(), (Monotonic({0: 1}),), (Monotonic({0: 1}, tolerance=1.0),), (Fair([0], 0.0),)]
)
def test_without_an_epsilon_there_is_no_margin(properties):
    with pytest.raises(PropertyError, match="loss='margin'"):
        MarginLoss().for_relations(relations_of(*properties))


@pytest.mark.parametrize("multiple", [0.0, -1.0, np.inf, np.nan])
def test_the_multiple_is_a_positive_number(multiple):
    with pytest.raises(ValueError, match="multiple"):
        MarginLoss(multiple)
