"""backbone_importance against the same numbers written out by hand."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, balanced_accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from smile_sklearn import Fair, GloballyRobust, Monotonic, SMiLEClassifier, SMiLERegressor, Status
from smile_sklearn.inspection import backbone_importance, without_backbone

FAST = {"max_iter": 3, "pretrain_iter": 3, "random_state": 0}


class Written:
    """A backbone written by hand: any function of the rows that it is given."""

    repeats_bits = True

    def __init__(self, function):
        self.function = function

    def __call__(self, inputs):
        return self.function(inputs)


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    X = pd.DataFrame(generator.uniform(0, 10, (120, 3)), columns=["age", "debt", "sex"])
    X["sex"] = generator.integers(0, 2, 120)
    return X, 3 * X["age"] - X["debt"] ** 2 + 5 * X["sex"] + generator.normal(size=120)


@pytest.fixture(scope="module")
def regressor(data):
    return SMiLERegressor(Monotonic({"age": 1}) & Fair("sex", 5.0), **FAST).fit(*data)


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    return X, y.map({0: "malignant", 1: "benign"})


@pytest.fixture(scope="module")
def pipeline(cancer):
    scaler = MinMaxScaler().set_output(transform="pandas")
    return make_pipeline(scaler, SMiLEClassifier(GloballyRobust(0.02, 1.0), **FAST)).fit(*cancer)


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def three_classes(iris):
    return SMiLEClassifier(Fair("petal width (cm)", 2.0), **FAST).fit(*iris)


def output_without_h(model, X):
    """``W max(lo, min(hi, mean h)) + b``, from the plain arrays."""
    snapshot = model.snapshot_
    unit = snapshot.domain.to_unit(np.asarray(X, dtype=float))
    embedding = model.backbone_(unit[:, list(snapshot.reads)]).mean(axis=0)
    lower, upper = snapshot.bounds(unit)
    latent = np.maximum(lower, np.minimum(upper, embedding))
    return latent @ snapshot.head_weight.T + snapshot.head_bias


def test_a_regressor_by_hand(regressor, data):
    X, y = data
    found = backbone_importance(regressor, X, y)
    assert found.score == regressor.score(X, y)
    assert found.ablated_score == pytest.approx(r2_score(y, output_without_h(regressor, X)[:, 0]), abs=1e-9)
    assert found.importance == found.score - found.ablated_score > 0


def test_two_classes_in_a_pipeline_by_hand(pipeline, cancer):
    X, y = cancer
    net, scaled = pipeline[-1], pipeline[:-1].transform(X)
    predicted = np.where(output_without_h(net, scaled)[:, 0] > 0, "malignant", "benign")
    found = backbone_importance(pipeline, X, y)
    assert found.score == pipeline.score(X, y)
    assert found.ablated_score == accuracy_score(y, predicted)
    assert backbone_importance(net, scaled, y) == found
    balanced = backbone_importance(pipeline, X, y, scoring="balanced_accuracy")
    assert balanced.ablated_score == pytest.approx(balanced_accuracy_score(y, predicted))


def test_several_classes_by_hand(three_classes, iris):
    X, y = iris
    assert three_classes.snapshot_.head_weight.shape[0] == 3
    predicted = output_without_h(three_classes, X).argmax(axis=1)
    assert backbone_importance(three_classes, X, y).ablated_score == accuracy_score(y, predicted)


@pytest.mark.parametrize("rows", [3, 7, 120])
def test_a_constant_backbone_is_worth_exactly_nothing(regressor, data, rows):
    X, y = (part[:rows] for part in data)
    model = without_backbone(regressor, X)  # a copy, whose backbone we may replace
    model.backbone_ = Written(lambda inputs: np.full((len(inputs), model.snapshot_.n_latent), 0.1))
    # The mean of three floats 0.1, as numpy sums them, is not 0.1.
    assert backbone_importance(model, X, y).importance == 0.0
    assert np.array_equal(without_backbone(model, X).predict(X), model.predict(X))


def test_a_backbone_that_is_clipped_away_is_worth_nothing_and_one_that_is_not_is(regressor, data):
    X, y = data
    model = without_backbone(regressor, X)
    first = regressor.snapshot_.reads[0]
    assert 0 < first < 2  # debt: age and sex may differ, so h does not read them
    model.backbone_ = Written(lambda inputs: np.tile(1e3 + inputs[:, :1], model.snapshot_.n_latent))
    assert backbone_importance(model, X, y).importance == 0.0
    model.backbone_ = Written(lambda inputs: np.tile(inputs[:, :1] - 0.5, model.snapshot_.n_latent))
    assert np.ptp(model.predict(X) - without_backbone(model, X).predict(X)) > 0
    assert backbone_importance(model, X, y).importance != 0.0


def test_the_copy_leaves_the_original_untouched(regressor, data):
    X, _ = data
    before, attributes = regressor.predict(X), dict(vars(regressor))
    ablated = without_backbone(regressor, X)
    assert not np.array_equal(ablated.predict(X), before)
    ablated.set_params(max_iter=1).fit(*data)
    assert vars(regressor).keys() == attributes.keys()
    assert all(vars(regressor)[name] is value for name, value in attributes.items())
    assert np.array_equal(regressor.predict(X), before)


def test_the_pipeline_is_left_untouched_too(pipeline, cancer):
    X, _ = cancer
    net, before = pipeline[-1], pipeline.decision_function(X)
    ablated = without_backbone(pipeline, X)
    assert ablated[-1] is not net
    assert ablated[0] is pipeline[0]
    assert pipeline[-1] is net
    assert np.array_equal(pipeline.decision_function(X), before)
    assert not np.array_equal(ablated.decision_function(X), before)


def test_the_certificate_still_speaks_of_the_copy(regressor, pipeline, data, cancer):
    rows = data[0], pipeline[:-1].transform(cancer[0])
    for model, X in zip((regressor, pipeline[-1]), rows, strict=True):
        ablated = without_backbone(model, X)
        assert ablated.certificate_ is model.certificate_
        assert ablated.certificate_.digest == ablated.snapshot_.digest
        # A copy that can be proven again and kept; h is not among what the certificate trusts.
        kept = pickle.loads(pickle.dumps(ablated))
        assert kept.certify().status is Status.HOLDS
        assert kept.certify().digest == model.certificate_.digest
        assert np.array_equal(kept.predict(X), ablated.predict(X))
        assert len(kept.predict_with_certificate(X).certified) == len(X)


def test_rows_are_checked_as_predict_checks_them(regressor, data):
    X, y = data
    with pytest.raises(ValueError, match="feature names"):
        backbone_importance(regressor, X[["debt", "age", "sex"]], y)
    with pytest.raises(ValueError, match="NaN"):
        without_backbone(regressor, X.assign(age=np.nan))
    with pytest.raises(ValueError, match="3 features"):
        without_backbone(regressor, X[["age"]].to_numpy())


def test_a_backbone_without_a_mean_says_so(regressor, data):
    model = without_backbone(regressor, data[0])
    size = model.snapshot_.n_latent
    model.backbone_ = Written(
        lambda inputs: np.where(np.arange(len(inputs))[:, None] < 2, np.nan, np.ones(size))
    )
    with pytest.raises(ValueError, match="no finite embedding for 2 of 120 rows"):
        without_backbone(model, data[0])


def test_what_has_no_backbone_is_refused(data):
    with pytest.raises(TypeError, match="DummyRegressor, which has no backbone"):
        backbone_importance(DummyRegressor().fit(*data), *data)
    with pytest.raises(TypeError, match="DummyRegressor, which has no backbone"):
        backbone_importance(make_pipeline(MinMaxScaler(), DummyRegressor()).fit(*data), *data)
    with pytest.raises(NotFittedError):
        backbone_importance(SMiLERegressor(), *data)
