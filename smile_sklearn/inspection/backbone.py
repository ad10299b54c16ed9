"""What the backbone of a fitted model is worth."""

import copy
from dataclasses import dataclass

import numpy as np
from sklearn.utils.validation import check_is_fitted


@dataclass(frozen=True)
class BackboneImportance:
    """Scores with and without the backbone, in the manner of a permutation importance.

    Parameters
    ----------
    score : float
        ``estimator.score`` on the rows given.
    ablated_score : float
        The same with h(x) replaced, in every row, by its mean over these rows.
    """

    score: float
    ablated_score: float

    @property
    def importance(self):
        """How much of the score the backbone carries: ``score - ablated_score``."""
        return self.score - self.ablated_score


@dataclass(frozen=True, eq=False)
class ConstantBackbone:
    """A backbone that gives every row the same embedding.

    Parameters
    ----------
    embedding : ndarray of shape (n_latent,)
    """

    embedding: np.ndarray
    repeats_bits = True

    def __call__(self, inputs):
        """Return the embedding (n, n_latent) of rows (n, n_inputs)."""
        return np.tile(self.embedding, (len(inputs), 1))


def without_backbone(estimator, X):
    """Copy a fitted estimator with h replaced by its mean over the rows of X.

    The auxiliaries lo and hi, the clip and the head stay as they are, and so does the certificate:
    a box-coupled one holds for any backbone, a shared one for any that reads no more than this does.

    Parameters
    ----------
    estimator : SMiLERegressor or SMiLEClassifier
        Fitted.
    X : array-like of shape (n_samples, n_features)

    Returns
    -------
    object of the estimator's type
        Shares all other fitted attributes with the estimator.
    """
    check_is_fitted(estimator)
    unit = estimator.domain_.to_unit(np.asarray(X, dtype=np.float64))
    embedding = estimator.backbone_(unit[:, list(estimator.snapshot_.reads)])
    ablated = copy.copy(estimator)
    ablated.backbone_ = ConstantBackbone(embedding.mean(axis=0))
    return ablated


def backbone_importance(estimator, X, y):
    """Score a fitted model with its backbone, and with the backbone replaced by its mean.

    The clip between the auxiliaries may leave the backbone little to say (``backbone_utilisation_``
    tells how often it does); this tells what it is worth in the units of the score.

    Parameters
    ----------
    estimator : SMiLERegressor or SMiLEClassifier
        Fitted.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)

    Returns
    -------
    BackboneImportance

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from smile_sklearn import Fair, SMiLERegressor
    >>> from smile_sklearn.inspection import backbone_importance
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    >>> model = SMiLERegressor(Fair("sex", epsilon=10), random_state=0).fit(X, y)
    >>> backbone_importance(model, X, y).importance > 0
    True
    """
    score = estimator.score(X, y)
    return BackboneImportance(float(score), float(without_backbone(estimator, X).score(X, y)))
