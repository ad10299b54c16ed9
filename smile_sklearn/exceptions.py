"""Errors of the package: each is also the builtin error a caller would expect."""

import sklearn.exceptions


class SMiLEError(Exception):
    """Base of every error this package raises on purpose."""


class PropertyError(SMiLEError, ValueError):
    """A property cannot be stated over the given features, domain or outputs."""


class DomainError(SMiLEError, ValueError):
    """An input domain is inconsistent, or rows do not belong to it."""


class UnsupportedError(SMiLEError, NotImplementedError):
    """A layer, coupling or property that a component declares it does not handle."""


class SolverError(SMiLEError, RuntimeError):
    """A solver is missing, refuses the model, or answered in a way that proves nothing."""


class ContradictionError(SMiLEError, RuntimeError):
    """A proof and a counterexample speak against each other: one of the two is wrong."""


class CertificateError(SMiLEError, ValueError):
    """A certificate does not belong to the model, or does not say what is asked of it."""


class NotCertifiedError(SMiLEError, RuntimeError):
    """Training ended without the promised proof and ``on_failure="raise"``."""


class CertificationWarning(UserWarning):
    """Training ended without a proof of HOLDS, or a fallback weakened what was asked for."""


class NotFittedError(SMiLEError, sklearn.exceptions.NotFittedError):
    """A fitted attribute is asked for before ``fit``."""
