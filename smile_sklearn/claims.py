"""Which properties ``predict_with_certificate`` speaks of, what was proven of them, and for which rows."""

import warnings
from typing import NamedTuple

import numpy as np

from smile_sklearn.certificates import Certificate, Status
from smile_sklearn.exceptions import CertificateError, CertificationWarning, PropertyError
from smile_sklearn.properties.base import Property
from smile_sklearn.properties.property_set import PropertySet
from smile_sklearn.properties.relation import Premise, Relation
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.verification.base import relation_data


class Claim(NamedTuple):
    """What is known of the pairs that a premise relates.

    Parameters
    ----------
    premise : Premise
    variation : float
        Proven upper bound on ``|f(x') - f(x'')|``; inf where nothing was proven.
    coupling : str
        How it was proven, as in the certificate; "" where nothing was.
    """

    premise: Premise
    variation: float = np.inf
    coupling: str = ""


class Proven(NamedTuple):
    """What a fitted model was trained for; its certificate (None without) speaks of the relations."""

    certificate: Certificate | None
    premises: tuple
    relations: tuple
    snapshot: NetworkSnapshot


def choose_claims(asked, rules, proven, resolve_premises):
    """What the rules may use of the properties asked for.

    Parameters
    ----------
    asked : str, Property, PropertySet or None
    rules : sequence of rules
        See `smile_sklearn.inference`.
    proven : Proven
    resolve_premises : callable
        ``(property, domain) -> tuple of Premise``, for the columns of the model.

    Returns
    -------
    list of Claim

    Raises
    ------
    CertificateError
        If a rule needs a proof and there is none of this network and property.
    PropertyError
        If a property object is given to a rule that needs a proof, or ``asked`` is no property.
    """
    needs_proof = any(rule.needs_proof for rule in rules)
    if isinstance(asked, (Property, PropertySet)):
        if needs_proof:
            raise PropertyError(
                f"Got property={asked!r}, but the rules 'global' and 'box' use what was proven in fit. Name "
                f"one of {[relation.name for relation in proven.relations]}, or ask the local rule: "
                "method='local'."
            )
        return premise_claims(resolve_premises(asked, proven.snapshot.domain))
    if not (asked is None or isinstance(asked, str)):
        raise PropertyError(
            f"Got property={asked!r}, expected the name of a trained property, a property object for the "
            "local rule such as GloballyRobust(0.1, None), or None."
        )
    if needs_proof and proven.premises and not proven.relations:
        raise CertificateError(
            f"This model was trained around its rows, for {[premise.name for premise in proven.premises]} "
            "without an epsilon: that claims nothing of all inputs, so there is no certificate for the rules "
            "'global' and 'box'. Use the rule that needs no proof: method='local'."
        )
    if not proven.premises or (needs_proof and proven.certificate is None):
        raise CertificateError(
            "This model has no certificate: it was fitted without properties, or its snapshot was renewed. "
            "Fit it with properties=..., for instance Fair('sex', 1.0), or give a property to the rule that "
            "needs no proof: property=GloballyRobust(0.1, None), method='local'."
        )
    if not needs_proof:
        return premise_claims(proven.premises, asked)
    # Compared at every use: a certificate of another network certifies nothing here.
    proven.certificate.check_digest(proven.snapshot.digest)
    return proven_claims(proven.certificate, proven.relations, asked)


def proven_claims(certificate, relations, name=None):
    """What a certificate proved of the properties asked for.

    Parameters
    ----------
    certificate : Certificate
    relations : sequence of Relation
        Those of the certificate, in its order.
    name : str or None
        One property. None: every one with a finite variation, one-sided ones (Monotonic) only
        where there is no other: R leaves their far side free, so that it is proven but large.

    Returns
    -------
    list of Claim

    Raises
    ------
    CertificateError
        If there is no such property, or nothing finite was proven of it.
    """
    parts = certificate.parts or (certificate,)
    # Statements are for people; what was proven are these numbers, over the domain of the digest.
    stated = [(relation.statement, relation_data(relation)) for relation in relations]
    if [(part.statement, part.proof.get("relation")) for part in parts] != stated:
        raise CertificateError(
            "The certificate does not speak of the properties this model was trained for; "
            "certificate_ is written by fit only."
        )
    _check_name(name, [part.name for part in parts])
    chosen = [
        Claim(relation, part.variation, part.coupling)
        for part, relation in zip(parts, relations, strict=True)
        if name in (None, part.name)
        and part.status in (Status.HOLDS, Status.BOUNDED)
        and np.isfinite(part.variation)
    ]
    if not chosen:
        raise CertificateError(
            "No finite bound on the variation was proven"
            + (f" for {name!r}" if name else "")
            + f" (status {certificate.status}). One-sided properties bound one side only; "
            "certify a Fair or GloballyRobust property, or ask the rule that needs no proof: method='local'."
        )
    return _two_sided_first(chosen)


def premise_claims(premises, name=None):
    """Claims that say nothing but which inputs are related: what the local rule needs.

    Parameters
    ----------
    premises : sequence of Premise
    name : str or None
        As in `proven_claims`.

    Returns
    -------
    list of Claim
    """
    _check_name(name, [premise.name for premise in premises])
    return _two_sided_first([Claim(premise) for premise in premises if name in (None, premise.name)])


def _check_name(name, known):
    if name is not None and name not in known:
        raise CertificateError(f"Got property={name!r}, expected one of {known}.")


def _two_sided_first(claims):
    return [claim for claim in claims if not _one_sided(claim.premise)] or claims


def _one_sided(premise):
    return isinstance(premise, Relation) and not premise.two_sided


def certified_rows(X, domain, premises):
    """Rows that are spoken of, (n,) bool.

    Fractional integers and invalid or unknown one-hot rows are never covered. Outside the box
    the clip carries the claim over if dl <= 0 <= du (lemma 4), otherwise nothing is claimed.
    """
    valid = domain.valid_rows(X)
    if not valid.all():
        warnings.warn(
            f"{int((~valid).sum())} of {len(X)} rows are no inputs of the certified domain "
            "(a fractional integer, or a one-hot group that is none of its categories): "
            "they get a prediction and no certificate.",
            CertificationWarning,
            stacklevel=3,
        )
    if all(premise.covers_all_inputs for premise in premises):
        return valid
    return valid & domain.contains(X)
