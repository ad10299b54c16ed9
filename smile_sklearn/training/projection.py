"""Constructive projection: the last step, which always ends in a proof.

``V`` is linear in the head: with a proven bound ``B > epsilon``, multiplying W by
``epsilon / B`` ends at epsilon, by the same bound. Sides of R with epsilon 0 are met by the
signs and zero columns of the architecture and are not touched by a positive factor.
"""

import warnings
from dataclasses import dataclass

import torch

from smile_sklearn.certificates import Status
from smile_sklearn.exceptions import CertificationWarning
from smile_sklearn.training.bounds import margin_rows
from smile_sklearn.verification.chain import Chain, make_verifier
from smile_sklearn.verification.difference import DifferenceBounds
from smile_sklearn.verification.sides import sides

MAX_PROJECTIONS = 20
"""Head scalings by difference bounds; one is enough but for the last bits of rounding."""

MAX_SEARCHES = 5
"""The same by a search, each of which may take seconds; the second one mostly ends in a proof."""

INWARD = 1.0 - 1e-9
"""Slightly further in than the bound asks for, or rounding could creep towards epsilon for ever."""

WORTH_A_SEARCH = 1e-2
"""Share of the head below which a scaling is cheaper than the search for a smaller bound."""

FEW_PROBLEMS = 3
"""Sides times margins up to which a search is tried: it takes up to a second or two for each."""


@dataclass(frozen=True)
class HeadScaling:
    """Finish of a training: scale the head by the smallest deterministic proven bound.

    Difference bounds prove in one pass. Training with ``alpha < 1`` leaves them above epsilon where V is
    not: then the closed form and branch and bound are asked as well, the verifiers of the chain
    ``"auto"`` before the MIP. No wall time decides here, so that fits repeat, and ``certify`` finds the same
    proof again; they are used only if that chain will judge the fit.

    Parameters
    ----------
    search : bool, default=True
        Whether to ask for more than difference bounds at all.
    """

    search: bool = True

    def __call__(self, state):
        """Scale until every goal is proven; return the certificates, one a goal."""
        bounds = DifferenceBounds()
        certificates = prove(state, bounds)
        if self.search and self._is_worth_it(state, certificates):
            certificates = scale_until_proven(
                state, Chain(make_verifier("auto").verifiers[:-1]), MAX_SEARCHES
            )
        if not all_hold(certificates):
            certificates = scale_until_proven(state, bounds, MAX_PROJECTIONS)
        unproven = _unproven(state.goals, certificates)
        if unproven and all(_limits(goal.relation) for goal in unproven):
            # What rounding alone may add exceeds epsilon: only a head of zeros is proven to move less.
            scale_head(state.network, 0.0, keep_mean_of=_rows(state))
            certificates = prove(state, bounds)
        if not state.network.head_weight.any():
            warnings.warn(
                "No head but zero meets the properties beyond rounding: the model is now constant. "
                "Loosen epsilon, or standardise y.",
                CertificationWarning,
                stacklevel=4,
            )
        return certificates

    @staticmethod
    def _is_worth_it(state, certificates):
        if state.options.alpha == 1.0 or state.options.verifier != "auto":
            return False
        n_margins = len(margin_rows(state.network.head_weight))
        relations = [goal.relation for goal in _unproven(state.goals, certificates)]
        # A side of 0 is for signs: no bound with slack proves it, so a search for both sides is in vain.
        hopeful = all(0.0 not in (relation.epsilon_lower, relation.epsilon_upper) for relation in relations)
        few = all(len(sides(relation)) * n_margins <= FEW_PROBLEMS for relation in relations)
        return hopeful and few and head_factor(state.goals, certificates) < 1.0 - WORTH_A_SEARCH


def prove(state, verifier):
    """Certificates of all goals for the network as it stands."""
    snapshot = state.snapshot()
    return tuple(verifier.verify(snapshot, goal.relation, coupling=goal.coupling) for goal in state.goals)


def all_hold(certificates):
    """Whether nothing is left to do."""
    return all(certificate.status is Status.HOLDS for certificate in certificates)


def scale_until_proven(state, verifier, attempts):
    """Scale the head by the verifier's bounds until they hold, no factor can help, or nothing is left to try.

    Returns
    -------
    tuple of Certificate
        Of the network as it is left.
    """
    certificates = prove(state, verifier)
    for _ in range(attempts):
        factor = head_factor(state.goals, certificates)
        if factor == 1.0:
            break
        scale_head(state.network, factor * INWARD, keep_mean_of=_rows(state))
        certificates = prove(state, verifier)
    return certificates


def scale_head(network, factor, *, keep_mean_of=None):
    """Multiply the head by ``factor`` in [0, 1].

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
        One a goal, in output units; slack included.

    Returns
    -------
    float
        In [0, 1].
    """
    factor = 1.0
    for goal, certificate in zip(goals, certificates, strict=True):
        limits = _limits(goal.relation)
        if certificate.bound > 0.0 and limits:
            # bound = B - epsilon of the worse side, so B <= bound + the larger epsilon, and the
            # side that binds has at least the smaller one: epsilon / (bound + epsilon) suffices.
            epsilon = min(limits)
            factor = min(factor, epsilon / (epsilon + certificate.bound))
    return factor


def _unproven(goals, certificates):
    return [
        goal
        for goal, certificate in zip(goals, certificates, strict=True)
        if certificate.status is not Status.HOLDS
    ]


def _limits(relation):
    """Sides of R that a smaller head can meet: finite and not 0."""
    return [
        abs(end) for end in (relation.epsilon_lower, relation.epsilon_upper) if 0 < abs(end) < float("inf")
    ]


def _rows(state):
    return state.data.inputs if state.keeps_mean else None
