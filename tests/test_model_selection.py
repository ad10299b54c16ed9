"""The estimators inside scikit-learn: pipelines, grids, clones, pickles, repeatability."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder

from smile_sklearn import Fair, GloballyRobust, Monotonic, SMiLEClassifier, SMiLERegressor, Status

FAST = {"max_iter": 5, "pretrain_iter": 2, "random_state": 0}


@pytest.fixture(scope="module")
def diabetes():
    data = load_diabetes(as_frame=True, scaled=False)
    return data.data.iloc[:120], data.target.iloc[:120]


@pytest.fixture(scope="module")
def fitted(diabetes):
    properties = Monotonic({"bmi": 1, "bp": 1}) & Fair("sex", 10.0)
    return SMiLERegressor(properties, **FAST).fit(*diabetes)


def test_grid_over_epsilon_of_one_property(diabetes):
    search = GridSearchCV(
        SMiLERegressor(Fair("sex", 1.0), **FAST), {"properties__epsilon": [5.0, 20.0]}, cv=2
    )
    search.fit(*diabetes)
    best = search.best_estimator_
    assert best.certificate_.status is Status.HOLDS
    assert best.certificate_.variation <= search.best_params_["properties__epsilon"]


def test_grid_over_epsilon_of_a_set_inside_a_pipeline(diabetes):
    properties = Monotonic({"bmi": 1}) & Fair("sex", 1.0)
    scaler = MinMaxScaler().set_output(transform="pandas")
    model = Pipeline([("scale", scaler), ("net", SMiLERegressor(properties, **FAST))])
    grid = {"net__properties__fair__epsilon": [5.0, 20.0], "net__lambda_box": [0.0, 1.0]}
    search = GridSearchCV(model, grid, cv=2).fit(*diabetes)
    net = pickle.loads(pickle.dumps(search)).best_estimator_.named_steps["net"]
    assert net.certificate_.status is Status.HOLDS
    assert net.properties_["fair"].epsilon == search.best_params_["net__properties__fair__epsilon"]
    # The grid worked on clones: the user's own object is as it was.
    assert properties["fair"].epsilon == 1.0


def test_one_hot_prefix_through_a_column_transformer():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"age": generator.uniform(20, 70, 200), "race": generator.choice(["a", "b", "c"], 200)}
    )
    y = (frame["age"] + 10 * (frame["race"] == "a") > 45).astype(int)
    encode = ColumnTransformer(
        [
            ("cat", OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["race"]),
            ("num", "passthrough", ["age"]),
        ]
    ).set_output(transform="pandas")
    model = make_pipeline(encode, SMiLEClassifier(Fair("race", 0.5), **FAST)).fit(frame, y)
    net = model[-1]
    assert net.domain_.one_hot == ((0, 1, 2),)
    assert net.certificate_.status is Status.HOLDS
    logits = [model.decision_function(frame.assign(race=race)) for race in "abc"]
    assert np.ptp(logits, axis=0).max() <= net.certificate_.variation <= 0.5
    # A category that was never seen: a prediction, and no certificate.
    unknown = encode.transform(frame.head(3).assign(race="z"))
    with pytest.warns(UserWarning, match="3 of 3 rows are no inputs of the certified domain"):
        assert not net.predict_with_certificate(unknown).certified.any()


def test_two_fits_agree_exactly_and_leave_torch_alone(diabetes):
    torch.manual_seed(123)
    state, before = torch.random.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, second = (SMiLERegressor(Fair("sex", 10.0), **FAST).fit(*diabetes) for _ in range(2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert first.snapshot_.digest == second.snapshot_.digest
    np.testing.assert_array_equal(first.predict(diabetes[0]), second.predict(diabetes[0]))
    assert torch.equal(state, torch.random.get_rng_state())
    other = SMiLERegressor(Fair("sex", 10.0), **{**FAST, "random_state": 1}).fit(*diabetes)
    assert other.snapshot_.digest != first.snapshot_.digest


def test_pickle_and_clone(fitted, diabetes):
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict(diabetes[0]), fitted.predict(diabetes[0]))
    copy.certificate_.check_digest(copy.snapshot_.digest)
    assert not hasattr(clone(fitted), "snapshot_")


def test_set_params_after_fit_changes_nothing_proven(fitted):
    copy = pickle.loads(pickle.dumps(fitted))
    before = copy.certify().statement
    copy.set_params(properties__fair__epsilon=0.001)
    assert copy.certify().statement == before
    assert copy.certify().status is Status.HOLDS


def test_certify_another_property_than_trained_for(fitted):
    certificate = fitted.certify(Fair("sex", 1e-6), verifier="difference")
    assert certificate.status is not Status.HOLDS
    assert fitted.certify(Monotonic({"bmi": 1})).status is Status.HOLDS
    assert fitted.certificate_["fair"].status is Status.HOLDS  # never written by certify


def test_robust_classifier_in_a_pipeline():
    X, y = load_breast_cancer(return_X_y=True)
    net = SMiLEClassifier(GloballyRobust(0.02, 1.0), **{**FAST, "max_iter": 10})
    model = make_pipeline(MinMaxScaler(), net).fit(X, y)
    answer = net.predict_with_certificate(model[:-1].transform(X))
    np.testing.assert_array_equal(answer.prediction, model.predict(X))
    margin = np.abs(model.decision_function(X))
    np.testing.assert_array_equal(answer.certified, margin > net.certificate_.variation)
    assert (answer.radius[answer.certified] >= 1).all()
    assert answer.certified.mean() > 0
