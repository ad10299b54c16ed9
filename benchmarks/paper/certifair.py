"""A plain network with a fairness penalty, in the manner of CertiFair (Khedr & Shoukry 2023).

It minimises ``(1 - lambda) loss + lambda bound``, where ``bound`` is a sound upper bound of
``|f(x') - f(x'')|`` over all pairs of the input box that differ only in the protected column. What the
publication gets from a verifier is here interval arithmetic on the values of the units and on their
differences between x' and x''. Nothing is promised at the end: the bound that is reported with the model is
whatever the penalty left of it.
"""

from itertools import pairwise

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, r2_score
from torch import nn
from torch.nn import functional


class FairnessPenalty(BaseEstimator):
    """Relu network of one output on features in [0, 1].

    Parameters
    ----------
    protected : int
        Column that may differ.
    weight : float
        lambda.
    classifier : bool
        Logit of a binary target, or the target itself.
    hidden_layer_sizes : tuple of int
    max_iter : int
        Epochs.
    batch_size : int
    learning_rate : float
    random_state : int
    """

    def __init__(
        self,
        protected,
        weight,
        classifier,
        hidden_layer_sizes=(32, 32, 8),
        max_iter=50,
        batch_size=256,
        learning_rate=5e-3,
        random_state=0,
    ):
        self.protected = protected
        self.weight = weight
        self.classifier = classifier
        self.hidden_layer_sizes = hidden_layer_sizes
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X, y):
        """Train; rows outside of [0, 1] are clipped to it, in ``predict`` as well."""
        inputs = self._unit(X)
        target = np.asarray(y, dtype=np.float64)
        # The target is standardised as in SMiLERegressor, so that lambda weighs the same against the loss.
        self.shift_, self.scale_ = (0.0, 1.0) if self.classifier else (target.mean(), target.std())
        targets = torch.tensor((target - self.shift_) / self.scale_)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.random_state)
            sizes = (inputs.shape[1], *self.hidden_layer_sizes, 1)
            self.layers_ = [nn.Linear(a, b, dtype=torch.float64) for a, b in pairwise(sizes)]
            self._train(inputs, targets)
        return self

    def _train(self, inputs, targets):
        parameters = [part for layer in self.layers_ for part in (layer.weight, layer.bias)]
        optimizer = torch.optim.Adam(parameters, lr=self.learning_rate)
        loss = functional.binary_cross_entropy_with_logits if self.classifier else functional.mse_loss
        for _ in range(self.max_iter):
            for rows in torch.randperm(len(inputs)).split(self.batch_size):
                optimizer.zero_grad()
                accuracy = loss(self._forward(inputs[rows]), targets[rows])
                ((1.0 - self.weight) * accuracy + self.weight * self._difference_bound()).backward()
                optimizer.step()

    def _forward(self, inputs):
        for layer in self.layers_[:-1]:
            inputs = torch.relu(layer(inputs))
        return self.layers_[-1](inputs)[:, 0]

    def _difference_bound(self):
        """Bound of ``|f(x') - f(x'')|``: intervals of every unit's value and of its difference.

        A relu changes by no more than its argument, by exactly that where it is active on the whole box,
        and not at all where it is inactive on it.
        """
        n_features = self.layers_[0].in_features
        low, high = torch.zeros(n_features, dtype=torch.float64), torch.ones(n_features, dtype=torch.float64)
        moves = torch.zeros(n_features, dtype=torch.float64)
        moves[self.protected] = 1.0
        down, up = -moves, moves
        for index, layer in enumerate(self.layers_):
            positive, negative = torch.relu(layer.weight), -torch.relu(-layer.weight)
            low, high = (
                positive @ low + negative @ high + layer.bias,
                positive @ high + negative @ low + layer.bias,
            )
            down, up = positive @ down + negative @ up, positive @ up + negative @ down
            if index < len(self.layers_) - 1:
                active, inactive = low >= 0, high <= 0
                down = torch.where(active, down, torch.clamp(down, max=0.0)).masked_fill(inactive, 0.0)
                up = torch.where(active, up, torch.clamp(up, min=0.0)).masked_fill(inactive, 0.0)
                low, high = torch.relu(low), torch.relu(high)
        return torch.maximum(up, -down)[0]

    @property
    def bound_(self):
        """The bound of the fitted network, in output units (not rounded outward)."""
        with torch.no_grad():
            return float(self._difference_bound()) * self.scale_

    def decision_function(self, X):
        """Logit, or prediction of a regression."""
        with torch.no_grad():
            return self._forward(self._unit(X)).numpy() * self.scale_ + self.shift_

    def score(self, X, y):
        """Accuracy, or R2."""
        output = self.decision_function(X)
        return accuracy_score(y, output > 0) if self.classifier else r2_score(y, output)

    @staticmethod
    def _unit(X):
        return torch.tensor(np.clip(np.asarray(X, dtype=np.float64), 0.0, 1.0))
