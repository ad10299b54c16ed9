"""The rules of ``predict_with_certificate``, on arrays and certificates alone."""

import warnings

import numpy as np

from smile_sklearn.certificates import Status
from smile_sklearn.exceptions import CertificateError, CertificationWarning


def proven_variation(certificate, relations, name=None):
    """Largest proven ``|f(x') - f(x'')|`` of the properties asked for.

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
    variation : float
    relations : list of Relation
        Those it speaks of.

    Raises
    ------
    CertificateError
        If there is no such property, or nothing finite was proven of it.
    """
    parts = certificate.parts or (certificate,)
    if [part.statement for part in parts] != [relation.statement for relation in relations]:
        raise CertificateError(
            "The certificate does not speak of the properties this model was trained for; "
            "certificate_ is written by fit only."
        )
    if name is not None and name not in [part.name for part in parts]:
        raise CertificateError(f"Got property={name!r}, expected one of {[part.name for part in parts]}.")
    chosen = [
        (part, relation)
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
            "certify a Fair or GloballyRobust property."
        )
    two_sided = [
        (part, relation)
        for part, relation in chosen
        if np.isfinite(relation.epsilon_lower) and np.isfinite(relation.epsilon_upper)
    ]
    chosen = two_sided or chosen
    return max(part.variation for part, _ in chosen), [relation for _, relation in chosen]


def certified_rows(X, domain, relations):
    """Rows the certificate speaks of, (n,) bool.

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
    if all(relation.covers_all_inputs for relation in relations):
        return valid
    return valid & domain.contains(X)


def robustness_radius(margin, variation):
    """Steps of delta within which the class cannot change, (n,).

    A step is one related pair: delta on numeric features, floor(delta) on integers, any category
    of a named group. Walking k of them through the convex box moves a margin by at most ``k v``, so its
    sign stays while ``k v < m``: ``k = max(0, ceil(m / v) - 1)``; infinite if v = 0 < m.
    """
    if variation == 0.0:
        return np.where(margin > 0, np.inf, 0.0)
    with np.errstate(over="ignore"):
        steps = np.maximum(0.0, np.ceil(margin / variation) - 1.0)
        certain = np.nextafter(steps * variation, np.inf) < margin
    # The quotient is rounded: take a step back where k v < m does not hold for certain. Beyond 2^53
    # a float less one is itself; there the float below is under m / v, for the quotient errs by u.
    back = np.minimum(steps - 1.0, np.nextafter(steps, 0.0))
    return np.where(certain, steps, np.maximum(0.0, back))
