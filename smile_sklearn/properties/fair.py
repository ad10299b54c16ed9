"""Fairness: protected features have little influence on the output."""

import warnings

import numpy as np

from ..exceptions import CertificationWarning, PropertyError
from .base import Property, outputs_text
from .deltas import related_inputs_text, symmetric_delta
from .features import check_number, is_feature, number_text
from .margins import probability_to_margin


class Fair(Property):
    r"""Changing the protected features changes the output by at most `epsilon`.

    .. math:: x'_P, x''_P \; any, \quad |x'_j - x''_j| \le \delta_j \; (j \notin P)
              \quad\Rightarrow\quad |f(x') - f(x'')| \le \epsilon

    Parameters
    ----------
    protected : feature or sequence of features
        Indices, exact names or prefixes of one-hot groups (``"race"``). Several vary jointly; for
        one at a time combine ``Fair("sex", 1) & Fair("race", 1)``.
    epsilon : float
        In output units: those of y, or of the logit (of every margin for several classes).
    delta : float, array-like of shape (n_features,) or dict, default=0
        How far the other features may differ, as in `GloballyRobust`.
    on : {"logit"}, default="logit"
        Scale of `epsilon`. For a bound dp on probabilities pass
        ``epsilon=probability_to_margin(dp)``, that is 4 atanh(dp).

    Examples
    --------
    >>> from smile_sklearn.properties import Fair, InputDomain
    >>> domain = InputDomain([18, 0], [90, 1], integer=["sex"], feature_names=["age", "sex"])
    >>> print(Fair("sex", epsilon=10).resolve(domain).statement)
    for every two inputs that differ only in sex, the outputs differ by at most 10
    """

    short_name = "fair"
    default_coupling = "shared"

    def __init__(self, protected, epsilon, delta=0, on="logit"):
        self.protected = protected
        self.epsilon = epsilon
        self.delta = delta
        self.on = on

    def _relation(self, features, n_outputs):
        epsilon = check_number(self.epsilon, "epsilon")
        self._check_scale(epsilon)
        protected = self._protected_columns(features)
        delta = symmetric_delta(self.delta, features)
        if isinstance(self.delta, dict):
            named = {column for _, columns in features.resolve(self.delta, "delta") for column in columns}
            if named.intersection(protected):
                raise PropertyError(
                    f"Got delta for {features.labels(named.intersection(protected))}, which is protected "
                    "and may differ in any way. Take it out of delta or of protected."
                )
        delta[protected] = np.where(features.domain.in_group[protected], 1.0, np.inf)
        statement = (
            f"for every two inputs {related_inputs_text(delta, features)}, "
            f"{outputs_text(n_outputs)} differ by at most {number_text(epsilon)}"
        )
        relation = self._state(features, statement, (-delta, delta), (-epsilon, epsilon))
        constant = [column for column in protected if relation.equal[column]]
        if constant and not relation.trivial:
            warnings.warn(
                f"Fair protects {features.labels(constant)}, which has one value only in the domain, "
                "so nothing is said about it. Widen the domain.",
                CertificationWarning,
                stacklevel=3,
            )
        return relation

    def _check_scale(self, epsilon):
        if self.on == "logit":
            return
        example = f" (here {probability_to_margin(epsilon):.6g})" if epsilon < 1 else ""
        raise PropertyError(
            f"Got on={self.on!r}, expected 'logit'. A difference dp of probabilities is the difference "
            f"epsilon = 4 atanh(dp) of logits{example}: pass epsilon=probability_to_margin(dp), on='logit'."
        )

    def _protected_columns(self, features):
        references = [self.protected] if is_feature(self.protected) else self.protected
        if not isinstance(references, list | tuple | np.ndarray) or len(references) == 0:
            raise PropertyError(
                f"Got protected={self.protected!r}, expected a feature or a list of features."
            )
        found = features.resolve(list(references), "protected")
        return sorted(column for _, columns in found for column in columns)
