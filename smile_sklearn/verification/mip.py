"""Complete verification by mixed-integer programming."""

from dataclasses import dataclass, replace

import numpy as np

from smile_sklearn.verification.base import BoundPair, Proof, Verifier
from smile_sklearn.verification.difference import Analysis
from smile_sklearn.verification.formulations.network import NODE_TYPES
from smile_sklearn.verification.formulations.pair import CUT_THRESHOLD, build_pair_model
from smile_sklearn.verification.formulations.value import pair_envelope
from smile_sklearn.verification.replay import counterexample_from_unit, repair_unit, sample_pairs
from smile_sklearn.verification.rounding import add_upper
from smile_sklearn.verification.sides import epsilon_of, share_of, sides
from smile_sklearn.verification.solvers import SolverDoor, SolverResult, Termination


class MIP(Verifier):
    """Largest V(x', x'') over all related pairs, by branch and bound; complete for V.

    One maximisation for every margin and side; one side suffices where Q and R are symmetric.
    Each always has a solution, and is read by its DUAL bound only:

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
    """

    name = "mip"
    couplings = ("box", "shared")
    node_types = NODE_TYPES

    def __init__(self, solver="highs", node_limit=None, cut_threshold=CUT_THRESHOLD):
        self.solver = solver
        self.node_limit = node_limit
        self.cut_threshold = cut_threshold

    def _verify(self, snapshot, relation, couplings, context):
        analysis, door = Analysis(snapshot, relation), SolverDoor(self.solver)
        if not np.isfinite(analysis.slack).all():
            return _overflow(couplings)
        problems = [(margin, sign) for sign in sides(relation) for margin in range(len(analysis.margins))]
        answers, counterexample = [], None
        for number, (margin, sign) in enumerate(problems):
            pair_model = build_pair_model(analysis, couplings, margin, sign, self.cut_threshold)
            answer = maximise(
                door,
                pair_model,
                snapshot,
                relation,
                margin,
                sign,
                share_of(context, problems, number),
                self.node_limit,
            )
            answers.append(answer)
            if answer.pair is not None and answer.value > epsilon_of(relation, sign):
                counterexample = counterexample_from_unit(relation, *answer.pair, context.predict)
            if counterexample is not None:
                break  # VIOLATED is final; what was not solved stays unbounded, which is true.
        return Proof(
            bounds=_bounds(relation, problems, answers),
            rigor="solver",
            couplings=couplings,
            slack=max(answer.slack for answer in answers),
            data={"kind": "mip", "problems": [answer.to_dict() for answer in answers]},
            counterexample=counterexample,
            detail=" ".join(
                dict.fromkeys(f"{answer.result.solver} {answer.result.version}" for answer in answers)
            ),
        )


@dataclass(frozen=True, eq=False)
class SideAnswer:
    """What one maximisation of V showed.

    Parameters
    ----------
    margin : int
    sign : {1, -1}
        1 for f(x') - f(x''), -1 for its negative.
    bound : float
        Proven upper bound, all slack included, output units; inf if nothing was proven.
    dual_bound : float
        The solver's bound alone, output units; inf if none.
    slack : float
    value : float
        V of ``pair`` as floats compute it; -inf without one.
    pair : tuple of two ndarray of shape (d,), or None
        Unit coordinates of the best pair found, after its repair in raw units.
    result : SolverResult
    n_integers : int
    """

    margin: int
    sign: int
    bound: float
    dual_bound: float
    slack: float
    value: float
    pair: tuple | None
    result: SolverResult
    n_integers: int

    def to_dict(self):
        """Plain JSON types for the certificate; None for what is not known."""
        return {
            "margin": self.margin,
            "side": "upper" if self.sign > 0 else "lower",
            "bound": self.bound if np.isfinite(self.bound) else None,
            "dual_bound": self.dual_bound if np.isfinite(self.dual_bound) else None,
            "value": self.value if np.isfinite(self.value) else None,
            "slack": self.slack,
            "termination": self.result.termination.value,
            "solver": f"{self.result.solver} {self.result.version}",
            "nodes": self.result.nodes,
            "seconds": self.result.seconds,
            "binaries": self.n_integers,
        }


def _overflow(couplings):
    """Nothing is proven of a network that is not finite, or whose forward pass may overflow."""
    return Proof(
        bounds=BoundPair(-np.inf, np.inf),
        rigor="solver",
        couplings=couplings,
        data={"kind": "mip", "problems": []},
    )


def maximise(door, pair_model, snapshot, relation, margin, sign, time_limit, node_limit):
    """Solve one model and read it: the dual bound with all slack, and the incumbent, repaired."""
    model, scale = pair_model.model, pair_model.scale
    result = door.solve(model, time_limit=time_limit, node_limit=node_limit)
    slack = float(add_upper(scale * result.tolerance, pair_model.slack))
    dual_bound = np.inf if result.bound is None else scale * result.bound
    pair, value = _read_pair(pair_model, snapshot, relation, result)
    bound = float(add_upper(dual_bound, slack))
    if value > bound or refuted(bound, pair_model, snapshot, relation):
        # A pair that exists beats the "bound": the solver erred, and nothing it says is a proof.
        bound = dual_bound = np.inf
        result = replace(result, termination=Termination.UNKNOWN, bound=None)
    return SideAnswer(margin, sign, bound, float(dual_bound), slack, value, pair, result, model.n_integers)


def refuted(bound, pair_model, snapshot, relation):
    """Whether one of a few hundred related pairs, corners and random ones, has V above ``bound``.

    A proof by a solver in floats is only as good as the solver, and a bound that is false because
    the solver lost a unit is mostly false by far: looking costs a forward pass. The sample is the
    same in every call, so that equal calls give equal answers.
    """
    if not np.isfinite(bound):
        return False
    first, second = (snapshot.domain.to_unit(rows) for rows in sample_pairs(relation))
    if not len(first):
        return False
    envelope = pair_envelope(snapshot, pair_model.couplings, pair_model.row, first, second)
    return bool((envelope.value > bound).any())


def _read_pair(pair_model, snapshot, relation, result):
    """The incumbent as an exactly related pair, in unit coordinates, and its V in floats."""
    if result.values is None:
        return None, -np.inf
    raw = repair_unit(relation, *pair_model.pair(result.values))
    if raw is None:
        return None, -np.inf
    first, second = snapshot.domain.to_unit(np.stack(raw))
    envelope = pair_envelope(snapshot, pair_model.couplings, pair_model.row, first[None], second[None])
    return (first, second), float(envelope.value[0])


def _bounds(relation, problems, answers):
    """Join the sides; a problem that was not reached leaves its side unbounded."""
    worst = {1: -np.inf, -1: -np.inf}
    for place, (_, sign) in enumerate(problems):
        bound = answers[place].bound if place < len(answers) else np.inf
        worst[sign] = max(worst[sign], bound)
    upper, lower = (worst[sign] if sign in sides(relation) else np.inf for sign in (1, -1))
    if relation.symmetric:
        lower = upper
    return BoundPair(lower=-float(lower), upper=float(upper))


__all__ = ["MIP", "SideAnswer"]
