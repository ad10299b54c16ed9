"""``loss`` and ``class_weight`` of SMiLEClassifier."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_sample_weight

from smile_sklearn import GloballyRobust, Monotonic, SMiLEClassifier
from smile_sklearn.exceptions import PropertyError
from smile_sklearn.training.losses import MarginLoss

ROBUST = GloballyRobust(0.05, 1.0)


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    X = generator.random((240, 3))
    X[0], X[1] = 0.0, 1.0
    y = np.where(X[:, 0] + 0.5 * X[:, 1] + 0.15 * generator.normal(size=240) > 0.9, "yes", "no")
    return X, y


def model(properties=ROBUST, **parameters):
    settings = {"pretrain_iter": 1, "max_iter": 6, "learning_rate_init": 0.02, "random_state": 0}
    return SMiLEClassifier(properties, **(settings | parameters))


def verified(fitted, X, y):
    answer = fitted.predict_with_certificate(X)
    return np.mean((answer.prediction == y) & answer.certified)


@pytest.mark.parametrize("weight", [{"yes": 3.0, "no": 1.0}, {"yes": 0.25}, "balanced"])
def test_class_weights_are_sample_weights(data, weight):
    X, y = data
    by_class = model(class_weight=weight).fit(X, y)
    by_row = model().fit(X, y, sample_weight=compute_sample_weight(weight, y))
    assert np.array_equal(by_class.decision_function(X), by_row.decision_function(X))
    assert not np.array_equal(by_class.decision_function(X), model().fit(X, y).decision_function(X))


def test_class_weights_multiply_sample_weights(data):
    X, y = data
    own = np.random.default_rng(1).random(len(y)) + 0.5
    both = model(class_weight={"yes": 4.0}).fit(X, y, sample_weight=own)
    product = model().fit(X, y, sample_weight=own * np.where(y == "yes", 4.0, 1.0))
    np.testing.assert_allclose(both.decision_function(X), product.decision_function(X), rtol=1e-6)


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 1.0), (np.nan, 1.0), (np.inf, 1.0)])
def test_class_weights_that_weigh_nothing_or_no_one_knows_what(data, weights):
    with pytest.raises(ValueError, match=r"class_weight.*finite weights"):
        model(class_weight=dict(zip(("yes", "no"), weights, strict=True))).fit(*data)


def test_margin_verifies_more_rows_than_log_loss(data):
    X, y = data
    tight = GloballyRobust(0.1, 1.0)
    log_loss, margin = (model(tight, loss=loss, max_iter=40).fit(X, y) for loss in ("log_loss", "margin"))
    assert str(margin.certificate_.status) == "HOLDS"
    assert verified(margin, X, y) > verified(log_loss, X, y)


def test_the_word_margin_is_the_default_margin_loss(data):
    X, y = data
    word, thing = (model(loss=loss).fit(X, y) for loss in ("margin", MarginLoss()))
    assert np.array_equal(word.decision_function(X), thing.decision_function(X))


def test_margins_are_in_units_of_epsilon(data):
    """Ten times the epsilon is ten times the logit, as far as training repeats itself at another scale."""
    X, y = data
    small, large = (
        model(GloballyRobust(0.05, epsilon), loss="margin", max_iter=40).fit(X, y) for epsilon in (1, 10)
    )
    ratio = np.abs(large.decision_function(X)).mean() / np.abs(small.decision_function(X)).mean()
    assert 5 < ratio < 20
    assert verified(large, X, y) == pytest.approx(verified(small, X, y), abs=0.05)


def test_margin_of_several_classes(data):
    X = data[0]
    y = np.digitize(X[:, 0], [0.33, 0.66])
    fitted = model(loss="margin", max_iter=40).fit(X, y)
    assert str(fitted.certificate_.status) == "HOLDS"
    assert verified(fitted, X, y) > 0.4


@pytest.mark.parametrize("properties", [None, Monotonic({0: 1})])
def test_margin_needs_an_epsilon(data, properties):
    with pytest.raises(PropertyError, match="loss='margin' without a property"):
        model(properties, loss="margin").fit(*data)


@pytest.mark.parametrize("parameters", [{"loss": "hinge"}, {"loss": 2.0}, {"class_weight": "even"}])
def test_other_values_are_refused(data, parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=name):
        model(**parameters).fit(*data)


def test_losses_are_searched_over(data):
    X, y = data
    grid = {"loss": ["log_loss", "margin", MarginLoss(3.0)], "class_weight": [None, "balanced"]}
    search = GridSearchCV(model(max_iter=2), grid, cv=2, scoring=verified).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert clone(search.best_estimator_).get_params()["loss"] == search.best_params_["loss"]
