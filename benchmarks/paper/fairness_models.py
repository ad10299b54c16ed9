"""What the fairness study compares with: linear models and boosting, with and without race, and clipped."""

import numpy as np
from fairness_tasks import RACE, other_race
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score


def boosting(task, seed):
    """Gradient boosting at its defaults."""
    estimator = HistGradientBoostingClassifier if task.classifier else HistGradientBoostingRegressor
    return estimator(random_state=seed)


def linear(task):
    """Logistic or ridge regression."""
    return LogisticRegression(max_iter=5000) if task.classifier else Ridge(1.0)


def output_of(model, rows):
    """Logit of a classifier, prediction of a regressor."""
    if hasattr(model, "decision_function"):
        return model.decision_function(rows)
    return model.predict(rows)


class WithoutRace(BaseEstimator):
    """Any estimator that is not shown the protected column.

    Parameters
    ----------
    estimator : estimator
    """

    bound_ = 0.0

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        """Fit on the other columns."""
        self.estimator.fit(X.drop(columns=RACE), y)
        return self

    def predict(self, X):
        """Logit or prediction, which is what `output_of` wants of either."""
        return output_of(self.estimator, X.drop(columns=RACE))

    def score(self, X, y):
        """As the estimator scores."""
        return self.estimator.score(X.drop(columns=RACE), y)


class ClippedRace(BaseEstimator):
    r"""Any estimator, its race effect cut to epsilon afterwards: fair by construction.

    With m(x) the mean of f over the two races and :math:`d(x) = f(x, 1) - f(x, 0)`,

    .. math:: f_\epsilon(x, s) = m(x) + (s - 1/2) \, \mathrm{clip}(d(x); -\epsilon, \epsilon)

    The strongest epsilon-fair reference that is easy to build: one binary protected column leaves two values
    a row to be brought together. It needs the model twice a prediction, and no property beside it.

    Parameters
    ----------
    estimator : LogisticRegression, Ridge or boosting
    epsilon : float
    """

    def __init__(self, estimator, epsilon):
        self.estimator = estimator
        self.epsilon = epsilon

    @property
    def bound_(self):
        """Epsilon, whatever the estimator."""
        return self.epsilon

    def fit(self, X, y):
        """Fit the estimator; the clip has nothing to learn."""
        self.estimator.fit(X, y)
        return self

    def predict(self, X):
        """Clipped logit or prediction."""
        here, there = output_of(self.estimator, X), output_of(self.estimator, other_race(X))
        return (here + there) / 2 + np.clip(here - there, -self.epsilon, self.epsilon) / 2

    def score(self, X, y):
        """Accuracy or R2."""
        output = self.predict(X)
        is_classifier = hasattr(self.estimator, "classes_")
        return accuracy_score(y, output > 0) if is_classifier else r2_score(y, output)
