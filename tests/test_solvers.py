"""The door to solvers: agreement, limits, licences, and answers that must not be believed."""

import dataclasses
import warnings
from fractions import Fraction

import numpy as np
import pytest
from support.networks import random_snapshot, relate
from support.solvers import EVERY_SOLVER, needs_gurobi

from smile_sklearn.exceptions import CertificationWarning, SolverError
from smile_sklearn.verification import solvers
from smile_sklearn.verification.difference import Analysis
from smile_sklearn.verification.formulations.model import ModelBuilder
from smile_sklearn.verification.formulations.pair import build_pair_model
from smile_sklearn.verification.formulations.scaling import scale_model
from smile_sklearn.verification.mip import MIP
from smile_sklearn.verification.solvers import SolverDoor, Termination


def knapsack():
    """Maximise 100 + 5 a + 4 b + 3 c with 2 a + 3 b + c <= 5, binaries: a and b, 109."""
    builder = ModelBuilder()
    a, b, c = builder.columns(np.zeros(3), 1.0, integer=True)
    builder.row([(a, 2.0), (b, 3.0), (c, 1.0)], upper=5.0)
    builder.maximise([(a, 5.0), (b, 4.0), (c, 3.0)], offset=100.0)
    builder.blocks["all"] = np.array([a, b, c])
    return builder.build()


def pair_model(seed=0, n_features=3, hidden=(6,), n_latent=3, **options):
    snapshot = random_snapshot(seed, n_features, hidden, n_latent, **options)
    return build_pair_model(Analysis(snapshot, relate(snapshot.domain, 0.2)), ("box",), 0, 1)


@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_small_model(solver):
    result = SolverDoor(solver).solve(knapsack())
    assert result.termination is Termination.OPTIMAL
    assert result.bound == pytest.approx(109.0, abs=1e-6)
    assert result.objective == pytest.approx(109.0, abs=1e-6)
    np.testing.assert_allclose(result.values, [1, 1, 0], atol=1e-6)
    assert result.solver == solver
    assert result.version.count(".") == 2


@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_linear_model_ranged_rows_and_columns_that_nothing_reads(solver):
    builder = ModelBuilder()
    x, y, unused = builder.columns([0.0, -1.0, 0.25], [4.0, 1.0, 0.75])
    builder.row([(x, 1.0), (y, -2.0)], lower=-1.0, upper=1.0)
    builder.maximise([(x, 1.0), (y, 1.0)])
    model = builder.build()
    assert (model.n_rows, model.n_rows_split) == (1, 2)
    result = SolverDoor(solver).solve(model)
    assert result.bound == pytest.approx(4.0, abs=1e-6)  # x = 3, y = 1
    assert 0.25 <= result.values[unused] <= 0.75


@needs_gurobi
@pytest.mark.parametrize("ends", ["free", "affine", "relu"])
def test_solvers_agree(ends):
    for seed in range(4):
        found = pair_model(seed, ends=ends)
        highs, gurobi = (SolverDoor(name).solve(found.model) for name in ("highs", "gurobi"))
        assert highs.bound == pytest.approx(gurobi.bound, abs=1e-6, rel=1e-6)


@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_limits_end_in_a_bound_or_in_none_never_in_a_wrong_one(solver):
    """The bound under any limit is at least the optimum; this one takes no solver 0.02 s."""
    found = pair_model(2, 8, (10,), 4, ends="free")
    best = SolverDoor(solver).solve(found.model, time_limit=20)
    for limits in (
        {"time_limit": 0.0},
        {"time_limit": 0.02},
        {"node_limit": 0},
        {"node_limit": 1},
        {"node_limit": 5},
    ):
        result = SolverDoor(solver).solve(found.model, **limits)
        assert result.termination in (Termination.TIME_LIMIT, Termination.NODE_LIMIT, Termination.OPTIMAL)
        assert result.bound is None or result.bound >= best.objective - 1e-6


@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_node_limit_is_a_node_limit_and_repeats(solver):
    found = pair_model(2, 12, (12,), 4, ends="free")
    runs = [SolverDoor(solver).solve(found.model, node_limit=3) for _ in range(2)]
    assert runs[0].termination is Termination.NODE_LIMIT
    assert runs[0].nodes <= 10
    assert runs[0].bound == runs[1].bound
    np.testing.assert_array_equal(runs[0].values, runs[1].values)


@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_infeasible_and_unbounded_claim_no_bound(solver):
    builder = ModelBuilder()
    x, y = builder.columns(0.0, [1.0, 1.0], integer=True)
    builder.row([(x, 1.0), (y, 1.0)], lower=3.0)
    builder.maximise([(x, 1.0)])
    result = SolverDoor(solver).solve(builder.build())
    assert result.termination is Termination.INFEASIBLE
    assert result.bound is None
    assert result.values is None


def test_constant_objective_needs_no_solver():
    builder = ModelBuilder()
    builder.columns(0.0, 1.0)
    builder.maximise([], offset=0.5)
    result = SolverDoor("highs").solve(builder.build())
    assert result.optimal
    assert result.bound == 0.5


def test_bounds_from_beyond_reason_are_dropped():
    model = knapsack()
    read = lambda termination, minimum, objective=None: solvers._bound(termination, minimum, objective, model)
    assert read(Termination.INFEASIBLE, -9.0) is None
    assert read(Termination.UNKNOWN, -9.0) is None
    assert read(Termination.TIME_LIMIT, None) is None
    assert read(Termination.TIME_LIMIT, -np.inf) is None
    assert read(Termination.OPTIMAL, np.inf) is None  # would read as V <= -inf, hence HOLDS
    assert read(Termination.OPTIMAL, np.nan) is None
    assert read(Termination.OPTIMAL, 5.0) is None  # V <= 95, but every point reaches 100
    assert read(Termination.OPTIMAL, -9.0) == 109.0
    assert read(Termination.OPTIMAL, -8.0, 109.0) == 109.0  # a point beats the bound: the larger counts
    assert read(Termination.TIME_LIMIT, -50.0) == pytest.approx(112.0)  # no more than all columns together


# --- scaling ---------------------------------------------------------------------------------------------


def model_across_decades(seed):
    """Columns and entries of any size, one column fixed, one far from 0, one whole."""
    generator = np.random.default_rng(seed)
    size = lambda *shape: generator.normal(size=shape) * 10.0 ** generator.uniform(-9, 9, size=shape)
    builder = ModelBuilder()
    low = size(6)
    width = np.abs(size(6)) * (np.arange(6) > 0)
    low[1] = 1e6
    width[1] = 1e-3
    columns = builder.columns(low, low + width)
    (whole,) = builder.columns(0.0, 1.0, integer=True)
    for weight in size(5, 7):
        builder.row(zip([*columns, whole], weight, strict=True), upper=float(size(1)[0]))
    builder.maximise(zip([*columns, whole], size(7), strict=True))
    return builder.build()


def test_scaling_is_exact_and_brings_ranges_and_entries_to_about_one():
    for seed in range(20):
        model = model_across_decades(seed)
        scaling = scale_model(model)
        scaled, columns = scaling.model, scaling.column_exponents
        assert columns[model.integer].tolist() == [0]
        np.testing.assert_array_equal(scaling.point(scaled.lower), model.lower)
        np.testing.assert_array_equal(scaling.point(scaled.upper), model.upper)
        size = np.maximum(np.abs(model.lower), np.abs(model.upper))
        near = (model.upper - model.lower > 1e-8 * size) & ~model.integer  # others are all but constant
        width = (scaled.upper - scaled.lower)[near]
        assert ((width > 0.7) & (width < 1.5)).all()
        largest = np.zeros(model.n_rows)
        np.maximum.at(largest, scaled.rows, np.abs(scaled.entries))
        assert ((largest > 0.7) & (largest < 1.5)).all()
        np.testing.assert_array_equal(
            np.ldexp(np.ldexp(scaled.objective, -columns), scaling.objective_exponent), model.objective
        )


def test_scaling_keeps_every_point():
    """In rational arithmetic: what satisfies a row satisfies it scaled, with negligible entries gone."""
    for seed in range(20):
        model = model_across_decades(seed)
        scaling = scale_model(model)
        generator = np.random.default_rng(seed)
        share = np.round(generator.random(model.n_columns))
        point = np.where(share > 0, model.upper, model.lower)
        scaled_point = np.ldexp(point, -scaling.column_exponents)
        # The tightest rows that this point satisfies.
        upper = [exact_activity(model, point)[row] for row in range(model.n_rows)]
        upper = np.array([np.nextafter(float(value), np.inf) for value in upper])
        scaled = scale_model(dataclasses.replace(model, row_upper=upper)).model
        for activity, end in zip(exact_activity(scaled, scaled_point), scaled.row_upper, strict=True):
            assert activity <= Fraction(end)


def exact_activity(model, point):
    activity = [Fraction(0)] * model.n_rows
    for row, column, entry in zip(model.rows, model.columns, model.entries, strict=True):
        activity[row] += Fraction(float(entry)) * Fraction(float(point[column]))
    return activity


def test_negligible_entries_widen_their_row():
    builder = ModelBuilder()
    x, y = builder.columns(-1.0, [1.0, 1.0])
    builder.row([(x, 1.0), (y, 1e-9)], 0.5, 0.5)
    scaling = scale_model(builder.build())
    model = scaling.model
    assert len(model.entries) == 1
    assert model.row_lower[0] / model.upper[0] <= 0.5 - 1e-9
    assert model.row_upper[0] / model.upper[0] >= 0.5 + 1e-9


def test_a_tiny_entry_of_a_wide_column_is_not_negligible():
    builder = ModelBuilder()
    x, y = builder.columns(0.0, [1.0, 1e9])
    builder.row([(x, 1.0), (y, 1e-9)], upper=0.5)
    assert len(scale_model(builder.build()).model.entries) == 2


def test_a_constant_does_not_decide_the_unit_of_its_row():
    """1e9 times a unit that is always 0, and one fixed at 2: the rest of the row is what is scaled."""
    builder = ModelBuilder()
    x, zero, two, near = builder.columns([0.0, 0.0, 2.0, 3.0], [1.0, 0.0, 2.0, 3.0 + 1e-12])
    builder.row([(x, 1e-3), (zero, 1e9), (two, 0.25), (near, 1.0)], 3.75, 3.75)
    model = scale_model(builder.build()).model
    assert model.columns.tolist() == [x]
    assert 0.7 < model.entries[0] < 1.5
    unit = model.entries[0] / 1e-3
    low, high = model.row_lower[0] / unit, model.row_upper[0] / unit
    assert low <= 0.25 - 1e-12
    assert 0.25 <= high <= 0.25 + 1e-12
    assert low >= 0.25 - 2e-12


def test_scaling_survives_the_ends_of_the_floats():
    """Underflow widens; nothing becomes an error or a bound that cuts."""
    builder = ModelBuilder()
    x, y = builder.columns([5e-324, 0.0], [1e300, 1e-300])
    builder.row([(x, 1.0), (y, 5e-324)], lower=5e-324, upper=1.0)
    builder.maximise([(y, 1.0)])
    model = scale_model(builder.build()).model
    assert model.lower[0] <= 0.0
    assert model.row_lower[0] <= 0.0
    result = SolverDoor("highs").solve(builder.build())
    assert result.bound is None or result.bound + result.tolerance >= 1e-300


def test_entries_are_the_weights_themselves():
    """Nothing is composed or rounded on the way into Pyomo."""
    from pyomo.core.expr.visitor import identify_variables
    from pyomo.repn import generate_standard_repn

    for model in (pair_model(1).model, scale_model(pair_model(1).model).model):
        pyomo_model, variables = solvers.to_pyomo(model)
        places = {id(variable): column for column, variable in enumerate(variables)}
        for index in range(model.n_rows):
            repn = generate_standard_repn(pyomo_model.rows[index].body)
            written = {places[id(v)]: c for v, c in zip(repn.linear_vars, repn.linear_coefs, strict=True)}
            mine = model.rows == index
            assert written == dict(
                zip(model.columns[mine].tolist(), model.entries[mine].tolist(), strict=True)
            )
            assert len(list(identify_variables(pyomo_model.rows[index].body))) == mine.sum()


def test_unknown_solver_is_named():
    with pytest.raises(SolverError, match="highs"):
        SolverDoor("cplex")


def test_gurobi_missing_says_what_to_do(monkeypatch):
    from pyomo.contrib.solver.common.base import Availability
    from pyomo.contrib.solver.solvers.gurobi.gurobi_direct import GurobiDirect

    monkeypatch.setattr(GurobiDirect, "available", lambda _: Availability.NotFound)
    with pytest.raises(SolverError, match="pip install gurobipy"):
        SolverDoor("gurobi")
    monkeypatch.setattr(GurobiDirect, "available", lambda _: Availability.BadLicense)
    with pytest.raises(SolverError, match="licence"):
        SolverDoor("gurobi")


def test_free_licence_falls_back_with_one_warning(monkeypatch):
    monkeypatch.setattr(solvers, "_gurobi_is_limited", lambda: True)
    monkeypatch.setattr(solvers, "_TOLD", set())
    snapshot = random_snapshot(0, 1100, (), 2, ends="affine")
    relation = relate(snapshot.domain, 0.01, (-1.0, 2.0))  # two sides, two models
    with pytest.warns(CertificationWarning, match="rows") as caught:
        certificate = MIP(solver="gurobi").verify(snapshot, relation, time_limit=20)
    assert len([one for one in caught if one.category is CertificationWarning]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once in a process, not at every model of a fit
        MIP(solver="gurobi").verify(snapshot, relation, time_limit=20)
    assert "highs" in certificate.verifier


@needs_gurobi
def test_free_licence_counts_every_row():
    """784 features and two affine ends fit into the free licence: no warning, solved by Gurobi."""
    snapshot = random_snapshot(0, 784, (), 2, ends="affine")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        certificate = MIP(solver="gurobi").verify(snapshot, relate(snapshot.domain, 0.01, 1.0), time_limit=20)
    assert "gurobi" in certificate.verifier


def test_a_verifier_pickles():
    import pickle

    verifier = MIP()
    snapshot = random_snapshot(0, 1, (2,), 1)
    verifier.verify(snapshot, relate(snapshot.domain, 0.1))
    assert pickle.loads(pickle.dumps(verifier)).solver == "highs"
