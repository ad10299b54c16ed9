"""Sign arguments speak of floats: checked on floats, one unit in the last place apart."""

from dataclasses import replace

import numpy as np
import pytest
from support import attack
from support.networks import deployed, hand_drawn, relate, unit_box
from support.random_networks import weights

from smile_sklearn.certificates import Status
from smile_sklearn.exceptions import CertificationWarning
from smile_sklearn.properties import Fair, GloballyRobust, InputDomain, Monotonic, Relational
from smile_sklearn.snapshot import GraphBuilder, NetworkSnapshot, evaluate
from smile_sklearn.verification.difference import DifferenceBounds
from smile_sklearn.verification.signs import Moves, node_moves, output_moves, through_weights


def signed_snapshot(seed, directions, domain, *, n_outputs=1, width=0.5, sizes=(1e-9, 1.0, 1e9), reads=()):
    """Nonnegative weights above signed columns, with every kind of unit: monotone whatever the sizes."""
    generator = np.random.default_rng(seed)
    d, hidden, n_latent = domain.n_features, 8, 4
    builder = GraphBuilder(d)
    first = np.abs(weights(generator, hidden, d, sizes)) * np.asarray(directions, dtype=float)
    node = builder.affine(first, generator.normal(size=hidden))
    low = np.array([0.0, -np.inf, -1.0, -np.inf] * 2)
    high = np.array([np.inf, 0.0, 1.0, np.inf] * 2)
    node = builder.clamp(low, high, node)
    node = builder.group_sort(4, node)
    node = builder.affine(
        np.abs(weights(generator, n_latent, hidden, sizes)), generator.normal(size=n_latent), node
    )
    gap = builder.affine(np.zeros((n_latent, d)), np.full(n_latent, width))
    upper = builder.sum(node, gap)
    head = np.abs(weights(generator, n_outputs, n_latent, sizes, zeros=0.0))
    return NetworkSnapshot(
        builder.build(), node, upper, gap, head, generator.normal(size=n_outputs), reads, domain
    )


def neighbours(relation, seed, n=4000):
    """Related pairs that differ by a few units in the last place, as well as by much."""
    generator = np.random.default_rng(seed)
    pairs = attack.random_pairs(relation, n, generator)
    first, second = pairs.second.copy(), pairs.second.copy()
    for _ in range(3):
        step = generator.integers(-1, 2, first.shape)
        step = np.where(
            (step > 0) & (relation.delta_upper == 0) | (step < 0) & (relation.delta_lower == 0), 0, step
        )
        moved = np.where(
            step > 0, np.nextafter(first, np.inf), np.where(step < 0, np.nextafter(first, -np.inf), first)
        )
        first = np.where(relation.equal | relation.domain.is_integer | relation.domain.in_group, first, moved)
    near = attack.Pairs(first, second)
    return attack.join(pairs, near.kept(attack.truly_related(relation, near)))


@pytest.mark.parametrize("width", [0.5, 0.0])
@pytest.mark.parametrize("seed", range(6))
def test_what_is_called_monotone_is_monotone_bit_by_bit(seed, width):
    generator = np.random.default_rng(seed)
    lower = generator.normal(size=4)
    domain = InputDomain([*lower, -3.0], [*(lower + [1.0, 1e-9, 1e9, 1.0]), 4.0], integer=[4])
    directions = generator.choice([-1, 1], 5)
    snapshot = signed_snapshot(seed, directions, domain, width=width)
    relation = Monotonic(directions).resolve(domain)
    # Zero width: no backbone at all, so box coupling too is exact.
    certificate = DifferenceBounds().verify(snapshot, relation, coupling="box" if width == 0 else "auto")
    assert certificate.status is Status.HOLDS
    assert (certificate.rigor, certificate.bound, certificate.slack) == ("exact", 0.0, 0.0)
    pairs = neighbours(relation, seed)
    assert len(pairs) > 4500
    wild = (
        (lambda inputs: np.full((len(inputs), 4), np.nan))
        if width == 0
        else (lambda inputs: np.full((len(inputs), 4), 0.3))
    )
    predict = deployed(snapshot, wild)
    change = predict(np.vstack([pairs.first, pairs.second]))[:, 0]
    assert (change[: len(pairs)] <= change[len(pairs) :]).all()
    assert (change[: len(pairs)] < change[len(pairs) :]).any()


@pytest.mark.parametrize("seed", range(5))
def test_a_claim_of_signs_is_never_refuted_by_floats(seed):
    """Random signs: wherever a unit is said not to rise (or fall), no pair of floats makes it."""
    generator = np.random.default_rng(seed)
    domain = unit_box(5)
    builder = GraphBuilder(5)
    node = builder.affine(weights(generator, 8, 5, zeros=0.6), generator.normal(size=8))
    node = builder.clamp(np.array([0.0, -np.inf] * 4), np.array([np.inf, 0.0] * 4), node)
    sort = builder.group_sort(2, node)
    node = builder.affine(weights(generator, 8, 8, zeros=0.7), generator.normal(size=8), sort)
    builder.sum(node, builder.affine(weights(generator, 8, 5, zeros=0.8), np.zeros(8)))
    graph = builder.build()
    sign = generator.choice([-1, 0, 1], 5)
    relation = relate(domain, (np.where(sign < 0, -1.0, 0.0), np.where(sign > 0, 1.0, 0.0)))
    pairs = neighbours(relation, seed)
    first, second = (evaluate(graph, rows, range(len(graph))) for rows in (pairs.first, pairs.second))
    claims = 0
    for moves, one, other in zip(node_moves(graph, relation), first, second, strict=True):
        assert (one <= other).all(axis=0)[~moves.up].all()
        assert (one >= other).all(axis=0)[~moves.down].all()
        claims += (~moves.up).sum() + (~moves.down).sum()
    assert claims > 10


def test_through_weights():
    moves = through_weights(
        np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 5e-324], [1.0, 1.0]]),
        Moves(np.array([True, False]), np.array([False, True])),
    )
    assert moves.up.tolist() == [True, False, False, True]
    assert moves.down.tolist() == [False, True, True, True]


def change_one_weight(snapshot, value=-1e-12):
    """One weight of lo's first layer with the wrong sign, however small."""
    graph = snapshot.graph
    weight = np.array(graph.nodes[1].weight)
    weight[0, 0] = value
    nodes = [
        replace(graph.nodes[1], weight=weight) if index == 1 else node
        for index, node in enumerate(graph.nodes)
    ]
    return replace(snapshot, graph=type(graph)(tuple(nodes)))


def test_one_wrong_sign_is_enough_to_say_nothing():
    domain = unit_box(3)
    snapshot = signed_snapshot(0, [1, 1, 1], domain, sizes=(1.0,))
    relation = Monotonic([1, 1, 1]).resolve(domain)
    assert DifferenceBounds().verify(snapshot, relation).status is Status.HOLDS
    worse = DifferenceBounds().verify(change_one_weight(snapshot), relation)
    assert worse.status is Status.BOUNDED
    assert worse.rigor == "rounded"
    assert worse.bound > 0
    head = np.array(snapshot.head_weight)
    head[0, 0] = -head[0, 0]
    assert DifferenceBounds().verify(replace(snapshot, head_weight=head), relation).status is Status.BOUNDED
    # The other direction, and a feature more than was constrained.
    assert DifferenceBounds().verify(snapshot, Monotonic([-1, 0, 0]).resolve(domain)).status is Status.BOUNDED


def test_box_coupling_needs_a_width_of_exactly_zero():
    domain = unit_box(2)
    relation = Monotonic([1, 1]).resolve(domain)
    for width, status in ((0.0, Status.HOLDS), (5e-324, Status.BOUNDED), (1e-9, Status.BOUNDED)):
        snapshot = signed_snapshot(1, [1, 1], domain, width=width, sizes=(1.0,), reads=(0, 1))
        assert DifferenceBounds().verify(snapshot, relation).status is status


def test_free_ends_are_never_of_zero_width():
    domain = unit_box(1)
    builder = GraphBuilder(1)
    low = builder.affine(np.array([[1.0]]), np.zeros(1))
    high = builder.affine(np.array([[1.0]]), np.zeros(1))
    snapshot = NetworkSnapshot(builder.build(), low, high, None, np.eye(1), np.zeros(1), (0,), domain)
    moves = output_moves(snapshot, Monotonic([1]).resolve(domain), shared=False)
    assert moves.up.all()
    assert moves.down.all()


def test_an_upper_end_that_moves_moves_the_unit():
    """lo is constant, hi = x (or -x): z may be at hi."""
    domain = unit_box(1)
    relation = relate(domain, (np.zeros(1), np.ones(1)), (-np.inf, 0.0))
    for slope, expected in ((1.0, (True, False)), (-1.0, (False, True))):
        builder = GraphBuilder(1)
        low = builder.affine(np.zeros((1, 1)), np.full(1, -9.0))
        high = builder.affine(np.full((1, 1), slope), np.zeros(1))
        snapshot = NetworkSnapshot(builder.build(), low, high, None, np.eye(1), np.zeros(1), (), domain)
        moves = output_moves(snapshot, relation, shared=True)
        assert (moves.up[0], moves.down[0]) == expected
        status = Status.BOUNDED if slope > 0 else Status.HOLDS
        assert DifferenceBounds().verify(snapshot, relation).status is status


def test_all_margins_must_be_still():
    """f_0 and f_1 are constant, f_2 = x: the margin f_0 - f_1 is still, the others are not."""
    snapshot = replace(
        hand_drawn(), head_weight=np.array([[0.0], [0.0], [1.0]]), head_bias=np.zeros(3), reads=()
    )
    relation = Fair([0], 0.0).resolve(snapshot.domain, None, 3)
    moves = output_moves(snapshot, relation, shared=True)
    assert moves.up.tolist() == [False, True, True]
    for limits in ((0.0, 0.0), (-np.inf, 0.0), (0.0, np.inf)):
        one = relate(snapshot.domain, [1.0], limits)
        assert DifferenceBounds().verify(snapshot, one).status is Status.BOUNDED


def test_margins_cross_the_signs_of_both_outputs():
    """f_0 rises, f_1 falls: f_0 - f_1 rises; f_0 and f_1 both rise: nothing is known."""
    domain = unit_box(1)
    relation = relate(domain, (np.zeros(1), np.ones(1)))
    both = hand_drawn()
    for head, expected in (
        ([[1.0], [-1.0]], (True, False)),
        ([[-1.0], [1.0]], (False, True)),
        ([[1.0], [1.0]], (True, True)),
    ):
        snapshot = replace(both, head_weight=np.array(head), head_bias=np.zeros(2), reads=())
        moves = output_moves(snapshot, relation, shared=True)
        assert (moves.up[0], moves.down[0]) == expected


def test_constant_and_unread_features_do_not_move():
    domain = InputDomain([0.0, 3.0, 0.0], [1.0, 3.0, 1.0])
    snapshot = signed_snapshot(2, [1, 1, 0], domain)
    with pytest.warns(CertificationWarning, match="equal inputs"):
        relation = Fair([1], 0.0).resolve(domain)
    assert DifferenceBounds().verify(snapshot, relation).rigor == "exact"
    # Column 2 has weights 0: the output is the same, bit for bit.
    certificate = DifferenceBounds().verify(snapshot, Fair([2], 0.0).resolve(domain))
    assert (certificate.status, certificate.rigor, certificate.variation) == (Status.HOLDS, "exact", 0.0)
    assert DifferenceBounds().verify(snapshot, Fair([0], 0.0).resolve(domain)).status is not Status.HOLDS


def test_a_limit_below_zero_is_not_called_exact():
    """Signs prove at most 0; that f falls by at least 0.1 rests on rounded numbers."""
    domain = unit_box(1)
    snapshot = signed_snapshot(0, [-1], domain, sizes=(1.0,), width=0.0)
    snapshot = replace(
        snapshot,
        graph=linear_graph(-1.0),
        lower=1,
        upper=3,
        width=2,
        head_weight=np.eye(1),
        head_bias=np.zeros(1),
    )
    relation = Relational([0.5], [1.0], -np.inf, -0.1).resolve(domain)
    certificate = DifferenceBounds().verify(snapshot, relation)
    assert certificate.status is Status.HOLDS
    assert certificate.rigor == "rounded"
    assert certificate.slack > 0
    zero = DifferenceBounds().verify(snapshot, Relational([0.0], [1.0], -np.inf, 0.0).resolve(domain))
    assert (zero.status, zero.rigor) == (Status.HOLDS, "exact")


def linear_graph(slope):
    builder = GraphBuilder(1)
    low = builder.affine(np.array([[slope]]), np.zeros(1))
    gap = builder.affine(np.zeros((1, 1)), np.zeros(1))
    builder.sum(low, gap)
    return builder.build()


def test_signs_are_silent_where_the_forward_pass_may_overflow():
    """Monotone weights of 1e200: predict answers -inf, nan and inf, so nothing holds."""
    domain = unit_box(1)
    builder = GraphBuilder(1)
    node = builder.affine(np.array([[1e200], [1e200]]), np.array([0.0, -5e199]))
    node = builder.clamp(np.array([0.0, -np.inf]), np.array([np.inf, 0.0]), node)
    low = builder.affine(np.full((2, 2), 1e200), np.zeros(2), node)
    gap = builder.affine(np.zeros((2, 1)), np.full(2, 0.5))
    upper = builder.sum(low, gap)
    snapshot = NetworkSnapshot(builder.build(), low, upper, gap, np.ones((1, 2)), np.zeros(1), (), domain)
    with np.errstate(all="ignore"):
        outputs = deployed(snapshot, lambda inputs: np.zeros((len(inputs), 2)))(
            np.array([[0.0], [0.25], [1.0]])
        )
        assert np.isnan(outputs).any()
        for relation in (Monotonic([1]).resolve(domain), GloballyRobust(0.1, 1e308).resolve(domain)):
            certificate = DifferenceBounds().verify(snapshot, relation)
            assert certificate.status is Status.UNKNOWN
