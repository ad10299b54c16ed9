"""Global robustness: inputs close to each other have outputs close to each other."""

from ..exceptions import PropertyError
from .base import Property, outputs_text
from .deltas import related_inputs_text, symmetric_delta
from .features import check_number, number_text
from .relation import Premise


class GloballyRobust(Property):
    r"""Inputs within `delta` of each other have outputs within `epsilon`, everywhere in the domain.

    .. math:: |x'_j - x''_j| \le \delta_j \; \forall j
              \quad\Rightarrow\quad |f(x') - f(x'')| \le \epsilon

    Parameters
    ----------
    delta : float, array-like of shape (n_features,) or dict of feature -> float
        In the units of X. A scalar applies to numeric and integer features; features that a dict
        does not list are held equal. A one-hot group takes 0, or 1 = any category.
    epsilon : float or None
        In output units: those of y, or of the logit (of every margin for several classes).
        None: no claim about all inputs, so nothing that ``certify`` could prove. ``fit`` then trains
        around the rows, with bounds of what the inputs near a row may give, and
        ``predict_with_certificate(X, method="local")`` tells which rows it certifies.

    Examples
    --------
    >>> from smile_sklearn.properties import GloballyRobust, InputDomain
    >>> domain = InputDomain([18, 0], [90, 1], feature_names=["age", "debt"])
    >>> print(GloballyRobust({"age": 2}, epsilon=0.5).resolve(domain).statement)
    for every two inputs that differ only in age (by at most 2), the outputs differ by at most 0.5
    """

    short_name = "globallyrobust"
    default_coupling = "box"

    def __init__(self, delta, epsilon):
        self.delta = delta
        self.epsilon = epsilon

    def _relation(self, features, n_outputs):
        if self.epsilon is None:
            raise PropertyError(
                "Got epsilon=None, expected a number >= 0. Without epsilon there is no claim about all "
                "inputs to certify. fit trains around the rows, and the local rule asks about given rows: "
                "predict_with_certificate(X, property=GloballyRobust(delta, None), method='local')."
            )
        epsilon = check_number(self.epsilon, "epsilon")
        delta = symmetric_delta(self.delta, features)
        statement = (
            f"for every two inputs {related_inputs_text(delta, features)}, "
            f"{outputs_text(n_outputs)} differ by at most {number_text(epsilon)}"
        )
        return self._state(features, statement, (-delta, delta), (-epsilon, epsilon))

    def _premise(self, features, n_outputs):
        if self.epsilon is not None:
            return self._relation(features, n_outputs)
        delta = symmetric_delta(self.delta, features)
        statement = f"two inputs {related_inputs_text(delta, features)}"
        premise = Premise(self.short_name, statement, features.domain, -delta, delta)
        self._check_moves(premise, features, (-delta, delta))
        return premise
