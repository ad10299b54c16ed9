"""The promise of ``method="smile"``: every fit that can be met ends in HOLDS, whatever it is given."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_fits import AUXILIARIES, random_fit, worst_changes

from smile_sklearn import (
    Fair,
    GloballyRobust,
    InputDomain,
    Monotonic,
    Relational,
    SMiLEClassifier,
    SMiLERegressor,
    Status,
)
from smile_sklearn.exceptions import CertificationWarning

TINY = {"max_iter": 2, "pretrain_iter": 1, "posttrain_iter": 2, "n_latent": 3, "random_state": 0}
seeds = st.integers(0, 2**32 - 1)
mixtures = {"alpha": st.sampled_from([0.0, 0.5, 1.0]), "auxiliary": st.sampled_from(AUXILIARIES)}


def check_promise(model):
    """HOLDS in all parts, a bound within epsilon, and no random pair beyond either."""
    assert model.certificate_.status is Status.HOLDS
    assert model.violation_bound_ <= 0.0
    for relation, part in zip(model.relations_, model.certificate_, strict=True):
        least, largest = worst_changes(model, relation)
        assert relation.epsilon_lower <= least
        assert largest <= relation.epsilon_upper
        assert max(largest, -least) <= part.variation
    assert model.certify().status is Status.HOLDS


@settings(max_examples=25)
@given(seed=seeds, **mixtures)
def test_every_random_fit_holds(seed, alpha, auxiliary):
    check_promise(random_fit(seed, alpha=alpha, auxiliary=auxiliary))


@pytest.mark.slow
@settings(max_examples=300)
@given(seed=seeds, **mixtures)
def test_every_random_fit_holds_at_length(seed, alpha, auxiliary):
    check_promise(random_fit(seed, alpha=alpha, auxiliary=auxiliary))


@pytest.fixture(scope="module")
def table():
    generator = np.random.default_rng(0)
    X = generator.uniform(0, 1, (60, 3))
    return X, np.sin(6 * X[:, 0]) + X[:, 1] * X[:, 2]


@pytest.mark.parametrize("epsilon", [1e-300, 1e-18, 1e-6, 1e9, 1e300])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_epsilon_beyond_rounding(table, epsilon, shift):
    """Below what rounding may add, only a constant is proven; the fit says so."""
    X, y = table
    model = SMiLERegressor(GloballyRobust(0.1, epsilon), **TINY)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y + shift)
    check_promise(model)
    constant = not model.snapshot_.head_weight.any()
    assert constant == any(issubclass(one.category, CertificationWarning) for one in caught)
    assert constant == (epsilon < 1e-15 * max(shift, 1.0))


def test_the_head_survives_where_it_can(table):
    """HOLDS by a constant would be no feat: at an epsilon of use nothing is flattened."""
    model = SMiLERegressor(Fair([0], 0.5) & GloballyRobust(0.05, 0.5), **{**TINY, "max_iter": 60}).fit(*table)
    check_promise(model)
    assert model.score(*table) > 0.3


@pytest.mark.parametrize("n_rows", [1, 2])
def test_hardly_any_row(n_rows):
    X = np.arange(3.0 * n_rows).reshape(n_rows, 3)
    check_promise(SMiLERegressor(Monotonic({0: 1}) & Fair([1], 1.0), **TINY).fit(X, np.arange(1.0 * n_rows)))


def test_all_columns_constant():
    X = np.ones((20, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Q relates equal inputs only
        check_promise(SMiLERegressor(GloballyRobust(0.5, 0.1), **TINY).fit(X, np.arange(20.0)))
        check_promise(SMiLEClassifier(Fair([0], 0.1), **TINY).fit(X, np.arange(20) % 2))


@pytest.mark.parametrize("coupling", ["auto", "box", "shared"])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_one_sided_limits_and_zero_ends(table, alpha, coupling):
    X, y = table
    for el, eu in ((0.0, 0.4), (-0.4, 0.0), (0.0, np.inf), (-np.inf, 0.3), (0.0, 0.0)):
        properties = Relational({0: 0.0, 1: -0.1}, {0: 0.5, 1: 0.2}, el, eu)
        check_promise(SMiLERegressor(properties, alpha=alpha, coupling=coupling, **TINY).fit(X, y))


def test_protected_groups_of_several_classes():
    generator = np.random.default_rng(1)
    groups = np.eye(4)[generator.integers(0, 4, 80)]
    X = np.hstack([generator.uniform(size=(80, 1)), groups])
    domain = InputDomain([0, 0, 0, 0, 0], [1, 1, 1, 1, 1], one_hot=[[1, 2, 3, 4]])
    y = generator.integers(0, 5, 80)
    for alpha in (0.0, 0.5):
        model = SMiLEClassifier(Fair([1, 2, 3, 4], 0.2), domain=domain, alpha=alpha, **TINY).fit(X, y)
        check_promise(model)
