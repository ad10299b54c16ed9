"""SMiLEClassifier."""

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from smile_sklearn.base import BaseSMiLE
from smile_sklearn.training.losses import cross_entropy, logistic_loss


class SMiLEClassifier(ClassifierMixin, BaseSMiLE):
    """PLACEHOLDER_DOC."""

    _numeric_target = False
    _output_map = (1.0, 0.0)

    @property
    def _n_outputs(self):
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    def decision_function(self, X):
        """Logit of the second class, or one logit a class: what the certificate speaks of.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        check_is_fitted(self)
        output = self._output(self._check_rows(X))
        return output[:, 0] if self._n_outputs == 1 else output

    def predict(self, X):
        """Predict the class of each row; a logit of exactly 0 goes to the first class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        return self._decide(self._output(self._check_rows(X)))

    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Two classes: ``[1 - expit(f), expit(f)]``.
        """
        logits = self.decision_function(X)
        if logits.ndim == 1:
            second = expit(logits)
            return np.column_stack([1.0 - second, second])
        return softmax(logits, axis=1)

    def _encode_target(self, y, weights):
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"Got y with one class ({self.classes_[0]!r}), but {type(self).__name__} needs at least 2 classes."
            )
        return codes.astype(np.float64)

    def _loss(self):
        return logistic_loss if self._n_outputs == 1 else cross_entropy

    def _decide(self, output):
        codes = (output[:, 0] > 0).astype(int) if self._n_outputs == 1 else output.argmax(axis=1)
        return self.classes_[codes]

    def _intervals(self, output, variation):
        """Smallest margin of the predicted class, and the interval of f or of every margin."""
        if self._n_outputs == 1:
            value = output[:, 0]
            ends = np.nextafter(value - variation, -np.inf), np.nextafter(value + variation, np.inf)
            return np.abs(value), *ends
        best = output.argmax(axis=1)
        margins = output[np.arange(len(output)), best][:, None] - output
        margins[np.arange(len(output)), best] = np.nan
        ends = np.nextafter(margins - variation, -np.inf), np.nextafter(margins + variation, np.inf)
        return np.nanmin(margins, axis=1), *ends
