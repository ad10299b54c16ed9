"""One maximisation: the model solved, its dual bound read with all slack, and the bound doubted."""

from dataclasses import dataclass, replace

import numpy as np

from smile_sklearn.verification.formulations.parts import WHOLE, Part, belongs
from smile_sklearn.verification.formulations.value import pair_envelope
from smile_sklearn.verification.replay import repair_unit, sample_pairs
from smile_sklearn.verification.rounding import add_upper
from smile_sklearn.verification.solvers import SolverResult, Termination


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
    part : Part
        The pairs of categories that it is about.
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
    part: Part = WHOLE[0]

    @property
    def solver(self):
        """Name and version of what the bound rests on."""
        return f"{self.result.solver} {self.result.version}".strip()

    def to_dicts(self):
        """Plain JSON types for the certificate, one entry a pair of categories; None: not known."""
        common = {
            "margin": self.margin,
            "side": "upper" if self.sign > 0 else "lower",
            "bound": self.bound if np.isfinite(self.bound) else None,
            "dual_bound": self.dual_bound if np.isfinite(self.dual_bound) else None,
            "value": self.value if np.isfinite(self.value) else None,
            "slack": self.slack,
            "termination": self.result.termination.value,
            "solver": self.solver,
            "nodes": self.result.nodes,
            "seconds": self.result.seconds,
            "binaries": self.n_integers,
        }
        return [{**common, **pair} for pair in self.part.to_dicts()]


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
    raw = sample_pairs(relation)
    modelled = belongs(pair_model.relation, *raw)
    if not modelled.any():
        return False
    first, second = (snapshot.domain.to_unit(rows[modelled]) for rows in raw)
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
