"""What a verifier is: declared capabilities, one public verb, one place that decides the status."""

import platform
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import NamedTuple

import numpy as np

from smile_sklearn.certificates import Certificate, Status
from smile_sklearn.exceptions import ContradictionError, DomainError, UnsupportedError
from smile_sklearn.properties.relation import Relation
from smile_sklearn.verification.rounding import add_upper

COUPLINGS = ("box", "shared")
"""Ways to bound a pair: h arbitrary within its box, or h equal at both rows (lemma 2)."""


class BoundPair(NamedTuple):
    """Proven interval that contains f(x') - f(x'') for every related pair."""

    lower: float
    upper: float


@dataclass(frozen=True)
class Proof:
    """What a verifier shows, before it is compared with epsilon.

    Parameters
    ----------
    bounds : BoundPair
        Slack for rounding and solver tolerances included; infinite where nothing was shown.
    rigor : str
        See `smile_sklearn.certificates.RIGOR`.
    couplings : tuple of str
        Those the bounds rest on.
    slack : float
        What the bounds include for rounding and tolerances.
    data : dict
        Plain JSON types, for the checker.
    counterexample : Counterexample or None
        Already replayed through ``predict``.
    detail : str
        Solver and version, for the certificate.
    attained : float
        Largest violation of V that a related pair was shown to have; see ``Certificate.attained``.
    """

    bounds: BoundPair
    rigor: str
    couplings: tuple
    slack: float = 0.0
    data: dict = field(default_factory=dict)
    counterexample: object = None
    detail: str = ""
    attained: float = -np.inf


class Verifier(ABC):
    """A way to show a property; subclasses state what they handle and implement ``_verify``.

    Attributes
    ----------
    name : str
    couplings : tuple of str
        Couplings it can prove with.
    node_types : tuple of type
        Graph nodes it understands, of a lowered graph; any other is declined, never guessed.
    refutes : bool
        Whether it searches f itself for pairs that break the property, where V could go no further.
    """

    name: str
    couplings: tuple
    node_types: tuple
    refutes: bool = False

    def verify(self, snapshot, relation, *, coupling="auto", time_limit=None, predict=None):
        """Return a certificate of the relation for the snapshot.

        Parameters
        ----------
        snapshot : NetworkSnapshot
        relation : Relation
        coupling : {"auto", "box", "shared"}
            "auto" takes every coupling that applies.
        time_limit : float or None
            Wall seconds; only solvers use it.
        predict : callable or None
            ``predict(X) -> (n, n_outputs)`` of the deployed model, raw rows; without it no
            counterexample can be replayed and the status is never VIOLATED.

        Returns
        -------
        Certificate

        Raises
        ------
        UnsupportedError
            If this verifier does not handle the network, or the coupling does not apply.
        DomainError
            If the relation is stated over another domain than the snapshot's.
        """
        started = time.perf_counter()
        deadline = None if time_limit is None else time.monotonic() + time_limit
        with np.errstate(over="ignore", invalid="ignore"):
            # What overflows is infinite or NaN, and every bound reads that as: nothing is known.
            couplings = self.check(snapshot, relation, coupling)
            # The one place where convolutions become dense: no verifier needs to know of them.
            proof = self._verify(snapshot.lowered(), relation, couplings, Context(deadline, predict))
        return _certificate(self, snapshot, relation, proof, time.perf_counter() - started)

    def check(self, snapshot, relation, coupling="auto"):
        """Return the couplings to use, or raise UnsupportedError saying what does not fit."""
        if not isinstance(relation, Relation):
            # Of pairs alone nothing is claimed, and nothing must not be found to hold.
            raise TypeError(f"Got {type(relation).__name__}, expected a Relation: a claim about pairs.")
        nodes = snapshot.lowered().graph.nodes
        alien = {type(node).__name__ for node in nodes if type(node) not in self.node_types}
        if alien:
            raise UnsupportedError(
                f"The verifier {self.name!r} does not handle {sorted(alien)}; it handles "
                f"{[kind.__name__ for kind in self.node_types]}. Use verifier='difference' or 'auto'."
            )
        if relation.domain != snapshot.domain:
            # Deltas in raw units are scaled by the domain: by another one they would mean something else.
            raise DomainError(
                f"The relation {relation.name!r} is stated over another domain than the network's "
                f"({relation.domain}; {snapshot.domain}). Resolve the property over snapshot.domain."
            )
        if not snapshot.order_is_fixed():
            # Equal inputs must give equal bits, or neither coupling speaks of the deployed floats.
            raise UnsupportedError(
                "On this machine the forward pass sums a row differently in different batches, "
                "so no certificate can speak of what it computes."
            )
        applicable = applicable_couplings(snapshot, relation, coupling)
        usable = tuple(name for name in applicable if name in self.couplings)
        if not usable:
            raise UnsupportedError(
                f"The verifier {self.name!r} proves with the couplings {list(self.couplings)}, "
                f"but {list(applicable)} were asked for. Use another verifier, or coupling='auto'."
            )
        return usable

    @abstractmethod
    def _verify(self, snapshot, relation, couplings, context):
        """Return a :class:`Proof`.

        ``snapshot`` is lowered (no convolutions); ``couplings`` is never empty and each applies;
        ``context`` has the time left and ``predict``.
        """


@dataclass(frozen=True)
class Context:
    """When to stop (``time.monotonic`` seconds, None for never) and how to replay a pair."""

    at: float | None
    predict: object = None

    def remaining(self):
        """Seconds left, never negative; None without a limit."""
        return None if self.at is None else max(0.0, self.at - time.monotonic())


def applicable_couplings(snapshot, relation, coupling="auto"):
    """Couplings that are sound for this network and relation, of those asked for.

    Box is always sound. Shared needs h(x') = h(x''): Q must hold equal everything h reads.
    """
    moving = [index for index in snapshot.reads if not relation.equal[index]]
    if coupling == "auto":
        return ("box",) if moving else COUPLINGS
    if coupling not in COUPLINGS:
        raise UnsupportedError(f"Got coupling={coupling!r}, expected 'auto', 'box' or 'shared'.")
    if coupling == "shared" and moving:
        raise UnsupportedError(
            f"The shared coupling needs a backbone that reads only features held equal by {relation.name!r}, "
            f"but it reads {moving}, which may differ. Use coupling='box', or train with this property."
        )
    return (coupling,)


def _certificate(verifier, snapshot, relation, proof, seconds):
    """Decide the status, in this one place.

    HOLDS needs the proven bound on the violation <= 0; a counterexample has been replayed
    through predict; everything else is BOUNDED by a finite proven bound, or UNKNOWN.
    """
    upper = _not_nan(proof.bounds.upper)
    lower = -_not_nan(-proof.bounds.lower)
    sides = [add_upper(upper, -relation.epsilon_upper), add_upper(relation.epsilon_lower, -lower)]
    limits = [relation.epsilon_upper, -relation.epsilon_lower]
    # A side without a limit cannot be violated, whatever (even nothing) is known of it.
    bound = max(
        [float(side) for side, limit in zip(sides, limits, strict=True) if np.isfinite(limit)],
        default=-np.inf,
    )
    _refuse_contradiction(verifier, relation, proof, bound)
    if proof.counterexample is not None:
        status = Status.VIOLATED
    elif bound <= 0.0:
        status = Status.HOLDS
    else:
        status = Status.BOUNDED if np.isfinite(bound) else Status.UNKNOWN
    return Certificate(
        name=relation.name,
        statement=relation.statement,
        status=status,
        bound=bound,
        variation=float(max(upper, -lower, 0.0)),
        rigor=proof.rigor,
        verifier=" ".join(filter(None, [verifier.name, proof.detail])),
        coupling=", ".join(proof.couplings),
        seconds=seconds,
        digest=snapshot.digest,
        domain=snapshot.domain.to_dict(),
        slack=float(proof.slack),
        attained=float(min(proof.attained, bound)),
        counterexample=proof.counterexample,
        proof={**proof.data, "relation": relation_data(relation)},
        versions=library_versions(),
    )


def _refuse_contradiction(verifier, relation, proof, bound):
    """Raise where a verifier shows a pair above what it says is the most: one of the two is wrong."""
    shown = -np.inf if proof.counterexample is None else proof.counterexample.violation
    # V in floats may exceed the real V by what the slack covers, which the bound already includes.
    if shown > bound or proof.attained > add_upper(bound, proof.slack):
        raise ContradictionError(
            f"The verifier {verifier.name!r} bounds the violation of {relation.name!r} by {bound!r}, and "
            f"shows a pair of {max(shown, proof.attained)!r}. Either ``predict`` is not the network of the "
            "snapshot, or the verifier is wrong: trust neither result."
        )


def relation_data(relation):
    """The relation in raw units, plain JSON types: all that the checker needs besides the domain."""
    ends = {"epsilon_lower": relation.epsilon_lower, "epsilon_upper": relation.epsilon_upper}
    return {
        "delta_lower": relation.delta_lower.tolist(),
        "delta_upper": relation.delta_upper.tolist(),
        **{name: end if np.isfinite(end) else None for name, end in ends.items()},
    }


def _not_nan(value):
    return np.inf if np.isnan(value) else value


def library_versions():
    """Versions of what a proof was computed with."""
    return dict(_library_versions())


@cache
def _library_versions():
    # Metadata is read from disk: in a proof of two milliseconds that was the larger half.
    return {"python": platform.python_version(), **{name: version(name) for name in ("numpy",)}}
