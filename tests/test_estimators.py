"""Behaviour of the two estimators that scikit-learn's checks do not cover."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_diabetes, load_iris

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
from smile_sklearn.exceptions import CertificateError, NotCertifiedError

FAST = {"max_iter": 5, "pretrain_iter": 2, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    X = pd.DataFrame(generator.uniform(0, 10, (150, 3)), columns=["age", "debt", "sex"])
    X["sex"] = generator.integers(0, 2, 150)
    y = 3 * X["age"] - X["debt"] + 5 * X["sex"] + generator.normal(size=150)
    return X, y


def test_without_properties_there_is_nothing_to_certify(data):
    model = SMiLERegressor(**FAST).fit(*data)
    assert model.certificate_ is None
    with pytest.raises(ValueError, match="fitted without properties"):
        model.certify()
    with pytest.raises(ValueError, match="has no certificate"):
        model.predict_with_certificate(data[0])


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        (Fair("sx", 1.0), "sex"),
        (Monotonic({"age": 2}), "-1, 0"),
        (Fair("sex", -1.0), "-1.0"),
        (GloballyRobust(-0.5, 1.0), "-0.5"),
        ([Fair("sex", 1.0)], "&"),
        (Relational(-1.0, 2.0, 0.5, float("inf")), "without 0"),
    ],
)
def test_bad_properties_say_what_to_do(data, properties, message):
    model = SMiLERegressor(properties, **FAST)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(*data)
    assert not hasattr(model, "certificate_")


def test_bad_rows(data):
    X, y = data
    broken = X.copy()
    broken.iloc[3, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        SMiLERegressor(**FAST).fit(broken, y)
    broken.iloc[3, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        SMiLERegressor(**FAST).fit(broken, y)
    model = SMiLERegressor(Fair("sex", 5.0), **FAST).fit(X, y)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X[["debt", "age", "sex"]])
    with pytest.raises(ValueError, match="features"):
        model.predict(X.to_numpy()[:, :2])


def test_domain_given_by_hand(data):
    X, y = data
    domain = InputDomain([0, 0, 0], [20, 20, 1], integer=["sex"], feature_names=["age", "debt", "sex"])
    model = SMiLERegressor(Fair("sex", 5.0), domain=domain, **FAST).fit(X, y)
    assert model.domain_ is domain
    assert model.certificate_.domain["upper"] == [20, 20, 1]
    with pytest.raises(ValueError, match="2 features for X of 3"):
        SMiLERegressor(Fair(0, 5.0), domain=InputDomain([0, 0], [1, 1]), **FAST).fit(X, y)
    fractional = X.assign(sex=X["sex"] + 0.5)
    with pytest.raises(ValueError, match="whole numbers"):
        SMiLERegressor(Fair("sex", 5.0), domain=domain, **FAST).fit(fractional, y)


def test_domain_given_by_hand_must_be_about_the_columns(data):
    X, y = data
    names = ["debt", "age", "sex"]
    domain = InputDomain([0, 0, 0], [10, 10, 1], feature_names=names)
    with pytest.raises(ValueError, match="'age' for 'debt'"):
        SMiLERegressor(domain=domain, **FAST).fit(X, y)
    model = SMiLERegressor(domain=domain, **FAST).fit(X[names].to_numpy(), y)
    with pytest.raises(ValueError, match="Order the columns"):
        model.predict(X)
    narrow = InputDomain([0, 0, 0], [5, 10, 1])
    with pytest.warns(UserWarning, match="outside the given domain"):
        SMiLERegressor(Fair(2, 5.0), domain=narrow, **FAST).fit(X.to_numpy(), y)


@pytest.mark.parametrize("sizes", [(0,), (3.5,), (-1, 2)])
def test_bad_hidden_layer_sizes(data, sizes):
    with pytest.raises(ValueError, match="positive integers"):
        SMiLERegressor(hidden_layer_sizes=sizes, **FAST).fit(*data)


def test_radius_counts_steps_of_whole_numbers_on_integers():
    """delta 1.5 relates integers 1 apart: k steps reach k, not 1.5 k."""
    generator = np.random.default_rng(0)
    X = generator.integers(0, 21, (300, 1)).astype(float)
    domain = InputDomain([0], [20], integer=[0])
    model = SMiLEClassifier(GloballyRobust(1.5, 1.0), domain=domain, **{**FAST, "max_iter": 30})
    model.fit(X, X[:, 0] > 10)
    radius = model.predict_with_certificate(X).radius
    for distance in range(1, 21):
        for sign in (-1, 1):
            safe = (radius >= distance) & domain.contains(X + sign * distance)
            assert (model.predict(X + sign * distance)[safe] == model.predict(X)[safe]).all()


@pytest.mark.parametrize("limit", [0, -1.0, float("nan"), "long"])
def test_certify_checks_its_time_limit(data, limit):
    model = SMiLERegressor(Fair("sex", 2.0), **FAST).fit(*data)
    with pytest.raises(ValueError, match="time_limit"):
        model.certify(time_limit=limit)


def test_broken_one_hot_group_raises_at_fit_and_is_uncertified_at_predict():
    generator = np.random.default_rng(1)
    X = np.column_stack([generator.random(80), np.eye(3)[generator.integers(0, 3, 80)]])
    y = X[:, 0] + X[:, 1]
    names = ["income", "race_a", "race_b", "race_c"]
    domain = InputDomain([0, 0, 0, 0], [1, 1, 1, 1], one_hot=["race"], feature_names=names)
    model = SMiLERegressor(Fair("race", 0.2), domain=domain, **FAST)
    frame = pd.DataFrame(X, columns=names)
    model.fit(frame, y)
    broken = frame.copy()
    broken.loc[0, ["race_a", "race_b", "race_c"]] = 1.0
    with pytest.warns(UserWarning, match="1 of 80 rows"):
        answer = model.predict_with_certificate(broken)
    assert answer.certified.tolist() == [False] + [True] * 79
    with pytest.raises(ValueError, match="race"):
        model.fit(broken, y)
    assert not hasattr(model, "certificate_")


def test_monotone_with_several_classes_raises():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="class"):
        SMiLEClassifier(Monotonic({0: 1}), **FAST).fit(X, y)


def test_margins_of_several_classes():
    X, y = load_iris(return_X_y=True)
    model = SMiLEClassifier(GloballyRobust(0.1, 0.5), **{**FAST, "max_iter": 30}).fit(X, y)
    assert model.certificate_.status is Status.HOLDS
    answer = model.predict_with_certificate(X)
    logits = model.decision_function(X)
    best = logits.argmax(axis=1)
    rows = np.arange(len(X))
    assert np.isnan(answer.lower[rows, best]).all()
    margins = np.delete(logits[rows, best][:, None] - logits, 0, axis=1)
    assert answer.lower.shape == logits.shape
    assert margins.shape == (150, 2)
    np.testing.assert_array_equal(answer.certified, np.nanmin(answer.lower, axis=1) > 0)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0)


def test_regressor_intervals_contain_every_counterfactual(data):
    X, y = data
    model = SMiLERegressor(Fair("sex", 2.0), **FAST).fit(X, y)
    answer = model.predict_with_certificate(X)
    assert answer.certified.all()
    assert np.isnan(answer.radius).all()
    for sex in (0, 1, 0.5):
        other = model.predict(X.assign(sex=sex))
        assert ((answer.lower <= other) & (other <= answer.upper)).all()


def test_property_by_name_and_unknown_method(data):
    properties = Monotonic({"age": 1}) & Fair("sex", 2.0)
    model = SMiLERegressor(properties, **FAST).fit(*data)
    default, fair, monotonic = (
        model.predict_with_certificate(data[0], property=name) for name in (None, "fair", "monotonic")
    )
    # Monotonic bounds one side: its other side would drown what was proven of sex.
    np.testing.assert_array_equal(default.upper, fair.upper)
    assert (monotonic.upper - monotonic.lower > fair.upper - fair.lower).all()
    with pytest.raises(ValueError, match="monotonic"):
        model.predict_with_certificate(data[0], property="robust")
    with pytest.raises(ValueError, match="global"):
        model.predict_with_certificate(data[0], method="exact")


def test_edited_module_changes_nothing_until_refit_snapshot(data):
    X, y = data
    model = SMiLERegressor(Fair("sex", 2.0), **FAST).fit(X, y)
    before = model.predict(X)
    with torch.no_grad():
        model.network_.raw_head.mul_(10.0)
    np.testing.assert_array_equal(model.predict(X), before)
    old = model.certificate_
    model.refit_snapshot()
    assert model.certificate_ is None
    assert np.abs(model.predict(X) - before).max() > 0
    model.certificate_ = old
    with pytest.raises(CertificateError, match="certifies nothing here"):
        model.predict_with_certificate(X)


@pytest.mark.parametrize(
    "where",
    [
        "training.smile_method.SMiLEMethod.train",
        "training.smile_method.SMiLEMethod.posttrain",
        "base.BaseSMiLE._freeze",
        "base.BaseSMiLE.certify",
    ],
)
def test_failed_fit_leaves_no_certificate(data, monkeypatch, where):
    X, y = data
    model = SMiLERegressor(Fair("sex", 2.0), **FAST).fit(X, y)

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"smile_sklearn.{where}", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not hasattr(model, "certificate_")
    assert not hasattr(model, "snapshot_")


class NothingProven:
    """A verifier that proves nothing, to see what the estimator says then."""

    def verify(self, snapshot, relation, *, coupling="auto", time_limit=None, predict=None):
        from smile_sklearn.verification.base import BoundPair, Context, Proof, Verifier

        class Silent(Verifier):
            name, couplings, node_types = (
                "silent",
                ("box", "shared"),
                tuple({type(n) for n in snapshot.graph.nodes}),
            )

            def _verify(self, snapshot, relation, couplings, context: Context):
                return Proof(BoundPair(-np.inf, np.inf), "rounded", couplings)

        return Silent().verify(snapshot, relation, coupling=coupling)


def test_on_failure(data):
    model = SMiLERegressor(Fair("sex", 2.0), verifier=NothingProven(), **FAST)
    with pytest.warns(UserWarning, match="ended without a proof"):
        model.fit(*data)
    assert model.certificate_.status is Status.UNKNOWN
    with pytest.raises(ValueError, match="No finite bound"):
        model.predict_with_certificate(data[0])
    with pytest.raises(NotCertifiedError, match="UNKNOWN"):
        model.set_params(on_failure="raise").fit(*data)
    assert not hasattr(model, "certificate_")


@pytest.mark.parametrize("backbone", ["module", "factory"])
def test_any_backbone(data, backbone):
    X, y = data
    width = 2 if backbone == "module" else None

    def factory(n_inputs, n_latent):
        return torch.nn.Sequential(
            torch.nn.Linear(n_inputs, 16), torch.nn.Tanh(), torch.nn.Linear(16, n_latent)
        )

    chosen = factory(width, 8) if backbone == "module" else factory
    # Fair("sex") leaves the backbone age and debt to read.
    model = SMiLERegressor(Fair("sex", 2.0), backbone=chosen, **FAST).fit(X, y)
    assert model.certificate_.status is Status.HOLDS
    np.testing.assert_array_equal(
        model.predict(X), np.concatenate([model.predict(row) for _, row in rows(X)])
    )
    with pytest.raises(ValueError, match="n_latent=8"):
        SMiLERegressor(Fair("sex", 2.0), backbone=torch.nn.Linear(2, 3), **FAST).fit(X, y)


def rows(frame):
    return ((index, frame.iloc[[index]]) for index in range(len(frame)))


@pytest.mark.parametrize("auxiliary", ["affine", "relu", "lipschitz", "monotone"])
@pytest.mark.parametrize(
    "properties",
    [
        Fair("sex", 2.0),
        Fair("sex", 0.0),
        GloballyRobust(0.5, 4.0),
        Monotonic({"age": 1, "debt": -1}),
        Monotonic({"age": 1}, tolerance=0.5) & GloballyRobust({"debt": 1.0}, 3.0) & Fair("sex", 1.0),
        Relational({"age": 0.0}, {"age": 2.0}, -1.0, 6.0),
        Relational({"age": 0.0}, {"age": 2.0}, 0.0, 6.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_promised_fit_ends_in_holds(data, auxiliary, properties):
    model = SMiLERegressor(properties, auxiliary=auxiliary, **FAST).fit(*data)
    assert model.certificate_.status is Status.HOLDS
    assert model.violation_bound_ <= 0
    assert model.n_iter_ == FAST["max_iter"]
    assert {record.phase for record in model.history_} >= {"pretrain", "train"}


@pytest.mark.parametrize("coupling", ["box", "shared"])
def test_coupling_asked_for_is_the_one_used(data, coupling):
    model = SMiLERegressor(Fair("sex", 2.0), coupling=coupling, **FAST).fit(*data)
    assert model.couplings_ == (coupling,)
    assert model.certificate_.coupling == coupling
    assert model.certificate_.status is Status.HOLDS


def test_exactly_monotone_in_floats():
    data = load_diabetes(as_frame=True, scaled=False)
    X, y = data.data.iloc[:150], data.target.iloc[:150]
    model = SMiLERegressor(Monotonic({"bmi": 1, "bp": -1}), **FAST).fit(X, y)
    assert model.certificate_.rigor == "exact"
    assert model.certificate_.bound == 0.0
    for feature, sign in (("bmi", 1), ("bp", -1)):
        line = pd.concat([X.iloc[[7]]] * 300, ignore_index=True)
        line[feature] = np.linspace(X[feature].min() - 1, X[feature].max() + 1, 300)
        together = model.predict(line)
        single = np.concatenate([model.predict(line.iloc[[row]]) for row in range(0, 300, 10)])
        assert (sign * np.diff(together) >= 0).all()
        np.testing.assert_array_equal(single, together[::10])


def test_weights_of_zero_are_rows_left_out(data):
    X, y = data
    weights = np.ones(len(X))
    weights[100:] = 0
    weighted = SMiLERegressor(Fair("sex", 2.0), **FAST).fit(X, y, sample_weight=weights)
    removed = SMiLERegressor(Fair("sex", 2.0), **FAST).fit(X[:100], y[:100])
    assert weighted.snapshot_.digest == removed.snapshot_.digest
