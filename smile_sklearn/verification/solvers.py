"""The one door to solvers: arrays in, a bound that may be trusted out, Pyomo in between.

What comes out is read defensively. A bound is claimed only from a termination that is known, and
never from "infeasible": the models of this package always have a solution, so such an answer means
that the solver erred. No solver object survives the call.
"""

import enum
import math
import threading
import time
import warnings
from dataclasses import dataclass, replace

import numpy as np

from smile_sklearn.exceptions import CertificationWarning, SolverError
from smile_sklearn.verification.formulations.scaling import scale_model

SOLVERS = ("highs", "gurobi")
"""Names a user may give."""

DUAL_TOLERANCE = 1e-7
"""tau: by how much a reduced cost or a multiplier may have the wrong sign. HiGHS takes a tenth of
``mip_feasibility_tolerance`` in the linear programs of a MIP; both are set to give this number.
What it can hide is added to every bound (:meth:`LinearModel.tolerance_range`, of the scaled model).

That covers DUAL errors only. Solvers also take rows and bounds for met when they are broken by a
feasibility tolerance, in presolve, propagation, cuts and infeasible nodes. No multiplier shows it, and
nothing is added for it: after scaling (``formulations.scaling``) such an error is about 1e-6 of the
range of a unit or row, and that it does no more than the slack allows is TRUSTED, not proven. So is the
solver's code. This is what the rigor "solver" says; ``formulations.maximise.refuted`` looks for the
opposite."""

PRUNING_TOLERANCE = 1e-6
"""HiGHS drops subtrees that promise less than ``mip_feasibility_tolerance`` more than the incumbent.
Added to every bound, in units of the scaled objective, whose largest coefficient is about 1. The same
option is the primal tolerance described at `DUAL_TOLERANCE`; a smaller one did not prevent false bounds."""

ABSOLUTE_GAP = 1e-8
"""Distance between bound and incumbent at which solvers stop, scaled; the relative gap is 0."""

FREE_GUROBI_LIMIT = 2000
"""Variables, and rows, that Gurobi's free licence allows."""

LARGEST_NUMBER = 1e12
"""Beyond it, scaled, solvers lose rows (HiGHS refuses entries above 1e15) or read a bound as infinite."""

_SEED = 0
_TOLD = set()  # warnings already given in this process; tests clear it
# HiGHS keeps one scheduler a process, and Pyomo redirects file descriptors: one call at a time.
_ONE_AT_A_TIME = threading.Lock()


class Termination(enum.Enum):
    """Why a solver stopped."""

    OPTIMAL = "optimal"
    TIME_LIMIT = "time limit"
    NODE_LIMIT = "node limit"
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"
    NOT_NEEDED = "not needed"

    @property
    def proves(self):
        """Whether the bound reported with it is a proof."""
        return self in (Termination.OPTIMAL, Termination.TIME_LIMIT, Termination.NODE_LIMIT)


@dataclass(frozen=True, eq=False)
class SolverResult:
    """Answer of a solver to a maximisation.

    Parameters
    ----------
    termination : Termination
    bound : float or None
        Upper bound on the maximum, the solver's tolerances not added; None if nothing is proven.
    values : ndarray of shape (n_columns,) or None
        Best solution found.
    objective : float or None
        Its objective, in the solver's arithmetic: a lower bound up to tolerances, never a proof.
    nodes : int
    seconds : float
    solver, version : str
    tolerance : float
        What dual tolerances and gaps may hide: the maximum is at most ``bound + tolerance``.
    """

    termination: Termination
    bound: float | None
    values: np.ndarray | None
    objective: float | None
    nodes: int
    seconds: float
    solver: str
    version: str
    tolerance: float

    @property
    def optimal(self):
        """Whether the bound is the maximum, up to tolerances."""
        return self.termination is Termination.OPTIMAL and self.bound is not None


class SolverDoor:
    """Solves models with one solver, falling back to HiGHS where a licence is too small.

    The fallback warns once in a process: training asks for hundreds of models.

    Parameters
    ----------
    name : {"highs", "gurobi"}

    Raises
    ------
    SolverError
        If the solver is not installed or has no licence.
    """

    def __init__(self, name="highs"):
        if name not in SOLVERS:
            raise SolverError(f"Got solver={name!r}, expected one of {list(SOLVERS)}.")
        self.name = name
        self._limited = name == "gurobi" and _gurobi_is_limited()

    def solve(self, model, *, time_limit=None, node_limit=None):
        """Maximise a :class:`LinearModel`; the solver sees it scaled, the answer is in its own units.

        Parameters
        ----------
        model : LinearModel
        time_limit : float or None
            Wall seconds.
        node_limit : int or None
            Branch-and-bound nodes: with it, equal calls give equal answers.

        Returns
        -------
        SolverResult
        """
        if not _is_finite(model):
            return SolverResult(Termination.UNKNOWN, None, None, None, 0, 0.0, self.name, "not called", 0.0)
        if not model.objective.any():
            # Nothing to maximise: the offset is the maximum, whatever x.
            return SolverResult(
                Termination.OPTIMAL, model.offset, None, model.offset, 0, 0.0, self.name, "not called", 0.0
            )
        scaling = scale_model(model)
        name = self._affordable(scaling.model)
        if not _within_reach(scaling.model):
            return SolverResult(Termination.UNKNOWN, None, None, None, 0, 0.0, name, "not called", 0.0)
        with _ONE_AT_A_TIME:
            result = _solve(name, scaling.model, time_limit, node_limit)
        return _unscaled(result, scaling, model)

    def _affordable(self, model):
        size = max(model.n_columns, model.n_rows_split)
        if not self._limited or size <= FREE_GUROBI_LIMIT:
            return self.name
        if "free licence" not in _TOLD:
            _TOLD.add("free licence")
            warnings.warn(
                f"The model has {model.n_columns} variables and {model.n_rows_split} rows, but Gurobi's free "
                f"licence stops at {FREE_GUROBI_LIMIT} of each; solving with HiGHS instead. "
                "This is said once; certificates name the solver used.",
                CertificationWarning,
                stacklevel=4,
            )
        return "highs"


def _unscaled(result, scaling, model):
    """The answer in the units of the model that was asked about."""
    back = lambda value: None if value is None else scaling.value(value)
    values = result.values
    return replace(
        result,
        bound=back(result.bound),
        objective=back(result.objective),
        values=None if values is None else np.clip(scaling.point(values), model.lower, model.upper),
        tolerance=back(result.tolerance),
    )


def _is_finite(model):
    """Whether every number is; only the ends of rows may be infinite."""
    numbers = (model.lower, model.upper, model.entries, model.objective, model.offset)
    ends = (model.row_lower, model.row_upper)
    return all(np.isfinite(values).all() for values in numbers) and not any(
        np.isnan(values).any() for values in ends
    )


def _within_reach(model):
    """Whether every scaled number is one that a solver takes as it is; NaN and infinity are not."""
    numbers = [model.lower, model.upper, model.entries, model.objective, np.array([model.offset])]
    numbers += [ends[np.isfinite(ends)] for ends in (model.row_lower, model.row_upper)]
    return all((np.abs(values) <= LARGEST_NUMBER).all() for values in numbers)


def _solve(name, model, time_limit, node_limit):
    started = time.perf_counter()
    pyomo_model, variables = to_pyomo(model)
    solver = _interface(name)
    left = None if time_limit is None else max(0.0, time_limit - (time.perf_counter() - started))
    options = _options(name, node_limit)
    try:
        results = solver.solve(
            pyomo_model,
            threads=1,
            time_limit=left,
            rel_gap=0.0,
            abs_gap=ABSOLUTE_GAP,
            solver_options=options,
            load_solutions=False,
            raise_exception_on_nonoptimal_result=False,
        )
    except (RuntimeError, ValueError) as error:
        raise SolverError(
            f"The solver {name!r} failed on a model of {model.n_columns} variables: {error}"
        ) from error
    termination = _termination(results)
    values = _values(results, model, variables)
    # Pyomo minimises -V (see to_pyomo); numbers are turned back here, once.
    objective = None if results.incumbent_objective is None else model.offset - results.incumbent_objective
    return SolverResult(
        termination=termination,
        bound=_bound(termination, results.objective_bound, objective, model),
        values=values,
        objective=objective,
        nodes=_nodes(results),
        seconds=time.perf_counter() - started,
        solver=name,
        version=".".join(map(str, results.solver_version)),
        tolerance=DUAL_TOLERANCE * model.tolerance_range() + ABSOLUTE_GAP + PRUNING_TOLERANCE,
    )


def _interface(name):
    """A fresh solver object of Pyomo (``contrib.solver``; the older interfaces ignore time limits)."""
    import pyomo.environ  # noqa: F401 - registers the solvers
    from pyomo.contrib.solver.common.factory import SolverFactory

    return SolverFactory({"highs": "highs", "gurobi": "gurobi_direct"}[name])


def to_pyomo(model):
    """Write the arrays as a Pyomo model that minimises ``-c^T x``.

    Minimising is the sense in which both solvers report "no bound yet" as minus infinity.

    Returns
    -------
    ConcreteModel, list of variables
    """
    import pyomo.environ as pyo
    from pyomo.core.expr.numeric_expr import LinearExpression

    pyomo_model = pyo.ConcreteModel()
    indices = range(model.n_columns)
    kinds = [pyo.Integers if whole else pyo.Reals for whole in model.integer]
    bounds = list(zip(model.lower.tolist(), model.upper.tolist(), strict=True))
    pyomo_model.x = pyo.Var(indices, domain=lambda _, i: kinds[i], bounds=lambda _, i: bounds[i])
    variables = [pyomo_model.x[index] for index in indices]
    starts = np.searchsorted(model.rows, np.arange(model.n_rows + 1))
    columns, entries = model.columns.tolist(), model.entries.tolist()
    row_lower, row_upper = model.row_lower.tolist(), model.row_upper.tolist()

    def row(_, index):
        place = slice(starts[index], starts[index + 1])
        if place.start == place.stop:
            return pyo.Constraint.Feasible  # all its entries were negligible
        body = LinearExpression(
            linear_coefs=entries[place], linear_vars=[variables[column] for column in columns[place]]
        )
        lower, upper = row_lower[index], row_upper[index]
        if lower == upper:
            return (body, lower)
        return (None if lower == -np.inf else lower, body, None if upper == np.inf else upper)

    pyomo_model.rows = pyo.Constraint(range(model.n_rows), rule=row)
    used = np.flatnonzero(model.objective)
    pyomo_model.objective = pyo.Objective(
        expr=LinearExpression(
            linear_coefs=(-model.objective[used]).tolist(), linear_vars=[variables[column] for column in used]
        ),
        sense=pyo.minimize,
    )
    return pyomo_model, variables


def _options(name, node_limit):
    if name == "gurobi":
        # Threads, gaps and time go through Pyomo. Integrality is tightened because a binary off by
        # its tolerance lets a big-M row give way: harmless to the bound, misleading in training.
        # NumericFocus 3: without it 2 in 5400 random scaled networks had a false "optimal" bound,
        # one at FeasibilityTol 1e-6 and one at 1e-9.
        options = {
            "Seed": _SEED,
            "OptimalityTol": DUAL_TOLERANCE,
            "FeasibilityTol": 1e-9,
            "IntFeasTol": 1e-8,
            "NumericFocus": 3,
        }
        return options if node_limit is None else {**options, "NodeLimit": float(node_limit)}
    options = {
        "random_seed": _SEED,
        "mip_feasibility_tolerance": PRUNING_TOLERANCE,
        "dual_feasibility_tolerance": DUAL_TOLERANCE,
    }
    return options if node_limit is None else {**options, "mip_max_nodes": int(node_limit)}


def _termination(results):
    from pyomo.contrib.solver.common.results import TerminationCondition

    return {
        TerminationCondition.convergenceCriteriaSatisfied: Termination.OPTIMAL,
        TerminationCondition.maxTimeLimit: Termination.TIME_LIMIT,
        # Both solvers report their node limit as an iteration limit; no other one is set.
        TerminationCondition.iterationLimit: Termination.NODE_LIMIT,
        TerminationCondition.provenInfeasible: Termination.INFEASIBLE,
        TerminationCondition.infeasibleOrUnbounded: Termination.INFEASIBLE,
    }.get(results.termination_condition, Termination.UNKNOWN)


def _bound(termination, minimum, objective, model):
    """Upper bound on the maximum, or None where nothing is proven."""
    if not termination.proves or minimum is None or not math.isfinite(minimum) or abs(minimum) >= 1e20:
        return None
    low, high = _objective_range(model)
    bound = model.offset - minimum
    if bound < low - 1e-6 * max(1.0, abs(low)):
        return None  # below what every point reaches: not a bound but noise
    # A solution above the "bound" says that one of the two is wrong: the larger is the safe reading.
    return min(max(bound, -math.inf if objective is None else objective), high)


def _objective_range(model):
    ends = model.objective * model.lower, model.objective * model.upper
    size = np.abs(ends).max(axis=0).sum()
    rounding = 1e-14 * len(model.objective) * size  # far above the error of these two sums
    return model.offset + np.minimum(*ends).sum() - rounding, model.offset + np.maximum(
        *ends
    ).sum() + rounding


def _values(results, model, variables):
    from pyomo.contrib.solver.common.results import SolutionStatus

    if results.solution_status not in (SolutionStatus.optimal, SolutionStatus.feasible):
        return None
    found = results.solution_loader.get_vars()
    # A column in no row and not in the objective never reaches the solver: any value will do.
    values = [found.get(variable, low) for variable, low in zip(variables, model.lower, strict=True)]
    return np.clip(np.array(values, dtype=np.float64), model.lower, model.upper)


def _nodes(results):
    extra = results.extra_info
    for name in ("mip_node_count", "NodeCount"):
        count = getattr(extra, name, None)
        if count is not None:
            return max(0, int(count))
    return 0


def _gurobi_is_limited():
    """Whether the licence at hand is size-limited; raise SolverError if there is none."""
    from pyomo.contrib.solver.common.base import Availability

    with _ONE_AT_A_TIME:
        availability = _interface("gurobi").available()
    if availability == Availability.FullLicense:
        return False
    if availability == Availability.LimitedLicense:
        return True
    if availability == Availability.NotFound:
        raise SolverError(
            "Got solver='gurobi', but gurobipy is not installed. Run `pip install gurobipy`, or use 'highs'."
        )
    raise SolverError(
        f"Got solver='gurobi', but its licence cannot be used ({availability.name}). "
        "Check GRB_LICENSE_FILE, or use solver='highs'."
    )
