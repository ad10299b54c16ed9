"""V of given pairs in plain floats: what the model maximises, for checks and for training."""

from typing import NamedTuple

import numpy as np


class Envelope(NamedTuple):
    """V of pairs, and the end of its box at which each latent unit stands in the worst case."""

    value: np.ndarray
    first_at_upper: np.ndarray
    second_at_upper: np.ndarray


def pair_envelope(snapshot, couplings, row, first, second):
    """Evaluate V(x', x'') of one row of the head.

    Parameters
    ----------
    snapshot : NetworkSnapshot
    couplings : tuple of str
        With both, each unit takes the smaller of its two bounds.
    row : ndarray of shape (n_latent,)
    first, second : ndarray of shape (n, d)
        In unit coordinates.

    Returns
    -------
    Envelope
        ``value`` (n,); the flags (n, n_latent): whether z equals hi, not lo, at x' and at x''.
        Under the shared coupling z is one embedding: lo'' (False), or hi (True) if dhi decides.
    """
    (lower, upper), (lower_second, upper_second) = snapshot.bounds(first), snapshot.bounds(second)
    sign = np.where(row >= 0, 1.0, -1.0)
    box = _box_rise(sign, (lower, upper), (lower_second, upper_second))
    if "shared" not in couplings:
        opens, opens_second = upper > lower, upper_second > lower_second
        return Envelope(box @ np.abs(row), opens & (sign > 0), opens_second & (sign < 0))
    low_move, high_move = sign * (lower - lower_second), sign * (upper - upper_second)
    rise = np.maximum(0.0, np.maximum(low_move, high_move))
    at_upper = (high_move > low_move) & (high_move > 0)
    if "box" in couplings:
        rise = np.minimum(rise, box)
    return Envelope(rise @ np.abs(row), at_upper, at_upper)


def _box_rise(sign, first, second):
    # sign (z' - z''): z' at its top and z'' at its bottom for +, the other way round for -.
    top_first, top_second = np.maximum(*first), np.maximum(*second)
    return np.where(sign > 0, top_first - second[0], top_second - first[0])
