"""The certificate as read by the checker: its own strict parser, so that edits are named, not raised."""

import json
import math
from dataclasses import dataclass
from fractions import Fraction

from smile_sklearn._check.report import CheckFailure, shown
from smile_sklearn.certificates import FORMAT, RIGOR, Certificate, Status

_TEXT = ("name", "statement", "status", "rigor", "verifier", "coupling", "digest")
_OBJECTS = ("domain", "proof", "versions")
_NUMBERS = ("bound", "variation", "slack")


@dataclass(frozen=True, eq=False)
class Claim:
    """What a certificate claims; numbers are Fractions, or ``math.inf`` where nothing is claimed."""

    name: str
    statement: str
    status: str
    rigor: str
    verifier: str
    coupling: str
    digest: str
    bound: Fraction | float
    variation: Fraction | float
    slack: Fraction | float
    attained: Fraction | float
    domain: dict
    proof: dict
    counterexample: dict | None
    parts: tuple


def read_claim(text):
    """Parse a certificate.

    Raises
    ------
    CheckFailure
        If the text is not strict JSON, not of this format, or incomplete.
    """
    try:
        data = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CheckFailure(f"not valid JSON (truncated?): {error}") from error
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise CheckFailure(f"not a certificate of format {FORMAT!r}")
    return _claim(data)


def number(value, what):
    """A JSON number as a Fraction, or the string "inf" as ``math.inf``."""
    if value == "inf":
        return math.inf
    return finite(value, what)


def finite(value, what):
    """A finite JSON number as a Fraction: the float64 that every reader takes it for."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return Fraction(float(value))
    except OverflowError:  # an integer beyond float64
        pass
    raise CheckFailure(f"got {value!r} for {what}, expected a number")


def row(values, size, what):
    """A JSON list of finite numbers, as a list of floats."""
    if not isinstance(values, list) or (size is not None and len(values) != size):
        raise CheckFailure(f"got {what} that is no list of {size} numbers")
    return [float(finite(value, what)) for value in values]


def _claim(data):
    if not isinstance(data, dict) or set(data) != set(Certificate.__dataclass_fields__):
        found = set(data) if isinstance(data, dict) else set()
        odd = sorted(found ^ set(Certificate.__dataclass_fields__))
        raise CheckFailure(f"fields are missing or unknown: {odd}")
    kinds = {**dict.fromkeys(_TEXT, str), **dict.fromkeys(_OBJECTS, dict), "parts": list}
    for name, kind in kinds.items():
        if not isinstance(data[name], kind):
            raise CheckFailure(f"got {data[name]!r} for {name}, expected a {kind.__name__}")
    if not isinstance(data["counterexample"], (dict, type(None))):
        raise CheckFailure("got a counterexample that is no object")
    if data["status"] not in Status.__members__ or data["rigor"] not in RIGOR:
        raise CheckFailure(f"got status {data['status']!r} and rigor {data['rigor']!r}, which are not known")
    claim = Claim(
        **{name: data[name] for name in (*_TEXT, "domain", "proof", "counterexample")},
        **{name: number(data[name], name) for name in _NUMBERS},
        attained=-math.inf if data["attained"] == "-inf" else finite(data["attained"], "attained"),
        parts=tuple(_part(part) for part in data["parts"]),
    )
    # Where nothing is claimed there may be no slack either: the forward pass may overflow.
    if claim.slack < 0 or (claim.slack == math.inf and claim.bound < math.inf):
        raise CheckFailure(f"got a slack of {shown(claim.slack)} for a bound of {shown(claim.bound)}")
    return claim


def _part(data):
    if isinstance(data, dict) and data.get("parts"):
        raise CheckFailure("a part of a certificate has parts of its own")
    return _claim(data)


def _refuse_constant(token):
    raise ValueError(f"the token {token} is not JSON")


def _unique(pairs):
    # A reader that shows the first of two equal keys would show another claim than the one checked.
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return dict(pairs)
