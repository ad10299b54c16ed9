"""``method="paper"``: the training algorithm of the SMiLE paper (algorithms 1 to 7).

Where it deviates from the letter, and why, is commented at the place:

- generator (:mod:`~smile_sklearn.training.counterexamples`, ``verification.mip``): one side at a time,
  always feasible, read by its dual bound; big-Ms from interval bounds; limits in nodes, not seconds;
- training: dual step relative to the first violation and signed; the incumbent is looked at every few
  steps, and replaced every few more even if unresolved; a share of epsilon is kept in hand;
- posttraining (:mod:`~smile_sklearn.training.projector`): steps in proportion to the violation;
  ViolBound of line 21 only where the loop did not end in a proof.

There is no falsifier: every counterexample comes from the MIP.
"""

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from smile_sklearn.network import FreeAuxiliary, SMiLENetwork, build_backbone
from smile_sklearn.network.architecture import FREE
from smile_sklearn.training.counterexamples import Generator, IncumbentViolation, violation_bound
from smile_sklearn.training.multipliers import DualAscent
from smile_sklearn.training.net import PretrainObjective, TrainObjective, run_epochs
from smile_sklearn.training.projector import project
from smile_sklearn.training.smile_method import constant
from smile_sklearn.training.state import EpochRecord, PhaseResult, tighten

MONOTONE_HIDDEN, HIDDEN = 32, 4
"""Relu units of each auxiliary (paper, table 3)."""

ZERO_VIOLATION = 1e-6
"""At epsilon 0 posttraining ends here (network units): the paper's "zero" is the solver's tolerance."""

LARGEST_MARGIN = 0.99
"""Share of epsilon that the target keeps in hand at most."""

ROOM = 2.0
"""Where only slack stands between a bound and epsilon, the target moves in by this many times it."""


@dataclass(frozen=True)
class PaperMethod:
    """Free lo and hi, box coupling, one incumbent counterexample a property, a MIP that finds it.

    The estimators' defaults converge on small tables. What keeps more accuracy, and a backbone that is
    used: ``lambda_box=1``; ``pretrain_iter`` 15 for classifiers, 40 for fair and 100 for monotone
    regression; ``max_iter=150`` with ``batch_size=64``; for robustness ``learning_rate_init=1e-2``.

    Parameters
    ----------
    check_every, refresh_every : int
        Training steps between looks at the incumbent, and between unconditional searches.
    node_limit, max_node_limit : int
        Limits of the generator in training (algorithm 5); any counterexample will do there.
    proof_node_limit : int
        Limit in posttraining, where each search is meant to end in a proof. The estimator's
        ``time_limit`` guards every single search, here and in training.
    margin : float
        Share of epsilon kept in hand for gap and slack, so that the promised epsilon is round.
    """

    check_every: int = 10
    refresh_every: int = 32
    node_limit: int = 64
    max_node_limit: int = 1024
    proof_node_limit: int = 200_000
    margin: float = 1e-3

    name = "paper"
    default_coupling = "box"

    def build(self, architecture, backbone, hidden_layer_sizes, auxiliary):
        """Return the untrained network.

        Raises
        ------
        ValueError
            If the coupling is not "box", or the auxiliary is none of the paper's.
        """
        if len(architecture.reads) < architecture.n_features:
            raise ValueError(
                "Got coupling='shared' with method='paper', which bounds a pair by the box only. "
                "Use coupling='auto' or 'box', or method='smile'."
            )
        hidden = hidden_units(auxiliary, architecture)
        # No sign, no zero column, no free channel: here only the MIP shows anything.
        plain = replace(
            architecture,
            column_signs=np.full(architecture.n_features, FREE),
            thin_boxes=True,
            zero_width=False,
            n_free=0,
        )
        h = build_backbone(backbone, architecture.n_features, hidden_layer_sizes, architecture.n_latent)
        ends = auxiliary(plain) if hidden is None else FreeAuxiliary(plain, hidden)
        return SMiLENetwork(plain, h, ends)

    def pretrain(self, state):
        """Algorithm 1, lines 1-4, with the loss of algorithm 2."""
        n_epochs = state.options.pretrain_iter
        state = _with_summed_boxes(state)
        run_epochs(state, PretrainObjective(state), n_epochs, optimizer=torch.optim.Adam, schedule=constant)
        return PhaseResult("pretrain", n_epochs, ())

    def train(self, state):
        """Algorithm 1, lines 5-13, with the loss of algorithm 3 and the learning rate falling to 5 %."""
        goals = [tighten(goal, self.margin) for goal in state.goals]
        generator = Generator(state, self.node_limit, self.max_node_limit)
        measure = IncumbentViolation(generator, goals, self.check_every, self.refresh_every)
        # Deviation: the dual step is relative to the first violation, and signed. With a fixed one a
        # large first violation overshoots for good and leaves a constant network.
        multipliers = DualAscent(
            [float("nan")] * len(goals), relative_rate=[dual_rate(goal) for goal in goals]
        )
        state = _with_summed_boxes(state)
        objective = TrainObjective(state, measure, multipliers)
        run_epochs(state, objective, state.options.max_iter, optimizer=torch.optim.Adam, schedule=falling)
        return PhaseResult("train", state.options.max_iter, objective.record()[0])

    def posttrain(self, state):
        """Algorithm 1, lines 14-21: search and project until nothing is left to find."""
        if not state.goals:
            return PhaseResult("posttrain", 0, ())
        rounds, number = _Posttraining(state, self), 0
        for number in range(1, state.options.posttrain_iter + 1):
            started, before = time.perf_counter(), rounds.generator.counters
            finished = rounds.search()
            distance, multipliers = float("nan"), (0.0,) * len(state.goals)
            # The last round does not project: ViolBound must speak of the network as it is left.
            if not finished and number < state.options.posttrain_iter:
                distance, multipliers = rounds.project()
            calls, seconds, timeouts = (
                now - then for now, then in zip(rounds.generator.counters, before, strict=True)
            )
            state.history.append(
                EpochRecord(
                    phase="posttrain",
                    epoch=number,
                    loss=distance,
                    box_loss=float("nan"),
                    violations=rounds.violations,
                    multipliers=multipliers,
                    generator_calls=calls,
                    generator_seconds=seconds,
                    seconds=time.perf_counter() - started,
                    generator_timeouts=timeouts,
                    bounds=rounds.bounds,
                )
            )
            if finished:
                break
        return PhaseResult("posttrain", number, rounds.violations, rounds.bounds)


class _Posttraining:
    """One posttraining loop: the target, the last search and the bound of each goal."""

    def __init__(self, state, method):
        self.state = state
        self.margins = [method.margin] * len(state.goals)
        # Limits are not extended here: suboptimal pairs will do in training (algorithm 5), while a
        # proof needs the optimum anyway.
        self.generator = Generator(state, method.proof_node_limit, method.proof_node_limit)
        self.incumbents = [None] * len(state.goals)
        self.violations = (float("nan"),) * len(state.goals)
        self.bounds = (float("inf"),) * len(state.goals)

    def search(self):
        """Search for every goal; return whether all are done."""
        outcomes = [self._search_one(place, goal) for place, goal in enumerate(self.state.goals)]
        done, self.violations, bounds = zip(*outcomes, strict=True)
        # Deviation from line 21, which overwrites the 0 of line 18: the bound stands only where the
        # loop did not end in a proof.
        self.bounds = tuple(max(0.0, bound) for bound in bounds)
        return all(done)

    def _search_one(self, place, goal):
        result = self.generator.search(self._target(place))
        bound = violation_bound(goal.relation, result)
        violation = result.violation / self.state.output_scale
        # At epsilon 0 no bound with slack is 0: the tolerance of the solver is the end.
        closed = 0 in _ends(goal) and result.optimal and violation <= ZERO_VIOLATION
        done = bound <= 0.0 or closed
        if not done and result.optimal and not result.found:
            # Nothing to resolve, and yet no proof: slack alone is in the way, so aim further in.
            self.margins[place] += ROOM * bound / (goal.scale * self.state.output_scale)
        self.incumbents[place] = None if done else self.generator.incumbent(result)
        return done, violation, bound

    def project(self):
        """Resolve what the last searches found; return the distance moved and the multipliers."""
        targets = [self._target(place) for place in range(len(self.state.goals))]
        return project(self.state.network, targets, self.incumbents)

    def _target(self, place):
        return tighten(self.state.goals[place], min(self.margins[place], LARGEST_MARGIN))


def hidden_units(auxiliary, architecture):
    """Relu units of each auxiliary, 0 for affine ones, None for the user's own.

    ``"auto"`` follows table 3 of the paper: a side with epsilon 0 (monotone) takes 32 relu units,
    fine enough to follow the target when all boxes must close; a property under which no feature
    crosses its whole range (robust) takes affine ones; any other (fair) 4 relu units.
    """
    relu = MONOTONE_HIDDEN if architecture.zero_width else HIDDEN
    if callable(auxiliary):
        return None
    if auxiliary == "auto":
        small_moves = 0.0 < architecture.reach.max(initial=0.0) < 1.0
        return 0 if small_moves and not architecture.zero_width else relu
    if auxiliary not in ("affine", "relu"):
        raise ValueError(
            f"Got auxiliary={auxiliary!r} with method='paper', expected 'auto', 'affine', 'relu' "
            "or a function of the Architecture."
        )
    return 0 if auxiliary == "affine" else relu


def dual_rate(goal):
    """Return c of the dual step ``rho = c / v0``.

    .1 at epsilon 0 (monotone), .02 where Q holds features equal (fair), else .01 (robust): values found
    to converge, one for each kind of property.
    """
    if 0 in _ends(goal):
        return 0.1
    return 0.02 if goal.relation.equal.any() else 0.01


def falling(n_steps):
    """Learning rate that falls linearly to 5 %."""
    return torch.optim.lr_scheduler.LinearLR, {
        "start_factor": 1.0,
        "end_factor": 0.05,
        "total_iters": n_steps,
    }


def _with_summed_boxes(state):
    """The same state with lambda_box times n_latent: the box term of the paper sums over units.

    Ours is their mean; with it lambda_box = 1 leaves .6 of the clips inactive on diabetes, with the
    sum .87. History, counterexamples and random state remain those of the state given.
    """
    n_latent = state.network.architecture.n_latent
    return replace(state, options=replace(state.options, lambda_box=state.options.lambda_box * n_latent))


def _ends(goal):
    return goal.relation.epsilon_lower, goal.relation.epsilon_upper
