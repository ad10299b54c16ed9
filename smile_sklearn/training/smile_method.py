"""``method="smile"``: the three phases on difference bounds, without a solver in the loop."""

import time
from dataclasses import dataclass, field, replace
from numbers import Integral

import torch

from smile_sklearn.network import SMiLENetwork, build_auxiliary, build_backbone
from smile_sklearn.training.local_loss import LocalTraining
from smile_sklearn.training.multipliers import DualAscent
from smile_sklearn.training.net import PretrainObjective, TrainObjective, run_epochs
from smile_sklearn.training.pool import PairPool, PoolSearch
from smile_sklearn.training.projection import HeadScaling
from smile_sklearn.training.state import EpochRecord, PhaseResult, tighten
from smile_sklearn.training.violations import BoundViolation, MixedViolation, PoolViolation

DUAL_RATE = 0.02
"""Step of the multipliers on the violation relative to epsilon; .05 over-enforces."""

POSTTRAIN_RATE = 1e-3
"""Step of posttraining, small because it looks at no data."""

MARGIN = 1e-3
"""Share of epsilon that training keeps in hand for the slack of the final proof."""


@dataclass(frozen=True)
class SMiLEMethod:
    """Width coupling, shared embedding, a violation between two bounds, constructive projection.

    The phases are those of the paper; what differs: the violation is an upper bound of V that costs one
    pass (lemma 3), mixed by ``alpha`` with a lower one from a pool of counterexamples that need no MIP;
    ``hi = lo + width`` in place of free ends that flip; and a last projection that always ends in a proof.

    Parameters
    ----------
    pool_size : int, default=32
        Pairs that the counterexample pool keeps for each property. With 0, as with ``alpha=1``, the violation
        is that of the difference bounds alone.
    search_every : int, default=25
        Training steps between two searches for counterexamples.
    shared_embedding : bool or None, default=None
        Whether lo and hi may read an embedding of the features that the shared coupling holds equal. None:
        as the `Architecture` is planned, for monotone models only.
    local : LocalTraining
        How properties without a global claim are trained (``GloballyRobust(delta, None)``).
    finish : callable
        ``finish(state) -> certificates``: what posttraining ends with, on the network of a TrainingState.
    """

    pool_size: int = 32
    search_every: int = 25
    shared_embedding: bool | None = None
    local: LocalTraining = field(default_factory=LocalTraining)
    finish: object = HeadScaling()

    def __post_init__(self):
        whole = all(isinstance(value, Integral) for value in (self.pool_size, self.search_every))
        if not (whole and self.pool_size >= 0 and self.search_every >= 1):
            raise ValueError(f"Got {self!r}, expected integers pool_size >= 0 and search_every >= 1.")
        if self.shared_embedding not in (None, True, False) or not callable(self.finish):
            raise ValueError(
                f"Got {self!r}, expected shared_embedding None, True or False, and a callable finish."
            )

    name = "smile"
    default_coupling = None
    """None: every property's own."""

    def build(self, architecture, backbone, hidden_layer_sizes, auxiliary):
        """Return the untrained network."""
        if self.shared_embedding is not None:
            architecture = replace(architecture, shared_embedding=self.shared_embedding)
        n_inputs, spread = len(architecture.reads), architecture.backbone_spread
        h = build_backbone(backbone, n_inputs, hidden_layer_sizes, architecture.n_latent, spread)
        return SMiLENetwork(architecture, h, build_auxiliary(auxiliary, architecture))

    def pretrain(self, state):
        """Algorithm 2 on all pathways; short, so that logits do not grow large."""
        run_epochs(
            state,
            PretrainObjective(state),
            state.options.pretrain_iter,
            optimizer=fused_adamw,
            schedule=constant,
        )
        return PhaseResult("pretrain", state.options.pretrain_iter, ())

    def train(self, state):
        """Algorithms 1 and 3 with the violation of :meth:`measure`."""
        measure = self.measure(state)
        objective = TrainObjective(state, measure, DualAscent([DUAL_RATE] * len(state.goals), largest=1.0))
        run_epochs(state, objective, state.options.max_iter, optimizer=fused_adamw, schedule=one_cycle)
        state.counterexamples.extend(measure.counterexamples(state.output_scale))
        return PhaseResult("train", state.options.max_iter, objective.record()[0])

    def posttrain(self, state):
        """Algorithm 4 on the same violation: stay near the weights while dual ascent removes what is left.

        Then the constructive projection, which needs no luck: it scales the head until every
        bound, with its slack, is within epsilon.
        """
        if not state.goals:
            return PhaseResult("posttrain", 0, ())
        measure = self.measure(state)
        steps = posttrain_steps(state, measure)
        certificates = self.finish(state)
        with torch.no_grad():
            violations = tuple(measure.violations(state.network).tolist())
        bounds = tuple(certificate.bound for certificate in certificates)
        return PhaseResult("posttrain", steps, violations, bounds, certificates)

    def measure(self, state):
        """Return the violation that training lowers: ``1 - alpha`` pool plus ``alpha`` difference bound."""
        alpha = state.options.alpha if self.pool_size and state.goals else 1.0
        device = state.options.device
        goals = [tighten(goal, MARGIN) for goal in state.goals]
        if alpha == 1.0:
            return BoundViolation(goals, device)
        pools = [PairPool(goal, self.pool_size, device) for goal in goals]
        lower = PoolViolation(PoolSearch(state, pools, self.search_every))
        return lower if alpha == 0.0 else MixedViolation(lower, BoundViolation(goals, device), alpha)


def fused_adamw(parameters, **options):
    """AdamW in one kernel a step: networks are small, and one call a parameter costs more than its update."""
    return torch.optim.AdamW(parameters, fused=True, **options)


def posttrain_steps(state, measure):
    """Remove what violation is left near the weights as they are, without data; return the steps taken."""
    parameters = state.network.certified_parameters()
    originals = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.Adam(parameters, lr=POSTTRAIN_RATE)
    multipliers = DualAscent([1.0] * len(state.goals), largest=1.0)
    for step in range(state.options.posttrain_iter + 1):
        started = time.perf_counter()
        measure.before_step(state.network)
        violations = measure.violations(state.network)
        if violations.max() <= 0 or step == state.options.posttrain_iter:
            return step
        multipliers.step(violations.detach().cpu())
        distance = sum((now - old).square().sum() for now, old in zip(parameters, originals, strict=True))
        penalty = (multipliers.values.to(violations.device) * torch.relu(violations)).sum()
        optimizer.zero_grad()
        (distance + penalty).backward()
        optimizer.step()
        record = _step_record(step + 1, violations, multipliers, time.perf_counter() - started)
        state.history.append(record)


def constant(n_steps):
    """Constant learning rate."""
    return torch.optim.lr_scheduler.ConstantLR, {"factor": 1.0, "total_iters": 1}


def one_cycle(n_steps):
    """Warm up over the first tenth of the steps, then fall linearly to 2 %."""
    warm = max(1, n_steps // 10)

    def factor(step):
        if step < warm:
            return 0.1 + 0.9 * step / warm
        return max(0.02, 1.0 - 0.98 * (step - warm) / max(1, n_steps - warm))

    return torch.optim.lr_scheduler.LambdaLR, {"lr_lambda": factor}


def _step_record(step, violations, multipliers, seconds):
    return EpochRecord(
        phase="posttrain",
        epoch=step,
        loss=float("nan"),
        box_loss=float("nan"),
        violations=tuple(violations.tolist()),
        multipliers=tuple(multipliers.values.tolist()),
        generator_calls=0,
        generator_seconds=0.0,
        seconds=seconds,
    )
