"""Plain problems of the battery: corners, kinks, spikes, groups, integers, every node type.

Every answer stands in a comment beside its network, or comes from `enumerated`.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from support.cases import SEEDS, about, case, enumerated, load
from support.networks import random_snapshot, relu, unit_box

from smile_sklearn.properties import Fair, GloballyRobust, InputDomain, Monotonic, Relational
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.snapshot.graph import GraphBuilder


def closed(builder, lower, *, head=1.0, domain=None, n_features=1, width=0.0):
    """A snapshot of one unit whose box is ``[lo, lo + width]``, a constant width."""
    domain = unit_box(n_features) if domain is None else domain
    gap = builder.affine(np.zeros((1, domain.n_features)), np.array([float(width)]))
    upper = builder.sum(lower, gap)
    return NetworkSnapshot(
        builder.build(), lower, upper, gap, np.array([[float(head)]]), np.zeros(1), (), domain
    )


def hinges(weights, offsets, slopes, *, domain=None):
    """lo = sum_i slopes_i relu(weights_i p + offsets_i), width 0, head 1."""
    weights = np.atleast_2d(np.asarray(weights, float))
    builder = GraphBuilder(weights.shape[1])
    hidden = relu(builder, builder.affine(weights, np.asarray(offsets, float)), len(weights))
    lower = builder.affine(np.atleast_2d(np.asarray(slopes, float)), np.zeros(1), hidden)
    return closed(builder, lower, domain=domain, n_features=weights.shape[1])


# Free ends that flip: f between lo and max(lo, hi).


def _flipping(property, coupling, truth, head=1.0, uncertainty=1e-12):
    """lo = p, hi = 1 - p."""
    builder = GraphBuilder(1)
    lower = builder.affine(np.array([[1.0]]), np.zeros(1))
    upper = builder.affine(np.array([[-1.0]]), np.ones(1))
    domain = unit_box(1)
    snapshot = NetworkSnapshot(
        builder.build(), lower, upper, None, np.array([[head]]), np.zeros(1), (), domain
    )
    return snapshot, property.resolve(domain), coupling, about(truth, uncertainty)


# max(p', 1 - p') - p'' is 1 at (0, 0) already; times the head, minus epsilon.
case("flipping box, robust")(partial(_flipping, GloballyRobust(0.25, 1.0), "box", 1.0, 2.0))
case("flipping box, negative head")(partial(_flipping, GloballyRobust(0.25, 1.0), "box", 1.0, -2.0))
# max(0, dp, -dp) = 1/4.
case("flipping box, shared")(partial(_flipping, GloballyRobust(0.25, 0.125), "shared", 0.125))
# p' <= p'': box alone 1 (at p' = p'' = 0), shared alone 1 (at 0, 1), the smaller of both
# min(max(p', 1 - p') - p'', p'' - p'), at most 1/2: at (0, 1/2), a kink of the minimum inside the domain.
case("flipping box, both couplings")(partial(_flipping, Monotonic([1], 0.25), "auto", 0.25))
case("flipping box, monotonic, box")(partial(_flipping, Monotonic([1], 0.25), "box", 0.75))
case("flipping box, monotonic, shared")(partial(_flipping, Monotonic([1], 0.25), "shared", 0.75))


# Functions of one feature with a corner inside: tents, spikes, clamps.


@case("clamp, both ends of the worst pair at an interior kink")
def _():
    # g = clamp(4 p; 1, 2) - p: g(0) = 1, g(1/4) = 3/4, g(1/2) = 3/2, g(1) = 1. Largest change 3/4.
    builder = GraphBuilder(1)
    steep = builder.clamp(np.array([1.0]), np.array([2.0]), builder.affine(np.array([[4.0]]), np.zeros(1)))
    lower = builder.sum(steep, builder.affine(np.array([[-1.0]]), np.zeros(1)))
    snapshot = closed(builder, lower)
    return snapshot, Fair([0], 0.5).resolve(snapshot.domain), "box", about(0.25)


SEEDS["clamp, both ends of the worst pair at an interior kink"] = [[[0.5], [0.25]]]


def _spike(at, half, height=1.0):
    """Zero but for a tent of that height over [at - half, at + half]."""
    slope = height / half
    return hinges([[1.0]] * 3, [half - at, -at, -at - half], [slope, -2 * slope, slope])


@case("a spike of width 1/32 inside, robust")
def _():
    snapshot = _spike(0.375, 1 / 64)
    return snapshot, GloballyRobust(0.5, 0.5).resolve(snapshot.domain), "box", about(0.5)


@case("a spike of width 1/32 inside, monotonic")
def _():
    snapshot = _spike(0.375, 1 / 64)
    return snapshot, Monotonic([1], 0.5).resolve(snapshot.domain), "shared", about(0.5)


@case("a spike narrower than what may differ")
def _():
    # |p' - p''| <= 1/128 climbs half of the spike of half-width 1/64: 1/2.
    snapshot = _spike(0.375, 1 / 64)
    return snapshot, GloballyRobust(1 / 128, 0.25).resolve(snapshot.domain), "box", about(0.25)


for _name in ("a spike of width 1/32 inside, robust", "a spike of width 1/32 inside, monotonic"):
    SEEDS[_name] = [[[0.375], [0.5]]]
SEEDS["a spike narrower than what may differ"] = [[[0.375], [0.3828125]]]


def _whole(n_values):
    return InputDomain([0], [n_values], integer=[0])


def _spike_of_integers(at, expected):
    """A tent of half-width 1/16 of the domain 0..8 (half a step) around ``at``."""
    snapshot = hinges(
        [[1.0]] * 3,
        [1 / 16 - at / 8, -at / 8, -at / 8 - 1 / 16],
        [16.0, -32.0, 16.0],
        domain=_whole(8),
    )
    return snapshot, Fair([0], 0.5).resolve(snapshot.domain), "shared", about(expected - 0.5)


# At a whole number the spike of height 1 is seen by that one value; between two, by none.
case("only one integer value breaks it")(partial(_spike_of_integers, 5, 1.0))
case("no integer value breaks it, a real one would")(partial(_spike_of_integers, 4.5, 0.0))


def _tents(depth):
    """The tent map composed with itself: 2^(depth - 1) teeth from 0 to 1."""
    builder, node = GraphBuilder(1), 0
    for _ in range(depth):
        hidden = relu(builder, builder.affine(np.ones((2, 1)), np.array([0.0, -0.5]), node), 2)
        node = builder.affine(np.array([[2.0, -4.0]]), np.zeros(1), hidden)
    return closed(builder, node)


@case("tent map, 4 layers, robust")
def _():
    # Slope 16, teeth of width 1/8: |p' - p''| <= 1/32 climbs half a tooth.
    snapshot = _tents(4)
    return snapshot, GloballyRobust(1 / 32, 0.25).resolve(snapshot.domain), "box", about(0.25)


@case("tent map, 5 layers, fair")
def _():
    snapshot = _tents(5)
    return snapshot, Fair([0], 0.5).resolve(snapshot.domain), "shared", about(0.5)


# Several features: corners that only one of many shows, kinks that no corner shows.


def _one_corner(n_features, integer):
    """relu(sum of literals - (n - 1/2)): 1/2 at one corner of 2^n, 0 at all others; even features negated."""
    domain = InputDomain(
        np.zeros(n_features), np.ones(n_features), integer=range(n_features) if integer else ()
    )
    sign = np.array([(-1.0) ** j for j in range(n_features)])
    negated = (sign < 0).sum()
    snapshot = hinges([sign], [negated - (n_features - 0.5)], [1.0], domain=domain)
    relation = GloballyRobust(1.0, 0.25).resolve(domain)
    return snapshot, relation, "box", about(0.25)


for _number in (2, 4, 6, 10):
    for _integer in (False, True):
        _name = f"one corner of 2^{_number} breaks it" + (", integers" if _integer else "")
        case(_name)(partial(_one_corner, _number, _integer))
        _corner = [(1.0 + (-1.0) ** j) / 2 for j in range(_number)]
        SEEDS[_name] = [[_corner, [1.0 - value for value in _corner]]]


def _pyramid(property, coupling, truth):
    """-|p - q| - |p + q - 1|: 0 at the centre and -1 at the corners; the largest value is at the kinks."""
    weights = [[1, -1], [-1, 1], [1, 1], [-1, -1]]
    snapshot = hinges(weights, [0, 0, -1, 1], [-1, -1, -1, -1])
    return snapshot, property.resolve(snapshot.domain), coupling, about(truth)


# Centre against a corner: 1.
case("pyramid, peak at an interior kink, fair")(partial(_pyramid, Fair([0, 1], 0.75), "shared", 0.25))
# In p alone, q equal: -|p - q| - |p + q - 1| = -max(|2p - 1|, |2q - 1|); at q = 1/2 from 0 to -1.
case("pyramid, one feature moves")(partial(_pyramid, Fair([0], 0.5), "shared", 0.5))
# -max(|2p - 1|, |2q - 1|) changes by at most 2 max(|dp|, |dq|) = 1/4.
case("pyramid, robust")(partial(_pyramid, GloballyRobust(0.125, 0.125), "box", 0.125))
for _name in ("pyramid, peak at an interior kink, fair", "pyramid, one feature moves"):
    SEEDS[_name] = [[[0.5, 0.5], [0.0, 0.5]]]


@case("xor of two integers, fair in one")
def _():
    # |a - b| for a, b in {0, 1}: flipping a changes it by 1.
    domain = InputDomain([0, 0], [1, 1], integer=[0, 1])
    snapshot = hinges([[1, -1], [-1, 1]], [0, 0], [1, 1], domain=domain)
    return snapshot, Fair([0], 0.5).resolve(domain), "shared", about(0.5)


def _one_ordered_pair(reverse):
    """Five categories and a numeric q: relu(category 3 + q - 3/2) - relu(category 1 + q - 3/2)."""
    domain = InputDomain(np.zeros(6), np.ones(6), one_hot=[[0, 1, 2, 3, 4]])
    weights = np.zeros((2, 6))
    weights[0, 3] = weights[1, 1] = 1.0
    weights[:, 5] = 1.0
    snapshot = hinges(weights, [-1.5, -1.5], [1, -1], domain=domain)
    up, down = (1, 3) if reverse else (3, 1)
    relation = Relational({up: 0, down: -1}, {up: 1, down: 0}, -np.inf, 0.5).resolve(domain)
    return snapshot, relation, "shared", about((0.0 if reverse else 1.0) - 0.5)


# From 1 to 3 with q = 1: 1/2 + 1/2, and no other ordered pair is above 1/2; from 3 to 1 it falls.
case("one ordered pair of categories breaks it")(partial(_one_ordered_pair, reverse=False))
case("the same pair the other way round")(partial(_one_ordered_pair, reverse=True))


@case("at most one: only the row without a category breaks it")
def _():
    # relu(1/2 - a - b): 1/2 at the zero row, 0 at both categories.
    domain = InputDomain(np.zeros(2), np.ones(2), one_hot_at_most_one=[[0, 1]])
    snapshot = hinges([[-1, -1]], [0.5], [1], domain=domain)
    return snapshot, Fair([0, 1], 0.25).resolve(domain), "shared", about(0.25)


# Every node type: sorts, mirrored relus, two-sided clamps, sums; a sort of two is a hinge.


def _sorted_pair(as_sort):
    """(min, max) of (2 p - q, q - p), head (1, 2) on width 1/8; as a sort, or min(a, b) = a - relu(a - b)."""
    builder = GraphBuilder(2)
    pre = np.array([[2.0, -1.0], [-1.0, 1.0]])
    if as_sort:
        lower = builder.group_sort(2, builder.affine(pre, np.zeros(2)))
    else:
        excess = relu(builder, builder.affine(pre[[0]] - pre[[1]], np.zeros(1)), 1)
        spread = builder.affine(np.array([[-1.0], [1.0]]), np.zeros(2), excess)
        lower = builder.sum(builder.affine(pre, np.zeros(2)), spread)
        # min = a - relu(a - b), max = b + relu(a - b).
    gap = builder.affine(np.zeros((2, 2)), np.full(2, 0.125))
    upper = builder.sum(lower, gap)
    return NetworkSnapshot(
        builder.build(), lower, upper, gap, np.array([[1.0, 2.0]]), np.zeros(1), (), unit_box(2)
    )


def _sorted_case(as_sort, coupling):
    snapshot, twin = _sorted_pair(as_sort), _sorted_pair(as_sort=False)
    relation = GloballyRobust({0: 0.5, 1: 0.25}, 0.5).resolve(snapshot.domain)
    return snapshot, relation, coupling, enumerated(twin, relation, coupling)


for _coupling in ("box", "shared"):
    case(f"sort of two, {_coupling}")(partial(_sorted_case, True, _coupling))
    case(f"sort of two, as hinges, {_coupling}")(partial(_sorted_case, False, _coupling))


def _drawn(seed, property, coupling, **options):
    snapshot = random_snapshot(seed, reads=(), **options)
    relation = property.resolve(snapshot.domain, n_outputs=snapshot.n_outputs)
    return snapshot, relation, coupling, enumerated(snapshot, relation, coupling)


_ONE = InputDomain([-3], [5])
_TWO = InputDomain([-3, 0], [5, 2])
_WITH_GROUP = InputDomain([0, 0, 0, -1], [1, 1, 3, 1], integer=[2], one_hot=[[0, 1]])
_DRAWN = {
    "two layers, free ends": (1, GloballyRobust(0.8, 0.1), "box", {"hidden": (3, 3), "domain": _ONE}),
    "two layers, clamps, shared": (
        2,
        Monotonic([1], 0.05),
        "shared",
        {"hidden": (3, 3), "activation": "clamp", "ends": "relu", "domain": _ONE},
    ),
    "mirrored relus, widths": (
        3,
        Relational({0: -0.5}, {0: 2.0}, -0.2, 0.3),
        "box",
        {"hidden": (4,), "activation": "negative", "ends": "affine", "domain": _ONE},
    ),
    "two features, free ends": (4, GloballyRobust([0.8, 0.4], 0.1), "box", {"hidden": (2,), "domain": _TWO}),
    "two features, both couplings": (5, Fair([0], 0.1), "auto", {"hidden": (3,), "domain": _TWO}),
    "three classes": (
        6,
        GloballyRobust(0.8, 0.1),
        "box",
        {"hidden": (3,), "n_outputs": 3, "ends": "relu", "domain": _ONE},
    ),
    "group, integer and a number": (
        7,
        GloballyRobust({0: 1, 1: 1, 2: 1, 3: 0.5}, 0.1),
        "box",
        {"hidden": (3,), "ends": "affine", "domain": _WITH_GROUP},
    ),
    "group, integer and a number, shared": (
        8,
        Fair([0, 1], 0.1, delta={2: 1}),
        "shared",
        {"hidden": (3,), "domain": _WITH_GROUP},
    ),
}
for _name, (_seed, _property, _coupling, _options) in _DRAWN.items():
    _n = {_ONE: 1, _TWO: 2, _WITH_GROUP: 4}[_options["domain"]]
    case(f"drawn: {_name}")(partial(_drawn, _seed, _property, _coupling, n_features=_n, **_options))


# The same problems with epsilon above the answer: they hold, and difference bounds do not see it.

KEPT = (
    "flipping box, both couplings",
    "clamp, both ends of the worst pair at an interior kink",
    "a spike of width 1/32 inside, robust",
    "a spike of width 1/32 inside, monotonic",
    "only one integer value breaks it",
    "no integer value breaks it, a real one would",
    "tent map, 4 layers, robust",
    "pyramid, one feature moves",
    "pyramid, peak at an interior kink, fair",
    "pyramid, robust",
    "drawn: group, integer and a number, shared",
    "sort of two, as hinges, box",
    "drawn: two layers, free ends",
    "drawn: mirrored relus, widths",
    "drawn: three classes",
)


def _kept(name):
    """Epsilon 1/64 of V's size above the truth, on every side: the violation falls by what it rises."""
    problem = load(name)
    relation = problem.relation
    shift = problem.high + max(1.0, abs(problem.high)) / 64
    ends = relation.epsilon_lower - shift, relation.epsilon_upper + shift
    raised = replace(relation, epsilon_lower=ends[0], epsilon_upper=ends[1])
    room = 1e-15 * max(1.0, *(abs(end) for end in ends if np.isfinite(end)))
    return (
        problem.snapshot,
        raised,
        problem.coupling,
        (problem.low - shift - room, problem.high - shift + room),
    )


for _name in KEPT:
    case(f"kept: {_name}")(partial(_kept, _name))
    SEEDS[f"kept: {_name}"] = SEEDS.get(_name, [])
