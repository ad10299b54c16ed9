"""The counterexample pool: the worst related pairs that the falsifier knows, all looked at every step."""

import time

import numpy as np
import torch

from smile_sklearn.training.counterexamples import EnvelopeCounterexample
from smile_sklearn.training.envelope import EnvelopeMeasure, Pairs
from smile_sklearn.verification.falsifying.envelope_search import climb
from smile_sklearn.verification.replay import repair_unit

DRAWN_PAIRS = 64
"""Random pairs of a search, besides those of the pool; a quarter of them climb."""

CLIMBING_STEPS = 3
"""Steps of a search. Few: the network moves on before the pair has reached its peak, and the next search
starts where this one ended."""


class PairPool:
    """The worst pairs known of one goal.

    A search (batched, seeded, without a solver) starts from the pairs at hand and from random ones. Of
    the old pairs and those it ends at, the worst stay, each of them once.

    Parameters
    ----------
    goal : Goal
    size : int
        Pairs kept, at most.
    device : str
    """

    def __init__(self, goal, size, device="cpu"):
        self.goal, self.size, self.device = goal, size, device
        self.measure = EnvelopeMeasure(goal, device)
        self.pairs, self._when_found, self._searches = None, None, 0

    def refresh(self, network, snapshot):
        """Search on ``snapshot``, the network as it stands, and keep the worst pairs."""
        starts = None if self.pairs is None else tuple(rows.cpu().numpy() for rows in self.pairs)
        found = climb(
            snapshot,
            self.goal.relation,
            (self.goal.coupling,),
            n_pairs=DRAWN_PAIRS,
            n_steps=CLIMBING_STEPS,
            random_state=self._searches,
            starts=starts,
        )
        self._searches += 1
        rows = np.hstack([found.first, found.second])
        known = np.full(len(rows), np.nan)
        if starts is not None:
            rows, known = np.vstack([np.hstack(starts), rows]), np.append(self._when_found, known)
        rows, places = np.unique(rows, axis=0, return_index=True)
        self._keep(network, rows, known[places])

    def _keep(self, network, rows, when_found):
        if not len(rows):
            return
        halves = np.split(rows, 2, axis=1)
        pairs = Pairs(*(torch.as_tensor(half, device=self.device) for half in halves))
        with torch.no_grad():
            now = self.measure.violations(network, network.auxiliary_graph(), pairs).cpu().numpy()
        worst = np.argsort(-now, kind="stable")[: self.size]
        self.pairs = Pairs(*(half[torch.as_tensor(worst, device=self.device)] for half in pairs))
        self._when_found = np.where(np.isnan(when_found), now, when_found)[worst]

    def violation(self, network, box):
        """Violation of the worst pair, relative to epsilon; differentiable. nan if V is finite nowhere."""
        if self.pairs is None:
            return network.head_bias.new_tensor(float("nan"))
        return self.measure.violations(network, box, self.pairs).max() / self.goal.scale

    def counterexamples(self, output_scale):
        """Pairs that violated when they were found, exactly related, as :class:`EnvelopeCounterexample`."""
        if self.pairs is None:
            return []
        kept = []
        for first, second, violation in zip(*self.pairs, self._when_found, strict=True):
            if violation > 0.0:
                raw = repair_unit(self.goal.relation, first.cpu().numpy(), second.cpu().numpy())
                if raw is not None:
                    name = self.goal.relation.name
                    kept.append(EnvelopeCounterexample(name, *raw, float(violation) * output_scale))
        return kept


class PoolSearch:
    """Refreshes the pools of a training run every few steps, and counts what that takes.

    Parameters
    ----------
    state : TrainingState
    pools : sequence of PairPool
    every : int
        Steps between two searches.
    """

    timeouts = 0

    def __init__(self, state, pools, every):
        self._state, self.pools, self.every = state, tuple(pools), every
        self.calls, self.seconds, self._steps = 0, 0.0, 0

    def step(self):
        """Count a step; search where one is due."""
        if self._steps % self.every == 0:
            self.refresh()
        self._steps += 1

    def refresh(self):
        """Search for every goal now."""
        started = time.perf_counter()
        snapshot = self._state.snapshot().lowered()
        for pool in self.pools:
            pool.refresh(self._state.network, snapshot)
        self.calls += len(self.pools)
        self.seconds += time.perf_counter() - started
