"""Packaging of smile-sklearn; the tested versions stand in ``constraints.txt``."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def read_version():
    """Return ``__version__`` without importing the package, which may have no dependencies yet."""
    text = (HERE / "smile_sklearn" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"$', text, flags=re.MULTILINE).group(1)


def read_long_description():
    """Return the README, or nothing where a source tree comes without one."""
    readme = HERE / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


PLOT = ["matplotlib>=3.8"]
DATA = ["pandas>=2.0"]
GUROBI = ["gurobipy>=11"]
CHECK = ["python-flint>=0.6"]

setup(
    name="smile-sklearn",
    version=read_version(),
    description="Neural networks with certified relational properties as scikit-learn estimators",
    long_description=read_long_description(),
    long_description_content_type="text/markdown",
    author="The smile_sklearn developers",
    license="BSD-3-Clause",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    packages=find_packages(include=["smile_sklearn", "smile_sklearn.*"]),
    python_requires=">=3.11",
    install_requires=[
        "numpy>=1.26",
        "scipy>=1.11",
        "scikit-learn>=1.6",
        "torch>=2.2",
        "skorch>=1.1",
        "joblib>=1.3",
        "pyomo>=6.10",  # contrib.solver's interfaces to HiGHS and Gurobi are young: older ones are untested
        "highspy>=1.9",
    ],
    extras_require={
        "gurobi": GUROBI,
        "check": CHECK,
        "plot": PLOT,
        "data": DATA,
        "docs": [*PLOT, *DATA, "sphinx", "sphinx-gallery", "numpydoc", "pydata-sphinx-theme"],
        "tests": [*PLOT, *DATA, *CHECK, "pytest", "pytest-xdist", "hypothesis"],
        "benchmarks": [*PLOT, *DATA],
    },
)
