"""Difference bounds against enumeration, adversarial h, and networks made to break them."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from support import attack
from support.networks import crossing, deployed, hand_drawn, relate, unit_box
from support.random_networks import HOSTILE, KINDS, mixed_domain, mixed_relation, mixed_snapshot, weights

from smile_sklearn.certificates import Status
from smile_sklearn.check import check
from smile_sklearn.exceptions import DomainError, UnsupportedError
from smile_sklearn.properties import Fair, GloballyRobust, InputDomain, Monotonic, Relational
from smile_sklearn.snapshot import GraphBuilder, NetworkSnapshot
from smile_sklearn.verification.base import applicable_couplings
from smile_sklearn.verification.chain import make_verifier
from smile_sklearn.verification.difference import Analysis, DifferenceBounds


def prove(snapshot, relation, **options):
    return DifferenceBounds().verify(snapshot, relation, **options)


def discrete_domain(kind):
    if kind == "integers":
        return InputDomain([0, -1, 2], [2, 1, 4], integer=[0, 1, 2])
    if kind == "categories":
        return InputDomain(np.zeros(5), np.ones(5), one_hot=[[0, 1, 2]], one_hot_at_most_one=[[3, 4]])
    return InputDomain([0, 0, 0, 0, 5.0], [3, 1, 1, 1, 5.0], integer=[0], one_hot=[[1, 2, 3]])


def all_rows(domain):
    """Every row of a domain of integers, categories and constants."""
    blocks = []
    for feature in range(domain.n_features):
        if not domain.in_group[feature]:
            values = np.arange(domain.lower[feature], domain.upper[feature] + 1)
            blocks.append([((feature,), (value,)) for value in values])
    blocks += [[(group.columns, tuple(category)) for category in group.categories] for group in domain.groups]
    rows = np.zeros((int(np.prod([len(block) for block in blocks])), domain.n_features))
    for row, choice in zip(rows, product(*blocks), strict=True):
        for columns, values in choice:
            row[list(columns)] = values
    assert domain.contains(rows).all()
    return rows


def all_pairs(relation):
    rows = all_rows(relation.domain)
    first, second = np.meshgrid(np.arange(len(rows)), np.arange(len(rows)), indexing="ij")
    pairs = attack.Pairs(rows[first.ravel()], rows[second.ravel()])
    return pairs.kept(attack.truly_related(relation, pairs))


def extreme_backbones(snapshot, n_half):
    """h that exhausts the box between the halves of a batch, for every row of the head, both ways."""
    for row in snapshot.margins():
        up = np.where(row > 0, np.inf, -np.inf)
        for sign in (1.0, -1.0):
            yield lambda inputs, up=up, sign=sign: np.where(
                np.arange(len(inputs))[:, None] < n_half, sign * up, -sign * up
            )


CONSTANTS = (-np.inf, -3.0, -0.3, 0.0, 0.1, 0.5, 2.0, np.inf, np.nan)


def largest_change(snapshot, pairs, backbones):
    worst = attack.Worst(-np.inf, np.inf, 0, 0)
    for embed in backbones:
        values = attack.margins(deployed(snapshot, embed)(np.vstack([pairs.first, pairs.second])))
        change = values[: len(pairs)] - values[len(pairs) :]
        worst = attack.Worst(max(worst.upper, change.max()), min(worst.lower, change.min()), 0, len(pairs))
    return worst


# --- enumeration ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("kind", ["integers", "categories", "both"])
@pytest.mark.parametrize("ends", ["width", "free"])
def test_no_related_pair_of_a_discrete_domain_exceeds_the_bound(kind, ends, n_outputs):
    domain = discrete_domain(kind)
    for seed, shape in enumerate(KINDS):
        snapshot = mixed_snapshot(
            seed, domain, ends=ends, n_outputs=n_outputs, reads=range(domain.n_features)
        )
        relation = mixed_relation(seed, domain, shape)
        pairs = all_pairs(relation)
        assert len(pairs)
        box = Analysis(snapshot, relation).bounds("box")
        worst = largest_change(snapshot, pairs, extreme_backbones(snapshot, len(pairs)))
        assert box.lower <= worst.lower
        assert worst.upper <= box.upper
        # h = any function of what Q holds equal: constants, for all of them at once.
        shared = Analysis(snapshot, relation).bounds("shared")
        constants = [lambda inputs, z=z: np.full((len(inputs), 4), z) for z in CONSTANTS]
        worst = largest_change(snapshot, pairs, constants)
        assert shared.lower <= worst.lower
        assert worst.upper <= shared.upper


@pytest.mark.parametrize("kind", ["integers", "categories", "both"])
def test_affine_auxiliaries_of_constant_width_are_bounded_exactly(kind):
    """No gap at all: the largest V over an enumerated domain is the bound, to 1e-9."""
    domain = discrete_domain(kind)
    for seed, shape in enumerate(KINDS):
        generator = np.random.default_rng(seed)
        d = domain.n_features
        builder = GraphBuilder(d)
        low = builder.affine(weights(generator, 3, d), generator.normal(size=3))
        gap = builder.affine(np.zeros((3, d)), np.abs(generator.normal(size=3)))
        upper = builder.sum(low, gap)
        snapshot = NetworkSnapshot(
            builder.build(), low, upper, gap, generator.normal(size=(1, 3)), np.zeros(1), range(d), domain
        )
        relation = mixed_relation(seed, domain, shape)
        pairs = all_pairs(relation)
        bound = Analysis(snapshot, relation).bounds("box")
        reached = largest_change(snapshot, pairs, extreme_backbones(snapshot, len(pairs)))
        assert bound.upper == pytest.approx(reached.upper, rel=1e-9, abs=1e-9)
        assert bound.lower == pytest.approx(reached.lower, rel=1e-9, abs=1e-9)
        assert bound.lower <= reached.lower
        assert reached.upper <= bound.upper


# --- continuous and mixed domains -----------------------------------------------------------------


@pytest.mark.parametrize(
    "widths", [(1.0, 1e-12, 1e9, 50.0), (1e300, 1e-300, 5e-324, 1e-9)], ids=["mixed", "huge and tiny"]
)
@pytest.mark.parametrize("sizes", [(1.0,), HOSTILE], ids=["plain", "hostile"])
@pytest.mark.parametrize("kind", KINDS)
def test_random_pairs_of_mixed_domains(kind, sizes, widths):
    for seed in range(3):
        domain = mixed_domain(seed, widths)
        relation = mixed_relation(seed, domain, kind)
        snapshot = mixed_snapshot(
            seed,
            domain,
            sizes=sizes,
            ends="free" if seed == 1 else "width",
            n_outputs=1 + 2 * (seed == 2),
            reads=range(11),
        )
        generator = np.random.default_rng(seed)
        pairs = attack.join(
            attack.random_pairs(relation, 1500, generator),
            attack.random_pairs(relation, 1500, generator, corners=True),
        )
        assert len(pairs) > 100
        bounds = {coupling: Analysis(snapshot, relation).bounds(coupling) for coupling in ("box", "shared")}
        worst = largest_change(snapshot, pairs, extreme_backbones(snapshot, len(pairs)))
        assert bounds["box"].lower <= worst.lower
        assert worst.upper <= bounds["box"].upper
        slack = Analysis(snapshot, relation).slack.max()
        for coupling, bound in bounds.items():
            assert attack.envelope(snapshot, (coupling,), pairs).max() <= bound.upper + slack
            assert attack.envelope(snapshot, (coupling,), pairs.exchanged()).max() <= -bound.lower + slack


def test_margins_of_1e_12_are_not_lost_to_rounding():
    """f reaches 1 + 1e-12 over a box of slope 1: epsilon = 1 must not be called met."""
    for excess, status in (
        (1e-12, Status.BOUNDED),
        (1e-15, Status.BOUNDED),
        (0.0, Status.BOUNDED),
        (-1e-12, Status.HOLDS),
    ):
        snapshot = hand_drawn(weight=1.0 + excess, width=0.0)
        certificate = prove(snapshot, GloballyRobust(1.0, 1.0).resolve(snapshot.domain))
        assert certificate.status is status
        # Predictions of the two ends of the domain: the violation is real where there is one.
        first, second = deployed(snapshot)(np.array([[1.0], [0.0]]))[:, 0]
        assert first - second <= certificate.variation


def test_weights_of_1e9_beside_1e_9():
    builder = GraphBuilder(2)
    low = builder.affine(np.array([[1e9, 1e-9], [-1e9, 1e-9]]), np.zeros(2))
    gap = builder.affine(np.zeros((2, 2)), np.zeros(2))
    upper = builder.sum(low, gap)
    snapshot = NetworkSnapshot(
        builder.build(), low, upper, gap, np.ones((1, 2)), np.zeros(1), (), unit_box(2)
    )
    # The huge weights cancel in real arithmetic; what the floats lose of it is in the slack.
    relation = Fair([1], 1.0).resolve(snapshot.domain)
    bounds = Analysis(snapshot, relation).bounds("box")
    assert bounds.upper >= 2e-9
    generator = np.random.default_rng(0)
    pairs = attack.random_pairs(relation, 20_000, generator)
    values = deployed(snapshot, lambda inputs: np.zeros((len(inputs), 2)))(
        np.vstack([pairs.first, pairs.second])
    )
    change = np.abs(values[: len(pairs)] - values[len(pairs) :]).max()
    assert change > 3e-9  # above the 2e-9 of real arithmetic
    assert change <= prove(snapshot, relation).variation


def test_boxes_that_flip_are_bounded_by_max_lo_hi():
    snapshot = crossing()
    relation = relate(snapshot.domain, [1.0])
    bound = Analysis(snapshot, relation).bounds("box")
    pairs = attack.random_pairs(relation, 5000, np.random.default_rng(0), corners=True)
    worst = largest_change(snapshot, pairs, extreme_backbones(snapshot, len(pairs)))
    assert worst.upper == pytest.approx(2.0)
    assert worst.upper <= bound.upper


def test_a_width_that_is_negative_somewhere_is_not_trusted():
    """width = 1 - 2x is below 0 for x > 1/2: there the box is [lo, lo]."""
    builder = GraphBuilder(1)
    low = builder.affine(np.array([[0.0]]), np.zeros(1))
    gap = builder.affine(np.array([[-2.0]]), np.ones(1))
    snapshot = NetworkSnapshot(
        _with_sum(builder, low, gap),
        low,
        3,
        gap,
        np.array([[1.0]]),
        np.zeros(1),
        (0,),
        unit_box(1),
    )
    relation = relate(snapshot.domain, [0.1])
    pairs = attack.random_pairs(relation, 5000, np.random.default_rng(0), corners=True)
    worst = largest_change(snapshot, pairs, extreme_backbones(snapshot, len(pairs)))
    assert worst.upper == pytest.approx(1.0)
    assert worst.upper <= Analysis(snapshot, relation).bounds("box").upper


def _with_sum(builder, first, second):
    builder.sum(first, second)
    return builder.build()


def line(low, high, head, reads=()):
    """lo = low[0] + low[1] x, hi alike, free ends, f = head z on [0, 1]."""
    builder = GraphBuilder(1)
    ends = [builder.affine(np.array([[slope]]), np.array([start])) for start, slope in (low, high)]
    return NetworkSnapshot(builder.build(), *ends, None, np.array([[head]]), np.zeros(1), reads, unit_box(1))


@pytest.mark.parametrize("head", [1.0, -1.0])
@pytest.mark.parametrize(
    ("low", "high", "z", "delta"),
    [
        ((-10.0, 0.0), (0.0, 1.0), np.inf, (-1.0, 1.0)),  # only hi moves, z is at hi
        ((0.0, 1.0), (10.0, 0.0), -np.inf, (-1.0, 1.0)),  # only lo moves, z is at lo
        ((0.0, 1.0), (10.0, 1.0), 5.0, (0.2, 0.5)),  # both rise, z is between them and does not move
        ((0.0, 1.0), (10.0, 1.0), np.inf, (0.2, 0.5)),
        ((1.0, 0.0), (0.0, 1.0), 7.0, (-1.0, 1.0)),  # flipped: lo wins
    ],
)
def test_shared_boxes_by_hand(low, high, z, delta, head):
    snapshot = line(low, high, head)
    relation = relate(snapshot.domain, tuple(np.array([end]) for end in delta), (-5.0, 5.0))
    pairs = attack.random_pairs(relation, 3000, np.random.default_rng(0), corners=True)
    worst = largest_change(snapshot, pairs, [lambda inputs: np.full((len(inputs), 1), z)])
    bound = Analysis(snapshot, relation).bounds("shared")
    assert bound.lower <= worst.lower
    assert worst.upper <= bound.upper
    assert bound.upper <= max(0.0, *np.abs(delta)) + 1e-9


def test_a_width_below_zero_everywhere_is_no_gain():
    """hi = lo - 1: the box is [lo, lo], and the bound is that of lo, not less."""
    builder = GraphBuilder(1)
    low = builder.affine(np.array([[1.0]]), np.zeros(1))
    gap = builder.affine(np.zeros((1, 1)), np.full(1, -1.0))
    snapshot = NetworkSnapshot(
        _with_sum(builder, low, gap), low, 3, gap, np.eye(1), np.zeros(1), (0,), unit_box(1)
    )
    bound = Analysis(snapshot, relate(snapshot.domain, [0.5])).bounds("box")
    assert (bound.lower, bound.upper) == pytest.approx((-0.5, 0.5))
    assert bound.upper >= 0.5


def test_the_error_of_lo_behind_a_clamp_is_part_of_the_slack():
    """lo = clamp((1e9 x_0 + 4e-8 x_1) - 1e9 x_0): a real difference of 4e-8, and 6e-8 in floats."""
    generator = np.random.default_rng(0)
    builder = GraphBuilder(2)
    node = builder.affine(np.array([[1e9, 4e-8], [1e9, 0.0]]), np.zeros(2))
    node = builder.affine(np.array([[1.0, -1.0]]), np.zeros(1), node)
    low = builder.clamp(np.full(1, -1.0), np.ones(1), node)
    gap = builder.affine(np.zeros((1, 2)), np.zeros(1))
    snapshot = NetworkSnapshot(
        _with_sum(builder, low, gap), low, 5, gap, np.eye(1), np.zeros(1), (), unit_box(2)
    )
    relation = Fair([1], 1.0).resolve(snapshot.domain)
    pairs = attack.random_pairs(relation, 20_000, generator)
    worst = largest_change(snapshot, pairs, [lambda inputs: np.zeros((len(inputs), 1))])
    assert worst.magnitude > 5e-8
    for coupling in ("box", "shared"):
        bound = Analysis(snapshot, relation).bounds(coupling)
        assert bound.lower <= worst.lower
        assert worst.upper <= bound.upper


@pytest.mark.parametrize("weight", [-1.1, -1.05, -1.01])
def test_the_slack_counts_the_rounding_of_both_rows(weight):
    """f = w clamp(x) + b, lo and hi exact: one row rounds up by two half units, the other one down."""
    builder = GraphBuilder(1)
    unit = builder.clamp(np.full(1, -9.0), np.full(1, 9.0), 0)
    head, bias = np.array([[weight]]), np.array([1e-3])
    snapshot = NetworkSnapshot(builder.build(), unit, unit, None, head, bias, (), unit_box(1))
    slack = Analysis(snapshot, relate(snapshot.domain, [1.0])).slack[0]
    rows = 1.0 - np.random.default_rng(0).random((4000, 1)) / 8.0
    values = snapshot.forward(rows, np.zeros((4000, 1)))[:, 0]
    exact = [Fraction(weight) * Fraction(x) + Fraction(1e-3) for x in rows[:, 0].tolist()]
    errors = [Fraction(float(value)) - one for value, one in zip(values, exact, strict=True)]
    assert Fraction(float(slack)) / 2 < max(errors) - min(errors) <= Fraction(float(slack))


def test_every_output_of_a_margin_brings_its_rounding():
    """f_0 = 0, f_1 = 1e9 z - 1e9 z: all the rounding of f_0 - f_1 is that of f_1."""
    builder = GraphBuilder(1)
    low = builder.affine(np.ones((3, 1)), np.array([0.1, 0.2, 0.3]))
    gap = builder.affine(np.zeros((3, 1)), np.zeros(3))
    head = np.zeros((3, 3))
    head[1] = [1e9, -0.6e9, -0.4e9]
    snapshot = NetworkSnapshot(_with_sum(builder, low, gap), low, 3, gap, head, np.zeros(3), (), unit_box(1))
    relation = GloballyRobust(1.0, 1.0).resolve(snapshot.domain, None, 3)
    pairs = attack.random_pairs(relation, 20_000, np.random.default_rng(0))
    worst = largest_change(snapshot, pairs, [lambda inputs: np.zeros((len(inputs), 3))])
    assert worst.magnitude > 1e-8
    slack = Analysis(snapshot, relation).slack
    assert slack[0] >= worst.magnitude / 4
    assert slack[1] < 1e-9  # f_0 - f_2 is 0
    assert slack[2] >= worst.magnitude / 4


# --- overflow and what is not a number ------------------------------------------------------------


POISON = [np.nan, np.inf, -np.inf, 1e308]


@pytest.mark.parametrize("value", POISON)
@pytest.mark.parametrize(
    "place", ["first weight", "first bias", "clamp", "last weight", "width", "head", "head bias"]
)
def test_what_may_overflow_is_never_called_held(place, value):
    """One poisoned number anywhere: a finite claim must still be true of what predict answers."""
    domain = unit_box(2)
    builder = GraphBuilder(2)
    ones, zeros = np.ones((2, 2)), np.zeros(2)
    arrays = {
        "first weight": ones.copy(),
        "first bias": zeros.copy(),
        "clamp": np.full(2, -2.0),
        "last weight": 10 * ones,
        "width": np.full(2, 0.5),
        "head": 10 * np.ones((1, 2)),
        "head bias": np.zeros(1),
    }
    arrays[place].flat[0] = value
    node = builder.affine(arrays["first weight"], arrays["first bias"])
    node = builder.clamp(arrays["clamp"], np.full(2, np.inf), node)
    low = builder.affine(arrays["last weight"], zeros, node)
    gap = builder.affine(np.zeros((2, 2)), arrays["width"])
    parts = (_with_sum(builder, low, gap), low, 5, gap, arrays["head"], arrays["head bias"], (), domain)
    if place == "clamp" and np.isnan(value):
        with pytest.raises(ValueError, match="lower <= upper"):
            NetworkSnapshot(*parts)
        return
    snapshot = NetworkSnapshot(*parts)
    pairs = attack.random_pairs(relate(domain, [1.0, 1.0]), 300, np.random.default_rng(0), corners=True)
    with np.errstate(all="ignore"):
        predict = deployed(snapshot, lambda inputs: np.full((len(inputs), 2), 1e200))
        for relation in (
            Monotonic([1, 1]).resolve(domain),
            GloballyRobust(0.5, 100.0).resolve(domain),
            Fair([0], 0.0).resolve(domain),
        ):
            try:
                certificate = prove(snapshot, relation)
            except UnsupportedError:
                continue
            if np.isfinite(certificate.bound):
                kept = pairs.kept(attack.truly_related(relation, pairs))
                values = predict(np.vstack([kept.first, kept.second]))[:, 0]
                change = values[: len(kept)] - values[len(kept) :]
                assert (change <= relation.epsilon_upper + certificate.bound).all()
            else:
                assert certificate.status is Status.UNKNOWN


def test_products_that_overflow_in_the_verifier_only():
    """Weights of 1e200 on layers of 1e-200: predict is harmless, the bound may be infinite."""
    builder = GraphBuilder(1)
    node = builder.affine(np.array([[1e-200], [1e-200]]), np.zeros(2))
    low = builder.affine(np.array([[1e200, -1e200]]), np.zeros(1), node)
    gap = builder.affine(np.zeros((1, 1)), np.zeros(1))
    snapshot = NetworkSnapshot(
        _with_sum(builder, low, gap), low, 4, gap, np.array([[1e150]]), np.zeros(1), (), unit_box(1)
    )
    with np.errstate(all="ignore"):
        certificate = prove(snapshot, GloballyRobust(1.0, 1.0).resolve(snapshot.domain))
    assert certificate.status in (Status.UNKNOWN, Status.BOUNDED)


# --- couplings, statuses, refusals ----------------------------------------------------------------


def test_shared_coupling_only_where_h_reads_nothing_that_moves():
    snapshot = mixed_snapshot(0, unit_box(3), reads=(0, 2))
    domain = snapshot.domain
    assert applicable_couplings(snapshot, Fair([1], 1.0).resolve(domain)) == ("box", "shared")
    assert applicable_couplings(snapshot, Fair([0], 1.0).resolve(domain)) == ("box",)
    with pytest.raises(UnsupportedError, match=r"\[2\]"):
        prove(snapshot, Fair([2], 1.0).resolve(domain), coupling="shared")
    with pytest.raises(UnsupportedError, match="expected 'auto'"):
        prove(snapshot, Fair([1], 1.0).resolve(domain), coupling="both")


def test_the_smaller_of_both_couplings_counts():
    snapshot = hand_drawn(weight=1.0, width=0.5)
    snapshot = replace(snapshot, reads=())
    relation = GloballyRobust(0.1, 1.0).resolve(snapshot.domain)
    box, shared = (prove(snapshot, relation, coupling=name).variation for name in ("box", "shared"))
    assert box == pytest.approx(0.6)
    assert shared == pytest.approx(0.1)
    assert prove(snapshot, relation).variation == shared


def test_a_relation_over_another_domain_is_refused():
    snapshot = hand_drawn()
    wide = InputDomain([0.0], [1e9])
    with pytest.raises(DomainError, match="another domain"):
        prove(snapshot, GloballyRobust(0.5, 0.01).resolve(wide))
    again = InputDomain.from_dict(snapshot.domain.to_dict())
    prove(snapshot, GloballyRobust(0.5, 0.01).resolve(again))


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        (-9.0, 9.0, Status.HOLDS),
        (-9.0, 0.4, Status.BOUNDED),
        (-0.4, 9.0, Status.BOUNDED),
        (-np.inf, 9.0, Status.HOLDS),
    ],
)
def test_both_sides_of_r_count(lower, upper, expected):
    snapshot = hand_drawn(weight=0.5, width=0.0)
    relation = Relational([-1.0], [1.0], lower, upper).resolve(snapshot.domain)
    certificate = prove(snapshot, relation)
    assert certificate.status is expected
    if expected is Status.BOUNDED:
        assert certificate.bound == pytest.approx(0.1)


def test_one_direction_only_is_bounded_by_its_own_side():
    """f = x, x' - x'' in [0.2, 0.5]: f' - f'' in [0.2, 0.5], neither more nor less."""
    snapshot = hand_drawn(weight=1.0, width=0.0)
    bound = Analysis(snapshot, relate(snapshot.domain, (np.array([0.2]), np.array([0.5])))).bounds("box")
    assert (bound.lower, bound.upper) == pytest.approx((0.2, 0.5), abs=1e-12)
    assert bound.lower <= 0.2
    assert bound.upper >= 0.5


def test_one_way_between_categories_in_both_directions():
    """x' in category 0, x'' in category 2, never the other way round."""
    domain = InputDomain(np.zeros(3), np.ones(3), one_hot=[[0, 1, 2]])
    builder = GraphBuilder(3)
    low = builder.affine(np.array([[5.0, 1.0, 2.0]]), np.zeros(1))
    gap = builder.affine(np.zeros((1, 3)), np.zeros(1))
    snapshot = NetworkSnapshot(_with_sum(builder, low, gap), low, 3, gap, np.eye(1), np.zeros(1), (), domain)
    relation = relate(domain, (np.array([1.0, 0.0, -1.0]), np.array([1.0, 0.0, -1.0])), (-np.inf, 9.0))
    for coupling in ("box", "shared"):
        bound = Analysis(snapshot, relation).bounds(coupling)
        assert bound.upper == pytest.approx(3.0)
        assert bound.upper >= 3.0
        assert bound.lower <= 3.0
    assert Analysis(snapshot, relation).bounds("box").lower == pytest.approx(3.0)


def test_the_certificate_says_what_was_proven():
    snapshot = hand_drawn()
    relation = GloballyRobust(0.1, 0.5).resolve(snapshot.domain)
    certificate = prove(snapshot, relation)
    assert certificate.status is Status.BOUNDED
    assert certificate.bound == pytest.approx(0.1)
    assert certificate.variation == pytest.approx(0.6)
    assert certificate.digest == snapshot.digest
    assert certificate.domain == snapshot.domain.to_dict()
    assert certificate.statement == relation.statement
    assert certificate.coupling == "box"
    assert certificate.proof["couplings"].keys() == {"box"}
    # No counterexample was replayed: this verifier refutes nothing.
    assert certificate.counterexample is None


def test_verifiers_by_name():
    assert isinstance(make_verifier("difference"), DifferenceBounds)
    own = DifferenceBounds()
    assert make_verifier(own) is own
    with pytest.raises(ValueError, match="difference"):
        make_verifier("exact")


def test_one_node_at_both_ends_is_a_box_of_width_zero():
    builder = GraphBuilder(1)
    node = builder.affine(np.array([[1.0]]), np.array([0.0]))
    snapshot = NetworkSnapshot(
        builder.build(), node, node, None, np.ones((1, 1)), np.zeros(1), (0,), unit_box(1)
    )
    certificate = prove(snapshot, GloballyRobust(0.1, 0.2).resolve(snapshot.domain))
    assert certificate.variation == pytest.approx(0.1)
    assert check(certificate, snapshot).passed
