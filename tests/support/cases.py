"""A battery of problems with known answers: networks whose largest violation of V is worked out beforehand.

The truth of a `Case` comes from elsewhere than the code under test: from a closed form worked by hand (in
the comment), from exact rational arithmetic feature by feature (`separable`, for affine boxes), from
enumeration (`support.exhaustive`), or from a network built to have it. The problems themselves stand in
``support.affine_problems`` and ``support.problems``, those built to break verifiers in ``support.hostile``;
importing a module registers its own. `CASES` maps names to builders; `load` builds one, once.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial

import numpy as np
from support import attack
from support.exhaustive import largest_value

from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.verification.base import applicable_couplings
from smile_sklearn.verification.formulations.value import pair_envelope

CASES = {}
"""Name -> function without arguments that builds the Case."""


@dataclass(frozen=True, eq=False)
class Case:
    """One problem and its answer.

    Parameters
    ----------
    name : str
    snapshot : NetworkSnapshot
    relation : Relation
    coupling : {"auto", "box", "shared"}
        As a verifier is asked.
    low, high : float
        The largest violation of V over the related pairs, over sides and margins (V minus the epsilon of
        its side, output units), lies between them; what rounding adds to a real network included.
    """

    name: str
    snapshot: NetworkSnapshot
    relation: object
    coupling: str
    low: float
    high: float

    @property
    def couplings(self):
        return applicable_couplings(self.snapshot, self.relation, self.coupling)


@cache
def load(name):
    return CASES[name]()


def case(name):
    """Register a function that returns (snapshot, relation, coupling, (low, high))."""

    def register(build):
        def finished():
            snapshot, relation, coupling, (low, high) = build()
            return Case(name, snapshot, relation, coupling, float(low), float(high))

        assert name not in CASES, name
        CASES[name] = finished
        return build

    return register


def about(truth, uncertainty=1e-12):
    """The interval of a truth in real arithmetic, with room for the float unit map and forward pass."""
    return float(truth) - uncertainty, float(truth) + uncertainty


# --- a pair that shows it -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Planted:
    """A deployed model whose backbone does its worst on one related pair.

    Parameters
    ----------
    predict : callable
    first, second : ndarray of shape (d,)
        Raw units, related exactly.
    violation : Fraction
        By how much the floats that ``predict`` returns leave [el, eu], exactly; may be negative.
    """

    predict: object
    first: np.ndarray
    second: np.ndarray
    violation: Fraction


@cache
def planted(name):
    """The worst of a few thousand different related rows, with a backbone that exhausts V there.

    None if no two different rows were found to be related. (Of a row and itself a backbone shows nothing,
    whatever V is there.)
    """
    problem = load(name)
    snapshot, relation = problem.snapshot, problem.relation
    generator = np.random.default_rng(0)
    pairs = attack.join(
        attack.random_pairs(relation, 2000, generator, corners=True),
        attack.random_pairs(relation, 2000, generator),
        _seeds(name, relation),
    )
    pairs = pairs.kept((pairs.first != pairs.second).any(axis=1))
    found = []
    for sign, epsilon in ((1, relation.epsilon_upper), (-1, -relation.epsilon_lower)):
        if not np.isfinite(epsilon) or not len(pairs):
            continue
        for row in sign * snapshot.margins():
            value = partial(_value, snapshot, problem.couplings, row)
            best = _crossed(relation.domain, pairs, value)
            predict = _adversary(snapshot, problem.couplings, *best, row)
            if not np.isfinite(predict(np.stack(best))).all():
                continue  # overflow: what the outputs differ by is not a number
            found.append(Planted(predict, *best, broken_by(relation, predict, *best)))
    return max(found, key=lambda one: one.violation, default=None)


def _value(snapshot, couplings, row, pairs):
    first, second = (snapshot.domain.to_unit(rows) for rows in (pairs.first, pairs.second))
    return pair_envelope(snapshot, couplings, row, first, second).value


def _crossed(domain, pairs, value):
    """The best pair, feature by feature exchanged for those of other pairs: Q is a product of features."""
    best = pairs.kept([int(np.nanargmax(value(pairs)))])
    blocks = [[int(j)] for j in np.flatnonzero(~domain.in_group)]
    blocks += [list(group.columns) for group in domain.groups]
    for block in blocks * 2:
        trial = attack.Pairs(*(np.tile(part, (400, 1)) for part in (best.first, best.second)))
        for part, source in ((trial.first, pairs.first), (trial.second, pairs.second)):
            part[: len(source), block] = source[:400, block]
        trial = attack.join(best, trial.kept((trial.first != trial.second).any(axis=1)))
        best = trial.kept([int(np.nanargmax(value(trial)))])
    return best.first[0], best.second[0]


SEEDS = {}
"""Name -> list of pairs (x', x'') in raw units that a random search is not likely to meet."""


def _seeds(name, relation):
    both = np.array(SEEDS.get(name, []), dtype=float).reshape(-1, 2, relation.domain.n_features)
    pairs = attack.Pairs(both[:, 0].copy(), both[:, 1].copy())
    assert attack.truly_related(relation, pairs).all(), f"a seed of {name!r} is not related"
    return pairs


def _adversary(snapshot, couplings, first, second, row):
    """``predict`` with a backbone that knows the pair.

    Box: at x' each unit stands at the end of its box that the sign of ``row`` favours, at x'' (and
    everywhere else) at the other. Shared: h is one constant, for each unit the better of the two ends.
    """
    domain = snapshot.domain
    if "shared" in couplings:
        low, high = snapshot.bounds(domain.to_unit(np.stack([first, second])))
        top = np.maximum(low, high)
        at_top = row * (top[0] - top[1]) > row * (low[0] - low[1])
        constant = np.where(at_top, np.inf, -np.inf)
        embed = lambda rows: np.tile(constant, (len(rows), 1))
    else:
        favoured = np.where(row > 0, np.inf, -np.inf)

        def embed(rows):
            here = (rows == first).all(axis=1, keepdims=True)
            return np.where(here, favoured, -favoured)

    def predict(rows):
        rows = np.asarray(rows, dtype=np.float64)
        return snapshot.forward(domain.to_unit(rows), embed(rows))

    return predict


def broken_by(relation, predict, first, second):
    """By how much one pair leaves [el, eu], from the floats of one call of ``predict``: a Fraction."""
    outputs = np.asarray(predict(np.stack([first, second]))).reshape(2, -1)
    assert np.isfinite(outputs).all()
    exact = [[Fraction(value) for value in row] for row in outputs.tolist()]
    n_outputs = outputs.shape[1]
    if n_outputs == 1:
        changes = [exact[0][0] - exact[1][0]]
    else:
        indices = [(j, k) for j in range(n_outputs) for k in range(j + 1, n_outputs)]
        changes = [(exact[0][j] - exact[0][k]) - (exact[1][j] - exact[1][k]) for j, k in indices]
    ends = []
    for change in changes:
        if np.isfinite(relation.epsilon_upper):
            ends.append(change - Fraction(relation.epsilon_upper))
        if np.isfinite(relation.epsilon_lower):
            ends.append(Fraction(relation.epsilon_lower) - change)
    return max(ends)


# --- truths ---------------------------------------------------------------------------------------


def enumerated(snapshot, relation, coupling, uncertainty=1e-7):
    """The truth by enumeration of the arrangement of kinks (box or shared, clamps of affine units)."""
    couplings = applicable_couplings(snapshot, relation, coupling)
    values = [
        [
            max(largest_value(snapshot, relation, (one,), sign * row) for row in snapshot.margins()) - epsilon
            for sign, epsilon in ((1, relation.epsilon_upper), (-1, -relation.epsilon_lower))
            if np.isfinite(epsilon)
        ]
        for one in couplings
    ]
    if len(couplings) == 1:
        return about(max(values[0]), uncertainty)
    # With both couplings a unit takes the smaller bound: V is not convex in a cell, so the points of the
    # arrangement show a lower end only, and each coupling alone is an upper end.
    shown = max(
        max(largest_value(snapshot, relation, couplings, sign * row) for row in snapshot.margins()) - epsilon
        for sign, epsilon in ((1, relation.epsilon_upper), (-1, -relation.epsilon_lower))
        if np.isfinite(epsilon)
    )
    return shown - uncertainty, min(max(one) for one in values) + uncertainty


def separable(snapshot, relation):
    """The truth of an affine box (coupling box), in rational arithmetic; a Fraction.

    lo = A p + c, hi = lo + width, width = B p + d >= 0. For a row w, with w+ and w- its parts,

        V = w A (p' - p'') + w+ (B p' + d) - w- (B p'' + d),

    a sum over features and groups, each maximised by itself: numeric features at a vertex of
    {0 <= p', p'' <= 1, dl <= p' - p'' <= du}, integers and groups over all they can be.
    """
    graph, domain = snapshot.graph, relation.domain
    low, width = (graph.nodes[node] for node in (snapshot.lower, snapshot.width))
    assert low.source == width.source == 0
    largest = None
    for sign, epsilon in ((1, relation.epsilon_upper), (-1, -relation.epsilon_lower)):
        if not np.isfinite(epsilon):
            continue
        for row in snapshot.margins():
            w = [sign * Fraction(value) for value in row.tolist()]
            columns = range(domain.n_features)
            base = [_dot(w, low.weight[:, j]) for j in columns]
            up = [_dot([max(v, 0) for v in w], width.weight[:, j]) for j in columns]
            down = [_dot([min(v, 0) for v in w], width.weight[:, j]) for j in columns]
            first = [b + u for b, u in zip(base, up, strict=True)]
            second = [-b - v for b, v in zip(base, down, strict=True)]
            value = _dot([abs(v) for v in w], width.bias) - Fraction(float(epsilon))
            value += sum(_best_of_feature(relation, j, first[j], second[j]) for j in columns)
            for group, allowed in zip(domain.groups, relation.group_pairs, strict=True):
                scores = [
                    sum((part[j] for j, one in zip(group.columns, category, strict=True) if one), Fraction(0))
                    for part in (first, second)
                    for category in group.categories
                ]
                k = len(group.categories)
                value += max(scores[a] + scores[k + b] for a, b in np.argwhere(allowed))
            largest = value if largest is None else max(largest, value)
    return largest


def _dot(left, right):
    return sum((a * Fraction(b) for a, b in zip(left, right.tolist(), strict=True)), Fraction(0))


def _best_of_feature(relation, feature, a, b):
    """max of a p' + b p'' of one feature outside groups, a Fraction."""
    domain = relation.domain
    bottom, top = Fraction(domain.lower[feature]), Fraction(domain.upper[feature])
    if domain.in_group[feature] or bottom == top:
        return Fraction(0)
    low, high = Fraction(relation.delta_lower[feature]), Fraction(relation.delta_upper[feature])
    if domain.is_integer[feature]:
        values = range(int(bottom), int(top) + 1)
        points = [(Fraction(x), Fraction(y)) for x in values for y in values]
    else:
        # Every vertex has one coordinate at an end of the box and the other at an end of box or band.
        ends = (bottom, top)
        points = [(x, y) for x in ends for y in (*ends, x - low, x - high)]
        points += [(x, y) for y in ends for x in (y + low, y + high)]
    return max(
        (a * (x - bottom) + b * (y - bottom)) / (top - bottom)
        for x, y in points
        if bottom <= x <= top and bottom <= y <= top and low <= x - y <= high
    )
