"""Complete verification by mixed-integer programming."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from smile_sklearn.verification.base import BoundPair, Proof, Verifier
from smile_sklearn.verification.difference import Analysis
from smile_sklearn.verification.formulations.analysis import NODE_TYPES, PairAnalysis
from smile_sklearn.verification.formulations.maximise import SideAnswer, maximise
from smile_sklearn.verification.formulations.pair import CUT_THRESHOLD, build_pair_model
from smile_sklearn.verification.formulations.parts import (
    MOST_PAIRS,
    WHOLE,
    Part,
    difference_bound,
    parts_of,
)
from smile_sklearn.verification.formulations.value import pair_envelope
from smile_sklearn.verification.replay import counterexample_from_unit, sample_pairs
from smile_sklearn.verification.rounding import add_upper
from smile_sklearn.verification.sides import epsilon_of, sides
from smile_sklearn.verification.solvers import DUAL_TOLERANCE, SolverDoor, SolverResult, Termination

LARGEST_WAVE = 8
"""Maximisations that are started together, whatever ``n_jobs`` is, so that answers do not depend on it."""


class MIP(Verifier):
    """Largest V(x', x'') over all related pairs, by branch and bound; complete for V.

    One maximisation for every margin, side and part of the relation (``formulations.parts``); one side
    suffices where Q and R are symmetric. Those whose difference bound already is within epsilon, or
    below a violation of V that some pair has, are not solved; their difference bound is their bound.
    Each of the others always has a solution, and is read by its DUAL bound only:

        f(x') - f(x'') <= bound + tau * (variable ranges + row activity ranges) + gaps + rounding

    with tau the dual tolerance of the solver (see ``LinearModel.tolerance_range``), the distance
    at which it stops or prunes, and the slack of the float64 forward pass; ranges and gaps are
    those of the scaled model, the one that the solver sees (``formulations.scaling``). That its
    primal tolerances cut off no more than that is trusted: the rigor is "solver".

    Parameters
    ----------
    solver : {"highs", "gurobi"}
    node_limit : int or None
        Nodes a maximisation; with it, and without a time limit, equal calls give equal answers.
    cut_threshold : int
        Difference cuts are added to models with more binaries than that.
    most_pairs : int
        A protected group is enumerated if it has at most so many ordered pairs of categories.
    n_jobs : int or None
        Maximisations solved at a time (joblib), each by one thread. The answer does not depend on it
        unless a time limit is reached.
    """

    name = "mip"
    couplings = ("box", "shared")
    node_types = NODE_TYPES

    def __init__(
        self, solver="highs", node_limit=None, cut_threshold=CUT_THRESHOLD, most_pairs=MOST_PAIRS, n_jobs=None
    ):
        self.solver = solver
        self.node_limit = node_limit
        self.cut_threshold = cut_threshold
        self.most_pairs = most_pairs
        self.n_jobs = n_jobs

    def _verify(self, snapshot, relation, couplings, context):
        analysis = Analysis(snapshot, relation)
        if not np.isfinite(analysis.slack).all():
            return _overflow(couplings)
        search = _search(analysis, couplings, SolverDoor(self.solver), parts_of(relation, self.most_pairs))
        counterexample = search.run(self, context)
        answers = search.answers
        solvers = dict.fromkeys(answer.solver for answer in answers)
        return Proof(
            bounds=_bounds(relation, answers, len(search.problems)),
            rigor="solver",
            couplings=couplings,
            slack=max((answer.slack for answer in answers), default=0.0),
            data={"kind": "mip", "problems": [item for answer in answers for item in answer.to_dicts()]},
            counterexample=counterexample,
            detail=" ".join(solvers),
            attained=search.worst,
        )


class Problem(NamedTuple):
    """One maximisation: a margin and a side over a part of the related pairs.

    ``bound`` is its difference bound, output units.
    """

    margin: int
    sign: int
    part: Part
    analysis: PairAnalysis
    bound: float


PATIENCE = 4
"""By how many the undecided parts may outnumber the decided ones before enumeration is given up."""


def _search(analysis, couplings, door, parts):
    """The search over the parts if difference bounds leave few of them open, else over the whole relation.

    Each part that must be solved costs a root node of its own. With cases 9 and 10 of
    ``benchmarks/mip_against_paper.py``: 6 of 13 parts open, 2 solved, 1.4 times faster than the whole;
    21 of 21 open, 21 solved, 9 times slower.
    """
    search = _Search(analysis, couplings, door)
    for part in parts:
        search.add(part)
        n_open = search.n_undecided()
        if parts != WHOLE and 2 * n_open - len(search.problems) > PATIENCE:
            break
    if parts == WHOLE or 2 * n_open <= len(search.problems):
        return search
    whole = _Search(analysis, couplings, door)
    whole.add(*WHOLE)
    return whole


class _Search:
    """All maximisations of one relation: most promising first, in waves, until none can matter.

    Attributes
    ----------
    problems : list of Problem
    answers : list of SideAnswer
        In the order of the problems; those not reached (a counterexample ends it all) are missing.
    worst : float
        Largest violation of V that a related pair was seen to have.
    """

    def __init__(self, analysis, couplings, door):
        self.analysis, self.snapshot, self.relation = analysis, analysis.snapshot, analysis.relation
        self.couplings, self.door, self.problems, self._answers = couplings, door, [], {}
        self.worst, self._pair = self._sampled(analysis.margins)

    def add(self, part):
        """Take on the maximisations of one part: of every margin and side."""
        known = PairAnalysis(self.analysis, part.group_pairs(self.relation))
        self.problems += [
            Problem(margin, sign, part, known, difference_bound(known, self.couplings, margin, sign))
            for sign in sides(self.relation)
            for margin in range(len(self.analysis.margins))
        ]

    @property
    def least_slack(self):
        """No part gets less slack than this, output units.

        A part may be tiny next to the relation, and its model is scaled to its own ranges; in a fuzz HiGHS
        once lost 2e-11 of a part of size 5e-11, in presolve.
        """
        sizes = [problem.bound for problem in self.problems if 0.0 < problem.bound < np.inf]
        return DUAL_TOLERANCE * max(sizes, default=0.0)

    @property
    def answers(self):
        return [self._answers[number] for number in sorted(self._answers)]

    def run(self, verifier, context):
        """Solve what must be solved; return a counterexample or None."""
        size = 1
        while True:
            wave = self._next(size)
            if not wave:
                break
            n_jobs = min(len(wave), effective_n_jobs(verifier.n_jobs))
            remaining = context.remaining()
            share = None if remaining is None else remaining * min(1.0, n_jobs / self._n_open())
            limits = (share, verifier.node_limit, verifier.cut_threshold, self.least_slack)
            found = Parallel(n_jobs=n_jobs)(
                delayed(solve_problem)(
                    self.door, self.couplings, self.problems[number], self.relation, *limits
                )
                for number in wave
            )
            self._answers.update(zip(wave, found, strict=True))
            for answer in found:
                counterexample = self._learn(answer, context)
                if counterexample is not None:
                    return counterexample  # VIOLATED is final; what was not solved stays unbounded.
            size = min(2 * size, LARGEST_WAVE)
        if self.worst > 0.0 and self._pair is not None:
            return counterexample_from_unit(self.relation, *self._pair, context.predict)
        return None

    def n_undecided(self):
        """How many problems difference bounds and sampled pairs leave for the solver."""
        return sum(not self._is_decided(problem) for problem in self.problems)

    def _is_decided(self, problem):
        # Within epsilon it proves its side; below a violation that exists it is not the largest.
        return self._violation(problem) <= max(0.0, self.worst)

    def _violation(self, problem):
        return float(add_upper(problem.bound, -epsilon_of(self.relation, problem.sign)))

    def _next(self, size):
        """Numbers of the next problems; those that are decided are answered on the way."""
        for number in self._open():
            if self._is_decided(self.problems[number]):
                self._answers[number] = _without_solver(self.problems[number])
        by_violation = lambda number: self._violation(self.problems[number])
        return sorted(self._open(), key=by_violation, reverse=True)[:size]

    def _open(self):
        return [number for number in range(len(self.problems)) if number not in self._answers]

    def _n_open(self):
        return max(1, len(self._open()))

    def _learn(self, answer, context):
        violation = answer.value - epsilon_of(self.relation, answer.sign)
        self.worst = max(self.worst, violation)
        if answer.pair is None or violation <= 0.0:
            return None
        return counterexample_from_unit(self.relation, *answer.pair, context.predict)

    def _sampled(self, margins):
        """Largest violation of V among the sampled pairs, and that pair in unit coordinates."""
        first, second = (self.snapshot.domain.to_unit(rows) for rows in sample_pairs(self.relation))
        worst, pair = -np.inf, None
        if not len(first):
            return worst, pair
        for sign in sides(self.relation):
            for row in margins:
                value = pair_envelope(self.snapshot, self.couplings, sign * row, first, second).value
                place = int(np.argmax(value))
                violation = float(value[place] - epsilon_of(self.relation, sign))
                if violation > worst:
                    worst, pair = violation, (first[place], second[place])
        return worst, pair


def solve_problem(door, couplings, problem, relation, time_limit, node_limit, cut_threshold, least_slack):
    """Build and solve one maximisation, a :class:`SideAnswer`; a function of its own for worker processes."""
    known = problem.analysis
    pair_model = build_pair_model(known, couplings, problem.margin, problem.sign, cut_threshold)
    answer = maximise(
        door, pair_model, known.snapshot, relation, problem.margin, problem.sign, time_limit, node_limit
    )
    slack = max(answer.slack, least_slack)
    bound = float(add_upper(answer.bound, slack - answer.slack))
    # The solver may have had no time; what differences prove stands.
    return replace(answer, part=problem.part, bound=min(bound, problem.bound), slack=slack)


def _without_solver(problem):
    """The answer that difference bounds give."""
    result = SolverResult(Termination.NOT_NEEDED, None, None, None, 0, 0.0, "difference bounds", "", 0.0)
    slack = float(problem.analysis.base.slack[problem.margin])
    return SideAnswer(
        problem.margin, problem.sign, problem.bound, np.inf, slack, -np.inf, None, result, 0, problem.part
    )


def _overflow(couplings):
    """Nothing is proven of a network that is not finite, or whose forward pass may overflow."""
    return Proof(
        bounds=BoundPair(-np.inf, np.inf),
        rigor="solver",
        couplings=couplings,
        data={"kind": "mip", "problems": []},
    )


def _bounds(relation, answers, n_problems):
    """Join the problems; if one was not reached, nothing is known of its side."""
    worst = {sign: -np.inf if len(answers) == n_problems else np.inf for sign in (1, -1)}
    for answer in answers:
        worst[answer.sign] = max(worst[answer.sign], answer.bound)
    upper, lower = (worst[sign] if sign in sides(relation) else np.inf for sign in (1, -1))
    if relation.symmetric:
        lower = upper
    return BoundPair(lower=-float(lower), upper=float(upper))


__all__ = ["MIP"]
