"""What feeds a batch of regions into the network: linear functions of one copy, and of the pair."""

import numpy as np

from smile_sklearn._check.bands import band_maximum
from smile_sklearn._check.exact import Exact, maximum, minimum, stack, zeros
from smile_sklearn._check.network import Interval, category_scores
from smile_sklearn._check.region import ends_array


class Boxes:
    """A batch of n regions.

    Parameters
    ----------
    domain : InputDomain
    regions : sequence of Region

    Notes
    -----
    The two copies are stacked: rows 0 to n - 1 speak of x', rows n to 2 n - 1 of x''. Widths of features
    are those of the boxes and bands; of a group, only the pairs of categories that are left count.
    """

    def __init__(self, domain, regions):
        self.size = len(regions)
        self._groups = domain.groups
        self._numeric = np.flatnonzero(~domain.in_group)
        ends = ends_array(regions, self._numeric.tolist())
        self.first, self.second, self.difference = (
            Interval(ends[:, :, place], ends[:, :, place + 1]) for place in (0, 2, 4)
        )
        self.copies = Interval(
            *(stack([one, other]) for one, other in zip(self.first, self.second, strict=True))
        )
        self.pairs = [np.array([region.pairs[g] for region in regions]) for g in range(len(domain.groups))]
        # A category of one copy counts if it occurs in some pair.
        self._categories = [np.concatenate([mask.any(axis=2), mask.any(axis=1)]) for mask in self.pairs]

    def copy_range(self, weight):
        """Interval of ``weight @ p`` for both copies, each end (2 n, n_rows)."""
        low, high = spread(weight[:, self._numeric], self.copies)
        for group, masks in zip(self._groups, self._categories, strict=True):
            exact = category_scores(weight, group)
            scores, ends = exact.mantissa, np.empty((2, len(masks), len(exact)), dtype=object)
            for rows, mask in _by_mask(masks):
                ends[0, rows], ends[1, rows] = scores[:, mask].min(axis=1), scores[:, mask].max(axis=1)
            low, high = low + Exact(ends[0], exact.exponent), high + Exact(ends[1], exact.exponent)
        return Interval(low, high)

    def difference_range(self, weight):
        """Interval of ``weight @ (p' - p'')``, each end (n, n_rows)."""
        low, high = spread(weight[:, self._numeric], self.difference)
        for group, masks in zip(self._groups, self.pairs, strict=True):
            exact = category_scores(weight, group)
            scores, ends = exact.mantissa, np.empty((2, len(masks), len(exact)), dtype=object)
            for rows, mask in _by_mask(masks):
                a, b = np.nonzero(mask)
                steps = scores[:, a] - scores[:, b]
                ends[0, rows], ends[1, rows] = steps.min(axis=1), steps.max(axis=1)
            low, high = low + Exact(ends[0], exact.exponent), high + Exact(ends[1], exact.exponent)
        return Interval(low, high)

    def largest(self, weight):
        """Largest ``weight @ p`` of each copy; weight (2 n, n_rows, d), result (2 n, n_rows)."""
        numeric, none = weight[:, :, self._numeric], zeros()
        low, high = (end[:, None, :] for end in self.copies)
        total = (maximum(numeric, none) * high + minimum(numeric, none) * low).sum(axis=2)
        for group, masks in zip(self._groups, self._categories, strict=True):
            exact = category_scores(weight, group)
            scores, best = exact.mantissa, np.empty(exact.shape[:2], dtype=object)
            for rows, mask in _by_mask(masks):
                best[rows] = scores[rows][:, :, mask].max(axis=2)
            total = total + Exact(best, exact.exponent)
        return total

    def largest_of_pair(self, first_weight, second_weight):
        """Largest ``first_weight @ p' + second_weight @ p''``; weights (n, n_rows, d), result (n, n_rows)."""
        numeric = (weight[:, :, self._numeric] for weight in (first_weight, second_weight))
        intervals = (
            Interval(*(end[:, None] for end in interval))
            for interval in (self.first, self.second, self.difference)
        )
        total = band_maximum(*numeric, *intervals).sum(axis=2)
        for group, masks in zip(self._groups, self.pairs, strict=True):
            scores = stack([category_scores(first_weight, group), category_scores(second_weight, group)])
            firsts, seconds = scores.mantissa[: self.size], scores.mantissa[self.size :]
            best = np.empty(firsts.shape[:2], dtype=object)
            for rows, mask in _by_mask(masks):
                a, b = np.nonzero(mask)
                best[rows] = (firsts[rows][:, :, a] + seconds[rows][:, :, b]).max(axis=2)
            total = total + Exact(best, scores.exponent)
        return total


def spread(weight, interval):
    """``weight @ x`` for every row x of an interval: |weight| times its radius around its centre's image."""
    centre = (interval.low + interval.high) @ weight.T
    radius = (interval.high - interval.low) @ abs(weight).T
    return Interval((centre - radius).half(), (centre + radius).half())


def _by_mask(masks):
    """(rows, mask) for every distinct mask of a batch: there are few."""
    rows = {}
    for row, mask in enumerate(masks):
        rows.setdefault(mask.tobytes(), []).append(row)
    return [(np.array(found), masks[found[0]]) for found in rows.values()]
