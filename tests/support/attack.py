"""An adversary of certificates: related pairs and the outputs that the estimator itself gives them.

Pairs come from random draws, corners, and projected gradient (sign steps) on f and on V. What counts in
the end is only ``predict`` or ``decision_function``, both rows of a pair in one call, the difference of
the two floats compared in exact arithmetic, and a pair whose membership in Q is exact as well.
"""

from dataclasses import dataclass

import numpy as np
import torch

from smile_sklearn.network.evaluate import evaluate as torch_evaluate
from smile_sklearn.snapshot.graph import Affine, Clamp, Graph

CHUNK = 25_000
"""Pairs evaluated in one call: bounds the memory."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Rows x' and x'' in raw units, each (n, d)."""

    first: np.ndarray
    second: np.ndarray

    def __len__(self):
        return len(self.first)

    def kept(self, mask):
        return Pairs(self.first[mask], self.second[mask])

    def exchanged(self):
        return Pairs(self.second, self.first)


def join(*parts):
    return Pairs(np.vstack([part.first for part in parts]), np.vstack([part.second for part in parts]))


# --- exact comparisons of floats ------------------------------------------------------------------


def exact_difference(first, second):
    """``first - second`` as an unevaluated sum (rounded, rest), exact barring overflow (Knuth's TwoSum)."""
    rounded = first - second
    virtual = rounded - first
    return rounded, (first - (rounded - virtual)) + (-second - virtual)


def at_most(difference, limit):
    """Whether rounded + rest <= limit, exactly; |rest| is at most half a unit in the last place."""
    rounded, rest = difference
    return (rounded < limit) | ((rounded == limit) & (rest <= 0))


def truly_related(relation, pairs, *, outside=False):
    """(n,) bool: Q in exact arithmetic; ``outside`` accepts valid rows outside the box."""
    member = relation.domain.valid_rows if outside else relation.domain.contains
    difference = exact_difference(pairs.first, pairs.second)
    negated = exact_difference(pairs.second, pairs.first)
    below, above = at_most(difference, relation.delta_upper), at_most(negated, -relation.delta_lower)
    if outside:
        # Cut to the width of the domain: the property itself said infinity, or more than the width.
        below |= relation.delta_upper >= relation.domain.scale
        above |= -relation.delta_lower >= relation.domain.scale
    return member(pairs.first) & member(pairs.second) & (below & above).all(axis=1)


# --- pairs ----------------------------------------------------------------------------------------


def random_pairs(relation, n_pairs, generator, *, corners=False, outside=False):
    """Related pairs, exactly; about as many as asked for.

    Half of the differences sit at an end of [dl, du], features move alone, all at once or in part, and
    half of the rows at a bound of the box. ``corners``: everything at an end. ``outside``: the rows leave
    the box, on which the claim also stands where dl <= 0 <= du.
    """
    domain, shape = relation.domain, (n_pairs, relation.domain.n_features)
    reach = 3.0 if outside else 0.0
    place = -reach + generator.random(shape) * (1.0 + 2.0 * reach)
    ends = generator.integers(0, 2, shape).astype(float)
    place = np.where(corners | (generator.random(shape) < 0.25), ends, place)
    second = domain.lower + place * domain.scale
    share = np.where(
        corners | (generator.random(shape) < 0.5), generator.integers(0, 2, shape), generator.random(shape)
    )
    if relation.covers_all_inputs:
        # The difference 0 in some features: all of them moving is not always the worst.
        still = generator.random(shape) < generator.random((n_pairs, 1)) * 0.9
    else:
        still = np.zeros(shape, dtype=bool)
    difference = relation.delta_lower + share * (relation.delta_upper - relation.delta_lower)
    first = second + np.where(still, 0.0, difference)
    pairs = Pairs(first, second)
    if outside:
        _set_integers_and_groups(relation, pairs, generator, clip=False)
        return pairs.kept(truly_related(relation, pairs, outside=True))
    return project(relation, pairs, generator)


def project(relation, pairs, generator):
    """Clip to the box, to Q, to whole numbers and to categories; pairs that still do not fit are dropped."""
    domain = relation.domain
    second = np.clip(pairs.second, domain.lower, domain.upper)
    first = np.clip(pairs.first, second + relation.delta_lower, second + relation.delta_upper)
    first = np.clip(first, domain.lower, domain.upper)
    # Where x' stops at the box, x'' follows it.
    second = np.clip(second, first - relation.delta_upper, first - relation.delta_lower)
    second = np.clip(second, domain.lower, domain.upper)
    result = Pairs(first, second)
    _set_integers_and_groups(relation, result, generator)
    _pull_together(relation, result)
    return result.kept(truly_related(relation, result))


def _set_integers_and_groups(relation, pairs, generator, *, clip=True):
    domain, first, second = relation.domain, pairs.first, pairs.second
    whole = domain.is_integer
    # A rounded row and a rounded difference, which stays within [dl, du] for these are whole.
    difference = np.clip(np.round(first - second), relation.delta_lower, relation.delta_upper)[:, whole]
    second[:, whole] = np.round(second[:, whole])
    first[:, whole] = second[:, whole] + difference
    if clip:
        low, high = domain.lower[whole], domain.upper[whole]
        second[:, whole] += np.clip(first[:, whole], low, high) - first[:, whole]
        first[:, whole] = np.clip(first[:, whole], low, high)
    equal = relation.equal
    first[:, equal] = second[:, equal]
    for group, allowed in zip(domain.groups, relation.group_pairs, strict=True):
        columns = list(group.columns)
        valid = _is_category(group, first[:, columns]) & _is_category(group, second[:, columns])
        choice = np.argwhere(allowed)[generator.integers(0, allowed.sum(), len(first))]
        drawn = group.categories[choice[:, 0]], group.categories[choice[:, 1]]
        for rows, new in zip((first, second), drawn, strict=True):
            rows[:, columns] = np.where(valid[:, None], rows[:, columns], new)


def _is_category(group, rows):
    return (rows[:, None, :] == group.categories[None]).all(axis=2).any(axis=1)


def _pull_together(relation, pairs):
    """Neighbouring floats until the difference is within [dl, du] exactly, not only after rounding."""
    numeric = ~relation.domain.is_integer & ~relation.domain.in_group & ~relation.equal
    first, second = pairs.first, pairs.second
    for _ in range(3):
        over = numeric & ~at_most(exact_difference(first, second), relation.delta_upper)
        under = numeric & ~at_most(exact_difference(second, first), -relation.delta_lower)
        first[over] = np.nextafter(first[over], -np.inf)
        first[under] = np.nextafter(first[under], np.inf)


# --- what the estimator answers -------------------------------------------------------------------


def outputs(estimator, rows):
    """(n, n_outputs) of raw rows, through the public method that the certificate speaks of."""
    method = estimator.decision_function if hasattr(estimator, "decision_function") else estimator.predict
    return np.asarray(method(rows), dtype=np.float64).reshape(len(rows), -1)


def margins(values):
    """(n, n_margins): the output, or f_j - f_k, j < k."""
    if values.shape[1] == 1:
        return values
    first, second = np.triu_indices(values.shape[1], k=1)
    return values[:, first] - values[:, second]


@dataclass(frozen=True, eq=False)
class Worst:
    """Largest and smallest f(x') - f(x'') met, and whether any exceeded a limit exactly."""

    upper: float
    lower: float
    exceeded: int
    n_pairs: int

    @property
    def magnitude(self):
        return max(self.upper, -self.lower)


def attack_values(estimator, pairs, limit_upper=np.inf, limit_lower=-np.inf):
    """Evaluate pairs; count those with f(x') - f(x'') outside [limit_lower, limit_upper], exactly."""
    upper, lower, exceeded = -np.inf, np.inf, 0
    for start in range(0, len(pairs), CHUNK):
        part = pairs.kept(slice(start, start + CHUNK))
        values = margins(outputs(estimator, np.vstack([part.first, part.second])))
        first, second = values[: len(part)], values[len(part) :]
        difference = exact_difference(first, second)
        upper, lower = max(upper, difference[0].max()), min(lower, difference[0].min())
        # "not at most" rather than "more than": a NaN exceeds every limit.
        inside = at_most(difference, limit_upper) & at_most(exact_difference(second, first), -limit_lower)
        exceeded += int((~inside).any(axis=1).sum())
    return Worst(upper, lower, exceeded, len(pairs))


def envelope(snapshot, couplings, pairs):
    """V(x', x'') of every margin in numpy, (n, n_margins): an upper bound of f(x') - f(x'')."""
    ends = [snapshot.bounds(snapshot.domain.to_unit(rows)) for rows in (pairs.first, pairs.second)]
    return _value(np, snapshot.margins(), ends, couplings)


def _value(xp, rows, ends, couplings):
    (low_1, high_1), (low_2, high_2) = ends
    ups, downs = [], []
    if "box" in couplings:
        ups.append(xp.maximum(low_1, high_1) - low_2)
        downs.append(low_1 - xp.maximum(low_2, high_2))
    if "shared" in couplings:
        change_1, change_2 = low_1 - low_2, high_1 - high_2
        zero = change_1 * 0
        ups.append(xp.maximum(zero, xp.maximum(change_1, change_2)))
        downs.append(xp.minimum(zero, xp.minimum(change_1, change_2)))
    up, down = ups[0], downs[0]
    for other_up, other_down in zip(ups[1:], downs[1:], strict=True):
        up, down = xp.minimum(up, other_up), xp.maximum(down, other_down)
    return up @ xp.clip(rows, 0, None).T + down @ xp.clip(rows, None, 0).T


# --- projected gradient ---------------------------------------------------------------------------


def gradient_pairs(estimator, relation, couplings, generator, *, target, n_starts=50, n_steps=60):
    """Related pairs found by sign steps on ``target`` ("f" or "V"), from random and corner starts.

    Integers follow the relaxed gradient and are rounded; categories stay as they were drawn, and there
    are several starts for each. The exchanged target is climbed as well where R has two sides.
    """
    objective = _objective(estimator, couplings, target)
    sides = [1.0] if np.isinf(relation.epsilon_lower) else [1.0, -1.0]
    found = []
    for side in sides:
        starts = join(
            random_pairs(relation, n_starts, generator),
            random_pairs(relation, n_starts // 2, generator, corners=True),
        )
        found.append(_climb(relation, starts, objective, side, generator, n_steps))
    return join(*found)


def _climb(relation, pairs, objective, side, generator, n_steps):
    domain = relation.domain
    visited = [pairs]
    scale = torch.as_tensor(np.where(domain.scale > 0, domain.scale, 1.0))
    for step in range(n_steps):
        first, second = (
            torch.tensor(domain.to_unit(rows), requires_grad=True) for rows in (pairs.first, pairs.second)
        )
        values = objective(first, second) if side > 0 else objective(second, first)
        # Of several margins, in either direction, the one that is largest now.
        gradients = torch.autograd.grad(values.amax(dim=1).sum(), (first, second), allow_unused=True)
        length = 0.3 * (1.0 - step / n_steps) ** 2 + 1e-4
        moved = []
        for rows, gradient in zip((pairs.first, pairs.second), gradients, strict=True):
            gradient = torch.zeros_like(scale) if gradient is None else gradient
            moved.append(rows + (length * gradient.sign() * scale * _numeric(domain)).numpy())
        pairs = project(relation, Pairs(*moved), generator)
        if not len(pairs):
            break
        visited.append(pairs)
    # All of the path: what the float pass does at the last point is not always the worst.
    return join(*visited[-20:], visited[0])


def _numeric(domain):
    return torch.as_tensor((~domain.in_group).astype(float))


def _objective(estimator, couplings, target):
    snapshot = estimator.snapshot_
    rows = torch.tensor(np.array(snapshot.margins()))
    if target == "V":
        graph = torch_graph(snapshot.graph)

        def value(first, second):
            ends = [torch_evaluate(graph, part, (snapshot.lower, snapshot.upper)) for part in (first, second)]
            both = [_value(torch, sign * rows, ends, couplings) for sign in _signs(rows)]
            return torch.cat(both, dim=1)

        return value
    network = estimator.network_

    def difference(first, second):
        change = network(first).output - network(second).output
        if change.shape[1] > 1:
            one, other = torch.triu_indices(change.shape[1], change.shape[1], offset=1)
            change = change[:, one] - change[:, other]
            change = torch.cat([change, -change], dim=1)
        return change

    return difference


def _signs(rows):
    return (1.0, -1.0) if len(rows) > 1 else (1.0,)


def torch_graph(graph):
    """The graph of a snapshot with torch arrays."""
    nodes = []
    for node in graph.nodes:
        if isinstance(node, Affine):
            node = Affine(torch.tensor(np.array(node.weight)), torch.tensor(np.array(node.bias)), node.source)
        elif isinstance(node, Clamp):
            node = Clamp(torch.tensor(np.array(node.lower)), torch.tensor(np.array(node.upper)), node.source)
        nodes.append(node)
    return Graph(tuple(nodes))


# --- certified rows -------------------------------------------------------------------------------


def partners(relation, rows, generator, *, corners=False):
    """Random x'' related to each of the rows in either role of Q, (n, d); a row itself where none fits."""
    domain, shape = relation.domain, rows.shape
    share = generator.random(shape)
    if corners:
        share = generator.integers(0, 2, shape).astype(float)
    low, high = (
        np.minimum(relation.delta_lower, -relation.delta_upper),
        np.maximum(relation.delta_upper, -relation.delta_lower),
    )
    first = rows + low + share * (high - low)
    for group, allowed in zip(domain.groups, relation.group_pairs, strict=True):
        columns = list(group.columns)
        now = (rows[:, None, columns] == group.categories[None]).all(axis=2).argmax(axis=1)
        weight = (allowed | allowed.T)[now] * generator.random((len(rows), len(group.categories)))
        first[:, columns] = group.categories[weight.argmax(axis=1)]
    first = np.where(domain.is_integer, np.round(first), first)
    first = np.where(
        domain.in_group, first, np.clip(first, np.minimum(domain.lower, rows), np.maximum(domain.upper, rows))
    )
    pairs = Pairs(first, rows.copy())
    numeric = ~domain.in_group & ~domain.is_integer
    for _ in range(3):
        for over, toward in (
            (~at_most(exact_difference(pairs.first, pairs.second), high), -np.inf),
            (~at_most(exact_difference(pairs.second, pairs.first), -low), np.inf),
        ):
            pairs.first[over & numeric] = np.nextafter(pairs.first[over & numeric], toward)
    related = truly_related(relation, pairs, outside=True) | truly_related(
        relation, pairs.exchanged(), outside=True
    )
    return np.where(related[:, None], pairs.first, rows)


def gradient_partners(estimator, relation, rows, generator, n_steps=100):
    """x'' within Q of each row that a sign-step attack on the class brings nearest to a flip.

    Yields the points of the path; the caller asks ``predict``. Groups stay as drawn.
    """
    domain, network = relation.domain, estimator.network_
    now = partners(relation, rows, generator)
    scale = np.where(domain.scale > 0, domain.scale, 1.0)
    label = torch.as_tensor(outputs(estimator, rows))
    low = np.minimum(relation.delta_lower, -relation.delta_upper)
    high = np.maximum(relation.delta_upper, -relation.delta_lower)
    for step in range(n_steps):
        unit = torch.tensor(domain.to_unit(now), requires_grad=True)
        output = network(unit).output
        if output.shape[1] == 1:
            loss = -(output * label.sign()).sum()
        else:
            best = label.argmax(dim=1, keepdim=True)
            others = output.scatter(1, best, -torch.inf).amax(dim=1)
            loss = (others - output.gather(1, best)[:, 0]).sum()
        (gradient,) = torch.autograd.grad(loss, unit)
        length = 0.3 * (1.0 - step / n_steps) ** 2 + 1e-4
        moved = now + length * gradient.sign().numpy() * scale * ~domain.in_group
        moved = np.clip(moved, rows + low, rows + high)
        moved = np.where(domain.is_integer, np.round(moved), moved)
        moved = np.where(domain.in_group, now, moved)
        pairs = Pairs(moved, rows.copy())
        _pull_together(relation, pairs)
        valid = truly_related(relation, pairs, outside=True) | truly_related(
            relation, pairs.exchanged(), outside=True
        )
        now = np.where(valid[:, None], pairs.first, now)
        yield now
