"""The closed form against enumeration, rational arithmetic and a solver."""

import json
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exhaustive import largest_value
from support.networks import (
    crossing,
    deployed,
    hand_drawn,
    random_snapshot,
    relate,
    related_pairs,
    relu,
    unit_box,
)
from support.random_networks import HOSTILE, fractions, weights

from smile_sklearn.certificates import Certificate, Status
from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.snapshot.graph import GraphBuilder
from smile_sklearn.verification.affine_box import AffineEnvelope, affine_box
from smile_sklearn.verification.closed_form import ClosedForm, largest_values
from smile_sklearn.verification.difference import Analysis, DifferenceBounds
from smile_sklearn.verification.formulations.value import pair_envelope
from smile_sklearn.verification.mip import MIP


def mixed_domain():
    """One numeric feature, an integer, a group of each kind."""
    return InputDomain(
        [-2, 0, 0, 0, 0, 0, 0],
        [3, 4, 1, 1, 1, 1, 1],
        integer=[1],
        one_hot=[[2, 3, 4]],
        one_hot_at_most_one=[[5, 6]],
    )


DELTAS = {
    "symmetric": (-np.array([0.5, 1, 1, 1, 1, 1, 1]), np.array([0.5, 1, 1, 1, 1, 1, 1])),
    "one-sided": (np.array([0.0, -2, -1, -1, -1, 0, 0]), np.array([2.0, 0, 1, 1, 1, 0, 0])),
    "away from zero": (np.array([1.0, 1, 0, 0, 0, -1, 0]), np.array([2.0, 3, 0, 0, 0, 0, 1])),
    "groups only": (np.array([0.0, 0, 0, -1, -1, -1, -1]), np.array([0.0, 0, 0, 1, 1, 1, 1])),
}


def two_sided_truth(snapshot, relation):
    """Largest V of each side over all margins, by enumeration."""
    return [
        max(largest_value(snapshot, relation, ("box",), sign * row) for row in snapshot.margins())
        for sign in (1, -1)
    ]


@pytest.mark.parametrize("kind", DELTAS)
@pytest.mark.parametrize(("ends", "gap"), [("affine", 0.3), ("free", 30.0), ("free", -30.0)])
def test_it_is_the_largest_value_found_by_enumeration(kind, ends, gap):
    """Widths by construction, free ends that stay apart, and boxes that are flipped everywhere."""
    domain = mixed_domain()
    for seed in (1, 2):
        snapshot = random_snapshot(
            seed, 7, (), 3, n_outputs=1 + 2 * (seed == 2), ends=ends, gap=gap, domain=domain
        )
        relation = relate(domain, DELTAS[kind], (-np.inf, 0.4))
        upper, lower = two_sided_truth(snapshot, relation)
        certificate = ClosedForm().verify(snapshot, relation)
        low, high = certificate.proof["couplings"]["box"]
        scale = 1e-11 * (1.0 + abs(upper) + abs(lower) + abs(gap))
        assert upper - 1e-9 * scale <= high <= upper + scale
        assert lower - 1e-9 * scale <= -low <= lower + scale
        assert certificate.bound == pytest.approx(upper - 0.4, abs=scale)
        assert certificate.attained == pytest.approx(upper - 0.4, abs=scale)


def test_it_holds_exactly_where_epsilon_is_above_the_largest_value():
    domain = mixed_domain()
    for seed in range(3):
        snapshot = random_snapshot(seed, 7, (), 3, ends="affine", domain=domain)
        largest = two_sided_truth(snapshot, relate(domain, DELTAS["symmetric"]))[0]
        for share, status in ((1 + 1e-9, Status.HOLDS), (1 - 1e-9, Status.BOUNDED)):
            certificate = ClosedForm().verify(snapshot, relate(domain, DELTAS["symmetric"], share * largest))
            assert certificate.status is status
            assert certificate.rigor == "rounded"


@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(sorted(DELTAS)),
    n_outputs=st.sampled_from([1, 3]),
)
@settings(max_examples=40)
def test_no_related_pair_is_above_it_and_difference_bounds_are_not_below(seed, kind, n_outputs):
    domain = mixed_domain()
    snapshot = random_snapshot(seed, 7, (), 3, n_outputs=n_outputs, ends="affine", domain=domain)
    relation = relate(domain, DELTAS[kind], (-np.inf, 1.0))
    certificate = ClosedForm().verify(snapshot, relation)
    first, second = (domain.to_unit(rows) for rows in related_pairs(relation, 300, seed))
    for row in snapshot.margins():
        values = pair_envelope(snapshot, ("box",), row, first, second).value
        assert values.max(initial=-np.inf) <= certificate.bound + 1.0
    loose = DifferenceBounds().verify(snapshot, relation, coupling="box")
    assert certificate.bound <= loose.bound + 1e-12 * (1.0 + abs(loose.bound))


# --- hostile weights, in rational numbers ---------------------------------------------------------


def exact_hexagon_maximum(a, b, low, high):
    """max a x + b y over x, y in [0, 1], x - y in [low, high], at the vertices."""
    planes = [((1, 0), 1), ((-1, 0), 0), ((0, 1), 1), ((0, -1), 0), ((1, -1), high), ((-1, 1), -low)]
    best = None
    for (n, c), (m, e) in combinations(planes, 2):
        determinant = n[0] * m[1] - n[1] * m[0]
        if determinant:
            x, y = (
                Fraction(c * m[1] - e * n[1]) / determinant,
                Fraction(n[0] * e - m[0] * c) / determinant,
            )
            if all(k[0] * x + k[1] * y <= end for k, end in planes):
                best = max(a * x + b * y, a * x + b * y if best is None else best)
    return best


def exact_product(left, right):
    """Matrix product of lists of Fractions."""
    columns = list(zip(*right, strict=True))
    dot = lambda row, column: sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0))
    return [[dot(row, column) for column in columns] for row in left]


@pytest.mark.parametrize("seed", range(12))
def test_hostile_weights_do_not_push_it_below_the_exact_maximum(seed):
    """Two affine layers, composed exactly; without the slack of the forward pass, which would hide much."""
    generator = np.random.default_rng(seed)
    d, hidden, n_latent = 4, 5, 3
    builder = GraphBuilder(d)
    node = builder.affine(weights(generator, hidden, d, HOSTILE), generator.normal(size=hidden))
    lower = builder.affine(weights(generator, n_latent, hidden, HOSTILE), np.zeros(n_latent), node)
    slopes = weights(generator, n_latent, d, HOSTILE)
    bias = np.abs(generator.normal(size=n_latent)) - np.minimum(slopes, 0.0).sum(axis=1)
    head = weights(generator, 1, n_latent, HOSTILE, zeros=0.0)
    snapshot = with_width(builder, lower, builder.affine(slopes, bias), head, d)
    relation = relate(unit_box(d), generator.choice([0.0, 0.1, 1.0], d), 1.0)

    rows = lambda matrix: [fractions(row) for row in matrix]
    of_lower = exact_product(
        rows(snapshot.graph.nodes[lower].weight), rows(snapshot.graph.nodes[node].weight)
    )
    row = fractions(head[0])
    (through,), (rise,), (fall,) = (
        exact_product([weight], matrix)
        for weight, matrix in (
            (row, of_lower),
            ([max(w, 0) for w in row], rows(slopes)),
            ([max(-w, 0) for w in row], rows(slopes)),
        )
    )
    total = sum(abs(w) * c for w, c in zip(row, fractions(bias), strict=True))
    analysis = Analysis(snapshot, relation)
    analysis.slack = np.zeros(1)
    envelope = AffineEnvelope(affine_box(snapshot), analysis)
    low, high = (fractions(end) for end in relation.unit_delta())
    error = Fraction(0)
    for feature in range(d):
        a, b = through[feature] + rise[feature], fall[feature] - through[feature]
        if relation.equal[feature]:
            error += abs(Fraction(envelope.equal[0, feature]) - a - b)
        else:
            error += abs(Fraction(envelope.first[0, feature]) - a)
            error += abs(Fraction(envelope.second[0, feature]) - b)
        total += exact_hexagon_maximum(a, b, low[feature], high[feature])

    assert error <= Fraction(envelope.slack[0])
    (bound,) = largest_values(envelope, relation, 1)
    assert Fraction(bound) >= total
    parts = [abs(head[0]) @ abs(part) for part in (slopes, bias, np.array(of_lower, dtype=float))]
    layers = abs(head) @ abs(snapshot.graph.nodes[lower].weight) @ abs(snapshot.graph.nodes[node].weight)
    assert float(bound) - float(total) <= 1e-13 * (layers.sum() + sum(map(np.sum, parts)))


def with_width(builder, lower, gap, head, d):
    upper = builder.sum(lower, gap)
    return NetworkSnapshot(builder.build(), lower, upper, gap, head, np.zeros(1), range(d), unit_box(d))


def test_a_width_negative_by_rounding_is_accounted_for():
    """At x' = 1 hi misses lo by 5e-13: the clip returns lo there, which is that much above hi."""
    slopes, bias = -np.array([[0.1, 0.2, 0.3]]), np.array([0.6 - 5e-13])
    builder = GraphBuilder(3)
    lower = builder.affine(np.ones((1, 3)), np.zeros(1))
    snapshot = with_width(builder, lower, builder.affine(slopes, bias), np.ones((1, 1)), 3)
    certificate = ClosedForm().verify(snapshot, relate(unit_box(3), 1.0, 4.0))
    assert 3.0 <= certificate.variation <= 3.0 + 1e-12
    assert certificate.slack >= 5e-13


# --- stable clamps --------------------------------------------------------------------------------


def test_clamps_that_never_bend_are_affine():
    """One unit passes, one is always off, one always at its top; a solver finds the same largest V."""
    generator = np.random.default_rng(3)
    builder = GraphBuilder(3)
    hidden = builder.affine(generator.normal(size=(3, 3)), np.array([9.0, -9.0, 9.0]))
    hidden = builder.clamp(np.zeros(3), np.array([np.inf, np.inf, 2.0]), hidden)
    lower = builder.affine(generator.normal(size=(2, 3)), np.zeros(2), hidden)
    gap = relu(builder, builder.affine(0.1 * generator.normal(size=(2, 3)), np.ones(2)), 2)
    upper = builder.sum(lower, gap)
    head = generator.normal(size=(1, 2))
    snapshot = NetworkSnapshot(builder.build(), lower, upper, gap, head, np.zeros(1), range(3), unit_box(3))
    relation = relate(unit_box(3), 0.3, (-0.2, 0.1))
    certificate, solved = (verifier.verify(snapshot, relation) for verifier in (ClosedForm(), MIP()))
    assert certificate.bound == pytest.approx(solved.bound, abs=2 * solved.slack + 1e-9)
    assert certificate.bound - certificate.attained <= 2 * certificate.slack


@pytest.mark.parametrize(
    ("snapshot", "message"),
    [
        (crossing(), "of one sign"),
        (random_snapshot(0, 2, (3,), 2, ends="affine"), "Clamp"),
        (random_snapshot(1, 3, (), 3, ends="relu", gap=0.1), "hi - lo passes through"),
    ],
)
def test_what_is_not_affine_is_declined(snapshot, message):
    with pytest.raises(UnsupportedError, match=message):
        ClosedForm().check(snapshot, relate(snapshot.domain, 0.1))


def test_shared_coupling_is_declined():
    snapshot = random_snapshot(0, 2, (), 2, ends="affine", reads=())
    relation = relate(snapshot.domain, 0.1)
    with pytest.raises(UnsupportedError, match="proves with the couplings"):
        ClosedForm().verify(snapshot, relation, coupling="shared")
    assert ClosedForm().verify(snapshot, relation).coupling == "box"


# --- what it certifies ----------------------------------------------------------------------------


def test_a_network_without_a_box_is_refuted_where_its_bound_is_above_epsilon():
    """Width 0: f = w lo, so that V is f itself and its maximiser a counterexample."""
    snapshot = hand_drawn(weight=-2.0, width=0.0)
    relation = relate(snapshot.domain, 0.25, 0.4)
    certificate = ClosedForm().verify(snapshot, relation, predict=deployed(snapshot))
    assert certificate.status is Status.VIOLATED
    example = certificate.counterexample
    assert relation.contains_exactly(example.first, example.second)
    assert example.violation == pytest.approx(0.1)
    assert certificate.bound == pytest.approx(0.1)
    assert ClosedForm().verify(snapshot, relation).status is Status.BOUNDED  # nothing to replay with


def test_the_other_side_is_bounded_too():
    snapshot = hand_drawn(weight=2.0, width=0.5)
    relation = relate(snapshot.domain, (0.0, 0.25), (-np.inf, 1.2))
    certificate = ClosedForm().verify(snapshot, relation)
    assert certificate.status is Status.HOLDS
    assert certificate.proof["couplings"]["box"] == pytest.approx([-0.5, 1.0])
    assert certificate.variation == pytest.approx(1.0)


def test_equal_features_do_not_count_where_only_lo_reads_them():
    """The slopes of lo cancel exactly, however large: what is left is the width."""
    snapshot = hand_drawn(weight=1e12, width=0.5)
    certificate = ClosedForm().verify(snapshot, relate(snapshot.domain, 0.0, 1.0))
    assert certificate.variation - certificate.slack == pytest.approx(0.5, abs=1e-12)


def test_what_overflows_is_not_proven():
    huge = replace(hand_drawn(weight=1e308), head_weight=np.array([[1e9]]))
    with np.errstate(all="ignore"):
        certificate = ClosedForm().verify(huge, relate(huge.domain, 1.0, 1.0))
    assert certificate.status is Status.UNKNOWN
    assert certificate.bound == np.inf


def test_the_certificate_survives_json():
    snapshot = hand_drawn()
    certificate = ClosedForm().verify(snapshot, relate(snapshot.domain, 0.1, 0.5))
    again = Certificate.from_json(certificate.to_json())
    assert again.proof == json.loads(certificate.to_json())["proof"] == certificate.proof
    assert again.proof["kind"] == "closed form"
    assert again.attained == certificate.attained
