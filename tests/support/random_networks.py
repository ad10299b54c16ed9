"""Random graphs with every type of node, hostile weights, mixed domains, and their exact evaluation.

The truth is rational arithmetic: floats are fractions, and a graph of affine layers, clamps, sorts and
sums takes fractions to fractions.
"""

from fractions import Fraction

import numpy as np

from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.properties.relation import Relation
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.snapshot.graph import Affine, Clamp, GraphBuilder, GroupSort, Input, Sum

HOSTILE = (1e9, 1e-9, 1.0, 1e4, 1e-20)
"""Sizes of weights that live side by side in one layer."""


# --- domains and relations ------------------------------------------------------------------------


def mixed_domain(seed, widths=(1.0, 1e-12, 1e9, 50.0)):
    """Numeric features of several widths, a constant, an integer, a group of each kind: 11 features."""
    generator = np.random.default_rng(seed)
    centre = generator.normal(size=4) * generator.choice([0.0, 1.0, 1e3], 4)
    width = generator.permutation(np.array(widths, dtype=float))
    low = np.minimum(centre, centre + width)
    lower = [*low, 7.25, -2.0, 0, 0, 0, 0, 0]
    upper = [*(low + width), 7.25, 3.0, 1, 1, 1, 1, 1]
    return InputDomain(lower, upper, integer=[5], one_hot=[[6, 7, 8]], one_hot_at_most_one=[[9, 10]])


KINDS = ("symmetric", "one-sided", "away from zero", "all equal but one", "everything")


def mixed_relation(seed, domain, kind, epsilon=(-1.0, 1.0)):
    """A random relation of the kind, over any domain."""
    generator = np.random.default_rng(seed)
    d, width = domain.n_features, domain.upper - domain.lower
    reach = width * generator.choice([0.0, 1e-9, 0.1, 0.5, 1.0], d)
    if kind == "symmetric":
        lower, upper = -reach, reach
    elif kind == "one-sided":
        sign = generator.integers(0, 2, d).astype(bool)
        lower, upper = np.where(sign, -reach, 0.0), np.where(sign, 0.0, reach)
    elif kind == "away from zero":
        lower, upper = 0.25 * width, 0.75 * width
        epsilon = (epsilon[0], np.inf)
    elif kind == "all equal but one":
        lower, upper = np.zeros(d), np.zeros(d)
        moving = generator.integers(d)
        lower[moving], upper[moving] = -0.5 * width[moving], 0.3 * width[moving]
    else:
        lower, upper = np.full(d, -np.inf), np.full(d, np.inf)
    whole = domain.is_integer
    lower[whole], upper[whole] = np.floor(lower[whole]), np.ceil(upper[whole])
    for group in domain.groups:
        columns = list(group.columns)
        allowed = kind == "everything" or generator.random() < 0.6
        lower[columns], upper[columns] = (-1.0, 1.0) if allowed else (0.0, 0.0)
    return Relation(kind, "a statement of the tests", domain, lower, upper, *epsilon)


# --- graphs ---------------------------------------------------------------------------------------


def weights(generator, rows, columns, sizes=(1.0,), zeros=0.2):
    matrix = generator.normal(size=(rows, columns)) * generator.choice(sizes, (rows, columns))
    return np.where(generator.random((rows, columns)) < zeros, 0.0, matrix)


def clamp_ends(generator, size):
    """relu, -relu(-x), clamp, no-op, a flat unit, a boundary exactly at 0: one kind a unit, mixed."""
    kinds = [(0.0, np.inf), (-np.inf, 0.0), (-1.0, 1.0), (-np.inf, np.inf), (0.25, 0.25), (0.0, 1e-12)]
    chosen = np.array(kinds)[generator.integers(0, len(kinds), size)]
    return chosen[:, 0].copy(), chosen[:, 1].copy()


def mixed_snapshot(seed, domain, *, ends="width", n_outputs=1, sizes=(1.0,), reads=(), n_latent=4):
    """Two hidden layers, clamps and sorts, a skip through Sum; ``ends`` is "width" or "free"."""
    generator = np.random.default_rng(seed)
    d, hidden = domain.n_features, 8
    builder = GraphBuilder(d)

    def bias(size):
        return generator.normal(size=size) * generator.choice([0.0, 1.0], size)

    node = builder.affine(weights(generator, hidden, d, sizes), bias(hidden))
    node = builder.clamp(*clamp_ends(generator, hidden), node)
    skip = builder.affine(weights(generator, hidden, d, sizes), np.zeros(hidden))
    node = builder.sum(skip, builder.affine(weights(generator, hidden, hidden, sizes), bias(hidden), node))
    node = builder.group_sort(4, node)
    node = builder.clamp(*clamp_ends(generator, hidden), node)
    lower = builder.affine(weights(generator, n_latent, hidden, sizes), bias(n_latent), node)
    if ends == "width":
        gap = builder.affine(weights(generator, n_latent, d, (0.1,)), np.abs(bias(n_latent)))
        gap = builder.clamp(np.zeros(n_latent), np.full(n_latent, np.inf), gap)
        upper = builder.sum(lower, gap)
    else:
        gap = None
        upper = builder.affine(weights(generator, n_latent, hidden, sizes), bias(n_latent), node)
    head = weights(generator, n_outputs, n_latent, sizes, zeros=0.1)
    return NetworkSnapshot(builder.build(), lower, upper, gap, head, bias(n_outputs), reads, domain)


# --- exact evaluation -----------------------------------------------------------------------------


def fractions(values):
    return [Fraction(value) for value in np.asarray(values, dtype=float).tolist()]


def exact_dot(row, values):
    return sum(
        (Fraction(a) * b for a, b in zip(np.asarray(row).tolist(), values, strict=True) if a), Fraction(0)
    )


def exact_nodes(graph, row):
    """Every node of the graph at one row of floats, as lists of fractions."""
    values = []
    for node in graph.nodes:
        if isinstance(node, Input):
            values.append(fractions(row))
        elif isinstance(node, Affine):
            source = values[node.source]
            bias = fractions(node.bias)
            values.append([exact_dot(w, source) + b for w, b in zip(node.weight, bias, strict=True)])
        elif isinstance(node, Clamp):
            ends = zip(values[node.source], node.lower.tolist(), node.upper.tolist(), strict=True)
            values.append([_exact_clamp(value, low, high) for value, low, high in ends])
        elif isinstance(node, GroupSort):
            source = values[node.source]
            blocks = [sorted(source[i : i + node.group]) for i in range(0, len(source), node.group)]
            values.append([value for block in blocks for value in block])
        elif isinstance(node, Sum):
            pairs = zip(values[node.first], values[node.second], strict=True)
            values.append([first + second for first, second in pairs])
        else:
            raise TypeError(node)
    return values


def _exact_clamp(value, low, high):
    value = value if value >= low else Fraction(low)
    return value if value <= high else Fraction(high)


def within(low, value, high):
    """low <= value <= high, floats (infinities allowed) against a fraction."""
    return low <= value <= high


def exact_clip(low, high, z):
    """max(l, min(u, z)) of fractions."""
    return max(low, min(high, z))
