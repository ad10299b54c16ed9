"""Counterexamples: repair a pair until Q and the domain hold exactly, replay it, believe only that."""

from fractions import Fraction

import numpy as np

from smile_sklearn.certificates import Counterexample

_MAX_STEPS = 16
"""Steps of one rounding error tried for one feature before a pair is given up."""


def repair(relation, first, second):
    """Move a pair that is related up to rounding onto one that is related exactly.

    Parameters
    ----------
    relation : Relation
    first, second : ndarray of shape (d,)
        Raw units, about right: as ``domain.from_unit`` returns them.

    Returns
    -------
    tuple of two ndarray of shape (d,), or None
        Checked by ``relation.contains_exactly``; None if no neighbouring floats are related
        (a relation that asks for a difference no two floats have).
    """
    domain = relation.domain
    second = np.clip(np.array(second, dtype=np.float64), domain.lower, domain.upper)
    first = np.clip(np.array(first, dtype=np.float64), domain.lower, domain.upper)
    whole = domain.is_integer
    first[whole], second[whole] = np.round(first[whole]), np.round(second[whole])
    for group, allowed in zip(domain.groups, relation.group_pairs, strict=True):
        _repair_group(group, allowed, first, second)
    for feature in np.flatnonzero(~domain.in_group):
        _repair_feature(relation, int(feature), first, second)
    return (first, second) if relation.contains_exactly(first, second) else None


def repair_unit(relation, first, second):
    """Repair a pair given in unit coordinates; the result is in raw units."""
    raw = relation.domain.from_unit(np.stack([first, second]))
    return repair(relation, raw[0], raw[1])


def replay(relation, first, second, predict):
    """Evaluate the deployed model on an exactly related pair, and say whether it breaks R.

    Parameters
    ----------
    relation : Relation
    first, second : ndarray of shape (d,)
        Raw units; a pair that is not related exactly is no counterexample, whatever it does.
    predict : callable
        ``predict(X) -> (n, n_outputs)``; called once, with both rows.

    Returns
    -------
    Counterexample or None
    """
    if not relation.contains_exactly(first, second):
        return None
    outputs = np.asarray(predict(np.stack([first, second])), dtype=np.float64).reshape(2, -1)
    if not np.isfinite(outputs).all():
        return None
    violation = max(_violation(relation, change) for change in _changes(outputs))
    if not violation > 0.0:
        return None
    return Counterexample(first.copy(), second.copy(), outputs[0].copy(), outputs[1].copy(), violation)


def counterexample_from_unit(relation, first, second, predict):
    """Repair and replay a pair in unit coordinates; None without ``predict`` or a violation."""
    if predict is None:
        return None
    pair = repair_unit(relation, first, second)
    return None if pair is None else replay(relation, *pair, predict)


def sample_pairs(relation, n_pairs=256, seed=0):
    """Related pairs spread over the domain, about half of their coordinates at an end of what is allowed.

    Parameters
    ----------
    relation : Relation
    n_pairs : int
        Drawn; those that floats do not relate are left out.
    seed : int

    Returns
    -------
    tuple of two ndarray of shape (m, d)
        Raw units, m <= n_pairs.
    """
    domain, generator = relation.domain, np.random.default_rng(seed)
    corners = generator.random((n_pairs, 1)) < 0.5
    second = domain.lower + _shares(generator, corners, domain) * (domain.upper - domain.lower)
    # x' within what Q and the box leave around x'', so that clipping seldom breaks the pair.
    low = np.maximum(second + relation.delta_lower, domain.lower)
    high = np.minimum(second + relation.delta_upper, domain.upper)
    first = low + _shares(generator, corners, domain) * (high - low)
    whole = domain.is_integer
    second[:, whole], first[:, whole] = np.round(second[:, whole]), np.round(first[:, whole])
    for group, allowed in zip(domain.groups, relation.group_pairs, strict=True):
        columns, choices = list(group.columns), np.argwhere(allowed)
        drawn = choices[generator.integers(len(choices), size=n_pairs)]
        first[:, columns], second[:, columns] = group.categories[drawn[:, 0]], group.categories[drawn[:, 1]]
    first[:, relation.equal] = second[:, relation.equal]
    first, second = domain.clip(first), domain.clip(second)
    related = relation.contains(first, second)
    return first[related], second[related]


def _shares(generator, corners, domain):
    """Where a coordinate stands between two ends: at one of them in the rows of corners."""
    shares = generator.random((len(corners), domain.n_features))
    return np.where(corners | (generator.random(shares.shape) < 0.3), np.round(shares), shares)


def _changes(outputs):
    """f(x') - f(x'') of every margin: exactly, and as floats compute it."""
    n_outputs = outputs.shape[1]
    exact = [[Fraction(value) for value in row] for row in outputs.tolist()]
    if n_outputs == 1:
        return [(exact[0][0] - exact[1][0], None)]
    pairs = [(j, k) for j in range(n_outputs) for k in range(j + 1, n_outputs)]
    return [
        (
            (exact[0][j] - exact[0][k]) - (exact[1][j] - exact[1][k]),
            (outputs[0, j] - outputs[0, k]) - (outputs[1, j] - outputs[1, k]),
        )
        for j, k in pairs
    ]


def _violation(relation, change):
    """By how much a change leaves [el, eu]; of two readings of it the one that leaves less.

    The margins of a classifier may be taken exactly or rounded; proofs of either kind stand
    only if a counterexample breaks both.
    """
    return min(_leaves(relation, Fraction(value)) for value in change if value is not None)


def _leaves(relation, change):
    ends = []
    if np.isfinite(relation.epsilon_upper):
        ends.append(change - Fraction(relation.epsilon_upper))
    if np.isfinite(relation.epsilon_lower):
        ends.append(Fraction(relation.epsilon_lower) - change)
    return float(max(ends))


def _repair_group(group, allowed, first, second):
    """Set the allowed pair of categories nearest to what the two rows say."""
    columns = list(group.columns)
    distances = (np.abs(group.categories - row[columns]).sum(axis=1) for row in (first, second))
    away = np.add.outer(*distances)
    a, b = np.unravel_index(np.argmin(np.where(allowed, away, np.inf)), allowed.shape)
    first[columns], second[columns] = group.categories[a], group.categories[b]


def _repair_feature(relation, feature, first, second):
    """Bring one difference into [dl, du] exactly: first by arithmetic, then float by float."""
    low, high = float(relation.delta_lower[feature]), float(relation.delta_upper[feature])
    bottom, top = float(relation.domain.lower[feature]), float(relation.domain.upper[feature])
    if low == high == 0.0:
        first[feature] = second[feature]
        return
    x, y = float(first[feature]), float(second[feature])
    # x follows y; where the box stops it, y comes the rest of the way. Right up to rounding.
    x = _into(_into(x, y + low, y + high), bottom, top)
    y = _into(_into(y, x - high, x - low), bottom, top)
    # The grid on which the difference is rounded: steps of a small x alone might never show in it.
    step = 1.0 if relation.domain.is_integer[feature] else float(np.spacing(max(abs(x), abs(y))))
    for _ in range(_MAX_STEPS):
        excess = _excess(x, y, low, high)
        if excess == 0:
            break
        # Too large a difference: x down, or y up where x is at its bound; and the mirror image.
        if excess > 0:
            x, y = (x - step, y) if x > bottom else (x, y + step)
        else:
            x, y = (x + step, y) if x < top else (x, y - step)
        x, y = _into(x, bottom, top), _into(y, bottom, top)
    first[feature], second[feature] = x, y


def _excess(x, y, low, high):
    """Sign of what x - y is off [low, high], exactly."""
    difference = Fraction(x) - Fraction(y)
    return (difference > Fraction(high)) - (difference < Fraction(low))


def _into(value, low, high):
    return min(max(value, low), high)
