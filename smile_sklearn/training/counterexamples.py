"""The paper's counterexamples: what they are (algorithm 6), when they are done (7), who finds them (5)."""

import time
from dataclasses import dataclass

import numpy as np
import torch

from smile_sklearn.network.evaluate import evaluate
from smile_sklearn.training.bounds import margin_rows
from smile_sklearn.training.violations import ViolationMeasure
from smile_sklearn.verification.generator import generate
from smile_sklearn.verification.replay import repair_unit
from smile_sklearn.verification.rounding import add_upper
from smile_sklearn.verification.solvers import Termination


@dataclass(frozen=True, eq=False)
class EnvelopeCounterexample:
    """A related pair whose boxes allow outputs that break R; an item of ``counterexamples_``.

    It is a counterexample of the box, for the network as it stood when it was found: f itself need
    not break R there, so it is no :class:`~smile_sklearn.certificates.Counterexample`.

    Parameters
    ----------
    name : str
        Key of the property.
    first, second : ndarray of shape (n_features,)
        The pair (x', x''), raw units, exactly related.
    violation : float
        ``V(x', x'') - epsilon`` when found, output units; epsilon is the one trained for.
    """

    name: str
    first: np.ndarray
    second: np.ndarray
    violation: float


@dataclass(frozen=True, eq=False)
class Incumbent:
    """A counterexample after the abstraction step: a pair and its frozen index sets.

    Parameters
    ----------
    pair : Tensor of shape (2, n_features)
        Rows x' and x'' in unit coordinates.
    at_upper : Tensor of shape (2, n_latent), bool
        Algorithm 6: which units of z' and z'' stood at hi when the pair was found. The complement
        stood at lo, as does every unit whose box was flipped there.
    margin : int
        Which margin of the outputs; 0 where there is one output.
    """

    pair: torch.Tensor
    at_upper: torch.Tensor
    margin: int


def propagate(network, incumbents):
    r"""CEPROP (algorithm 6) of several counterexamples: their y' - y'' as the network stands now.

    .. math:: z_i = lo_i(x) \text{ if } i \in I, \quad hi_i(x) \text{ otherwise}, \qquad y = g(z)

    The index sets are frozen, the pair is, the network is not: the value has a gradient in lo, hi
    and g, and no small move of the box resolves the counterexample by leaving z outside of it.

    Parameters
    ----------
    network : SMiLENetwork
    incumbents : sequence of Incumbent
        At least one.

    Returns
    -------
    Tensor of shape (n_incumbents,)
        Of each one's margin, in network units.
    """
    rows = torch.cat([incumbent.pair for incumbent in incumbents])
    at_upper = torch.cat([incumbent.at_upper for incumbent in incumbents])
    graph, nodes = network.auxiliary_graph()
    lower, upper = evaluate(graph, rows, (nodes.lower, nodes.upper))
    latent = torch.where(at_upper, upper, lower)
    heads = margin_rows(network.head_weight)[[incumbent.margin for incumbent in incumbents]]
    # The bias cancels in y' - y''.
    return ((latent[0::2] - latent[1::2]) * heads).sum(dim=1)


def excess(goal, difference):
    """``max(el - (y' - y''), (y' - y'') - eu)``, signed: algorithm 3, line 8, before its max(0, .)."""
    sides = []
    if goal.epsilon_upper < float("inf"):
        sides.append(difference - goal.epsilon_upper)
    if goal.epsilon_lower > -float("inf"):
        sides.append(goal.epsilon_lower - difference)
    return torch.stack(sides).max()


def incumbent_violations(network, goals, incumbents):
    """Signed violation of each goal's incumbent, (n_goals,); 0 where there is none yet."""
    present = [incumbent for incumbent in incumbents if incumbent is not None]
    if not present:
        return torch.zeros(len(goals), dtype=torch.float64, device=network.head_bias.device)
    differences = iter(propagate(network, present))
    zero = torch.zeros((), dtype=torch.float64, device=network.head_bias.device)
    return torch.stack(
        [
            zero if incumbent is None else excess(goal, next(differences))
            for goal, incumbent in zip(goals, incumbents, strict=True)
        ]
    )


def violation_bound(relation, result):
    """ViolBound: proven upper bound on the violation of ``relation``, output units.

    Parameters
    ----------
    relation : Relation
        With the epsilon that was promised, not the tightened one that the generator was given.
    result : GeneratorResult
    """
    epsilons = {1: relation.epsilon_upper, -1: -relation.epsilon_lower}
    return max(float(add_upper(bound, -epsilons[sign])) for (_, sign), bound in result.dual_bounds.items())


class Generator:
    """GENERATOR (algorithm 5) for a training state: the MIP, its limits, and what it found so far.

    Deviations from the paper, all in ``verification.mip``: one side at a time with big-Ms from
    interval bounds, in place of the side selector b and the constant M of eq. 6; the problem always
    has a solution (no gamma > 0), and "infeasible" becomes "the dual bound is at most 0"; the limit
    that is doubled counts nodes, so that two fits with one random_state agree exactly.

    Parameters
    ----------
    state : TrainingState
        Found pairs are appended to its ``counterexamples``.
    node_limit, max_node_limit : int
        First limit, and where its doubling stops.

    Attributes
    ----------
    calls, seconds, timeouts : int, float, int
        Calls so far, their wall time, and how many ended at the wall-clock guard: after one of
        those a fit need not repeat.
    """

    def __init__(self, state, node_limit, max_node_limit):
        self._state = state
        self.node_limit, self.max_node_limit = node_limit, max_node_limit
        self.calls, self.seconds, self.timeouts = 0, 0.0, 0

    @property
    def counters(self):
        """Calls, seconds and time-outs so far."""
        return self.calls, self.seconds, self.timeouts

    def search(self, goal):
        """Return the most violating pair found for one goal, a ``GeneratorResult``."""
        state = self._state
        started = time.perf_counter()
        result = generate(
            state.snapshot(),
            goal.relation,
            coupling=goal.coupling,
            solver=state.options.solver,
            node_limit=self.node_limit,
            max_node_limit=self.max_node_limit,
            time_limit=state.options.time_limit,
        )
        self.calls += 1
        self.seconds += time.perf_counter() - started
        self.timeouts += Termination.TIME_LIMIT in result.terminations.values()
        if result.found:
            self._keep(goal, result)
        return result

    def incumbent(self, result):
        """Abstract the pair of a result (algorithm 6, line 1); None if it has none."""
        if result.first is None:
            return None
        device = self._state.options.device
        flags = np.stack([result.first_at_upper, result.second_at_upper])
        return Incumbent(
            torch.as_tensor(np.stack([result.first, result.second]), device=device),
            torch.as_tensor(flags, device=device),
            result.margin,
        )

    def _keep(self, goal, result):
        raw = repair_unit(goal.relation, result.first, result.second)
        if raw is not None:
            found = EnvelopeCounterexample(goal.relation.name, *raw, result.violation)
            self._state.counterexamples.append(found)


class IncumbentViolation(ViolationMeasure):
    """The paper's violation: that of one incumbent counterexample a property.

    Before a step, a new one is searched for if

    - there is none, or it is resolved (algorithm 7). The paper looks after every step; here every
      ``check_every`` steps, which saves calls whose answer the next few steps would undo;
    - it is ``refresh_every`` steps old, resolved or not. Deviation: while one unresolved incumbent
      was kept, worse ones grew elsewhere (R2 .54 on the sine task).

    A search that ends without a violation leaves its best pair as the incumbent: its slack, a
    negative violation, lets the multiplier fall.

    Parameters
    ----------
    generator : Generator
    goals : sequence of Goal
        Tightened ones.
    check_every, refresh_every : int
    """

    def __init__(self, generator, goals, check_every, refresh_every):
        self.generator = generator
        self.goals = tuple(goals)
        self.check_every, self.refresh_every = check_every, refresh_every
        self.incumbents = [None] * len(self.goals)
        self._ages = [0] * len(self.goals)

    def before_step(self, network):
        """See :class:`ViolationMeasure`."""
        resolved = None
        for place, goal in enumerate(self.goals):
            age = self._ages[place]
            self._ages[place] = age + 1
            due = self.incumbents[place] is None or age >= self.refresh_every
            if not due and age % self.check_every == 0:
                resolved = self.resolved(network) if resolved is None else resolved
                due = resolved[place]
            if due:
                # A search that a limit cut short of any pair leaves the old incumbent.
                found = self.generator.incumbent(self.generator.search(goal))
                self.incumbents[place] = found or self.incumbents[place]
                self._ages[place] = 1
                self.calls, self.seconds, self.timeouts = self.generator.counters

    def resolved(self, network):
        """RESOLVED (algorithm 7): whether each incumbent violates no longer, a list of bool."""
        with torch.no_grad():
            return (self.violations(network) <= 0).tolist()

    def violations(self, network, box=None):
        """See :class:`ViolationMeasure`; in network units."""
        return incumbent_violations(network, self.goals, self.incumbents)
