"""Supervised losses and the paper's box and path terms (algorithms 2 and 3)."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from smile_sklearn.exceptions import PropertyError


def squared_error(output, targets, weights):
    """Weighted mean squared error of outputs (n, 1) on the standardised target."""
    return (weights * (output[:, 0] - targets).square()).mean()


def logistic_loss(output, targets, weights):
    """Weighted cross-entropy of one logit (n, 1) for targets in {0, 1}."""
    return functional.binary_cross_entropy_with_logits(output[:, 0], targets, weight=weights)


def cross_entropy(output, targets, weights):
    """Weighted cross-entropy of one logit a class (n, n_classes) for targets 0 .. n_classes - 1."""
    return (weights * functional.cross_entropy(output, targets.long(), reduction="none")).mean()


@dataclass(frozen=True)
class MarginLoss:
    r"""Hinge on the margin that a certificate needs; trains verified rather than clean accuracy.

    Under a property that keeps related outputs within :math:`\epsilon`, a prediction is certified if and
    only if its margin exceeds the proven variation, which training brings to epsilon. Rows whose
    margin is beyond ``multiple`` times epsilon cost nothing; the others, linearly:

    .. math:: \max(0, \; m - y f(x) / \epsilon), \quad y \in \{-1, 1\}

    and with several classes the sum of :math:`\max(0, m - (f_y - f_k) / \epsilon)` over the other classes.
    Logits are then in multiples of epsilon, and `predict_proba` is not calibrated.

    Parameters
    ----------
    multiple : float, default=2.0
        Margin aimed at, in epsilons. 1 just certifies the training rows; more generalises better, and
        small delta or large epsilon ask for more.

    Examples
    --------
    >>> import torch
    >>> from smile_sklearn.training.losses import MarginLoss
    >>> loss = MarginLoss(multiple=2.0).with_epsilon(0.5)
    >>> output = torch.tensor([[1.5], [0.25], [0.25]])
    >>> float(loss(output, torch.tensor([1.0, 1.0, 0.0]), torch.ones(3)))  # (0 + 1.5 + 2.5) / 3
    1.3333333730697632
    """

    multiple: float = 2.0

    def __post_init__(self):
        if not 0.0 < self.multiple < float("inf"):
            raise ValueError(f"Got multiple={self.multiple!r}, expected a positive number.")

    def for_relations(self, relations):
        """Return the loss for the largest epsilon: that by which `predict_with_certificate` judges a row.

        Raises
        ------
        PropertyError
            If no relation bounds the output from both sides by a finite, positive epsilon.
        """
        epsilons = [
            max(-relation.epsilon_lower, relation.epsilon_upper)
            for relation in relations
            if 0.0 < -relation.epsilon_lower < float("inf") and 0.0 < relation.epsilon_upper < float("inf")
        ]
        if not epsilons:
            raise PropertyError(
                "Got loss='margin' without a property that gives an epsilon > 0, which is the margin's unit: "
                "pass GloballyRobust or Fair with one, or use loss='log_loss'."
            )
        return self.with_epsilon(max(epsilons))

    def with_epsilon(self, epsilon):
        """Return ``loss(output, targets, weights) -> scalar`` for outputs (n, 1) or (n, n_classes)."""

        def margin_loss(output, targets, weights):
            """Weighted mean of the hinges, epsilon as bound above."""
            if output.shape[1] == 1:
                missing = torch.relu(self.multiple - (2.0 * targets - 1.0) * output[:, 0] / epsilon)
                return (weights * missing).mean()
            targets = targets.long()
            own = output.gather(1, targets[:, None])
            missing = torch.relu(self.multiple - (own - output) / epsilon)
            # The own class always misses `multiple`; it is no margin.
            return (weights * (missing.sum(dim=1) - self.multiple)).mean()

        return margin_loss


class PointLoss:
    """What training minimises beside the properties, from the outputs at the training rows alone.

    Parameters
    ----------
    loss : callable
        ``loss(output, targets, weights) -> scalar`` (the paper's L_s).
    """

    def __init__(self, loss):
        self.loss = loss

    def __call__(self, network, inputs, components, targets, weights, progress):
        """Return the loss of one batch; ``progress`` in [0, 1) is the share of training steps done."""
        return self.loss(components.output, targets, weights)


def box_loss(components, n_free):
    """How far the embedding leaves its box: ``max(0, h - hi) + max(0, lo - h)``, mean.

    Free channels are bounded by constants far away and take no part.
    """
    embedding, lower, upper = (part[:, n_free:] for part in components[1:4])
    return (torch.relu(embedding - upper) + torch.relu(lower - embedding)).mean()


def path_losses(network, components, loss, targets, weights):
    """``Ls(g . lo) + Ls(g . hi) + Ls(g . h)``: every pathway of the graph learns the task.

    Without it lo and hi tend to flip at the start, and the clip then passes no gradient.
    A free channel has no meaningful ends, so h stands in for it on each pathway.
    """
    n_free = network.architecture.n_free
    free = components.embedding[:, :n_free]
    total = 0.0
    for path in (components.lower, components.upper, components.embedding):
        latent = torch.cat([free, path[:, n_free:]], dim=1)
        total = total + loss(network.head(latent), targets, weights)
    return total
