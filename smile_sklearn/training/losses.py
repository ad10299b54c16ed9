"""Supervised losses and the paper's box and path terms (algorithms 2 and 3)."""

import torch
from torch.nn import functional


def squared_error(output, targets, weights):
    """Weighted mean squared error of outputs (n, 1) on the standardised target."""
    return (weights * (output[:, 0] - targets).square()).mean()


def logistic_loss(output, targets, weights):
    """Weighted cross-entropy of one logit (n, 1) for targets in {0, 1}."""
    return functional.binary_cross_entropy_with_logits(output[:, 0], targets, weight=weights)


def cross_entropy(output, targets, weights):
    """Weighted cross-entropy of one logit a class (n, n_classes) for targets 0 .. n_classes - 1."""
    return (weights * functional.cross_entropy(output, targets.long(), reduction="none")).mean()


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
    embedding, lower, upper = (part[:, n_free:] for part in components[1:])
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
