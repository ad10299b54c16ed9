"""The one module that touches scikit-learn's private validation helpers."""

from numbers import Integral, Real

from sklearn.utils._param_validation import Hidden, Interval, StrOptions, validate_parameter_constraints

__all__ = ["Hidden", "Integral", "Interval", "Real", "StrOptions", "validate_parameters"]


def validate_parameters(estimator):
    """Check the constructor arguments of an estimator against its ``_parameter_constraints``.

    Raises
    ------
    sklearn.utils._param_validation.InvalidParameterError
        (a ValueError) naming the parameter, what was expected and what was got.
    """
    validate_parameter_constraints(
        estimator._parameter_constraints,
        estimator.get_params(deep=False),
        caller_name=type(estimator).__name__,
    )
