"""Problems whose box is affine on the domain: their answer is a sum over features, in rational arithmetic.

Every number of features from 1 to 10, every property and sign, groups of both kinds, integers, constants.
"""

from fractions import Fraction
from functools import partial

import numpy as np
from support.cases import about, case, separable
from support.networks import unit_box

from smile_sklearn.properties import Fair, GloballyRobust, InputDomain, Monotonic, Relational
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.snapshot.graph import GraphBuilder


def affine_box(weight, *, width=0.0, width_weight=None, bias=None, head=None, domain=None, reads=()):
    """lo = A p + c, hi = lo + (B p + d); by default one unit, head 1, the unit box."""
    weight = np.atleast_2d(np.asarray(weight, dtype=float))
    k, d = weight.shape
    domain = unit_box(d) if domain is None else domain
    builder = GraphBuilder(d)
    lower = builder.affine(weight, np.zeros(k) if bias is None else np.asarray(bias, float))
    steep = np.zeros((k, d)) if width_weight is None else np.atleast_2d(np.asarray(width_weight, float))
    gap = builder.affine(steep, np.broadcast_to(np.asarray(width, float), k).copy())
    upper = builder.sum(lower, gap)
    head = np.ones((1, k)) if head is None else np.atleast_2d(np.asarray(head, float))
    return NetworkSnapshot(builder.build(), lower, upper, gap, head, np.zeros(len(head)), reads, domain)


def _slopes(n_features):
    """Signs and sizes that no rounding touches."""
    return [(-1) ** j * (j + 1) / 8 for j in range(n_features)]


def _robust_affine(n_features):
    snapshot = affine_box(_slopes(n_features), width=0.25)
    relation = GloballyRobust(0.25, 0.5).resolve(snapshot.domain)
    # V = a (p' - p'') + 1/4 <= sum_j |a_j| / 4 + 1/4 = sum_j j / 32 + 1/4.
    truth = Fraction(n_features * (n_features + 1), 64) + Fraction(1, 4) - Fraction(1, 2)
    assert truth == separable(snapshot, relation)
    return snapshot, relation, "box", about(truth)


for _number in range(1, 11):
    case(f"affine, {_number} features, robust")(partial(_robust_affine, _number))

_ENCODED = InputDomain([-2, 0, 0, 0, 0, 0, 0, 1], [3, 8, 1, 1, 1, 1, 1, 1], [1], [[2, 3, 4]], [[5, 6]])
"""A numeric feature, an integer, a group of each kind, a constant."""

_MIXED = {
    "robust": GloballyRobust({0: 1.25, 1: 3, 2: 1, 3: 1, 4: 1}, 0.5),
    "fair, a group": Fair([2, 3, 4], 0.5),
    "fair, at most one": Fair([5, 6], 0.25, delta={0: 0.5}),
    "fair, an integer": Fair([1], 0.5),
    "monotonic": Monotonic({0: 1, 1: -1}, 0.25),
    "relational": Relational({0: -0.5, 1: 1}, {0: 1.5, 1: 4}, -3.0, 1.0),
    "relational, one ordered pair": Relational({2: -1, 4: 0}, {2: 0, 4: 1}, -np.inf, 0.125),
}


def _mixed_affine(property, head, seed):
    generator = np.random.default_rng(seed)
    k, d = 3, _ENCODED.n_features
    # Multiples of 1/16: the products stay exact in floats.
    weight = generator.integers(-16, 17, (k, d)) / 16
    steep = generator.integers(-4, 5, (k, d)) / 16
    width = -np.minimum(steep, 0).sum(axis=1) + generator.integers(0, 4, k) / 16
    snapshot = affine_box(weight, width_weight=steep, width=width, head=head, domain=_ENCODED)
    relation = property.resolve(_ENCODED, n_outputs=len(head))
    return snapshot, relation, "box", about(separable(snapshot, relation))


for _place, (_kind, _property) in enumerate(_MIXED.items()):
    _head = [[1.0, -0.5, 2.0]]
    case(f"affine box, mixed domain, {_kind}")(partial(_mixed_affine, _property, _head, _place))
for _kind in ("robust", "fair, a group", "fair, an integer"):
    _heads = [[1.0, -0.5, 2.0], [0.5, 0.5, -1.0], [0.0, 1.0, 1.0]]
    case(f"affine box, three classes, {_kind}")(partial(_mixed_affine, _MIXED[_kind], _heads, 7))


@case("affine, monotonic, the wrong way in one of ten features")
def _():
    # f falls in feature 6 alone, by 1/64 over the domain: V = 1/64, tolerance 1/128.
    slopes = np.ones(10)
    slopes[6] = -1 / 64
    snapshot = affine_box(slopes)
    relation = Monotonic([1] * 10, 1 / 128).resolve(snapshot.domain)
    return snapshot, relation, "shared", about(1 / 128)


@case("affine, monotonic, right in every feature")
def _():
    # No pair rises against the order; x' = x'' gives exactly 0.
    snapshot = affine_box(np.arange(1, 5))
    return snapshot, Monotonic([1] * 4).resolve(snapshot.domain), "shared", (0.0, 0.0)


@case("affine, fair, the protected feature is not read")
def _():
    snapshot = affine_box([0.0, 1.0, 1.0])
    return snapshot, Fair([0], 0.0).resolve(snapshot.domain), "shared", (0.0, 0.0)
