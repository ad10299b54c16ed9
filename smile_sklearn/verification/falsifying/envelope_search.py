"""Related pairs with a large V: random starts, then gradient steps to the best vertices of Q."""

from dataclasses import dataclass

import numpy as np

from smile_sklearn.verification.falsifying.gradients import EnvelopeFunction
from smile_sklearn.verification.falsifying.pair_space import PairSpace
from smile_sklearn.verification.formulations.value import pair_envelope
from smile_sklearn.verification.replay import repair_unit
from smile_sklearn.verification.sides import epsilon_of, sides

LEAKS = ((0.0, 0.0), (0.3, 0.0), (0.0, 0.3))
"""Slopes given to flat parts at x' and x'', step by step in turn, so that units that are off at both are
walked towards."""

PATIENCE = 6
"""Steps without any gain after which the search ends."""


@dataclass(frozen=True, eq=False)
class EnvelopePairs:
    """Exactly related pairs and what V allows there, worst first.

    Parameters
    ----------
    first, second : ndarray of shape (n, d)
        x' and x'' in raw units; ``relation.contains_exactly`` is true of each.
    value : ndarray of shape (n,)
        V of the pair for its margin and sign, as floats compute it, output units.
    violation : ndarray of shape (n,)
        ``value`` minus the epsilon of its side; positive for a counterexample of the envelope.
    margin, sign : ndarray of shape (n,), int
        The margin, and 1 for f(x') - f(x'') or -1 for its negative.
    """

    first: np.ndarray
    second: np.ndarray
    value: np.ndarray
    violation: np.ndarray
    margin: np.ndarray
    sign: np.ndarray

    def __len__(self):
        return len(self.value)


@dataclass(frozen=True, eq=False)
class Climbers:
    """Where the search ended, before any repair: unit coordinates, best first.

    Parameters
    ----------
    first, second : ndarray of shape (n, d)
    violation : ndarray of shape (n,)
    margin, sign : ndarray of shape (n,), int
        The problem that each pair climbed.
    """

    first: np.ndarray
    second: np.ndarray
    violation: np.ndarray
    margin: np.ndarray
    sign: np.ndarray


def worst_pairs(snapshot, relation, couplings, *, n_best=8, **search):
    """Return the related pairs with the largest violation of V that a search finds.

    Parameters
    ----------
    snapshot : NetworkSnapshot
    relation : Relation
    couplings : tuple of str
    n_best : int
        Pairs returned, at most; no two are equal.
    **search
        ``n_pairs``, ``n_steps``, ``random_state``, ``starts``, ``is_over`` of :func:`climb`.

    Returns
    -------
    EnvelopePairs
    """
    return repaired(snapshot, relation, couplings, climb(snapshot, relation, couplings, **search), n_best)


def climb(
    snapshot,
    relation,
    couplings,
    *,
    n_pairs=512,
    n_steps=24,
    random_state=0,
    starts=None,
    is_over=lambda: False,
):
    """Search related pairs with a large V, all sides and margins at once.

    A quarter of the pairs drawn climb, the best of every side and margin first. In a step each climber
    takes the best of four moves: to the maximiser over Q of V made linear at the pair (projected
    gradient with an endless step: an exact maximum where V is linear, and always a vertex of Q), there in
    some of the features, part of the way there in half of them, and to random values in one or two.

    Parameters
    ----------
    snapshot, relation, couplings
    n_pairs : int
        Pairs drawn at first.
    n_steps : int
    random_state : int
        Seed of all draws; equal calls give equal answers.
    starts : tuple of two ndarray of shape (m, d), or None
        Pairs to begin with besides the drawn ones, unit coordinates; they are moved into Q.
    is_over : callable
        Asked before each step; True ends the search.

    Returns
    -------
    Climbers
        Those of a finite V.
    """
    generator, space = np.random.default_rng(random_state), PairSpace(relation)
    function, problems, epsilon = _objective(snapshot, relation, couplings)
    first, second = space.draw(generator, n_pairs)
    if starts is not None:
        given = space.project(*starts)
        first, second = np.vstack([given[0], first]), np.vstack([given[1], second])
    violation = _violations(function, epsilon, first, second)
    pair, chosen = _starting_line(violation, max(16, n_pairs // 4))
    now, best = (first[pair], second[pair]), violation[pair, chosen]
    idle = 0
    for step in range(n_steps):
        if idle == PATIENCE or is_over():
            break
        with np.errstate(invalid="ignore", over="ignore"):
            slope = function.gradient(*now, chosen, LEAKS[step % len(LEAKS)])
            moves = _moves(generator, space, now, slope, 0.5 ** (1 + step % 4))
        values = _violations(function, epsilon, *(np.vstack(rows) for rows in zip(*moves, strict=True)))
        values = values.reshape(len(moves), len(pair), -1)[:, np.arange(len(pair)), chosen]
        idle = 0 if (values.max(axis=0) > best).any() else idle + 1
        now, best = _taken(moves, values, now, best)
    order = np.argsort(-best, kind="stable")
    order = order[np.isfinite(best[order])]
    margin, sign = problems[chosen[order]].T
    return Climbers(now[0][order], now[1][order], best[order], margin, sign)


def repaired(snapshot, relation, couplings, climbers, n_best):
    """The best climbers as exactly related pairs, V as floats compute it for them; :class:`EnvelopePairs`."""
    margins, kept, seen = snapshot.margins(), [], set()
    for first, second, margin, sign in zip(
        climbers.first, climbers.second, climbers.margin, climbers.sign, strict=True
    ):
        if len(kept) == n_best:
            break
        raw = repair_unit(relation, first, second)
        if raw is None or (key := (raw[0].tobytes(), raw[1].tobytes(), margin, sign)) in seen:
            continue
        seen.add(key)
        unit = snapshot.domain.to_unit(np.stack(raw))
        row = sign * margins[margin]
        value = pair_envelope(snapshot, couplings, row, unit[:1], unit[1:]).value[0]
        if np.isfinite(value):
            kept.append((*raw, value, value - epsilon_of(relation, sign), margin, sign))
    kept.sort(key=lambda pair: -pair[3])
    if not kept:
        nothing = np.zeros((0, snapshot.n_features)), np.zeros(0), np.zeros(0, dtype=np.intp)
        return EnvelopePairs(*(nothing[kind] for kind in (0, 0, 1, 1, 2, 2)))
    return EnvelopePairs(*(np.array(column) for column in zip(*kept, strict=True)))


def _objective(snapshot, relation, couplings):
    """V of all problems, the problems as rows (margin, sign), and the epsilon of each."""
    margins = snapshot.margins()
    problems = np.array([(margin, sign) for sign in sides(relation) for margin in range(len(margins))])
    rows = problems[:, 1:] * margins[problems[:, 0]]
    epsilon = np.array([epsilon_of(relation, sign) for sign in problems[:, 1]])
    return EnvelopeFunction(snapshot, couplings, rows), problems, epsilon


def _violations(function, epsilon, first, second):
    with np.errstate(invalid="ignore", over="ignore"):
        violation = function.values(first, second) - epsilon
    return np.where(np.isfinite(violation), violation, -np.inf)


def _starting_line(violation, n_climbers):
    """Which pair climbs which problem: the best of each problem, then the second best of each, ..."""
    problems = np.argsort(-violation.max(axis=0), kind="stable")
    rounds = -(-n_climbers // len(problems))
    ranked = np.argsort(-violation[:, problems], axis=0, kind="stable")[:rounds]
    pair = ranked.ravel()[:n_climbers]
    return pair, np.tile(problems, len(ranked))[: len(pair)]


def _moves(generator, space, now, slope, share):
    goal = space.best(slope.first, slope.second)
    one = 1.0 / space.n_blocks
    return [
        goal,
        space.mixed(generator, now, goal, 0.3),
        # Where V has a ridge inside Q, all features going at once overshoot it.
        space.mixed(generator, now, space.between(now, goal, share), 0.5),
        space.mixed(generator, now, space.draw(generator, len(now[0])), one),
    ]


def _taken(moves, values, now, best):
    """Each climber's best move, or where it stands if none is better."""
    for candidate, value in zip(moves, values, strict=True):
        takes = value > best
        now = tuple(np.where(takes[:, None], new, old) for new, old in zip(candidate, now, strict=True))
        best = np.where(takes, value, best)
    return now, best
