r"""From margins (logits) to probabilities and back.

With two classes p = expit(f). If |f' - f''| <= epsilon, the probabilities differ most when the
two logits lie symmetrically around 0, where expit is steepest:

.. math:: |p' - p''| \le expit(\epsilon / 2) - expit(-\epsilon / 2) = \tanh(\epsilon / 4)

With several classes p_j = expit(m_j) for m_j = -logsumexp_{k != j}(-(f_j - f_k)). logsumexp moves by
at most the largest change of its arguments, so if every margin f_j - f_k changes by at most epsilon,
so does m_j, and the same bound holds for every class.
"""

import numpy as np

from ..exceptions import PropertyError


def margin_to_probability(epsilon):
    r"""Greatest change of a probability when all margins change by at most `epsilon`.

    .. math:: dp = \tanh(\epsilon / 4)

    Parameters
    ----------
    epsilon : float or array, >= 0

    Returns
    -------
    float or array in [0, 1]

    Examples
    --------
    >>> from smile_sklearn.properties import margin_to_probability
    >>> round(float(margin_to_probability(0.4)), 4)
    0.0997
    """
    epsilon = np.asarray(epsilon, dtype=np.float64)
    if not (epsilon >= 0).all():
        raise PropertyError(f"Got epsilon={epsilon}, expected margins >= 0.")
    return np.tanh(epsilon / 4)[()]


def probability_to_margin(probability):
    r"""Find the `epsilon` on margins that keeps probabilities within `probability`.

    .. math:: \epsilon = 4 \, atanh(dp)

    Parameters
    ----------
    probability : float or array in [0, 1)

    Returns
    -------
    float or array, >= 0

    Examples
    --------
    >>> from smile_sklearn.properties import probability_to_margin
    >>> round(float(probability_to_margin(0.1)), 4)
    0.4013
    """
    probability = np.asarray(probability, dtype=np.float64)
    if not ((probability >= 0) & (probability < 1)).all():
        raise PropertyError(f"Got probability={probability}, expected differences in [0, 1).")
    return (4 * np.arctanh(probability))[()]
