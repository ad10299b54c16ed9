"""Constructive projection: the last step, which always ends in a proof.

``V`` is linear in the head: with a proven bound ``B > epsilon``, multiplying W by
``epsilon / B`` ends at epsilon, by the same bound. Sides of R with epsilon 0 are met by the
signs and zero columns of the architecture and are not touched by a positive factor.
"""

import torch


def scale_head(network, factor, *, keep_mean_of=None):
    """Multiply the head by ``factor`` in (0, 1].

    Parameters
    ----------
    network : SMiLENetwork
    factor : float
    keep_mean_of : Tensor of shape (n, d) or None
        Regression: the bias is moved so that the mean output on these rows stays. For a
        classifier (None) the bias is scaled too, which leaves every decision as it was.
    """
    with torch.no_grad():
        before = None if keep_mean_of is None else network(keep_mean_of).output.mean(dim=0)
        network.raw_head.mul_(factor)
        if keep_mean_of is None:
            network.head_bias.mul_(factor)
        else:
            network.head_bias.add_(before - network(keep_mean_of).output.mean(dim=0))


def head_factor(goals, certificates):
    """Factor that brings every proven bound within epsilon, 1 where all hold already.

    Parameters
    ----------
    goals : sequence of Goal
    certificates : sequence of Certificate
        By difference bounds, one a goal, in output units; slack included.

    Returns
    -------
    float
        In (0, 1].
    """
    factor = 1.0
    for goal, certificate in zip(goals, certificates, strict=True):
        relation = goal.relation
        limits = [
            abs(end)
            for end in (relation.epsilon_lower, relation.epsilon_upper)
            if 0 < abs(end) < float("inf")
        ]
        if certificate.bound > 0.0 and limits:
            # bound = B - epsilon of the worse side, so B <= bound + the larger epsilon, and the
            # side that binds has at least the smaller one: epsilon / (bound + epsilon) suffices.
            epsilon = min(limits)
            factor = min(factor, epsilon / (epsilon + certificate.bound))
    return factor
