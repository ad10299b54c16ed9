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

    Parameters
    ----------
    inactive_clip : float
        Share of rows and units where ``lo < h < hi``: where the clip lets h through.
    mean_width : float
        Mean of ``max(lo, hi) - lo`` over rows and units, in latent units.
    """

    inactive_clip: float
    mean_width: float


def backbone_utilisation(snapshot, backbone, inputs):
    """Measure the `BackboneUtilisation` at rows in unit coordinates."""
    lower, upper = snapshot.bounds(inputs)
    embedding = backbone(inputs[:, list(snapshot.reads)])
    through = (lower < embedding) & (embedding < upper)
    return BackboneUtilisation(float(through.mean()), float(np.maximum(upper - lower, 0.0).mean()))


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
