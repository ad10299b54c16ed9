"""SMiLERegressor."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from smile_sklearn.base import BaseSMiLE
from smile_sklearn.training.losses import squared_error


class SMiLERegressor(RegressorMixin, BaseSMiLE):
    """PLACEHOLDER_DOC."""

    _numeric_target = True
    _n_outputs = 1

    def predict(self, X):
        """Predict the target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            In the units of y; computed from the certified snapshot, each row alike in any batch.
        """
        check_is_fitted(self)
        return self._decide(self._output(self._check_rows(X)))

    def _encode_target(self, y, weights):
        """Standardise y; what is learned is folded back into the head after fit."""
        y = y.astype(np.float64)
        shift = float(np.average(y, weights=weights))
        scale = float(np.sqrt(np.average((y - shift) ** 2, weights=weights)))
        self._output_map = (scale if scale > 0 else 1.0, shift)
        return (y - shift) / self._output_map[0]

    def _loss(self):
        return squared_error

    @staticmethod
    def _decide(output):
        return output[:, 0]

    @staticmethod
    def _intervals(output, variation):
        value = output[:, 0]
        return None, np.nextafter(value - variation, -np.inf), np.nextafter(value + variation, np.inf)
