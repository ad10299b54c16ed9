"""The rules of predict_with_certificate, on arrays alone and through the estimators."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from support.networks import relate

from smile_sklearn import Fair, GloballyRobust, Monotonic, SMiLEClassifier, SMiLERegressor
from smile_sklearn.certificates import Certificate, Counterexample, Status, combine
from smile_sklearn.exceptions import CertificateError, CertificationWarning
from smile_sklearn.inference import certified_rows, proven_variation, robustness_radius
from smile_sklearn.properties import InputDomain

FAST = {
    "max_iter": 3,
    "pretrain_iter": 1,
    "hidden_layer_sizes": (8,),
    "verifier": "difference",
    "random_state": 0,
}


def part(name, status, variation, bound=None):
    bound = {Status.HOLDS: -1.0, Status.BOUNDED: 1.0}.get(status, np.inf) if bound is None else bound
    found = (
        Counterexample(np.zeros(1), np.ones(1), np.zeros(1), np.ones(1), 1.0)
        if status is Status.VIOLATED
        else None
    )
    return Certificate(
        name,
        "a statement",
        status,
        bound,
        variation,
        "rounded",
        "v",
        "box",
        0.0,
        "d" * 64,
        {},
        counterexample=found,
    )


# --- which variation counts -----------------------------------------------------------------------


def test_the_largest_proven_variation_counts():
    parts = (
        part("a", Status.HOLDS, 0.5),
        part("b", Status.BOUNDED, 2.0),
        part("c", Status.UNKNOWN, np.inf),
        part("d", Status.HOLDS, np.inf),
        part("e", Status.VIOLATED, 9.0),
        part("f", Status.UNKNOWN, 7.0),
    )
    two_sided = [
        SimpleNamespace(statement="a statement", epsilon_lower=-1.0, epsilon_upper=1.0) for _ in parts
    ]
    one_sided = SimpleNamespace(statement="a statement", epsilon_lower=-np.inf, epsilon_upper=0.0)
    first, second = two_sided[:2]
    relations = two_sided
    certificate = combine(parts)
    assert proven_variation(certificate, relations) == (2.0, [first, second])
    assert proven_variation(certificate, relations, "a") == (0.5, [first])
    # A one-sided property counts where it is asked for, or where there is no other.
    mixed = [first, one_sided, *two_sided[2:]]
    assert proven_variation(certificate, mixed) == (0.5, [first])
    assert proven_variation(certificate, mixed, "b") == (2.0, [one_sided])
    assert proven_variation(certificate, [one_sided] * 6) == (2.0, [one_sided] * 2)
    other = SimpleNamespace(statement="another one", epsilon_lower=-1.0, epsilon_upper=1.0)
    with pytest.raises(CertificateError, match="written by fit only"):
        proven_variation(parts[0], [other])
    for name in "cdef":
        with pytest.raises(CertificateError, match="No finite bound"):
            proven_variation(certificate, relations, name)
    with pytest.raises(CertificateError, match="expected one of"):
        proven_variation(certificate, relations, "z")
    assert proven_variation(parts[0], [first]) == (0.5, [first])
    with pytest.raises(CertificateError, match="UNKNOWN"):
        proven_variation(parts[2], [first])


# --- which rows are spoken of ---------------------------------------------------------------------


def test_rows_that_the_certificate_speaks_of():
    domain = InputDomain([0.0, 0, 0, 0], [1.0, 3, 1, 1], integer=[1], one_hot=[[2, 3]])
    rows = np.array(
        [
            [0.5, 1, 0, 1],
            [5.0, 9, 1, 0],  # outside the box
            [0.5, 1.5, 0, 1],  # a fractional integer
            [0.5, 1, 0, 0],  # no category
            [0.5, 1, 1, 1],  # two
            [0.5, 1, 0, 0.999999],
            [0.5, 1, 0, np.nextafter(1, 0)],
        ]
    )
    through_zero = relate(domain, ([-0.1, 0, 0, 0], [0.1, 0, 0, 0]))
    beyond_zero = relate(domain, ([0.1, 0, 0, 0], [0.2, 0, 0, 0]))
    with pytest.warns(CertificationWarning, match="5 of 7 rows"):
        assert certified_rows(rows, domain, [through_zero]).tolist() == [True, True] + [False] * 5
    with pytest.warns(CertificationWarning):
        assert certified_rows(rows, domain, [through_zero, beyond_zero]).tolist() == [True] + [False] * 6


# --- radius ---------------------------------------------------------------------------------------

POSITIVE = st.one_of(st.floats(1e-12, 1e12), st.floats(5e-324, 1e300))


@given(POSITIVE, POSITIVE)
def test_k_steps_of_v_stay_below_the_margin(margin, variation):
    (steps,) = robustness_radius(np.array([margin]), variation)
    assert steps >= 0
    assert steps == np.floor(steps)
    exact = Fraction(margin) / Fraction(variation)
    if steps < 2**50:
        assert steps == 0 or steps < exact
        # Never more than one step too careful.
        assert steps + 2 >= exact
    else:
        assert Fraction(float(steps)) < exact


@given(POSITIVE, st.integers(1, 10**6))
def test_a_margin_of_exactly_k_steps_is_not_enough(variation, k):
    # The product is rounded: near k steps, from either side.
    (steps,) = robustness_radius(np.array([k * variation]), variation)
    assert Fraction(float(steps)) * Fraction(variation) < Fraction(k * variation)


def test_the_radius_of_a_constant_and_of_no_margin():
    assert robustness_radius(np.array([1.0, 5e-324, 0.0]), 0.0).tolist() == [np.inf, np.inf, 0.0]
    assert robustness_radius(np.array([0.0, 0.5, 1.0, 1.5, 2.5]), 1.0).tolist() == [0, 0, 0, 1, 2]


# --- through the estimators -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def binary():
    generator = np.random.default_rng(0)
    X = generator.random((150, 3))
    X[:, 2] = generator.integers(0, 2, 150)
    model = SMiLEClassifier(
        GloballyRobust({0: 0.02, 1: 0.02}, 0.5) & Fair([2], 0.2) & Monotonic([1, 0, 0]),
        **{**FAST, "max_iter": 20},
    )
    return model.fit(X, X[:, 0] + X[:, 1] > 1), X


def test_a_row_is_certified_iff_its_interval_excludes_zero(binary):
    model, X = binary
    value = model.decision_function(X)
    for name in ("globallyrobust", "fair", None):
        found = model.predict_with_certificate(X, property=name)
        names = ("globallyrobust", "fair") if name is None else (name,)  # monotonic is one-sided
        variation = max(model.certificate_[one].variation for one in names)
        assert (found.certified == (np.abs(value) > variation)).all()
        assert (
            found.certified == ((found.lower > 0) | (found.upper < 0)) | (np.abs(value) == variation)
        ).all()
        assert (found.prediction == model.predict(X)).all()
        for low, high, here in zip(found.lower, found.upper, value, strict=True):
            assert Fraction(low) <= Fraction(here) - Fraction(variation)
            assert Fraction(high) >= Fraction(here) + Fraction(variation)
    assert np.isnan(model.predict_with_certificate(X, property="fair").radius).all()
    assert (model.predict_with_certificate(X, property="globallyrobust").radius >= 0).all()


def test_a_logit_of_exactly_zero_is_never_certified(binary):
    model, _ = binary
    margin, lower, upper = model._intervals(np.array([[0.0], [-0.0], [5e-324]]), 0.0)
    assert margin.tolist() == [0.0, 0.0, 5e-324]
    assert (margin > 0.0).tolist() == [False, False, True]
    assert (lower <= 0).all()
    assert (upper >= 0).all()


def test_nan_is_never_certified(binary):
    model, X = binary
    original = model.backbone_
    margin, _, _ = model._intervals(np.array([[np.nan]]), 1.0)
    assert not (margin > 1.0).any()
    model.backbone_ = lambda inputs: np.full((len(inputs), model.n_latent), np.nan)
    try:
        found = model.predict_with_certificate(X)
        # h of NaN gives lo: a number, and what the certificate says of it still stands.
        assert np.isfinite(model.decision_function(X)).all()
        assert (found.certified == (np.abs(model.decision_function(X)) > found.upper - found.lower)).any()
    finally:
        model.backbone_ = original


def test_margins_of_several_classes():
    X, y = load_iris(return_X_y=True)
    model = SMiLEClassifier(GloballyRobust(0.1, 2.0), **{**FAST, "max_iter": 20}).fit(X, y)
    found = model.predict_with_certificate(X)
    output = model.decision_function(X)
    best = output.argmax(axis=1)
    variation = model.certificate_.variation
    assert (found.prediction == model.classes_[best]).all()
    for row, (low, high) in enumerate(zip(found.lower, found.upper, strict=True)):
        assert np.flatnonzero(np.isnan(low)).tolist() == [best[row]]
        assert np.flatnonzero(np.isnan(high)).tolist() == [best[row]]
        margins = np.delete(output[row, best[row]] - output[row], best[row])
        assert found.certified[row] == (margins > variation).all()
        assert found.certified[row] == (np.nanmin(low) > 0) or margins.min() == variation
    assert found.certified.sum() > 0
    # A tie of the two best is a tie, whatever the third says.
    tie, _, _ = model._intervals(np.array([[1.0, 1.0, -5.0]]), 0.0)
    assert tie.tolist() == [0.0]


def test_a_regressor_gives_the_proven_interval():
    X = np.random.default_rng(0).random((80, 2))
    model = SMiLERegressor(Fair([1], 0.5), **FAST).fit(X, X @ [1.0, 2.0])
    found = model.predict_with_certificate(X)
    assert found.certified.all()
    assert np.isnan(found.radius).all()
    assert (found.lower <= found.prediction - model.certificate_.variation).all()
    assert (found.upper >= found.prediction + model.certificate_.variation).all()
    with pytest.raises(ValueError, match="global"):
        model.predict_with_certificate(X, method="local")
    with pytest.raises(CertificateError, match="expected one of"):
        model.predict_with_certificate(X, property="monotonic")


def test_rows_outside_a_domain_that_does_not_reach_them():
    from smile_sklearn import Relational

    X = np.random.default_rng(0).random((80, 2))
    model = SMiLERegressor(Relational({0: 0.1}, {0: 0.2}, -5.0, 5.0), **FAST).fit(X, X @ [1.0, 2.0])
    outside = np.array([[0.5, 0.5], [1.5, 0.5], [0.5, -0.1]])
    assert model.predict_with_certificate(outside).certified.tolist() == [True, False, False]
    other = SMiLERegressor(Fair([1], 0.5), **FAST).fit(X, X @ [1.0, 2.0])
    assert other.predict_with_certificate(outside).certified.all()
