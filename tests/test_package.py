"""What importing the package does and does not load. Each check runs in an interpreter of its own."""

import subprocess
import sys
import textwrap
from importlib import metadata

import pytest

import smile_sklearn

HEAVY_OR_OPTIONAL = ("torch", "gurobipy", "matplotlib", "pyomo", "highspy")


def run_python(code):
    """Run the code in a fresh interpreter and return what it printed; a failure shows its traceback."""
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def loaded_after(statement, candidates):
    """Return those of the candidate modules that the statement loads in a fresh interpreter."""
    printed = run_python(
        f"""
        import sys
        {statement}
        print("loaded:", *[name for name in {candidates!r} if name in sys.modules])
        """
    )
    return printed.rsplit("loaded:", maxsplit=1)[1].split()


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import smile_sklearn", (*HEAVY_OR_OPTIONAL, "sklearn", "pandas", "numpy")) == []


@pytest.mark.parametrize("module", ["properties", "snapshot", "certificates", "exceptions"])
def test_light_modules_do_not_load_torch(module):
    assert loaded_after(f"import smile_sklearn.{module}", HEAVY_OR_OPTIONAL) == []


def test_importing_datasets_does_not_load_torch():
    assert loaded_after("import smile_sklearn.datasets", HEAVY_OR_OPTIONAL) == []


def test_the_checker_loads_neither_torch_nor_verification():
    run_the_checker = (
        "import runpy; sys.argv = ['check', '--help']\n"
        "        try:\n"
        "            runpy.run_module('smile_sklearn.check', run_name='__main__')\n"
        "        except SystemExit as stop:\n"
        "            assert stop.code in (0, None), stop.code"
    )
    assert loaded_after(run_the_checker, ("torch", "pyomo", "highspy", "smile_sklearn.verification")) == []


def test_works_without_optional_packages():
    run_python(
        """
        import sys
        for name in ("gurobipy", "matplotlib", "pandas"):
            sys.modules[name] = None  # importing it raises ImportError
        import numpy as np
        from smile_sklearn import Monotonic, SMiLERegressor
        X = np.linspace(0, 1, 40).reshape(-1, 1)
        model = SMiLERegressor(Monotonic({0: 1}), random_state=0).fit(X, X[:, 0])
        assert model.certificate_.status.name == "HOLDS", str(model.certificate_)
        """
    )


@pytest.mark.parametrize("name", smile_sklearn.__all__)
def test_every_public_name_can_be_reached(name):
    assert getattr(smile_sklearn, name) is not None
    assert name in dir(smile_sklearn)


def test_star_import_gives_the_public_names():
    run_python("from smile_sklearn import *; SMiLERegressor, Monotonic, Certificate")


def test_subpackages_are_attributes_of_the_package():
    run_python("import smile_sklearn; smile_sklearn.datasets.make_sine; smile_sklearn.properties.Monotonic")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Monotone'"):
        _ = smile_sklearn.Monotone


def test_version_matches_the_metadata():
    try:
        installed = metadata.version("smile-sklearn")
    except metadata.PackageNotFoundError:
        pytest.skip("smile-sklearn runs from the source tree, it is not installed")
    assert smile_sklearn.__version__ == installed
