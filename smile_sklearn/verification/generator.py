"""The counterexample generator of training: the MIP with extended limits (paper, algorithm 5)."""

import time
from dataclasses import dataclass, replace

import numpy as np

from smile_sklearn.exceptions import SolverError
from smile_sklearn.verification.base import Context
from smile_sklearn.verification.difference import Analysis
from smile_sklearn.verification.formulations.maximise import maximise
from smile_sklearn.verification.formulations.pair import CUT_THRESHOLD, build_pair_model
from smile_sklearn.verification.formulations.value import pair_envelope
from smile_sklearn.verification.mip import MIP
from smile_sklearn.verification.rounding import add_upper
from smile_sklearn.verification.sides import epsilon_of, share_of, sides
from smile_sklearn.verification.solvers import SolverDoor


@dataclass(frozen=True, eq=False)
class GeneratorResult:
    """The most violating pair that a limited search found (paper, algorithm 5).

    Parameters
    ----------
    first, second : ndarray of shape (d,) or None
        x' and x'' in unit coordinates, images of an exactly related raw pair.
    value : float
        V of the pair, for ``row``: an upper bound on what f may do there; -inf without a pair.
    violation : float
        ``value`` minus the epsilon of its side; positive for a counterexample.
    bound : float
        ViolBound: proven upper bound on the violation over all related pairs; inf if unknown.
    dual_bounds : dict of (int, int) to float
        Proven bound on V, slack included, of each (margin, sign).
    margin, sign : int
        Where the pair was found; sign -1 is the side el <= f(x') - f(x'').
    row : ndarray of shape (n_latent,)
        The (signed) row of the head that V was taken with.
    first_at_upper, second_at_upper : ndarray of shape (n_latent,), bool, or None
        Whether the worst embedding stands at hi, not lo, at x' and at x'' (algorithm 6 freezes this).
    optimal : bool
        Whether every side was solved to optimality.
    terminations : dict of (int, int) to Termination
    nodes : int
        Over all calls, extensions included.
    seconds : float
    tolerance : float
        Output units; a smaller violation is not distinguished from none.
    """

    first: np.ndarray | None
    second: np.ndarray | None
    value: float
    violation: float
    bound: float
    dual_bounds: dict
    margin: int
    sign: int
    row: np.ndarray
    first_at_upper: np.ndarray | None
    second_at_upper: np.ndarray | None
    optimal: bool
    terminations: dict
    nodes: int
    seconds: float
    tolerance: float

    @property
    def found(self):
        """Whether the pair is an envelope counterexample: V > epsilon, by more than the tolerance."""
        return self.violation > self.tolerance


def generate(
    snapshot,
    relation,
    *,
    coupling="box",
    solver="highs",
    node_limit=64,
    max_node_limit=4096,
    time_limit=None,
    tolerance=1e-6,
    cut_threshold=CUT_THRESHOLD,
):
    """Search for a counterexample with extended limits (paper, algorithm 5).

    Every side of every margin is searched with ``node_limit`` nodes. If some pair has
    V > epsilon + tolerance, or all searches ended in a proof, that is the answer; else the limit
    is doubled for the unfinished ones, up to ``max_node_limit``. The paper extends seconds; nodes
    make a fit repeat exactly. HiGHS cannot resume, so an extension starts anew: at most twice the
    work of the last one.

    Parameters
    ----------
    snapshot : NetworkSnapshot
    relation : Relation
    coupling : {"auto", "box", "shared"}
    solver : {"highs", "gurobi"}
    node_limit, max_node_limit : int
    time_limit : float or None
        Wall seconds for all of it: a guard, after which results no longer repeat.
    tolerance : float
        What V must exceed epsilon by, relative to the largest weight of the head.
    cut_threshold : int

    Returns
    -------
    GeneratorResult

    Raises
    ------
    UnsupportedError
        If the network has a node without a formulation, or the coupling does not apply.
    SolverError
        If the network is not finite: training diverged.
    """
    started = time.perf_counter()
    couplings = MIP(solver).check(snapshot, relation, coupling)
    snapshot = snapshot.lowered()
    analysis, door = Analysis(snapshot, relation), SolverDoor(solver)
    if not np.isfinite(analysis.slack).all():
        raise SolverError(
            "Got a network whose outputs may overflow, expected finite ones: training diverged."
        )
    problems = [(margin, sign) for sign in sides(relation) for margin in range(len(analysis.margins))]
    models = {problem: build_pair_model(analysis, couplings, *problem, cut_threshold) for problem in problems}
    context = Context(None if time_limit is None else time.monotonic() + time_limit)
    tolerance = tolerance * float(np.abs(analysis.margins).max())
    answers, nodes, limit = {}, 0, node_limit
    while True:
        open_problems = [p for p in problems if p not in answers or not answers[p].result.optimal]
        for place, problem in enumerate(open_problems):
            share = share_of(context, open_problems, place)
            answer = maximise(door, models[problem], snapshot, relation, *problem, share, limit)
            answers[problem] = _better(answers.get(problem), answer)
            nodes += answer.result.nodes
        worst = max(answers.values(), key=lambda answer: answer.value - epsilon_of(relation, answer.sign))
        found = worst.value - epsilon_of(relation, worst.sign) > tolerance
        proven = all(answer.result.optimal for answer in answers.values())
        if found or proven or limit >= max_node_limit or context.remaining() == 0.0:
            break
        limit = min(2 * limit, max_node_limit)
    spent = {"nodes": nodes, "seconds": time.perf_counter() - started, "tolerance": tolerance}
    return _generator_result(snapshot, relation, couplings, models, answers, worst, spent)


def _generator_result(snapshot, relation, couplings, models, answers, worst, spent):
    row = models[worst.margin, worst.sign].row
    first = second = first_at_upper = second_at_upper = None
    if worst.pair is not None:
        first, second = worst.pair
        envelope = pair_envelope(snapshot, couplings, row, first[None], second[None])
        first_at_upper, second_at_upper = envelope.first_at_upper[0], envelope.second_at_upper[0]
    return GeneratorResult(
        first=first,
        second=second,
        value=worst.value,
        violation=worst.value - epsilon_of(relation, worst.sign),
        bound=max(float(add_upper(a.bound, -epsilon_of(relation, a.sign))) for a in answers.values()),
        dual_bounds={problem: answer.bound for problem, answer in answers.items()},
        margin=worst.margin,
        sign=worst.sign,
        row=row,
        first_at_upper=first_at_upper,
        second_at_upper=second_at_upper,
        optimal=all(answer.result.optimal for answer in answers.values()),
        terminations={problem: answer.result.termination for problem, answer in answers.items()},
        **spent,
    )


def _better(old, new):
    """Join two searches of one problem: the smaller bound, the larger pair, the newer ending."""
    if old is None:
        return new
    best = old if old.value > new.value else new
    tight = old if old.bound < new.bound else new
    joined = replace(new, value=best.value, pair=best.pair, bound=tight.bound, dual_bound=tight.dual_bound)
    # A pair of one search above the bound of the other: the solver erred once, nothing is proven.
    return replace(joined, bound=np.inf, dual_bound=np.inf) if joined.value > joined.bound else joined
