"""What a fit says about itself: how it failed, and what its backbone is worth."""

import warnings
from dataclasses import dataclass

import numpy as np

from smile_sklearn.certificates import Status
from smile_sklearn.exceptions import CertificationWarning, NotCertifiedError

QUIET_SHARE = 1e-4
"""Share of std(y) by which BOUNDED at epsilon 0 may exceed its slack and still be no failure."""


@dataclass(frozen=True)
class BackboneUtilisation:
    """How much of the output the backbone decides, on the training rows.

    All three are means over rows and latent units, in which a unit counts by the size of its head weight:
    what the head hardly reads is no use, however often its clip is inactive.

    Parameters
    ----------
    inactive_clip : float
        Share where ``lo < h < hi``: where the clip lets h through. A unit whose h is the same for all rows
        never counts: it says nothing of x. It is an upper bound on use, for h may repeat what lo and hi
        know; what h is worth is measured by `~smile_sklearn.inspection.backbone_importance`.
    free_channels : float
        The part of ``inactive_clip`` in units whose box is the same for all rows.
    mean_width : float
        Mean of ``max(lo, hi) - lo``, in latent units.
    """

    inactive_clip: float
    free_channels: float
    mean_width: float


def backbone_utilisation(snapshot, backbone, inputs):
    """Measure the `BackboneUtilisation` at rows in unit coordinates."""
    lower, upper = snapshot.bounds(inputs)
    embedding = backbone(inputs[:, list(snapshot.reads)])
    through = (lower < embedding) & (embedding < upper) & ~_is_constant(embedding)
    free = _is_constant(lower) & _is_constant(upper)
    weights = np.abs(snapshot.margins()).mean(axis=0)
    weights = weights / (weights.sum() or 1.0)
    return BackboneUtilisation(
        inactive_clip=float(through.mean(axis=0) @ weights),
        free_channels=float((through & free).mean(axis=0) @ weights),
        mean_width=float(np.maximum(upper - lower, 0.0).mean(axis=0) @ weights),
    )


def _is_constant(columns):
    """Whether each column has one value in all rows (n > 1; of one row nothing can be said)."""
    return (columns == columns[0]).all(axis=0) & (len(columns) > 1)


def report_failure(certificate, relations, on_failure, output_scale):
    """Warn or raise unless every property holds; quiet on what slack keeps from being decided.

    Where R has a side of epsilon 0, a bound with slack can never be 0 (x' = x'' is related): a
    proof without sign arguments then ends in BOUNDED by about its slack at best.

    Raises
    ------
    NotCertifiedError
        If ``on_failure="raise"``.
    """
    parts = certificate.parts or (certificate,)
    failed = [
        part
        for part, relation in zip(parts, relations, strict=True)
        if part.status is not Status.HOLDS and not _within_slack(part, relation, output_scale)
    ]
    if not failed:
        return
    text = (
        "Training ended without a proof. "
        + " ".join(str(part) for part in failed)
        + " Train longer (max_iter), loosen epsilon, or raise time_limit."
    )
    if on_failure == "raise":
        raise NotCertifiedError(text)
    warnings.warn(text, CertificationWarning, stacklevel=4)


def _within_slack(certificate, relation, output_scale):
    zero_side = 0 in (relation.epsilon_lower, relation.epsilon_upper)
    small = certificate.bound <= certificate.slack + QUIET_SHARE * output_scale
    return zero_side and small and certificate.status is Status.BOUNDED
