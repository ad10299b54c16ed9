r"""Where branch and bound cuts a region: rules that score every variable, highest first.

Variables of a region are p''_j, the differences d_j = p'_j - p''_j and the groups (by their pairs of
categories). With :math:`p' = p'' + d`, a linear function :math:`a \cdot p' + b \cdot p''` has the
coefficient :math:`a_j + b_j` on p''_j and :math:`a_j` on d_j.
"""

from abc import ABC, abstractmethod

import numpy as np

from smile_sklearn.snapshot.graph import Affine, Clamp, GroupSort
from smile_sklearn.verification.branching.regions import Cut


class SplittingRule(ABC):
    """Scores the variables of regions; ties go to the first variable, so that equal calls cut alike."""

    name: str

    @abstractmethod
    def scores(self, regions, bounds, envelope, widths):
        """Score of every variable of every region, (n, 2 d + n_groups), >= 0.

        Parameters
        ----------
        regions : Regions
        bounds : RegionBounds
        envelope : EnvelopeBounds
        widths : ndarray of shape (n, 2 d + n_groups)
            0 where a variable cannot be cut.
        """

    def cuts(self, regions, bounds, envelope, relation):
        """Choose one cut for every region, a :class:`~smile_sklearn.verification.branching.regions.Cut`."""
        widths = regions.widths(relation)
        scores = np.where(widths > 0, self.scores(regions, bounds, envelope, widths), -1.0)
        # A score that overflowed must not hide the others.
        variable = np.where(np.isnan(scores), 0.0, scores).argmax(axis=1)
        variable = np.where((widths > 0).any(axis=1), variable, -1)
        kept = tuple(np.zeros_like(pairs) for pairs in regions.pairs)
        for number, group in enumerate(relation.domain.groups):
            chosen = np.flatnonzero(variable == 2 * relation.domain.n_features + number)
            if len(chosen):
                value = _pair_values(bounds.above[:, chosen], group)
                kept[number][chosen] = _better_half(value, regions.pairs[number][chosen])
        return Cut(variable, regions.middle(variable, relation.domain), kept)


NEGLECT = 0.2
"""Share of the mean coefficient that every variable is given besides its own, by ReCIPH."""


class ReCIPH(SplittingRule):
    r"""Mean absolute coefficient of the two linear bounds of V, above and below, times the width.

    .. math::

        score_j = \left( \tfrac12 (|\alpha^{below}_j| + |\alpha^{above}_j|) + \rho \bar\alpha \right) width_j

    The rule of PyRAT (relational coefficient for input partitioning heuristic), but for the last term. In
    a pair the coefficient of p''_j is :math:`a_j + b_j`, and it vanishes where the bound speaks of the
    difference alone, however much the ranges of the units, and with them the looseness of the bound, depend
    on p''_j: such a variable would never be cut, and the search never end. A share of the mean
    coefficient keeps every variable in the race, and makes the search complete in the limit.

    For a group, coefficient times width is the spread of the linear bound over the pairs that are left.
    """

    name = "reciph"

    def scores(self, regions, bounds, envelope, widths):
        """Score of every variable, see the base class."""
        n_numeric = 2 * bounds.above.shape[2]
        coefficients = _mean_coefficients((bounds.above, bounds.below), regions, envelope)
        # Where all are zero the widths alone decide.
        mean = np.maximum(coefficients[:, :n_numeric].mean(axis=1, keepdims=True), np.finfo(float).tiny)
        return (coefficients + NEGLECT * mean) * widths


class Width(SplittingRule):
    """The widest variable, in unit coordinates."""

    name = "width"

    def scores(self, regions, bounds, envelope, widths):
        """Score of every variable, see the base class."""
        return widths


class Smear(SplittingRule):
    """Largest absolute derivative of V on the region, by interval arithmetic, times the width."""

    name = "smear"

    def scores(self, regions, bounds, envelope, widths):
        """Score of every variable, see the base class."""
        (first_low, first_high), (second_low, second_high) = gradient_ranges(envelope, regions)
        second = np.maximum(np.abs(first_low + second_low), np.abs(first_high + second_high))
        difference = np.maximum(np.abs(first_low), np.abs(first_high))
        numeric = np.concatenate([second, difference], axis=1)
        largest = difference + np.maximum(np.abs(second_low), np.abs(second_high))
        groups = [
            largest[:, list(group.columns)].max(axis=1, keepdims=True)
            for group in envelope.snapshot.domain.groups
        ]
        return np.concatenate([numeric, *groups], axis=1) * widths


RULES = {rule.name: rule for rule in (ReCIPH, Width, Smear)}
"""Rules by name."""


def make_rule(splitting):
    """Return the rule asked for by name, or the instance itself."""
    if splitting in RULES:
        return RULES[splitting]()
    if isinstance(splitting, SplittingRule):
        return splitting
    raise ValueError(f"Got splitting={splitting!r}, expected one of {sorted(RULES)} or a SplittingRule.")


def _mean_coefficients(functions, regions, envelope):
    """Mean absolute coefficient of each variable; of a group, the spread over its pairs (its width is 1)."""
    total = 0.0
    for first, second in functions:
        parts = [np.abs(first + second), np.abs(first)]
        for group, allowed in zip(envelope.snapshot.domain.groups, regions.pairs, strict=True):
            value = _pair_values(np.stack([first, second]), group)
            most = np.where(allowed, value, -np.inf).max(axis=(1, 2))
            parts.append((most - np.where(allowed, value, np.inf).min(axis=(1, 2)))[:, None])
        total = total + np.concatenate(parts, axis=1)
    return total / len(functions)


def _pair_values(coefficients, group):
    """What each ordered pair of categories adds to a linear function: (2, n, d) -> (n, k, k)."""
    first, second = coefficients[..., list(group.columns)] @ group.categories.T
    return first[:, :, None] + second[:, None, :]


def _better_half(value, allowed):
    """The half of the allowed pairs with the larger values, (n, k, k) bool; ties by position."""
    n = len(value)
    flat = np.where(allowed, value, -np.inf).reshape(n, -1)
    order = np.argsort(-flat, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(flat.shape[1])[None], axis=1)
    half = (allowed.sum(axis=(1, 2)) + 1) // 2
    return (rank < half[:, None]).reshape(allowed.shape) & allowed


# --- derivatives of V -----------------------------------------------------------------------------------


def gradient_ranges(envelope, regions):
    """Intervals of the derivatives of V by p' and by p'' on regions.

    The chain rule in interval arithmetic, in plain floats: it guides the search and proves nothing.

    Returns
    -------
    first, second : tuple of two ndarray of shape (n, d)
        Least and largest derivative.
    """
    snapshot, graph = envelope.snapshot, envelope.graph
    ranges = graph.single_ranges(regions).paired()
    pending = _end_gradients(envelope, ranges)
    while pending and max(pending) > 0:
        index = max(pending)
        (low, high), node = pending.pop(index), graph.graph.nodes[index]
        if isinstance(node, Affine):
            centre, radius = (low + high) / 2 @ node.weight, (high - low) / 2 @ np.abs(node.weight)
            low, high = centre - radius, centre + radius
        elif isinstance(node, Clamp):
            source = ranges[node.source]
            # The slope is 1 inside, 0 outside, and anything between them where both occur.
            flat = (source.high <= node.lower) | (source.low >= node.upper)
            linear = (source.low >= node.lower) & (source.high <= node.upper)
            low = np.where(flat, 0.0, np.where(linear, low, np.minimum(low, 0.0)))
            high = np.where(flat, 0.0, np.where(linear, high, np.maximum(high, 0.0)))
        elif isinstance(node, GroupSort):
            # Each input of a block is at one of its places: one of the derivatives of the block.
            blocks = (end.reshape(*end.shape[:2], -1, node.group) for end in (low, high))
            low, high = (
                np.repeat(pick(block, axis=3), node.group, axis=2)
                for pick, block in zip((np.min, np.max), blocks, strict=True)
            )
        for source in node.sources:
            before = pending.get(source, (0.0, 0.0))
            pending[source] = (before[0] + low, before[1] + high)
    low, high = pending.get(0, (np.zeros((2, len(regions), snapshot.n_features)),) * 2)
    return (low[0], high[0]), (low[1], high[1])


def _end_gradients(envelope, ranges):
    """Derivatives of V by lo, and by width or hi, of both copies: {node: (low, high)}, (2, n, n_latent)."""
    snapshot, row = envelope.snapshot, envelope.row
    shape = ranges[snapshot.lower].low.shape
    sign = np.array([1.0, -1.0])[:, None, None]
    base = np.broadcast_to(row * sign, shape)
    if "shared" in envelope.couplings:
        # max(0, dlo, dhi): the weight is nobody's, or that of lo and of what is added to it.
        share = (np.minimum(base, 0.0), np.maximum(base, 0.0))
        return {snapshot.lower: share, snapshot.upper if snapshot.width is None else snapshot.width: share}
    opens = np.broadcast_to(np.stack([np.maximum(row, 0.0), np.maximum(-row, 0.0)])[:, None], shape)
    if snapshot.width is not None:
        return {snapshot.lower: (base, base), snapshot.width: (np.zeros(shape), opens)}
    # z stands at lo or at hi: its weight moves from lo to hi as the box opens.
    lower = (base - opens, base)
    if snapshot.upper == snapshot.lower:
        return {snapshot.lower: (base, base)}
    return {snapshot.lower: lower, snapshot.upper: (np.zeros(shape), opens)}
