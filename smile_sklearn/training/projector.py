"""PROJECTOR (algorithm 4): resolve counterexamples without data, near the weights as they were."""

import torch

from smile_sklearn.training.counterexamples import incumbent_violations
from smile_sklearn.training.multipliers import DualAscent

MAX_STEPS = 100
"""Primal steps of one projection; the generator looks again after that, resolved or not."""

LARGEST_RATE = 1e-3
"""Largest step of a weight."""

RELATIVE_RATE = 0.1
"""Step of a weight per unit of violation. Deviation: a fixed step makes new violations as large as
those it removes (stuck at 1e-4 after 200 MIP calls); steps that shrink with them do not."""

DUAL_RATE = 10.0
"""Ascent of lambda per unit of violation."""


def project(network, goals, incumbents):
    r"""Move lo, hi and g until every incumbent is resolved, or the steps are spent.

    .. math:: \min_\theta \|\theta - \theta^{orig}\|_2^2 + \sum_p \lambda_p \max(0, v_p), \qquad
              \lambda_p \leftarrow \lambda_p + 10 \max(0, v_p)

    Parameters
    ----------
    network : SMiLENetwork
        Changed in place.
    goals : sequence of Goal
    incumbents : sequence of Incumbent or None
        One a goal, of this very network; None: nothing to resolve there.

    Returns
    -------
    distance : float
        Squared distance from the original weights.
    multipliers : tuple of float
        Lambda of each goal at the end.
    """
    parameters = network.certified_parameters()
    originals = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        worst = float(incumbent_violations(network, goals, incumbents).max())
    optimizer = torch.optim.Adam(parameters, lr=max(0.0, min(LARGEST_RATE, RELATIVE_RATE * worst)))
    multipliers = DualAscent([DUAL_RATE] * len(goals))
    for _ in range(MAX_STEPS):
        violations = torch.relu(incumbent_violations(network, goals, incumbents))
        if not (violations > 0).any():
            break
        # Dual before primal, in place of after it: with lambda 0 the first primal step of the paper
        # is none, and it would leave zeros in Adam's moments.
        multipliers.step(violations.detach().cpu())
        penalty = (multipliers.values.to(violations.device) * violations).sum()
        optimizer.zero_grad()
        (_squared_distance(parameters, originals) + penalty).backward()
        optimizer.step()
    with torch.no_grad():
        return float(_squared_distance(parameters, originals)), tuple(multipliers.values.tolist())


def _squared_distance(parameters, originals):
    return sum((now - old).square().sum() for now, old in zip(parameters, originals, strict=True))
