"""``method="smile"``: the three phases on difference bounds, without a solver in the loop."""

import time

import torch

from smile_sklearn.network import SMiLENetwork, build_auxiliary, build_backbone
from smile_sklearn.training.multipliers import DualAscent
from smile_sklearn.training.net import PretrainObjective, TrainObjective, run_epochs
from smile_sklearn.training.projection import head_factor, scale_head
from smile_sklearn.training.state import EpochRecord, PhaseResult
from smile_sklearn.training.violations import BoundViolation
from smile_sklearn.verification.difference import DifferenceBounds

DUAL_RATE = 0.02
"""Step of the multipliers on the violation relative to epsilon; .05 over-enforces."""

POSTTRAIN_RATE = 1e-3
"""Step of posttraining, small because it looks at no data."""

MAX_PROJECTIONS = 20
"""Head scalings before giving up; one is enough but for the last bits of rounding."""


class SMiLEMethod:
    """Width coupling, shared embedding, difference bounds, constructive projection.

    The phases are those of the paper; what differs: the violation is an upper bound of V
    that costs one pass (lemma 3) in place of a MIP's counterexample, ``hi = lo + width`` in
    place of free ends that flip, and a last projection that always ends in a proof.
    """

    name = "smile"
    default_coupling = None
    """None: every property's own."""

    def build(self, architecture, backbone, hidden_layer_sizes, auxiliary):
        """Return the untrained network."""
        h = build_backbone(backbone, len(architecture.reads), hidden_layer_sizes, architecture.n_latent)
        return SMiLENetwork(architecture, h, build_auxiliary(auxiliary, architecture))

    def pretrain(self, state):
        """Algorithm 2 on all pathways; short, so that logits do not grow large."""
        run_epochs(
            state,
            PretrainObjective(state),
            state.options.pretrain_iter,
            optimizer=torch.optim.AdamW,
            schedule=constant,
        )
        return PhaseResult("pretrain", state.options.pretrain_iter, ())

    def train(self, state):
        """Algorithms 1 and 3 with the bound as the violation."""
        measure = BoundViolation(state.goals, device=state.options.device)
        objective = TrainObjective(state, measure, DualAscent([DUAL_RATE] * len(state.goals), largest=1.0))
        run_epochs(state, objective, state.options.max_iter, optimizer=torch.optim.AdamW, schedule=one_cycle)
        return PhaseResult("train", state.options.max_iter, objective.record()[0])

    def posttrain(self, state):
        """Algorithm 4 on the bound: stay near the weights while dual ascent removes what is left.

        Then the constructive projection, which needs no luck: it scales the head until every
        bound, with its slack, is within epsilon.
        """
        if not state.goals:
            return PhaseResult("posttrain", 0, ())
        measure = BoundViolation(state.goals, device=state.options.device)
        parameters = state.network.certified_parameters()
        originals = [parameter.detach().clone() for parameter in parameters]
        optimizer = torch.optim.Adam(parameters, lr=POSTTRAIN_RATE)
        multipliers = DualAscent([1.0] * len(state.goals), largest=1.0)
        steps = 0
        for step in range(state.options.posttrain_iter + 1):
            started = time.perf_counter()
            violations = measure.violations(state.network)
            if violations.max() <= 0 or step == state.options.posttrain_iter:
                break
            multipliers.step(violations.detach().cpu())
            distance = sum((now - old).square().sum() for now, old in zip(parameters, originals, strict=True))
            penalty = (multipliers.values.to(violations.device) * torch.relu(violations)).sum()
            optimizer.zero_grad()
            (distance + penalty).backward()
            optimizer.step()
            steps = step + 1
            state.history.append(_step_record(steps, violations, multipliers, time.perf_counter() - started))
        self._project(state)
        return PhaseResult("posttrain", steps, tuple(measure.violations(state.network).tolist()))

    def _project(self, state):
        verifier = DifferenceBounds()
        rows = state.data.inputs if state.keeps_mean else None
        for _ in range(MAX_PROJECTIONS):
            snapshot = state.snapshot()
            certificates = [
                verifier.verify(snapshot, goal.relation, coupling=goal.coupling) for goal in state.goals
            ]
            factor = head_factor(state.goals, certificates)
            if factor == 1.0:
                return
            # Slightly further in, or rounding could creep towards epsilon for ever.
            scale_head(state.network, factor * (1.0 - 1e-9), keep_mean_of=rows)


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
