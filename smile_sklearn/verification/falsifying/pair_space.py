r"""Moves among related pairs, many at once, in unit coordinates: what the searches share.

Q is a product: one hexagon ``x, y in [0, top], x - y in [low, high]`` a numeric feature (of whole points for
integers), one set of allowed pairs of categories a group. So a pair is brought into Q, drawn from it, and
sent to the best point of a linear function feature by feature. All results are related up to the rounding
of unit coordinates; what must be exact is repaired in raw units (:mod:`~smile_sklearn.verification.replay`).
"""

import numpy as np

from smile_sklearn.verification.bands import band_maximiser


class PairSpace:
    """The related pairs of one relation.

    Parameters
    ----------
    relation : Relation

    Attributes
    ----------
    n_blocks : int
        Features that move alone, and groups, whose columns move together.
    """

    def __init__(self, relation):
        self.relation, self.domain = relation, relation.domain
        domain = self.domain
        self._low, self._high = relation.unit_delta()
        self._top = np.where(domain.in_group | (domain.scale > 0), 1.0, 0.0)
        # x'' for which some x' is left.
        self._second_low = np.maximum(0.0, -self._high)
        self._second_high = np.maximum(self._second_low, np.minimum(self._top, self._top - self._low))
        self._whole = np.flatnonzero(domain.is_integer & (domain.scale > 0))
        block = np.where(domain.in_group, -1, np.cumsum(~domain.in_group) - 1)
        self.n_blocks = int((~domain.in_group).sum()) + len(domain.groups)
        for number, group in enumerate(domain.groups):
            block[list(group.columns)] = self.n_blocks - len(domain.groups) + number
        self._block = block
        self._pairs = [np.argwhere(allowed) for allowed in relation.group_pairs]

    def draw(self, generator, n_pairs):
        """Random pairs; half of the rows at corners, a third of the other coordinates at an end as well."""
        corners = generator.random((n_pairs, 1)) < 0.5
        second = self._second_low + _shares(generator, corners, len(self._top)) * (
            self._second_high - self._second_low
        )
        low, high = self._first_ends(second)
        first = low + _shares(generator, corners, len(self._top)) * (high - low)
        for group, pairs in zip(self.domain.groups, self._pairs, strict=True):
            self._set_group(first, second, group, pairs[generator.integers(len(pairs), size=n_pairs)])
        return self.project(first, second)

    def best(self, first_weight, second_weight):
        """Pairs that maximise ``first_weight . x' + second_weight . x''``, one a row of the weights."""
        zero = np.zeros_like(self._top)
        point = band_maximiser(
            first_weight, second_weight, zero, self._top, zero, self._top, self._low, self._high
        )
        first, second = point.first.copy(), point.second.copy()
        for group, allowed in zip(self.domain.groups, self.relation.group_pairs, strict=True):
            columns = list(group.columns)
            scores = [weight[:, columns] @ group.categories.T for weight in (first_weight, second_weight)]
            self._set_group(first, second, group, _best_categories(*scores, allowed))
        return self.project(first, second)

    def between(self, pairs, goals, share):
        """Pairs on the way to others: numeric features a share of it, groups as they are."""
        moved = (
            np.where(self.domain.in_group, now, now + share * (goal - now))
            for now, goal in zip(pairs, goals, strict=True)
        )
        return self.project(*moved)

    def mixed(self, generator, pairs, others, share):
        """Pairs that take about a share of their blocks, at least one, from others."""
        n_pairs = len(pairs[0])
        taken = generator.random((n_pairs, self.n_blocks)) < share
        taken[np.arange(n_pairs), generator.integers(self.n_blocks, size=n_pairs)] = True
        taken = taken[:, self._block]
        return tuple(np.where(taken, other, now) for now, other in zip(pairs, others, strict=True))

    def nudged(self, generator, pairs, length):
        """Pairs with Gaussian steps of that length in half of their numeric features, x' alone or both."""
        first, second = (np.array(rows) for rows in pairs)
        shape = first.shape
        moves = np.where(self.domain.in_group | (generator.random(shape) < 0.5), 0.0, length)
        joint = generator.normal(size=shape) * moves
        apart = generator.normal(size=shape) * np.where(generator.random(shape) < 0.5, 0.0, moves)
        return self.project(first + joint + apart, second + joint)

    def project(self, first, second):
        """Bring numeric features into box and band, integers to whole numbers; groups are left alone.

        x'' goes to where some x' is left, then x' to what x'' leaves.
        """
        first, second = np.array(first, dtype=np.float64), np.array(second, dtype=np.float64)
        grouped = self.domain.in_group
        inside = np.clip(second, self._second_low, self._second_high)
        low, high = self._first_ends(inside)
        first = np.where(grouped, first, np.clip(first, low, high))
        second = np.where(grouped, second, inside)
        first = np.where(self.relation.equal, second, first)
        self._make_whole(first, second)
        return first, second

    def to_raw(self, rows):
        """Rows in raw units, integers whole."""
        raw = self.domain.from_unit(rows)
        return np.where(self.domain.is_integer, np.round(raw), raw)

    def _first_ends(self, second):
        low = np.maximum(0.0, second + self._low)
        return low, np.maximum(low, np.minimum(self._top, second + self._high))

    def _make_whole(self, first, second):
        if not self._whole.size:
            return
        whole = self._whole
        width = self.domain.scale[whole]
        low, high = self.relation.delta_lower[whole], self.relation.delta_upper[whole]
        # Whole ends and whole points: clipping one whole number by another keeps it whole.
        y = np.round(second[:, whole] * width)
        x = y + np.round((first[:, whole] - second[:, whole]) * width)
        y = np.clip(y, np.maximum(0.0, -high), np.minimum(width, width - low))
        x = np.clip(x, np.maximum(0.0, y + low), np.minimum(width, y + high))
        first[:, whole], second[:, whole] = x / width, y / width

    def _set_group(self, first, second, group, choice):
        columns = list(group.columns)
        first[:, columns] = group.categories[choice[:, 0]]
        second[:, columns] = group.categories[choice[:, 1]]


def _best_categories(first, second, allowed):
    """Allowed pair (a, b) of largest ``first[a] + second[b]``, a row of (n, 2) each."""
    best = np.full(len(first), -np.inf)
    choice = np.zeros((len(first), 2), dtype=np.intp)
    # Category by category of x': memory stays that of one score a category.
    for category in np.flatnonzero(allowed.any(axis=1)):
        partners = np.where(allowed[category], second, -np.inf)
        partner = partners.argmax(axis=1)
        score = first[:, category] + np.take_along_axis(partners, partner[:, None], axis=1)[:, 0]
        better = (score > best) | (best == -np.inf)
        best = np.where(better, score, best)
        choice[better] = np.stack([np.full(len(first), category), partner], axis=1)[better]
    return choice


def _shares(generator, corners, n_features):
    """Where a coordinate stands between two ends: at one of them in the rows of corners."""
    shares = generator.random((len(corners), n_features))
    return np.where(corners | (generator.random(shares.shape) < 0.3), np.round(shares), shares)
