"""Synthetic tasks."""

import numpy as np
from sklearn.utils import check_random_state


def make_sine(alpha=2.0, omega=0.6, n_samples=1000, *, interval=(-10.0, 10.0), noise=0.0, random_state=None):
    r"""Generate the monotone task of the SMiLE paper.

    .. math:: y = x + \alpha \sin(\omega x) + \text{noise}

    which decreases somewhere iff :math:`\alpha \omega > 1`: a model that must be nondecreasing has to give up
    accuracy there. The paper takes alpha in {2, 3, 4} and omega in {0.4, 0.6, 0.8}.

    Parameters
    ----------
    alpha : float, default=2.0
        Amplitude of the sine, in units of y.
    omega : float, default=0.6
        Angular frequency, in radians per unit of x.
    n_samples : int, default=1000
        Number of rows.
    interval : tuple of (float, float), default=(-10.0, 10.0)
        x is drawn uniformly from it. The paper does not state its interval; on this one the best monotone fit
        gets worse as alpha or omega grows, as the paper says of its tasks.
    noise : float, default=0.0
        Standard deviation of the Gaussian noise added to y.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same sample at every call.

    Returns
    -------
    X : ndarray of shape (n_samples, 1)
        Inputs, not standardised: the estimators scale them.
    y : ndarray of shape (n_samples,)
        Targets.

    Raises
    ------
    ValueError
        If ``interval`` is not an increasing pair of finite numbers, or ``noise`` is negative.

    Examples
    --------
    >>> from smile_sklearn.datasets import make_sine
    >>> X, y = make_sine(alpha=2, omega=0.6, n_samples=5, random_state=0)
    >>> X.shape, y.shape
    ((5, 1), (5,))
    """
    lower, upper = interval
    if not (np.isfinite([lower, upper]).all() and lower < upper):
        raise ValueError(
            f"Got interval={interval!r}, but expected (lower, upper), finite, with lower < upper."
        )
    if noise < 0:
        raise ValueError(f"Got noise={noise!r}, but expected a standard deviation >= 0.")
    generator = check_random_state(random_state)
    x = generator.uniform(lower, upper, size=n_samples)
    y = x + alpha * np.sin(omega * x) + noise * generator.standard_normal(n_samples)
    return x.reshape(-1, 1), y
