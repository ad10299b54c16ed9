"""Euclidean projection of weight rows onto the l1 ball, differentiable, without a sort."""

import torch

INWARD = 1.0 - 1e-12
"""Rows end slightly inside the ball, so that rounding cannot carry them out of it."""

WARM = 0.9
"""Share of the last threshold to start from: weights move little in a step, and from below the root
Newton's steps only rise."""

LEAK = 0.1
"""Share of the gradient that an entry shrunk to 0 still receives, as of a leaky relu.

The projection's own gradient there is 0: an entry that once fell below the threshold would never hear
that it is needed, and rows end as what the first steps made of them. In a prototype of MNIST zero against
the rest (delta .1, 12 epochs, last 10 000 training images, two seeds) 98.38 and 98.10 % were verified
without it, 98.84 and 98.74 % with it, 98.5 to 98.7 % with .01, .03 and .2 (one seed), and 97.6 % with the
identity in place of the projection's gradient."""

MAX_STEPS = 200
"""Newton's method ends by itself (each step below the root leaves out at least one entry, in practice
half of them); past this many a sort answers."""


class L1BallProjection:
    """`project_rows_on_l1_ball`, each call starting from the thresholds of the last one.

    The result does not depend on where it starts but for rounding; the steps it takes do.
    """

    def __init__(self):
        self._thresholds = None

    def __call__(self, weight):
        """Project the rows of ``weight`` (k, d)."""
        start, self._thresholds = self._thresholds, None
        fits = start is not None and (start.dtype, start.device, len(start)) == (
            weight.dtype,
            weight.device,
            len(weight),
        )
        projected, thresholds = _Projection.apply(weight, WARM * start if fits else None)
        self._thresholds = thresholds
        return projected


def project_rows_on_l1_ball(weight):
    """Project every row onto the l1 ball of radius 1 (Duchi et al., ICML 2008).

    Soft thresholding at the tau with ``sum_j max(|w_j| - tau, 0) = 1``; rows inside the ball
    are returned unchanged (but for a factor of `INWARD`).

    Parameters
    ----------
    weight : Tensor of shape (k, d)

    Returns
    -------
    Tensor of shape (k, d)
        Rows with an l1 norm of at most 1.
    """
    return _Projection.apply(weight, None)[0]


class _Projection(torch.autograd.Function):
    """Soft thresholding; the gradient is that of the projection on the face where it ends, and `LEAK`.

    What is trained along is a choice; the certificate rests on the projected rows alone.
    """

    @staticmethod
    def forward(ctx, weight, start):
        """Return the projected rows, and the thresholds that they were shrunk by."""
        magnitude = weight.abs()
        tau = thresholds(magnitude, start)
        shrunk = torch.sub(magnitude, tau[:, None], out=magnitude).relu_()
        # Rounding may leave a row outside by a few units in the last place.
        shrunk.mul_((INWARD / shrunk.sum(dim=1).clamp(min=1.0))[:, None])
        shrunk.copysign_(weight)
        ctx.save_for_backward(shrunk, tau)
        ctx.mark_non_differentiable(tau)
        return shrunk, tau

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient, _):
        """Return the gradient in ``weight``; the start has none."""
        shrunk, tau = ctx.saved_tensors
        sign = shrunk.sign()
        outside = tau > 0
        # On the support of a row outside the ball, the part along the normal of the face is lost.
        along = (gradient * sign).sum(dim=1)
        support = sign.abs()
        mean = torch.where(outside, along / support.sum(dim=1).clamp(min=1.0), torch.zeros_like(along))
        support.clamp_(min=LEAK)
        support[~outside] = 1.0
        return support.mul_(gradient).sub_(sign.mul_(mean[:, None])), None


def thresholds(magnitude, start=None):
    """Tau of every row of magnitudes (k, d), 0 for rows inside the ball.

    Newton's method on the convex, decreasing ``sum_j max(a_j - tau, 0) - 1``: from above the root the
    first step lands below it, from below the steps rise and the support shrinks until it is the
    right one. A handful of passes, where a sort takes many.

    Parameters
    ----------
    magnitude : Tensor of shape (k, d)
    start : Tensor of shape (k,), default=None
        Where to start (0).
    """
    tau = magnitude.new_zeros(len(magnitude)) if start is None else start
    excess = torch.empty_like(magnitude)
    previous = None
    for _ in range(MAX_STEPS):
        torch.sub(magnitude, tau[:, None], out=excess).relu_()
        surplus = excess.sum(dim=1) - 1.0
        count = excess.sign_().sum(dim=1)
        if previous is not None and torch.equal(count, previous):
            # The supports are nested, so that equal counts are equal supports. Tau is computed once more
            # from the support alone: its bits are then the same wherever Newton's method started.
            sums = excess.mul_(magnitude).sum(dim=1)
            return ((sums - 1.0) / count.clamp(min=1.0)).clamp(min=0.0)
        # Nothing above a start that was too far up: begin at 0.
        tau = torch.where(count > 0, tau + surplus / count.clamp(min=1.0), torch.zeros_like(tau)).clamp(
            min=0.0
        )
        previous = count
    return _thresholds_by_sorting(magnitude)


def _thresholds_by_sorting(magnitude):
    ordered = magnitude.sort(dim=1, descending=True).values
    excess = ordered.cumsum(dim=1) - 1.0
    counts = torch.arange(1, magnitude.shape[1] + 1, dtype=magnitude.dtype, device=magnitude.device)
    support = (ordered * counts > excess).sum(dim=1, keepdim=True).clamp(min=1)
    return (excess.gather(1, support - 1) / support)[:, 0].clamp(min=0.0)
