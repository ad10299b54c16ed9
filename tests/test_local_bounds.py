"""Bounds around rows: against enumeration, exact corners, and related rows with any backbone."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.attack import partners
from support.networks import crossing, hand_drawn, random_snapshot, relate, unit_box
from support.random_networks import (
    HOSTILE,
    KINDS,
    exact_dot,
    exact_nodes,
    fractions,
    mixed_domain,
    mixed_relation,
    mixed_snapshot,
    weights,
)

from smile_sklearn.exceptions import CertificationWarning
from smile_sklearn.inference import evaluate_rows
from smile_sklearn.properties import GloballyRobust, InputDomain, Monotonic
from smile_sklearn.properties.relation import Premise
from smile_sklearn.snapshot import GraphBuilder, NetworkSnapshot
from smile_sklearn.verification.difference import output_slack
from smile_sklearn.verification.intervals import Interval, node_ranges
from smile_sklearn.verification.local.interval_product import IntervalProduct
from smile_sklearn.verification.local.local_bounds import LocalBounds
from smile_sklearn.verification.local.neighbourhood import neighbourhoods
from smile_sklearn.verification.rounding import matmul_interval, sum_upper


def rows_of(domain, n_rows, seed=0, corners=False):
    """Rows of the domain, whole and with valid categories."""
    generator = np.random.default_rng(seed)
    share = generator.random((n_rows, domain.n_features))
    rows = domain.lower + (np.round(share) if corners else share) * (domain.upper - domain.lower)
    rows = np.where(domain.is_integer, np.round(rows), rows)
    for group in domain.groups:
        drawn = generator.integers(len(group.categories), size=n_rows)
        rows[:, list(group.columns)] = group.categories[drawn]
    return domain.clip(rows)


def bound(snapshot, premise, rows, *, shared=False, embedding=None):
    """LocalBounds as the estimator calls it, and the values at the rows themselves."""
    if embedding is None:
        embedding = np.zeros((len(rows), snapshot.n_latent))
    here = evaluate_rows(snapshot, lambda _: embedding, rows)
    return LocalBounds(snapshot, premise, shared=shared)(rows, embedding, here.best), here


def margins_of(snapshot, rows, embedding, best):
    """f, or f_best - f_k, at rows and embeddings, by the forward pass of ``predict``."""
    output = snapshot.forward(snapshot.domain.to_unit(rows), embedding)
    return output if best is None else output[np.arange(len(rows)), best][:, None] - output


def wild_embeddings(snapshot, n_rows, generator):
    """Everything at an end, and anything."""
    shape = (n_rows, snapshot.n_latent)
    weight = snapshot.margins()
    for row in weight[:3]:
        yield np.tile(np.where(row > 0, np.inf, -np.inf), (n_rows, 1))
        yield np.tile(np.where(row > 0, -np.inf, np.inf), (n_rows, 1))
    yield generator.choice([np.nan, np.inf, -np.inf, 1e300, 0.0], shape)
    yield generator.normal(size=shape)


# --- the neighbourhood ----------------------------------------------------------------------------


def test_the_neighbourhood_is_what_either_role_of_q_relates():
    """Enumerated: whole numbers and categories, a relation that is not symmetric."""
    domain = InputDomain([0, 0, 0, 0, 0], [4, 3, 1, 1, 1], integer=[0, 1], one_hot=[[2, 3, 4]])
    inputs = np.array([(a, b, *row) for a in range(5) for b in range(4) for row in np.eye(3)], dtype=float)
    # Out of category 0, or to stay: the ordered pairs are not symmetric.
    relation = relate(domain, ([-1, 0, -1, 0, 0], [2, 0, 0, 1, 1]), (-1.0, np.inf))
    for row in inputs:
        covered = np.zeros(len(inputs), dtype=bool)
        for near in neighbourhoods(relation, row[None]):
            unit = domain.to_unit(inputs)
            numeric = ((near.low <= unit) & (unit <= near.high))[:, :2].all(axis=1)
            category = near.allowed[0][near.own[0][0]]
            covered |= numeric & category[inputs[:, 2:].argmax(axis=1)]
        twice = np.repeat(row[None], len(inputs), axis=0)
        related = relation.contains(inputs, twice) | relation.contains(twice, inputs)
        assert related.any()
        assert (covered == related).all()


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_sums_are_rounded_up_and_only_where_they_must(first, second):
    (total,) = sum_upper(np.array([first]), np.array([second]))
    exact = Fraction(first) + Fraction(second)
    assert Fraction(total) >= exact
    assert Fraction(np.nextafter(total, -np.inf)) < exact


def test_a_role_without_partner_still_has_a_neighbourhood():
    relation = relate(unit_box(2), ([0.5, 0.0], [0.75, 0.0]), (-1.0, np.inf))
    first, second = neighbourhoods(relation, np.array([[0.9, 0.2], [0.1, 0.2]]))
    assert first.low.tolist() == [[1.0, 0.2], [0.6, 0.2]]
    assert second.high.tolist() == [[0.4, 0.2], [0.0, 0.2]]
    assert (first.low <= first.high).all()
    assert (second.low <= second.high).all()


# --- against exact answers ------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["affine", "free"])
@pytest.mark.parametrize("seed", range(4))
def test_affine_ends_are_bounded_exactly(seed, ends):
    """Corners of the neighbourhood decide; the slack is all that the bound may add."""
    domain = InputDomain([0, -1, 0, 0, 0], [2, 3, 1, 1, 1], integer=[1], one_hot=[[2, 3, 4]])
    # Free ends with a gap that never closes: max(lo, hi) = hi.
    snapshot = random_snapshot(
        seed, 5, (), 3, ends=ends, domain=domain, gap=0.3 if ends == "affine" else 50.0
    )
    premise = Premise("near", "", domain, [-0.3, -1, -1, -1, -1], [0.3, 1, 1, 1, 1])
    rows = rows_of(domain, 20, seed)
    (low, high), _ = bound(snapshot, premise, rows)
    weight = snapshot.head_weight[0]
    for row, least, most in zip(rows, low[:, 0], high[:, 0], strict=True):
        options = [
            np.clip(row[0] + np.array([-0.3, 0.3]), 0, 2),
            np.clip(row[1] + np.array([-1, 1]), -1, 3),
        ]
        corners = np.array([(*ends, *one) for ends in itertools.product(*options) for one in np.eye(3)])
        lower, upper = snapshot.bounds(domain.to_unit(corners))
        top = np.maximum(lower, upper)
        values_high = np.where(weight > 0, top, lower) @ weight + snapshot.head_bias[0]
        values_low = np.where(weight > 0, lower, top) @ weight + snapshot.head_bias[0]
        np.testing.assert_allclose(most, values_high.max(), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(least, values_low.min(), rtol=1e-10, atol=1e-10)


def test_ends_that_flip():
    """lo = x, hi = 1 - x, f = 2 z + 1: on [0.5, 0.7] the box is [x, max(x, 1 - x)]."""
    snapshot = crossing()
    premise = Premise("near", "", snapshot.domain, [-0.1], [0.1])
    (low, high), _ = bound(snapshot, premise, np.array([[0.6], [0.2], [0.5]]))
    np.testing.assert_allclose(low[:, 0], [2.0, 1.2, 1.8], atol=1e-12)
    # 0.5 is where max(x, 1 - x) has its kink: a bound that is linear on one side adds the flip.
    np.testing.assert_allclose(high[:2, 0], [2.4, 2.8], atol=1e-12)
    assert 2.2 <= high[2, 0] <= 2.6 + 1e-12


def test_opposite_weights_cancel():
    """f = a - b with a = b = relu(x - 0.5) through two layers: nothing is left to vary."""
    builder = GraphBuilder(1)
    hidden = builder.affine(np.array([[1.0]]), np.array([-0.5]))
    hidden = builder.clamp(np.zeros(1), np.full(1, np.inf), hidden)
    lower = builder.affine(np.array([[1.0], [1.0]]), np.zeros(2), hidden)
    width = builder.affine(np.zeros((2, 1)), np.full(2, 0.25))
    upper = builder.sum(lower, width)
    head = np.array([[1.0, -1.0]])
    domain = unit_box(1)
    snapshot = NetworkSnapshot(builder.build(), lower, upper, width, head, np.zeros(1), (0,), domain)
    (low, high), _ = bound(snapshot, Premise("all", "", domain, [-1], [1]), np.array([[0.3]]))
    np.testing.assert_allclose([low[0, 0], high[0, 0]], [-0.25, 0.25], atol=1e-12)


# --- limits of delta ------------------------------------------------------------------------------


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("ends", ["width", "free"])
@pytest.mark.parametrize("seed", range(3))
def test_without_room_to_differ_the_box_of_the_row_is_left(seed, ends, n_outputs):
    domain = mixed_domain(seed, widths=(1.0, 2.0, 3.0, 50.0))
    snapshot = mixed_snapshot(seed, domain, ends=ends, n_outputs=n_outputs)
    rows = rows_of(domain, 40, seed)
    nothing = Premise("equal", "", domain, np.zeros(11), np.zeros(11))
    (low, high), here = bound(snapshot, nothing, rows)
    chosen = np.ones_like(low, dtype=bool) if here.best is None else ~np.isnan(here.values)
    np.testing.assert_allclose(low[chosen], here.ends.low[chosen], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(high[chosen], here.ends.high[chosen], rtol=1e-9, atol=1e-9)
    # With the row's own z it is the row's own output.
    (low, high), _ = bound(snapshot, nothing, rows, shared=True)
    np.testing.assert_allclose(low[chosen], here.values[chosen], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(high[chosen], here.values[chosen], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("ends", ["width", "free"])
def test_with_everything_allowed_all_rows_have_the_bounds_of_the_domain(ends):
    domain = mixed_domain(5, widths=(1.0, 2.0, 3.0, 50.0))
    snapshot = mixed_snapshot(5, domain, ends=ends)
    everything = Premise("all", "", domain, np.full(11, -np.inf), np.full(11, np.inf))
    (low, high), _ = bound(snapshot, everything, rows_of(domain, 30))
    np.testing.assert_allclose(low, low[0, 0], rtol=1e-12)
    np.testing.assert_allclose(high, high[0, 0], rtol=1e-12)
    # Never worse than layer-by-layer intervals of lo and max(lo, hi), which are not composed.
    ranges = node_ranges(snapshot.graph, domain)
    top = np.maximum(ranges[snapshot.lower].high, ranges[snapshot.upper].high)
    least, most = matmul_interval(snapshot.head_weight, ranges[snapshot.lower].low, top)
    assert high[0, 0] <= most[0] + snapshot.head_bias[0] + 1e-9
    assert low[0, 0] >= least[0] + snapshot.head_bias[0] - 1e-9
    with np.errstate(invalid="ignore"):
        assert np.isfinite(high).all()


# --- attacks --------------------------------------------------------------------------------------


def outside(values, interval, best):
    """How many values leave their interval; the predicted class has no margin with itself."""
    wrong = ~((interval.low <= values) & (values <= interval.high))
    if best is not None:
        wrong[np.arange(len(wrong)), best] = False
    return int(wrong.sum())


@pytest.mark.parametrize("sizes", [(1.0,), HOSTILE], ids=["plain", "hostile"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ends", ["width", "free"])
def test_no_related_input_and_no_backbone_leaves_the_bounds(ends, kind, sizes):
    for seed in range(3):
        generator = np.random.default_rng(seed)
        domain = mixed_domain(seed)
        n_outputs = (1, 2, 4)[seed]
        snapshot = mixed_snapshot(seed, domain, ends=ends, n_outputs=n_outputs, sizes=sizes)
        relation = mixed_relation(seed, domain, kind)
        rows = np.vstack([rows_of(domain, 150, seed), rows_of(domain, 150, seed, corners=True)])
        interval, here = bound(snapshot, relation, rows)
        for corners in (False, True):
            for embedding in wild_embeddings(snapshot, len(rows), generator):
                near = partners(relation, rows, generator, corners=corners)
                itself = (near == rows).all(axis=1)
                values = margins_of(snapshot, near, embedding, here.best)
                if not relation.covers_all_inputs:
                    # x is no neighbour of itself there; `partners` returns it where it finds none.
                    values[itself] = interval.low[itself]
                assert outside(values, interval, here.best) == 0


@pytest.mark.parametrize("ends", ["width", "free"])
@pytest.mark.parametrize("kind", ["symmetric", "one-sided", "all equal but one"])
def test_a_backbone_of_equal_features_stays_within_the_shared_bounds(kind, ends):
    better = 0
    for seed in range(4):
        generator = np.random.default_rng(seed)
        domain = mixed_domain(seed, widths=(1.0, 1e-6, 1e6, 50.0))
        relation = mixed_relation(seed, domain, kind)
        reads = np.flatnonzero(relation.equal)
        snapshot = mixed_snapshot(seed, domain, ends=ends, n_outputs=(1, 3)[seed % 2], reads=reads)
        phase = generator.normal(size=(11, snapshot.n_latent))

        def embed(rows, reads=reads, phase=phase, domain=domain):
            units = domain.to_unit(rows)
            total = np.zeros((len(rows), phase.shape[1]))
            for index in reads:
                total += units[:, [index]] * phase[index]
            value = 3.0 * np.sin(9.0 * total)
            return np.where(value > 2.9, np.nan, np.where(value < -2.9, np.inf, value))

        rows = rows_of(domain, 300, seed)
        interval, here = bound(snapshot, relation, rows, shared=True, embedding=embed(rows))
        alone, _ = bound(snapshot, relation, rows, embedding=embed(rows))
        better += int((interval.high < alone.high).sum())
        assert (interval.high <= alone.high).all()
        assert (interval.low >= alone.low).all()
        for corners in (False, True):
            for _ in range(8):
                near = partners(relation, rows, generator, corners=corners)
                values = margins_of(snapshot, near, embed(near), here.best)
                assert outside(values, interval, here.best) == 0
    assert better > 0


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["relu", "negative", "clamp"]),
    st.sampled_from(["free", "affine", "relu"]),
    st.sampled_from([(), (3,), (6, 4)]),
    st.integers(1, 3),
    st.floats(0.0, 1.0),
)
def test_random_networks(seed, activation, ends, hidden, n_outputs, delta):
    generator = np.random.default_rng(seed)
    snapshot = random_snapshot(seed, 3, hidden, 3, n_outputs, ends, activation)
    relation = relate(snapshot.domain, [delta, 0.5 * delta, 0.0])
    rows = rows_of(snapshot.domain, 60, seed)
    interval, here = bound(snapshot, relation, rows)
    for corners in (False, True):
        for embedding in wild_embeddings(snapshot, len(rows), generator):
            near = partners(relation, rows, generator, corners=corners)
            values = margins_of(snapshot, near, embedding, here.best)
            assert outside(values, interval, here.best) == 0


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_bounds_lowered_by_a_fifth_are_broken(n_outputs):
    """The attack above has teeth: it leaves bounds that are only 20 % too narrow."""
    generator = np.random.default_rng(0)
    for ends in ("affine", "free"):
        snapshot = random_snapshot(1, 3, (), 3, n_outputs, ends)
        relation = relate(snapshot.domain, [0.2, 0.1, 0.3])
        rows = rows_of(snapshot.domain, 200)
        interval, here = bound(snapshot, relation, rows)
        middle, half = 0.5 * (interval.low + interval.high), 0.5 * (interval.high - interval.low)
        narrow = type(interval)(middle - 0.8 * half, middle + 0.8 * half)
        broken = 0
        for embedding in wild_embeddings(snapshot, len(rows), generator):
            near = partners(relation, rows, generator, corners=True)
            broken += outside(margins_of(snapshot, near, embedding, here.best), narrow, here.best)
        assert broken > 0


@pytest.mark.parametrize("sizes", [(1.0,), HOSTILE], ids=["plain", "hostile"])
@pytest.mark.parametrize("width", [0.0, 1e-12, 0.3])
def test_products_contain_the_exact_values_at_their_corners(width, sizes):
    """In rational arithmetic: weights of 1e9 beside 1e-9, intervals of no width too."""
    for seed in range(5):
        generator = np.random.default_rng(seed)
        weight, bias = weights(generator, 6, 9, sizes), generator.normal(size=6)
        low = generator.random((8, 9))
        high = low + width * generator.random((8, 9))
        product = IntervalProduct(weight, bias, np.full(9, 1.3))
        found = product.interval(Interval(low, high))
        for row in range(8):
            for unit in range(6):
                start = Fraction(bias[unit])
                most = start + exact_dot(weight[unit], fractions(np.where(weight[unit] > 0, high, low)[row]))
                least = start + exact_dot(weight[unit], fractions(np.where(weight[unit] > 0, low, high)[row]))
                assert Fraction(found.low[row, unit]) <= least
                assert Fraction(found.high[row, unit]) >= most


@pytest.mark.parametrize("sizes", [(1.0,), HOSTILE], ids=["plain", "hostile"])
@pytest.mark.parametrize("ends", ["width", "free"])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_bounds_contain_the_exact_box_and_what_predict_may_err(n_outputs, ends, sizes):
    for seed in range(2):
        domain = mixed_domain(seed)
        snapshot = mixed_snapshot(seed, domain, ends=ends, n_outputs=n_outputs, sizes=sizes)
        rows = rows_of(domain, 6, seed)
        nothing = Premise("equal", "", domain, np.zeros(11), np.zeros(11))
        (low, high), here = bound(snapshot, nothing, rows)
        slack = dict(
            zip(
                zip(*snapshot.margin_pairs(), strict=True) if n_outputs > 1 else [(0, 0)],
                output_slack(snapshot, node_ranges(snapshot.graph, domain)),
                strict=True,
            )
        )
        head, bias = [fractions(row) for row in snapshot.head_weight], fractions(snapshot.head_bias)
        for place, row in enumerate(domain.to_unit(rows)):
            nodes = exact_nodes(snapshot.graph, row)
            lower, upper = nodes[snapshot.lower], nodes[snapshot.upper]
            top = [max(pair) for pair in zip(lower, upper, strict=True)]
            for k in range(n_outputs):
                best = k if here.best is None else here.best[place]
                if here.best is not None and best == k:
                    continue
                difference = [a - b for a, b in zip(head[best], head[k], strict=True)]
                w, constant = (head[0], bias[0]) if n_outputs == 1 else (difference, bias[best] - bias[k])
                ends_of = list(zip(w, lower, top, strict=True))
                most = constant + sum(x * (t if x > 0 else l) for x, l, t in ends_of)
                least = constant + sum(x * (l if x > 0 else t) for x, l, t in ends_of)
                allowed = Fraction(slack[min(best, k), max(best, k)]) / 2
                assert Fraction(low[place, k]) <= least - allowed
                assert Fraction(high[place, k]) >= most + allowed


def test_a_forward_pass_that_may_overflow_bounds_nothing():
    snapshot = hand_drawn(weight=1e308, width=1e308)
    premise = Premise("near", "", snapshot.domain, [-0.1], [0.1])
    (low, high), _ = bound(snapshot, premise, np.array([[0.5]]))
    assert low.tolist() == [[-np.inf]]
    assert high.tolist() == [[np.inf]]


def test_a_width_below_zero_is_not_believed_to_be_none():
    """hi = lo - 1 declared as lo + width: the clip returns lo, and the bound must contain it."""
    snapshot = hand_drawn(width=-1.0)
    premise = Premise("near", "", snapshot.domain, [-0.1], [0.1])
    (low, high), here = bound(snapshot, premise, np.array([[0.5]]), embedding=np.array([[7.0]]))
    assert here.output.tolist() == [[0.5]]
    np.testing.assert_allclose([low[0, 0], high[0, 0]], [0.4, 0.6], atol=1e-12)


def test_rows_in_blocks_are_bounded_alike():
    domain = mixed_domain(1)
    snapshot = mixed_snapshot(1, domain, n_outputs=3)
    relation = mixed_relation(1, domain, "symmetric")
    rows = rows_of(domain, 700)
    together, here = bound(snapshot, relation, rows)
    single = [
        LocalBounds(snapshot, relation, shared=False)(
            rows[[place]], here.embedding[[place]], here.best[[place]]
        )
        for place in (0, 255, 256, 699)
    ]
    for place, alone in zip((0, 255, 256, 699), single, strict=True):
        np.testing.assert_allclose(alone.low[0], together.low[place], rtol=1e-9)
        np.testing.assert_allclose(alone.high[0], together.high[place], rtol=1e-9)


def test_properties_state_their_premise():
    domain = InputDomain([0, 0], [10, 5], integer=[1], feature_names=["age", "debt"])
    premise = GloballyRobust({"age": 2, "debt": 1.5}, None).premise(domain)
    assert type(premise) is Premise
    assert (premise.delta_lower.tolist(), premise.delta_upper.tolist()) == ([-2, -1], [2, 1])
    first, second = neighbourhoods(Monotonic({"age": 1}).premise(domain), np.array([[4.0, 2.0]]))
    # x' <= x, or x <= x'.
    assert (first.low[0, 0], first.high[0, 0]) == (0.0, 0.4)
    assert (second.low[0, 0], second.high[0, 0]) == (0.4, 1.0)
    with pytest.warns(CertificationWarning, match="equal inputs only"):
        GloballyRobust(0.0, None).premise(domain)
