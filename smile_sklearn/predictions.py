"""predict_with_certificate, and the one evaluation that every prediction comes from."""

from functools import partial

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from smile_sklearn._validation import check_names
from smile_sklearn.certificates import CertifiedPrediction
from smile_sklearn.claims import Proven, certified_rows, choose_claims
from smile_sklearn.inference import choose_rules, enclosures, evaluate_rows, hull
from smile_sklearn.properties.property_set import resolve_premises


class CertifiedPredictionMixin:
    """What a fitted estimator answers about rows; reads the frozen snapshot and backbone only."""

    def predict_with_certificate(self, X, property=None, method="global"):
        """Predict, and say for each row what no related input can change; no optimisation.

        With v the proven variation, and L(x) and U(x) the least and largest f(x) that any backbone could
        give, f of every input related to x lies in

        - "global": ``[f(x) - v, f(x) + v]``;
        - "box": ``[U(x) - v, L(x) + v]``, never wider; for proofs by box coupling, else as "global";
        - "local": bounds of f over the inputs related to x. Needs no proof, for it uses only which
          inputs are related, and about the time of one more ``predict``.

        A classifier's row is certified if that interval (of every margin of the predicted class)
        excludes 0 strictly: the class cannot be flipped.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        property : str or Property, default=None
            Name of one property of the set ("fair"). None: all that bound both sides (the largest proven
            variation); one-sided ones (Monotonic) count only where there is no other. The local rule also
            takes a property the model was not trained for: ``GloballyRobust(0.1, None)``.
        method : {"global", "box", "local"} or a sequence of these, default="global"
            Several: the intersection of their intervals.

        Returns
        -------
        CertifiedPrediction

        Raises
        ------
        ValueError
            If "global" or "box" is asked for and nothing finite was proven, or the certificate is not
            this network's.
        """
        check_is_fitted(self)
        rules = choose_rules(method)
        proof = Proven(self.certificate_, self.premises_, self.relations_, self.snapshot_)
        claims = choose_claims(property, rules, proof, partial(self._resolve, resolve_premises))
        evaluated = self._evaluate(self._check_rows(X))
        trusted = certified_rows(evaluated.rows, self.snapshot_.domain, [claim.premise for claim in claims])
        found = enclosures(evaluated, claims, rules)
        certified, radius = self._judge(evaluated.values, claims, found, trusted)
        ends = (end[:, 0] if self._n_outputs == 1 else end for end in hull(found))
        return CertifiedPrediction(self._decide(evaluated.output), certified, radius, *ends)

    def _resolve(self, resolve, properties, domain):
        names = getattr(self, "feature_names_in_", None)
        return resolve(properties, domain, None if names is None else tuple(names), self._n_outputs)

    def _check_rows(self, X):
        if not hasattr(self, "feature_names_in_"):
            check_names(self.snapshot_.domain, getattr(X, "columns", None))
        return validate_data(self, X, dtype=np.float64, reset=False)

    def _evaluate(self, X):
        """Evaluate checked rows: what is predicted, and what the rules of a certificate read."""
        return evaluate_rows(self.snapshot_, self.backbone_, X)

    def _output(self, X):
        """Return f at raw rows, (n, n_outputs): what every certificate speaks of."""
        return self._evaluate(X).output
