"""Checks of what users pass; the one module that touches scikit-learn's private helpers."""

import warnings
from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints

from smile_sklearn.exceptions import CertificationWarning, DomainError

__all__ = [
    "Integral",
    "Interval",
    "Real",
    "StrOptions",
    "check_given_domain",
    "check_names",
    "check_parameters",
]


def check_parameters(estimator):
    """Check the constructor arguments of an estimator against its ``_parameter_constraints``.

    Raises
    ------
    sklearn.utils._param_validation.InvalidParameterError
        (a ValueError) naming the parameter, what was expected and what was got.
    """
    parameters = estimator.get_params(deep=False)
    name = type(estimator).__name__
    validate_parameter_constraints(estimator._parameter_constraints, parameters, caller_name=name)
    sizes = parameters["hidden_layer_sizes"]
    if not all(isinstance(size, Integral) and size > 0 for size in sizes):
        raise ValueError(f"Got hidden_layer_sizes={sizes!r} for {name}, expected positive integers.")


def check_given_domain(domain, X, names):
    """Check that a domain given by hand is about the columns of X.

    Parameters
    ----------
    domain : InputDomain
    X : ndarray of shape (n_samples, n_features)
    names : array-like of str or None
        Feature names of X.

    Raises
    ------
    DomainError
        If columns differ in number or name, or a row breaks a declared integer or group.

    Warns
    -----
    CertificationWarning
        If rows lie outside the box: they are clipped to it, in training too.
    """
    if domain.n_features != X.shape[1]:
        raise DomainError(f"Got a domain of {domain.n_features} features for X of {X.shape[1]} features.")
    check_names(domain, names)
    domain.check_training_rows(X)
    outside = int((~domain.contains(X)).sum())
    if outside:
        warnings.warn(
            f"{outside} of {len(X)} training rows lie outside the given domain and are clipped to it. "
            "Widen the domain unless that is intended.",
            CertificationWarning,
            stacklevel=4,
        )


def check_names(domain, names):
    """Raise DomainError if the domain's feature names are not those of the columns, in their order."""
    if names is None or domain.feature_names is None:
        return
    if list(names) != list(domain.feature_names):
        wrong = [f"{a!r} for {b!r}" for a, b in zip(names, domain.feature_names, strict=False) if a != b]
        raise DomainError(
            f"The columns do not match the feature names of the domain, got {', '.join(wrong[:3])}. "
            "Order the columns as in the domain."
        )
