"""Rules that choose cuts: what they score, ties, groups, and what a cut may be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import random_snapshot, relate, related_pairs, unit_box
from support.random_networks import KINDS, mixed_domain, mixed_relation, mixed_snapshot

from smile_sklearn.verification.branching.envelope_bounds import EnvelopeBounds
from smile_sklearn.verification.branching.regions import Regions
from smile_sklearn.verification.branching.splitting import RULES, ReCIPH, gradient_ranges, make_rule
from smile_sklearn.verification.formulations.value import pair_envelope

EVERY_RULE = sorted(RULES)


def chosen(rule, snapshot, relation, couplings=("box",)):
    envelope = EnvelopeBounds(snapshot, couplings, snapshot.margins()[0])
    regions = Regions.root(relation)
    return make_rule(rule).cuts(regions, envelope.bound(regions), envelope, relation)


def lopsided(weights, hidden=(4,)):
    """A random network of which feature j is scaled by weights[j]."""
    snapshot = random_snapshot(3, n_features=len(weights), hidden=hidden, ends="affine")
    nodes = list(snapshot.graph.nodes)
    for index, node in enumerate(nodes):
        if index and node.source == 0 and hasattr(node, "weight"):
            nodes[index] = type(node)(node.weight * weights, node.bias, 0)
        if len(nodes) == index + 2:
            break
    graph = type(snapshot.graph)(tuple(nodes))
    return type(snapshot)(
        graph,
        snapshot.lower,
        snapshot.upper,
        snapshot.width,
        snapshot.head_weight,
        snapshot.head_bias,
        snapshot.reads,
        snapshot.domain,
    )


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_names_give_rules_and_rules_themselves(rule):
    assert make_rule(rule).name == rule
    instance = RULES[rule]()
    assert make_rule(instance) is instance


def test_an_unknown_name_raises():
    with pytest.raises(ValueError, match="reciph"):
        make_rule("random")


@pytest.mark.parametrize("rule", ["reciph", "smear"])
def test_the_feature_that_matters_is_cut(rule):
    snapshot = lopsided(np.array([1e-3, 5.0, 1e-3]))
    cut = chosen(rule, snapshot, relate(unit_box(3), [1.0, 1.0, 1.0]))
    assert cut.variable[0] % 3 == 1


def test_width_cuts_the_widest_and_the_first_of_equals():
    snapshot = lopsided(np.array([1e-3, 5.0, 1e-3]))
    assert chosen("width", snapshot, relate(unit_box(3), [0.0, 0.7, 0.2])).variable[0] == 4
    assert chosen("width", snapshot, relate(unit_box(3), [0.1, 0.1, 0.1])).variable[0] == 0


@pytest.mark.parametrize("rule", EVERY_RULE)
@pytest.mark.parametrize("couplings", [("box",), ("shared",), ("box", "shared")])
def test_only_open_variables_are_cut(rule, couplings):
    domain = mixed_domain(1)
    for seed in range(6):
        relation = mixed_relation(seed, domain, KINDS[seed % len(KINDS)])
        snapshot = mixed_snapshot(seed, domain, ends=("width", "free")[seed % 2])
        cut = chosen(rule, snapshot, relation, couplings)
        widths = Regions.root(relation).widths(relation)
        assert widths[0, cut.variable[0]] > 0


def test_a_point_cannot_be_cut():
    domain = unit_box(1)
    regions = Regions.root(relate(domain, [0.0]))
    point = Regions(*(np.full((1, 1), 0.5) for _ in range(4)), np.zeros((1, 1)), np.zeros((1, 1)), ())
    snapshot = random_snapshot(0, n_features=1)
    envelope = EnvelopeBounds(snapshot, ("box",), snapshot.margins()[0])
    assert (
        make_rule("width").cuts(regions, envelope.bound(regions), envelope, relate(domain, [0.0])).variable
        == 0
    )
    assert (
        make_rule("width").cuts(point, envelope.bound(point), envelope, relate(domain, [0.0])).variable == -1
    )


def test_a_group_is_cut_into_halves_the_better_pairs_left():
    domain = unit_box(3, one_hot=[[0, 1, 2]])
    relation = relate(domain, [1.0, 1.0, 1.0])
    snapshot = random_snapshot(0, n_features=3, domain=domain, ends="affine")
    envelope = EnvelopeBounds(snapshot, ("box",), snapshot.margins()[0])
    regions = Regions.root(relation)
    bounds = envelope.bound(regions)
    cut = ReCIPH().cuts(regions, bounds, envelope, relation)
    assert cut.variable[0] == 6
    kept = cut.kept[0][0]
    assert kept.sum() == 5
    value = bounds.above[0, 0][:, None] + bounds.above[1, 0][None]
    assert value[kept].min() >= value[~kept].max() - 1e-12


def test_where_the_bound_speaks_of_differences_alone_other_variables_stay_in_the_race():
    """A wide p'' whose coefficient is 0 must be cut before its neighbour has shrunk to nothing."""
    snapshot = random_snapshot(0, n_features=1, ends="affine")
    relation = relate(unit_box(1), [0.5])
    envelope = EnvelopeBounds(snapshot, ("box",), snapshot.margins()[0])
    regions = Regions.root(relation)
    bounds = envelope.bound(regions)
    pure = bounds._replace(above=np.array([[[1.0]], [[-1.0]]]), below=np.array([[[1.0]], [[-1.0]]]))
    scores = ReCIPH().scores(regions, pure, envelope, np.array([[1.0, 1e-3]]))
    assert scores[0, 0] > scores[0, 1]


@given(seed=st.integers(0, 1000), kind=st.sampled_from(KINDS), shared=st.booleans())
@settings(max_examples=15)
def test_gradient_ranges_hold_the_slopes_between_pairs(seed, kind, shared):
    """V changes between two pairs by no more than the largest derivatives allow."""
    domain = mixed_domain(seed % 40)
    relation = mixed_relation(seed, domain, kind)
    snapshot = mixed_snapshot(seed, domain, ends=("width", "free")[seed % 2])
    row, couplings = snapshot.margins()[0], ("shared",) if shared else ("box",)
    envelope = EnvelopeBounds(snapshot, couplings, row)
    slopes = gradient_ranges(envelope, Regions.root(relation))
    first, second = (domain.to_unit(rows) for rows in related_pairs(relation, 40, seed))
    if len(first) < 2:
        return
    values = pair_envelope(snapshot, couplings, row, first, second).value
    reach = 0.0
    for points, (low, high) in zip((first, second), slopes, strict=True):
        step = np.abs(np.diff(points, axis=0))
        reach = reach + step @ np.maximum(np.abs(low[0]), np.abs(high[0]))
    assert (np.abs(np.diff(values)) <= reach * (1 + 1e-9) + 1e-9).all()
