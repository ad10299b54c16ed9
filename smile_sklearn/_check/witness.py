"""Pairs that refute a claimed bound, in floats: only to give up early, and to say why.

No proof rests on this. A claim that it refutes could not be proved by splitting either: V of a pair of
the region is above it by more than the float64 forward pass may err.
"""

import numpy as np


class Witness:
    """Looks for pairs where V of one row of the head is large.

    Parameters
    ----------
    network : ExactNetwork
    couplings : tuple of str
    row : Exact of shape (n_latent,)
    """

    def __init__(self, network, couplings, row):
        self._snapshot, self._couplings, self._row = network.snapshot, couplings, row.floats

    def values(self, boxes, first, second):
        """V where the linear functions ``first @ p' + second @ p''`` are largest, (n,)."""
        return self._envelope(*self._maximiser(boxes, first, second))

    def _maximiser(self, boxes, first, second):
        domain = self._snapshot.domain
        points = np.zeros((2, *first.shape))
        numeric = ~domain.in_group
        points[:, :, numeric] = _band_maximiser(
            first[:, numeric],
            second[:, numeric],
            *(end.floats for part in (boxes.first, boxes.second, boxes.difference) for end in part),
        )
        for group, masks in zip(domain.groups, boxes.pairs, strict=True):
            columns = list(group.columns)
            scores = [weight[:, columns] @ group.categories.T for weight in (first, second)]
            joint = np.where(masks, scores[0][:, :, None] + scores[1][:, None, :], -np.inf)
            best = np.unravel_index(joint.reshape(len(joint), -1).argmax(axis=1), masks.shape[1:])
            for copy in (0, 1):
                points[copy][:, columns] = group.categories[best[copy]]
        return points

    def _envelope(self, first, second):
        lower, upper = self._snapshot.bounds(first)
        lower_second, upper_second = self._snapshot.bounds(second)
        sign = np.where(self._row >= 0, 1.0, -1.0)
        move = sign * (lower - lower_second)
        gap = np.where(sign > 0, upper - lower, upper_second - lower_second)
        rises = {
            "box": move + np.maximum(gap, 0.0),
            "shared": np.maximum(0.0, np.maximum(move, sign * (upper - upper_second))),
        }
        return np.minimum.reduce([rises[name] for name in self._couplings]) @ np.abs(self._row)


def _band_maximiser(a, b, x_low, x_high, y_low, y_high, low, high):
    """(2, n, d): the x and y of :func:`~smile_sklearn._check.bands.band_maximum`, in floats."""
    start, stop = np.maximum(x_low, y_low + low), np.minimum(x_high, y_high + high)
    kink = np.clip(np.where(b >= 0, y_high + low, y_low + high), start, np.maximum(start, stop))
    x = np.stack([start, stop, kink])
    y = np.where(b >= 0, np.minimum(y_high, x - low), np.maximum(y_low, x - high))
    best = (a * x + b * y).argmax(axis=0)[None]
    return np.stack([np.take_along_axis(part, best, axis=0)[0] for part in (x, y)])
