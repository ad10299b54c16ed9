"""Fixtures for all tests: fixed seeds, and data sets that may not be at hand."""

import inspect
import os

import numpy as np
import pytest
from hypothesis import settings

# The suite must give the same answer twice: no random examples, no example database, and no deadline
# on machines whose speed is not known.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _fixed_global_seed():
    """Fix NumPy's global seed: scikit-learn code called with random_state=None draws from it."""
    np.random.seed(0)  # noqa: NPY002 - the global generator is the point here


@pytest.fixture
def rng():
    """Return a fresh generator with a fixed seed."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def require_data():
    """Return a function that calls a fetcher, and skips the test where the data set is not at hand.

    With SMILE_STRICT_DATA=1 (tox -e data) a missing data set fails the test instead. Nothing is downloaded.
    """

    # Imported here: a fault in datasets must not take every other test with it.
    from smile_sklearn.datasets import DatasetNotFoundError

    def fetch_or_skip(fetch, **options):
        if "download_if_missing" in inspect.signature(fetch).parameters:
            options["download_if_missing"] = False
        try:
            return fetch(**options)
        except DatasetNotFoundError as error:
            if os.environ.get("SMILE_STRICT_DATA") == "1":
                pytest.fail(str(error))
            pytest.skip(str(error))

    return fetch_or_skip
