"""The largest V by enumeration, without a solver: the truth that the MIP is held against.

Inside a cell of the arrangement of all kinks, lo and hi are affine in the pair (x', x''), and V is
convex there (a positive combination of maxima of affine functions). Its largest value over the related
pairs is therefore at a vertex of that arrangement: a point where as many of these hyperplanes meet as
there are free coordinates. All of them are solved for, the feasible ones evaluated.
"""

from itertools import combinations, product

import numpy as np

from smile_sklearn.snapshot.forward import evaluate
from smile_sklearn.snapshot.graph import Affine, Clamp, Input
from smile_sklearn.verification.formulations.value import pair_envelope


def largest_value(snapshot, relation, couplings, row):
    """max V(x', x'') over the related pairs, for one row of the head."""
    return max(
        _largest_continuous(snapshot, relation, couplings, row, first, second, free)
        for first, second, free in _discrete_pairs(relation)
    )


def _discrete_pairs(relation):
    """Every allowed assignment of integers and groups, in unit coordinates; others are 0 and free."""
    domain, d = relation.domain, relation.domain.n_features
    choices = []
    for feature in np.flatnonzero(domain.is_integer):
        values = np.arange(domain.lower[feature], domain.upper[feature] + 1)
        low, high = relation.delta_lower[feature], relation.delta_upper[feature]
        choices.append([((feature,), (a,), (b,)) for a in values for b in values if low <= a - b <= high])
    for group, allowed in zip(domain.groups, relation.group_pairs, strict=True):
        pairs = [(group.categories[a], group.categories[b]) for a, b in np.argwhere(allowed)]
        choices.append([(group.columns, a, b) for a, b in pairs])
    free = ~domain.is_integer & ~domain.in_group & (domain.scale > 0)
    for choice in product(*choices):
        first, second = np.zeros((1, d)), np.zeros((1, d))
        first[:], second[:] = domain.lower, domain.lower
        for columns, a, b in choice:
            first[0, list(columns)], second[0, list(columns)] = a, b
        yield domain.to_unit(first)[0], domain.to_unit(second)[0], np.flatnonzero(free)


def _largest_continuous(snapshot, relation, couplings, row, first, second, free):
    low, high = relation.unit_delta()
    moving = [feature for feature in free if not relation.equal[feature]]
    # Coordinates: free features of x', then the moving ones of x''.
    n = len(free) + len(moving)
    take_first = {feature: place for place, feature in enumerate(free)}
    take_second = {**take_first, **{feature: len(free) + place for place, feature in enumerate(moving)}}

    def place(points):
        u, v = np.tile(first, (len(points), 1)), np.tile(second, (len(points), 1))
        for feature in free:
            u[:, feature], v[:, feature] = points[:, take_first[feature]], points[:, take_second[feature]]
        return u, v

    planes = [(row, value) for row in np.eye(n) for value in (0.0, 1.0)]
    for feature in moving:
        normal = np.eye(n)[take_first[feature]] - np.eye(n)[take_second[feature]]
        planes += [(normal, low[feature]), (normal, high[feature])]
    for take, base in ((take_first, first), (take_second, second)):
        for weight, value in _kinks(snapshot, base, free):
            normal = np.zeros(n)
            for feature in free:
                normal[take[feature]] = weight[feature]
            planes.append((normal, value))
    points = _meeting_points(planes, n)
    points = points[((points > -1e-9) & (points < 1 + 1e-9)).all(axis=1)]
    u, v = place(np.clip(points, 0.0, 1.0))
    related = ((u - v)[:, moving] >= low[moving] - 1e-9) & ((u - v)[:, moving] <= high[moving] + 1e-9)
    u, v = u[related.all(axis=1)], v[related.all(axis=1)]
    return pair_envelope(snapshot, couplings, row, u, v).value.max(initial=-np.inf)


def _meeting_points(planes, n):
    if n == 0:
        return np.zeros((1, 0))
    normals, values = np.array([plane[0] for plane in planes]), np.array([plane[1] for plane in planes])
    chosen = np.array(list(combinations(range(len(planes)), n)))
    matrices, sides = normals[chosen], values[chosen]
    regular = np.abs(np.linalg.det(matrices)) > 1e-9
    return np.linalg.solve(matrices[regular], sides[regular][..., None])[..., 0]


def _kinks(snapshot, base, free):
    """Hyperplanes (weight over all features, value) where a unit of one copy has a kink."""
    graph = snapshot.graph
    clamps = [node for node in graph.nodes if isinstance(node, Clamp)]
    if all(
        isinstance(graph.nodes[node.source], Affine) and graph.nodes[node.source].source == 0
        for node in clamps
    ):
        for node in clamps:
            layer = graph.nodes[node.source]
            for unit, end in product(range(node.size), (node.lower, node.upper)):
                if np.isfinite(end[unit]):
                    fixed = np.delete(base, free) @ np.delete(layer.weight[unit], free)
                    yield layer.weight[unit], end[unit] - layer.bias[unit] - fixed
        return
    if len(free) != 1:
        raise ValueError("Deeper networks are enumerated along one free feature only.")
    for point in _breakpoints(graph, base, free[0]):
        yield np.eye(len(base))[free[0]], point


def _breakpoints(graph, base, feature):
    """All kinks of a deep network along one feature, layer by layer."""
    assert isinstance(graph.nodes[0], Input)
    points = np.array([0.0, 1.0])
    for index, node in enumerate(graph.nodes):
        if not isinstance(node, Clamp):
            continue
        rows = np.tile(base, (len(points), 1))
        rows[:, feature] = points
        (before,) = evaluate(graph, rows, (node.source,))
        found = [points]
        for unit, end in product(range(node.size), (node.lower, node.upper)):
            left, right = before[:-1, unit] - end[unit], before[1:, unit] - end[unit]
            crosses = np.isfinite(end[unit]) & (left * right < 0)
            share = left[crosses] / (left[crosses] - right[crosses])
            found.append(points[:-1][crosses] + share * np.diff(points)[crosses])
        points = np.unique(np.concatenate(found))
        assert index >= 0
    return points
