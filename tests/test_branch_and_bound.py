"""Branch and bound: against enumeration, the MIP and exact rationals; its tree, its limits, its parts."""

import json
import time
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import parallel_config
from support.exhaustive import largest_value
from support.networks import crossing, deployed, hand_drawn, random_snapshot, relate, related_pairs, unit_box
from support.random_networks import (
    HOSTILE,
    KINDS,
    exact_nodes,
    mixed_domain,
    mixed_relation,
    mixed_snapshot,
)

from smile_sklearn.certificates import Status
from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.snapshot.graph import GraphBuilder
from smile_sklearn.verification.branch_and_bound import ROUND, BranchAndBound
from smile_sklearn.verification.branching.envelope_bounds import EnvelopeBounds
from smile_sklearn.verification.branching.regions import Cut, Regions
from smile_sklearn.verification.difference import Analysis, DifferenceBounds
from smile_sklearn.verification.formulations.value import pair_envelope
from smile_sklearn.verification.mip import MIP

GAP = 1e-4
COUPLINGS = {"box": ("box",), "shared": ("shared",), "auto": ("box", "shared")}
DOMAINS = {
    "continuous": (unit_box(2), np.array([0.3, 0.1])),
    "integer": (InputDomain([0, 0], [4, 1], integer=[0]), np.array([1, 0.3])),
    "group": (InputDomain([0] * 4, [1] * 4, one_hot=[[1, 2, 3]]), np.array([0.2, 1, 1, 0])),
    "at most one": (InputDomain([0] * 3, [1] * 3, one_hot_at_most_one=[[0, 1]]), np.array([1, 1, 0.2])),
    "raw units": (InputDomain([-30, 1e6], [90, 3e6]), np.array([10, 5e5])),
}


def verify(snapshot, relation, coupling="box", **options):
    return BranchAndBound(**options).verify(snapshot, relation, coupling=coupling)


def check_tight(certificate, truth, slack=None):
    """The proven variation is above the truth, and within the gap of it."""
    slack = certificate.slack if slack is None else slack
    assert truth <= certificate.variation + 1e-9 * abs(truth)
    assert certificate.variation <= truth * (1 + 1.01 * GAP) + 2 * slack + 1e-7


# --- the largest V -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("coupling", ["box", "shared"])
@pytest.mark.parametrize("ends", ["free", "affine", "relu"])
def test_the_bound_is_the_largest_value_by_enumeration(name, coupling, ends):
    domain, delta = DOMAINS[name]
    for seed in (0, 2):
        snapshot = random_snapshot(
            seed, n_features=domain.n_features, domain=domain, ends=ends, reads=(), hidden=(3,)
        )
        relation = relate(domain, delta, 1e-9)
        truth = largest_value(snapshot, relation, COUPLINGS[coupling], snapshot.margins()[0])
        check_tight(verify(snapshot, relation, coupling, gap=GAP), truth)


@pytest.mark.parametrize("activation", ["relu", "negative", "clamp"])
def test_a_deep_network_along_one_feature(activation):
    snapshot = random_snapshot(4, n_features=1, hidden=(4, 4), activation=activation, ends="affine")
    relation = relate(snapshot.domain, [0.2], 1e-9)
    truth = largest_value(snapshot, relation, ("box",), snapshot.margins()[0])
    check_tight(verify(snapshot, relation, gap=GAP), truth)


@cache
def mip_problem(coupling, seed):
    """A snapshot, a relation, and the certificate of the MIP."""
    snapshot = random_snapshot(seed, n_features=3, hidden=(4,), n_latent=3, ends="relu", reads=())
    relation = relate(snapshot.domain, [0.1, 0.3, 0.0], 1e-9)
    return snapshot, relation, MIP().verify(snapshot, relation, coupling=coupling)


@pytest.mark.parametrize("rule", ["reciph", "width", "smear"])
@pytest.mark.parametrize("coupling", ["box", "shared", "auto"])
def test_every_rule_finds_the_optimum_of_the_mip(rule, coupling):
    for seed in range(2):
        snapshot, relation, optimum = mip_problem(coupling, seed)
        ours = verify(snapshot, relation, coupling, splitting=rule, gap=1e-3)
        assert ours.variation >= optimum.variation - optimum.slack - 1e-6
        assert ours.variation <= optimum.variation * 1.0011 + ours.slack + 1e-6


def test_group_sorts_are_bounded_above_sampled_pairs():
    domain = unit_box(11)
    for seed in range(3):
        snapshot = mixed_snapshot(seed, domain)
        relation = mixed_relation(seed, domain, "all equal but one", epsilon=(-1e-9, 1e-9))
        certificate = verify(snapshot, relation, gap=0.05, max_subproblems=300)
        first, second = (domain.to_unit(rows) for rows in related_pairs(relation, 500, seed))
        row = snapshot.margins()[0]
        for sign in (1, -1):
            value = pair_envelope(snapshot, ("box",), sign * row, first, second).value.max()
            assert value <= certificate.variation


def test_the_hand_drawn_and_the_crossing_box():
    # lo = x, hi = lo + 1/2: V = x' - x'' + 1/2. The box that flips: V = 2 (max(x', 1 - x') - x'').
    assert verify(hand_drawn(), relate(unit_box(1), [0.25])).variation == pytest.approx(0.75, abs=1e-12)
    assert verify(crossing(), relate(unit_box(1), [0.25])).variation == pytest.approx(2.0, rel=2e-4)


def test_several_margins_and_one_sided_relations():
    snapshot = random_snapshot(1, n_features=2, n_outputs=3, ends="affine")
    relation = relate(snapshot.domain, [0.2, 0.1], 1e-9)
    truth = max(
        largest_value(snapshot, relation, ("box",), sign * row)
        for row in snapshot.margins()
        for sign in (1, -1)
    )
    check_tight(verify(snapshot, relation, gap=GAP), truth)
    rising = relate(snapshot.domain, ([0.0, 0.0], [0.2, 0.0]), (-np.inf, 0.0))
    single = random_snapshot(1, n_features=2, ends="affine")
    certificate = verify(single, rising, gap=GAP)
    truth = largest_value(single, rising, ("box",), single.margins()[0])
    assert truth <= certificate.bound <= truth * (1 + 1.01 * GAP) + 2 * certificate.slack + 1e-9
    assert [side["side"] for side in certificate.proof["sides"]] == ["upper"]


# --- soundness ------------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(KINDS),
    hostile=st.booleans(),
    couplings=st.sampled_from([("box",), ("shared",), ("box", "shared")]),
)
@settings(max_examples=25)
def test_region_bounds_are_at_least_the_exact_value_of_pairs_inside(seed, kind, hostile, couplings):
    domain = mixed_domain(seed % 40)
    relation = mixed_relation(seed, domain, kind)
    snapshot = mixed_snapshot(
        seed, domain, ends=("width", "free")[seed % 2], sizes=HOSTILE if hostile else (1.0,)
    )
    row = snapshot.margins()[0]
    envelope = EnvelopeBounds(snapshot, couplings, row)
    regions = _cut_often(relation, seed)
    upper = envelope.bound(regions).upper
    first, second = (domain.to_unit(rows) for rows in related_pairs(relation, 8, seed))
    for p, q in zip(first, second, strict=True):
        value = _exact_value(snapshot, couplings, row, p, q)
        for region in np.flatnonzero(regions.contains(p, q, domain)):
            assert value <= upper[region]


def _cut_often(relation, seed, rounds=4):
    generator, domain = np.random.default_rng(seed), relation.domain
    leaves = Regions.root(relation)
    for _ in range(rounds):
        widths = leaves.widths(relation)
        variable = np.array(
            [generator.choice(np.flatnonzero(row > 0)) if row.any() else -1 for row in widths]
        )
        kept = tuple(pairs & (generator.random(pairs.shape) < 0.5) for pairs in leaves.pairs)
        left, right, *alive = leaves.cut(Cut(variable, leaves.middle(variable, domain), kept), domain)
        parts = [half.take(mask) for half, mask in zip((left, right), alive, strict=True) if mask.any()]
        leaves = Regions.joined(parts)
    return leaves


def _exact_value(snapshot, couplings, row, first, second):
    """V of a pair in rational arithmetic."""
    (lo, hi), (lo2, hi2) = (
        (nodes[snapshot.lower], nodes[snapshot.upper])
        for nodes in (exact_nodes(snapshot.graph, unit) for unit in (first, second))
    )
    total = Fraction(0)
    for i, weight in enumerate(map(Fraction, row.tolist())):
        if weight >= 0:
            box = max(lo[i], hi[i]) - lo2[i]
            shared = max(Fraction(0), lo[i] - lo2[i], hi[i] - hi2[i])
        else:
            box = max(lo2[i], hi2[i]) - lo[i]
            shared = max(Fraction(0), lo2[i] - lo[i], hi2[i] - hi[i])
        rises = {"box": box, "shared": shared}
        total += abs(weight) * min(rises[name] for name in couplings)
    return total


@given(seed=st.integers(0, 10_000), ends=st.sampled_from(["free", "affine", "relu"]))
@settings(max_examples=10)
def test_no_proof_survives_a_planted_violation(seed, ends):
    """Epsilon just below what the deployed model shows on related pairs: never HOLDS."""
    domain, delta = DOMAINS["integer"]
    snapshot = random_snapshot(seed, domain=domain, ends=ends)
    predict = deployed(snapshot)
    first, second = related_pairs(relate(domain, delta, 1e3), 500, seed)
    shown = float(np.abs(predict(first) - predict(second)).max())
    planted = relate(domain, delta, shown * (1 - 1e-12))
    certificate = BranchAndBound(max_subproblems=500).verify(snapshot, planted, predict=predict)
    assert certificate.status is not Status.HOLDS
    assert certificate.variation >= shown


def test_a_violation_that_one_corner_shows_is_found_and_replayed():
    """f rises only where both features are within 1e-3 of their upper ends."""
    builder = GraphBuilder(2)
    node = builder.affine(np.array([[1000.0, 1000.0]]), np.array([-1999.0]))
    node = builder.clamp(np.zeros(1), np.full(1, np.inf), node)
    lower = builder.affine(np.eye(1), np.zeros(1), node)
    width = builder.affine(np.zeros((1, 2)), np.zeros(1))
    upper = builder.sum(lower, width)
    ends = (lower, upper, width)
    snapshot = NetworkSnapshot(builder.build(), *ends, np.eye(1), np.zeros(1), (), unit_box(2))
    relation = relate(snapshot.domain, [1.0, 1.0], 0.9)
    predict = deployed(snapshot, lambda units: units[:, :1])
    certificate = BranchAndBound().verify(snapshot, relation, predict=predict)
    assert certificate.status is Status.VIOLATED
    assert certificate.counterexample.violation == pytest.approx(0.1, rel=1e-6)


def test_epsilon_decides_the_status_next_to_the_optimum():
    snapshot = random_snapshot(7, n_features=2, ends="affine")
    truth = largest_value(snapshot, relate(snapshot.domain, [0.2, 0.1]), ("box",), snapshot.margins()[0])
    above = verify(snapshot, relate(snapshot.domain, [0.2, 0.1], truth * (1 + 1e-6)))
    below = verify(snapshot, relate(snapshot.domain, [0.2, 0.1], truth * (1 - 1e-6)))
    assert above.status is Status.HOLDS
    assert above.rigor == "rounded"
    assert below.status is Status.BOUNDED
    assert below.attained > 0


def test_the_bound_includes_the_slack_of_the_forward_pass():
    snapshot = random_snapshot(7, n_features=2, ends="affine")
    relation = relate(snapshot.domain, [0.2, 0.1])
    assert verify(snapshot, relation).slack >= Analysis(snapshot, relation).slack.max()


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid:RuntimeWarning")
def test_nothing_is_proven_of_a_network_that_may_overflow():
    snapshot = hand_drawn(weight=1e308, width=1e308)
    certificate = verify(snapshot, relate(unit_box(1), [1.0]))
    assert certificate.status is Status.UNKNOWN
    assert certificate.bound == np.inf


def test_it_is_never_looser_than_difference_bounds():
    for seed in range(5):
        domain = mixed_domain(seed)
        relation = mixed_relation(seed, domain, KINDS[seed])
        snapshot = mixed_snapshot(seed, domain)
        ours = verify(snapshot, relation, "auto", max_subproblems=200)
        assert ours.bound <= DifferenceBounds().verify(snapshot, relation).bound * (1 + 1e-9) + 1e-9


# --- the proof ------------------------------------------------------------------------------------------


def _walk(tree, relation, envelope):
    """Leaves of a preorder list with the least bound on the way to each, the empty ones left out."""
    domain, entries = relation.domain, iter(tree)

    def visit(region, upper):
        entry = next(entries)
        if region is not None:
            upper = min(upper, float(envelope.bound(region).upper[0]))
        if entry == "leaf":
            return [] if region is None else [(region, upper)]
        assert region is not None, "an empty region was cut"
        kind, place, value = entry
        d = domain.n_features
        variable = place + {"second": 0, "difference": d, "pairs": 2 * d}[kind]
        kept = [np.zeros_like(pairs) for pairs in region.pairs]
        if kind == "pairs":
            for a, b in value:
                kept[place][0, a, b] = True
            value = 0.0
        cut = Cut(np.array([variable]), np.array([value]), tuple(kept))
        left, right, left_alive, right_alive = region.cut(cut, domain)
        halves = (left if left_alive[0] else None), (right if right_alive[0] else None)
        return visit(halves[0], upper) + visit(halves[1], upper)

    leaves = visit(Regions.root(relation), np.inf)
    assert next(entries, None) is None
    regions, bounds = zip(*leaves, strict=True)
    return Regions.joined(regions), np.array(bounds)


@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("coupling", ["box", "auto"])
def test_the_tree_covers_the_root_with_leaves_of_the_claimed_bound(name, coupling):
    domain, delta = DOMAINS[name]
    snapshot = random_snapshot(3, n_features=domain.n_features, domain=domain, reads=(), hidden=(5,))
    relation = relate(domain, delta, 1e-9)
    certificate = verify(snapshot, relation, coupling, gap=1e-2)
    (side,) = json.loads(json.dumps(certificate.proof))["sides"]
    envelope = EnvelopeBounds(snapshot, COUPLINGS[coupling], snapshot.margins()[0])
    joined, bounds = _walk(side["tree"], relation, envelope)
    assert bounds.max() == pytest.approx(side["bound"], rel=1e-9)
    first, second = (domain.to_unit(rows) for rows in related_pairs(relation, 100))
    for p, q in zip(first, second, strict=True):
        held = joined.contains(p, q, domain)
        assert held.any()
        value = pair_envelope(snapshot, COUPLINGS[coupling], snapshot.margins()[0], p[None], q[None]).value[0]
        assert (value <= bounds[held] + 1e-12).all()
        assert value <= side["bound"]


@pytest.mark.parametrize("batch_size", [1, 3, 128])
def test_a_search_that_is_cut_short_still_answers_for_every_leaf(batch_size):
    """Regions that were never cut again count as well, whatever was cut at once."""
    snapshot, relation = hard_problem(2)
    certificate = verify(snapshot, relation, max_subproblems=60, batch_size=batch_size)
    (side,) = certificate.proof["sides"]
    leaves, bounds = _walk(side["tree"], relation, EnvelopeBounds(snapshot, ("box",), snapshot.margins()[0]))
    assert len(leaves) >= 20
    assert side["bound"] == pytest.approx(bounds.max(), rel=1e-9)


def test_proof_data_is_what_the_checker_reads():
    snapshot = random_snapshot(3, n_features=2)
    certificate = verify(snapshot, relate(snapshot.domain, [0.2, 0.1], (-0.5, 0.4)), splitting="width")
    proof = certificate.proof
    assert proof["kind"] == "branch and bound"
    assert proof["couplings"] == ["box"]
    assert proof["splitting"] == "width"
    assert proof["subproblems"] == sum(side["subproblems"] for side in proof["sides"])
    assert [(side["margin"], side["side"]) for side in proof["sides"]] == [(0, "upper"), (0, "lower")]
    lower, upper = proof["bounds"]
    assert [upper, -lower] == [side["bound"] for side in proof["sides"]]
    for side in proof["sides"]:
        n_cuts = sum(entry != "leaf" for entry in side["tree"])
        assert len(side["tree"]) == 2 * n_cuts + 1


# --- limits and parts -----------------------------------------------------------------------------------


def hard_problem(n_features=4, hidden=(8, 8), seed=5):
    snapshot = random_snapshot(seed, n_features=n_features, hidden=hidden, n_latent=3, ends="affine")
    return snapshot, relate(snapshot.domain, np.full(n_features, 0.3), 1e-9)


def test_the_bound_falls_with_every_subproblem_allowed():
    snapshot, relation = hard_problem()
    bounds = [verify(snapshot, relation, max_subproblems=n).bound for n in (1, 10, 100, 1000, 6000)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] < bounds[0]


def test_what_is_attained_is_a_lower_bound_of_the_largest_value():
    snapshot, relation = hard_problem()
    certificate = verify(snapshot, relation, max_subproblems=500)
    assert 0 < certificate.attained <= certificate.bound
    first, second = related_pairs(relation, 2000)
    units = [snapshot.domain.to_unit(rows) for rows in (first, second)]
    sampled = pair_envelope(snapshot, ("box",), snapshot.margins()[0], *units).value.max()
    assert certificate.attained + 1e-9 >= sampled - 1e-9


def test_the_time_limit_leaves_a_bound_and_no_false_proof():
    snapshot, relation = hard_problem(6)
    started = time.monotonic()
    certificate = BranchAndBound(max_subproblems=10**9).verify(snapshot, relation, time_limit=0.3)
    assert time.monotonic() - started < 5.0
    assert certificate.status is Status.BOUNDED
    assert np.isfinite(certificate.bound)
    at_once = BranchAndBound().verify(snapshot, relation, time_limit=0.0)
    assert at_once.status is Status.BOUNDED
    assert at_once.bound >= certificate.bound


def jobs_problem():
    snapshot, _ = hard_problem(hidden=(8,))
    relation = relate(snapshot.domain, np.full(4, 0.3), (-1e-9, 1e-8))
    return snapshot, relation, {"max_subproblems": 2500}


def test_equal_calls_give_equal_answers_whatever_the_number_of_jobs():
    snapshot, relation, options = jobs_problem()
    once, again = (verify(snapshot, relation, **options) for _ in range(2))
    with parallel_config(backend="threading"):
        parallel = verify(snapshot, relation, **options, n_jobs=2)
    # Hard enough that the open regions were dealt to parts.
    assert once.proof["subproblems"] > 2 * ROUND
    assert once.proof == again.proof == parallel.proof
    assert once.bound == parallel.bound
    assert once.attained == parallel.attained


@pytest.mark.slow
def test_processes_give_equal_answers_too():
    snapshot, relation, options = jobs_problem()
    assert (
        verify(snapshot, relation, **options).proof == verify(snapshot, relation, **options, n_jobs=2).proof
    )


def test_an_unknown_rule_raises():
    with pytest.raises(ValueError, match="splitting"):
        verify(hand_drawn(), relate(unit_box(1), [0.1]), splitting="best")


def test_reciph_needs_fewer_subproblems_than_width_where_inputs_differ_in_influence():
    ratios = []
    for seed in range(4):
        snapshot = random_snapshot(seed, n_features=3, hidden=(8,), n_latent=3, ends="affine")
        relation = relate(snapshot.domain, [0.3, 0.1, 0.02], 1e-9)
        counts = [
            verify(snapshot, relation, splitting=rule, gap=1e-2).proof["subproblems"]
            for rule in ("reciph", "width")
        ]
        ratios.append(counts[0] / counts[1])
    assert np.exp(np.mean(np.log(ratios))) <= 1.0
