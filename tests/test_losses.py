"""Losses of algorithms 2 and 3, by hand and against scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.metrics import log_loss, mean_squared_error

from smile_sklearn.network.smile import Components
from smile_sklearn.training.losses import box_loss, cross_entropy, logistic_loss, squared_error


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
