"""Euclidean projection of weight rows, differentiable on their support."""

import torch

INWARD = 1.0 - 1e-12
"""Rows end slightly inside the ball, so that rounding cannot carry them out of it."""


def project_rows_on_l1_ball(weight):
    """Project every row onto the l1 ball of radius 1 (Duchi et al., ICML 2008).

    Soft thresholding at the tau with ``sum_j max(|w_j| - tau, 0) = 1``; rows inside the ball
    are returned unchanged.

    Parameters
    ----------
    weight : Tensor of shape (k, d)

    Returns
    -------
    Tensor of shape (k, d)
        Rows with an l1 norm of at most 1.
    """
    magnitude = weight.abs()
    with torch.no_grad():
        ordered = magnitude.sort(dim=1, descending=True).values
        excess = ordered.cumsum(dim=1) - 1.0
        counts = torch.arange(1, weight.shape[1] + 1, dtype=weight.dtype, device=weight.device)
        support = (ordered * counts > excess).sum(dim=1, keepdim=True).clamp(min=1)
        active = magnitude > excess.gather(1, support - 1) / support
    # tau recomputed on that support, so that its gradient is that of the projection.
    tau = ((magnitude * active).sum(dim=1, keepdim=True) - 1.0) / active.sum(dim=1, keepdim=True).clamp(min=1)
    shrunk = weight.sign() * torch.relu(magnitude - tau.clamp(min=0.0))
    norm = shrunk.abs().sum(dim=1, keepdim=True)
    return shrunk * (INWARD / norm.clamp(min=1.0))
