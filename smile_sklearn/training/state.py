"""What the phases of training hand to each other: small named things."""

from dataclasses import dataclass, field, replace

import torch

from smile_sklearn.network import SMiLENetwork
from smile_sklearn.properties import InputDomain
from smile_sklearn.properties.relation import Relation


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Rows in unit coordinates (n, d), network targets (n,), and sample weights (n,) of mean 1."""

    inputs: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


@dataclass(frozen=True, eq=False)
class Goal:
    """A relation to enforce, how a pair is bounded, and epsilon in network units.

    Parameters
    ----------
    relation : Relation
    coupling : {"box", "shared"}
    epsilon_lower, epsilon_upper : float
        In units of the standardised target (epsilon divided by the scale of y).
    """

    relation: Relation
    coupling: str
    epsilon_lower: float
    epsilon_upper: float

    @property
    def scale(self):
        """Unit in which a violation is small or large: the largest finite epsilon, or 1."""
        finite = [abs(end) for end in (self.epsilon_lower, self.epsilon_upper) if 0 < abs(end) < float("inf")]
        return max(finite, default=1.0)


def tighten(goal, margin):
    """Return the goal with a share ``margin`` of epsilon kept in hand on each side.

    What the solver's gap and the rounding add to a proof must fit between the two. An epsilon of
    0 has nothing to keep.
    """
    return replace(_with_ends(goal, margin), relation=_with_ends(goal.relation, margin))


def _with_ends(holder, margin):
    """Move both ends of R in (0 lies between them wherever x' = x'' is related, but not always)."""
    lower, upper = holder.epsilon_lower, holder.epsilon_upper
    lower = lower * (1.0 - margin) if lower < 0 else lower * (1.0 + margin)
    upper = upper * (1.0 - margin) if upper > 0 else upper * (1.0 + margin)
    return replace(holder, epsilon_lower=lower, epsilon_upper=upper)


@dataclass(frozen=True)
class TrainingOptions:
    """Numbers of the training loop; see the estimators for their meaning."""

    lambda_box: float
    alpha: float
    pretrain_iter: int
    max_iter: int
    posttrain_iter: int
    learning_rate: float
    batch_size: int
    device: str
    solver: str
    time_limit: float
    verbose: int
    verifier: object


@dataclass(frozen=True)
class EpochRecord:
    """One line of ``history_``.

    Parameters
    ----------
    phase : {"pretrain", "train", "posttrain"}
    epoch : int
        Counted from 1 within the phase.
    loss, box_loss : float
        Means over the epoch: of the supervised loss, of the box term. Posttraining sees no data:
        there loss is the squared distance of the projection from the weights it started at
        (``method="paper"``; nan where nothing was projected), box_loss nan.
    violations, multipliers : tuple of float
        One a property, at the end of the epoch: signed, relative to epsilon (``method="smile"``)
        or in output units of the network (``method="paper"``).
    generator_calls : int
        Calls of the counterexample generator in this epoch.
    generator_seconds, seconds : float
        Wall time of these calls, and of the epoch.
    generator_timeouts : int
        Calls cut short by the wall-clock guard; after one of them a fit need not repeat exactly.
    bounds : tuple of float
        Posttraining of ``method="paper"``: the proven bound on each violation (the paper's ViolBound,
        0 where the property holds), output units.
    """

    phase: str
    epoch: int
    loss: float
    box_loss: float
    violations: tuple
    multipliers: tuple
    generator_calls: int
    generator_seconds: float
    seconds: float
    generator_timeouts: int = 0
    bounds: tuple = ()


@dataclass(eq=False)
class TrainingState:
    """The model in the making: the one mutable object of the training room.

    Parameters
    ----------
    network : SMiLENetwork
    data : TrainingData
    loss : callable
        ``loss(output, targets, weights) -> scalar`` (the paper's L_s): what pretraining minimises.
    supervised : callable
        ``supervised(network, inputs, components, targets, weights, progress) -> scalar``: what the
        training phase minimises beside the properties (`PointLoss` of ``loss`` unless a property is local).
    goals : tuple of Goal
    domain : InputDomain
    output_scale, output_shift : float
        ``y = output_scale * network output + output_shift``.
    keeps_mean : bool
        Regression: the last projection keeps the mean output; a classifier keeps its decisions.
    options : TrainingOptions
    generator : torch.Generator
        The only source of randomness.
    history : list of EpochRecord
    counterexamples : list
        Pairs that the generator found, raw units (``EnvelopeCounterexample``, in order).
    """

    network: SMiLENetwork
    data: TrainingData
    loss: object
    supervised: object
    goals: tuple
    domain: InputDomain
    output_scale: float
    output_shift: float
    keeps_mean: bool
    options: TrainingOptions
    generator: torch.Generator
    history: list = field(default_factory=list)
    counterexamples: list = field(default_factory=list)

    def snapshot(self):
        """The network as it stands, in output units, for a verifier."""
        return self.network.snapshot(
            self.domain, output_scale=self.output_scale, output_shift=self.output_shift
        )


@dataclass(frozen=True)
class PhaseResult:
    """How a phase ended.

    Parameters
    ----------
    phase : str
    n_epochs : int
    violations : tuple of float
        Last measured violation of each goal, signed.
    bounds : tuple of float
        Proven bound on the violation of each goal where the phase proves any, output units.
    certificates : tuple of Certificate
        Of each goal, for the network as the phase leaves it, where the phase ends in a proof.
    """

    phase: str
    n_epochs: int
    violations: tuple
    bounds: tuple = ()
    certificates: tuple = ()
