"""What was shown: statuses, counterexamples, certificates. Frozen, numpy only."""

import enum
import json
import math
from dataclasses import asdict, dataclass, field

import numpy as np

from smile_sklearn._strict_json import decoded, encoded, refuse_constant
from smile_sklearn._wording import sentence
from smile_sklearn.exceptions import CertificateError

FORMAT = "smile_sklearn.certificate/1"
"""Name and version of the JSON form; a reader refuses any other."""

RIGOR = {
    "replayed": "a related pair, replayed through predict, decides; no bound is claimed",
    "exact": "the verdict rests on sign arguments, true of the computed floats themselves",
    "rounded": "outward-rounded bounds with slack for the float64 forward pass",
    "solver": "trusts the solver's dual bound to the stated slack",
}
"""What a proof rests on, strongest first."""


class Status(enum.IntEnum):
    """What is known of a property, worst first; never a bool."""

    VIOLATED = 0
    UNKNOWN = 1
    BOUNDED = 2
    HOLDS = 3

    def __bool__(self):
        raise TypeError(f"A Status is not a bool. Compare it: status is Status.HOLDS (it is {self.name}).")

    def __str__(self):
        return self.name


@dataclass(frozen=True, eq=False)
class Counterexample:
    """A related pair in raw units, replayed through ``predict``.

    Parameters
    ----------
    first, second : ndarray of shape (n_features,)
        The pair (x', x''): inside the domain and related, checked in exact rationals.
    first_output, second_output : ndarray of shape (n_outputs,)
        ``decision_function`` (or ``predict``) of the two rows, computed in one call.
    violation : float
        By how much f(x') - f(x'') leaves [el, eu]; positive.
    """

    first: np.ndarray
    second: np.ndarray
    first_output: np.ndarray
    second_output: np.ndarray
    violation: float

    def to_dict(self):
        """Return plain JSON types."""
        return {
            name: value if name == "violation" else np.asarray(value).tolist()
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, data):
        """Inverse of :meth:`to_dict`."""
        return cls(
            **{name: value if name == "violation" else np.array(value) for name, value in data.items()}
        )


@dataclass(frozen=True, eq=False)
class Certificate:
    """The outcome of a verification, for one property or for a set.

    Parameters
    ----------
    name : str
        Key of the property ("fair"), or "all" for a set.
    statement : str
        The property in raw units, as a sentence.
    status : Status
        HOLDS only from a finished proof with ``bound <= 0``.
    bound : float
        Proven upper bound on the violation, in output units; inf if none was proven.
    variation : float
        Proven upper bound on ``|f(x') - f(x'')|`` over all related pairs (largest margin for
        several classes); inf for a one-sided property whose other side is not bounded.
    rigor : {"replayed", "exact", "rounded", "solver"}
        What the proof rests on, see `RIGOR`.
    verifier : str
        Name (and solver, version) of what proved it.
    coupling : str
        "box" (the backbone is arbitrary), "shared" (it reads nothing that the pair may
        differ in), or "box, shared".
    seconds : float
        Wall time of the verification.
    digest : str
        SHA-256 of the certified snapshot.
    domain : dict
        ``InputDomain.to_dict()``: where the statement holds, in raw units.
    slack : float
        What the bound includes for rounding and solver tolerances, output units.
    attained : float
        Largest violation of V, the bound on a pair that all verifiers share, that some related pair
        was shown to have; -inf if none was. It claims nothing of safety: it says how far `bound`
        could still fall with this coupling, and is never above it.
    counterexample : Counterexample or None
    proof : dict
        Data that the independent checker reads.
    versions : dict
        Versions of the libraries involved.
    parts : tuple of Certificate
        One a property, for a set.
    """

    name: str
    statement: str
    status: Status
    bound: float
    variation: float
    rigor: str
    verifier: str
    coupling: str
    seconds: float
    digest: str
    domain: dict
    slack: float = 0.0
    attained: float = -math.inf
    counterexample: Counterexample | None = None
    proof: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    parts: tuple = ()

    def __post_init__(self):
        if self.rigor not in RIGOR:
            raise ValueError(f"Got rigor={self.rigor!r}, expected one of {sorted(RIGOR)}.")
        if self.status is Status.HOLDS and not self.bound <= 0.0:
            # The invariant of the package, checked where every certificate is born.
            raise CertificateError(f"HOLDS needs a proven bound <= 0, got {self.bound!r}.")
        if self.parts and self.status is not min(part.status for part in self.parts):
            raise CertificateError(f"A set is as good as its worst part, got {self.status} for the whole.")
        if self.status is Status.VIOLATED and self.counterexample is None and not self.parts:
            raise CertificateError("VIOLATED needs a counterexample.")

    def __bool__(self):
        raise TypeError(
            "A Certificate is not a bool. Compare its status with Status.HOLDS, or ask `is not None`."
        )

    def __iter__(self):
        """Iterate over the parts, one a property: the certificate itself if it speaks of one."""
        return iter(self.parts or (self,))

    def __getitem__(self, name):
        """Return the part of that name (the certificate itself for its own name)."""
        for certificate in (self, *self.parts):
            if certificate.name == name:
                return certificate
        known = [part.name for part in self.parts] or [self.name]
        raise KeyError(f"Got {name!r}, but this certificate speaks of {known}.")

    def __str__(self):
        return "\n".join(sentence(part, RIGOR[part.rigor]) for part in self)

    def check_digest(self, digest):
        """Raise CertificateError unless this certificate belongs to the network of that digest."""
        for part in self.parts:
            part.check_digest(digest)
        if digest != self.digest:
            raise CertificateError(
                f"This certificate was issued for the network {self.digest[:12]}, but the network at hand is "
                f"{digest[:12]}. It certifies nothing here: call certify() again."
            )

    def to_json(self, **options):
        """Return the certificate as a JSON document (str); options go to ``json.dumps``."""
        # Strict JSON: every reader, not only Python's, must be able to check a certificate.
        return json.dumps({"format": FORMAT, **_plain(self)}, **{**options, "allow_nan": False})

    @classmethod
    def from_json(cls, text):
        """Read a document written by :meth:`to_json`.

        Raises
        ------
        CertificateError
            If the text is no certificate of this format.
        """
        try:
            data = json.loads(text, parse_constant=refuse_constant)
        except ValueError as error:
            raise CertificateError(f"The certificate is not valid JSON (truncated?): {error}.") from error
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise CertificateError(f"The document is not a certificate of format {FORMAT!r}.")
        return _from_plain(data)


@dataclass(frozen=True, eq=False)
class CertifiedPrediction:
    """Predictions and what is vouched for, row by row.

    Parameters
    ----------
    prediction : ndarray of shape (n,)
        What ``predict`` returns.
    certified : ndarray of shape (n,), bool
        Classifier: no related input changes the class. Regressor: the interval is proven.
    radius : ndarray of shape (n,)
        ``GloballyRobust`` only, else nan: k steps of delta within which the class cannot change:
        k delta on numeric features, k floor(delta) on integers, any category of a named group.
    lower, upper : ndarray of shape (n,) or (n, n_classes)
        Interval that contains f of every related input: y units or logit; for several classes
        the margins of the predicted class against each other (nan in its own column).
    """

    prediction: np.ndarray
    certified: np.ndarray
    radius: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def combine(certificates, name="all"):
    """Join the certificates of a set: worst status, largest bound, one part a property."""
    certificates = tuple(certificates)
    if len(certificates) == 1:
        return certificates[0]
    rigors = list(RIGOR)
    return Certificate(
        name=name,
        statement=" And ".join(part.statement for part in certificates),
        status=min(part.status for part in certificates),
        bound=max(part.bound for part in certificates),
        variation=max(part.variation for part in certificates),
        rigor=max((part.rigor for part in certificates), key=rigors.index),
        verifier=", ".join(dict.fromkeys(part.verifier for part in certificates)),
        coupling=", ".join(dict.fromkeys(part.coupling for part in certificates)),
        seconds=sum(part.seconds for part in certificates),
        digest=certificates[0].digest,
        domain=certificates[0].domain,
        slack=max(part.slack for part in certificates),
        attained=max(part.attained for part in certificates),
        counterexample=next((part.counterexample for part in certificates if part.counterexample), None),
        versions=certificates[0].versions,
        parts=certificates,
    )


_NUMERIC = ("bound", "variation", "seconds", "slack", "attained", "counterexample", "proof")
"""Fields that may hold numbers JSON has no token for."""


def _plain(certificate):
    data = {name: getattr(certificate, name) for name in certificate.__dataclass_fields__}
    data["status"] = certificate.status.name
    data["counterexample"] = certificate.counterexample and certificate.counterexample.to_dict()
    data["parts"] = [_plain(part) for part in certificate.parts]
    return {**data, **{name: encoded(data[name]) for name in _NUMERIC}}


def _from_plain(data):
    try:
        data = {**data, **{name: decoded(data[name]) for name in _NUMERIC}}
        data["status"] = Status[data["status"]]
        data["counterexample"] = data["counterexample"] and Counterexample.from_dict(data["counterexample"])
        data["parts"] = tuple(_from_plain(part) for part in data["parts"])
        return Certificate(**data)
    except CertificateError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise CertificateError(f"The certificate is incomplete or has unknown fields: {error}.") from error
