"""Small snapshots for the tests: drawn by hand or at random, of one and two inputs and more."""

import numpy as np

from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.properties.relation import Relation
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.snapshot.graph import GraphBuilder


def unit_box(n_features, **declared):
    """The box [0, 1]^n, with integers and groups as declared."""
    return InputDomain(np.zeros(n_features), np.ones(n_features), **declared)


def relate(domain, delta, epsilon=0.1, name="relation"):
    """A relation |x' - x''| <= delta (or (dl, du)) => |f' - f''| <= epsilon (or (el, eu))."""
    delta_lower, delta_upper = delta if isinstance(delta, tuple) else (-np.asarray(delta), np.asarray(delta))
    epsilon_lower, epsilon_upper = epsilon if isinstance(epsilon, tuple) else (-epsilon, epsilon)
    return Relation(
        name,
        "a statement of the tests",
        domain,
        np.broadcast_to(np.asarray(delta_lower, float), domain.n_features).copy(),
        np.broadcast_to(np.asarray(delta_upper, float), domain.n_features).copy(),
        epsilon_lower,
        epsilon_upper,
    )


def relu(builder, source, size):
    return builder.clamp(np.zeros(size), np.full(size, np.inf), source)


def hand_drawn(weight=1.0, width=0.5, domain=None):
    """One input, one latent unit: lo = weight x, hi = lo + width, f = z."""
    builder = GraphBuilder(1)
    lower = builder.affine(np.array([[weight]]), np.array([0.0]))
    gap = builder.affine(np.array([[0.0]]), np.array([width]))
    upper = builder.sum(lower, gap)
    domain = unit_box(1) if domain is None else domain
    return NetworkSnapshot(
        builder.build(),
        lower,
        upper,
        gap,
        np.array([[1.0]]),
        np.array([0.0]),
        range(domain.n_features),
        domain,
    )


def crossing(domain=None):
    """One input, free ends that flip: lo = x, hi = 1 - x, f = 2 z + 1; the top of the box is max(lo, hi)."""
    builder = GraphBuilder(1)
    lower = builder.affine(np.array([[1.0]]), np.array([0.0]))
    upper = builder.affine(np.array([[-1.0]]), np.array([1.0]))
    domain = unit_box(1) if domain is None else domain
    return NetworkSnapshot(
        builder.build(),
        lower,
        upper,
        None,
        np.array([[2.0]]),
        np.array([1.0]),
        range(domain.n_features),
        domain,
    )


def random_snapshot(
    seed,
    n_features=2,
    hidden=(3,),
    n_latent=2,
    n_outputs=1,
    ends="free",
    activation="relu",
    domain=None,
    reads=None,
    gap=0.3,
):
    """Random auxiliaries over a common stack of hidden layers.

    ``hidden=()`` gives affine ends. ``ends`` is "free" (hi is another affine layer, it may flip),
    "affine" (hi = lo + width, width = V x + |c| - sum min(V, 0)) or "relu" (width through a relu).
    ``activation`` is "relu", "negative" (-relu(-x)) or "clamp" (bounds [-0.2, 0.6]).
    """
    generator = np.random.default_rng(seed)
    domain = unit_box(n_features) if domain is None else domain
    builder = GraphBuilder(n_features)
    source, size = 0, n_features
    bounds = {"relu": (0.0, np.inf), "negative": (-np.inf, 0.0), "clamp": (-0.2, 0.6)}[activation]
    for width in hidden:
        weight = generator.normal(size=(width, size)) * 1.5 / np.sqrt(size)
        source = builder.affine(weight, generator.normal(size=width) * 0.5 - 0.4 * weight.sum(axis=1), source)
        source, size = builder.clamp(np.full(width, bounds[0]), np.full(width, bounds[1]), source), width
    lower = builder.affine(
        generator.normal(size=(n_latent, size)), generator.normal(size=n_latent) * 0.3, source
    )
    if ends == "free":
        width_node = None
        weight = generator.normal(size=(n_latent, size))
        upper = builder.affine(weight, generator.normal(size=n_latent) * 0.3 + gap, source)
    else:
        weight = generator.normal(size=(n_latent, n_features)) * 0.3
        bias = gap * generator.random(n_latent) - np.minimum(weight, 0.0).sum(axis=1)
        if ends == "relu":
            bias = gap * generator.normal(size=n_latent)
        width_node = builder.affine(weight, bias)
        width_node = relu(builder, width_node, n_latent) if ends == "relu" else width_node
        upper = builder.sum(lower, width_node)
    return NetworkSnapshot(
        builder.build(),
        lower,
        upper,
        width_node,
        generator.normal(size=(n_outputs, n_latent)),
        generator.normal(size=n_outputs),
        range(n_features) if reads is None else reads,
        domain,
    )


def random_backbone(snapshot, seed=0):
    """An arbitrary h on the features the snapshot reads: raw rows -> embeddings."""
    generator = np.random.default_rng(seed)
    reads = list(snapshot.reads)
    weight = generator.normal(size=(snapshot.n_latent, len(reads))) * 3.0

    def embed(units):
        return np.sin(
            5.0 * np.einsum("ij,kj->ik", np.ascontiguousarray(units[:, reads]), weight, optimize=False)
        )

    return embed


def deployed(snapshot, embed=None):
    """``predict(X)`` of a model with this snapshot and a backbone, raw rows."""
    embed = random_backbone(snapshot) if embed is None else embed

    def predict(rows):
        units = snapshot.domain.to_unit(np.asarray(rows, dtype=np.float64))
        return snapshot.forward(units, embed(units))

    return predict


def related_pairs(relation, n_pairs, seed=0):
    """Random related pairs in raw units, edges of Q included: two (m, d) arrays, m <= n_pairs."""
    generator, domain = np.random.default_rng(seed), relation.domain
    shape = (n_pairs, domain.n_features)
    second = domain.lower + domain.scale * generator.random(shape)
    share = np.where(
        generator.random(shape) < 0.5, generator.integers(0, 2, size=shape), generator.random(shape)
    )
    difference = relation.delta_lower + share * (relation.delta_upper - relation.delta_lower)
    first = second + difference
    whole = domain.is_integer
    second[:, whole], first[:, whole] = np.round(second[:, whole]), np.round(first[:, whole])
    first = np.clip(first, domain.lower, domain.upper)
    first[:, relation.equal] = second[:, relation.equal]
    for group, allowed in zip(domain.groups, relation.group_pairs, strict=True):
        choices = np.argwhere(allowed)[generator.integers(0, allowed.sum(), size=n_pairs)]
        columns = list(group.columns)
        first[:, columns], second[:, columns] = (
            group.categories[choices[:, 0]],
            group.categories[choices[:, 1]],
        )
    kept = relation.contains(first, second)
    return first[kept], second[kept]
