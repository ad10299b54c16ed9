"""What the backbone of a fitted model is worth."""

import copy
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from smile_sklearn.base import BaseSMiLE


@dataclass(frozen=True)
class BackboneImportance:
    """Scores with and without the backbone, in the manner of a permutation importance.

    Parameters
    ----------
    score : float
        Of the estimator on the rows given.
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
    estimator : SMiLERegressor, SMiLEClassifier, or a Pipeline that ends in one
        Fitted.
    X : array-like or DataFrame of shape (n_samples, n_features)
        As for ``estimator.predict``.

    Returns
    -------
    object of the estimator's type
        Shares all other fitted attributes with the estimator, which is left as it was.

    Raises
    ------
    TypeError
        If the estimator is of another kind.
    ValueError
        If the backbone gives no finite embedding for some row, so that there is no mean.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from smile_sklearn import Fair, SMiLERegressor
    >>> from smile_sklearn.inspection import without_backbone
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    >>> model = SMiLERegressor(Fair("sex", epsilon=10), max_iter=5, random_state=0).fit(X, y)
    >>> print(without_backbone(model, X).certify().status)
    HOLDS
    """
    check_is_fitted(estimator)
    if isinstance(estimator, Pipeline):
        *before, (name, last) = estimator.steps
        rows = estimator[:-1].transform(X) if before else X
        ablated = copy.copy(estimator)
        ablated.steps = [*before, (name, without_backbone(last, rows))]
        return ablated
    if not isinstance(estimator, BaseSMiLE):
        raise TypeError(
            f"Got a {type(estimator).__name__}, which has no backbone; expected a fitted SMiLERegressor or "
            "SMiLEClassifier, or a Pipeline that ends in one."
        )
    ablated = copy.copy(estimator)
    ablated.backbone_ = ConstantBackbone(_mean_embedding(estimator, X))
    return ablated


def backbone_importance(estimator, X, y, *, scoring=None):
    """Score a fitted model with its backbone, and with the backbone replaced by its mean.

    The clip between the auxiliaries may leave the backbone little to say (``backbone_utilisation_``
    tells how often it does); this tells what it is worth in the units of the score.

    Parameters
    ----------
    estimator : SMiLERegressor, SMiLEClassifier, or a Pipeline that ends in one
        Fitted.
    X : array-like or DataFrame of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    scoring : str or callable, default=None
        As everywhere in scikit-learn: the name of a scorer, or ``scoring(estimator, X, y) -> float``.
        None: the estimator's own score.

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
    score = check_scoring(estimator, scoring)
    ablated = without_backbone(estimator, X)
    return BackboneImportance(float(score(estimator, X, y)), float(score(ablated, X, y)))


def _mean_embedding(estimator, X):
    embedding = estimator._evaluate(estimator._check_rows(X)).embedding
    broken = int((~np.isfinite(embedding).all(axis=1)).sum())
    if broken:
        raise ValueError(
            f"The backbone gives no finite embedding for {broken} of {len(embedding)} rows, so that it has "
            "no mean: leave these rows out."
        )
    # A rounded mean may leave the range of what it is a mean of: of a constant h, it is that constant.
    return np.clip(embedding.mean(axis=0), embedding.min(axis=0), embedding.max(axis=0))
