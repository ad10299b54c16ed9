"""Numbers that JSON has no token for, as strings: not only Python must be able to read a certificate."""

import math

import numpy as np

_NOT_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
"""Strings that stand for them."""


def encoded(value):
    """The value in strict JSON types: infinities and NaN as strings, numpy scalars as Python's."""
    if isinstance(value, dict):
        return {name: encoded(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [encoded(item) for item in value]
    if isinstance(value, np.generic):
        return encoded(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def decoded(value):
    """Inverse of :func:`encoded`."""
    if isinstance(value, dict):
        return {name: decoded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [decoded(item) for item in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value


def refuse_constant(token):
    """For ``json.loads``: NaN and Infinity, which Python would read, are refused."""
    raise ValueError(f"got the token {token}, which is not JSON")
