"""Which solvers are here: the one place that asks, and the marks that skip with the reason."""

import pytest

from smile_sklearn.exceptions import SolverError
from smile_sklearn.verification.solvers import SolverDoor

try:
    SolverDoor("gurobi")
    NO_GUROBI = ""
except (ImportError, SolverError) as error:
    NO_GUROBI = f"Gurobi is not usable here: {error}"

needs_gurobi = pytest.mark.skipif(bool(NO_GUROBI), reason=NO_GUROBI or "Gurobi is there")
EVERY_SOLVER = ["highs", pytest.param("gurobi", marks=needs_gurobi)]
