"""Regions of pairs: cuts and tightening lose no pair, and drop only what is certainly empty."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import relate, related_pairs, unit_box
from support.random_networks import KINDS, mixed_domain, mixed_relation

from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.verification.branching.regions import Cut, Regions, whole_domain


def unit_pairs(relation, n_pairs=60, seed=0):
    first, second = related_pairs(relation, n_pairs, seed)
    return relation.domain.to_unit(first), relation.domain.to_unit(second)


def random_cut(regions, relation, generator):
    """A cut of a random variable that may be cut, at its middle or at an odd place."""
    widths = regions.widths(relation)
    choices = [np.flatnonzero(row > 0) for row in widths]
    variable = np.array([generator.choice(open_) if len(open_) else -1 for open_ in choices])
    kept = tuple(pairs & (generator.random(pairs.shape) < 0.5) for pairs in regions.pairs)
    return Cut(variable, regions.middle(variable, relation.domain), kept)


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(KINDS))
@settings(max_examples=40)
def test_every_related_pair_stays_in_a_leaf(seed, kind):
    domain = mixed_domain(seed % 50)
    relation = mixed_relation(seed, domain, kind)
    generator = np.random.default_rng(seed)
    first, second = unit_pairs(relation)
    leaves = Regions.root(relation)
    for _ in range(6):
        cut = random_cut(leaves, relation, generator)
        left, right, left_alive, right_alive = leaves.cut(cut, domain)
        leaves = Regions.joined([left.take(left_alive), right.take(right_alive)])
    for p, q in zip(first, second, strict=True):
        assert leaves.contains(p, q, domain).any()


def test_the_root_holds_the_whole_numbers_and_categories_of_the_relation():
    domain = InputDomain([0, 0, 0, 0], [4, 1, 1, 1], integer=[0], one_hot=[[1, 2, 3]])
    relation = relate(domain, np.array([2, 0, 0, 0]))
    root = Regions.root(relation)
    np.testing.assert_allclose(root.difference_high[0, 0], 0.5, atol=1e-14)
    assert root.difference_high[0, 0] >= 0.5
    np.testing.assert_array_equal(root.pairs[0][0], np.eye(3, dtype=bool))


def test_cutting_an_integer_between_two_whole_numbers_leaves_none_between():
    domain = InputDomain([0], [4], integer=[0])
    root = Regions.root(relate(domain, [4]))
    variable = np.array([0])
    left, right, *alive = root.cut(Cut(variable, root.middle(variable, domain), ()), domain)
    assert all(mask.all() for mask in alive)
    np.testing.assert_allclose([left.second_high[0, 0], right.second_low[0, 0]], [0.5, 0.75], atol=1e-14)
    # The floats of the whole numbers themselves stay inside.
    assert left.second_high[0, 0] >= 0.5
    assert right.second_low[0, 0] <= 0.75


@pytest.mark.parametrize("scale", [3, 7, 10, 49, 999_983])
def test_tightening_an_integer_keeps_the_computed_coordinates(scale):
    domain = InputDomain([0], [scale], integer=[0])
    root = Regions.root(relate(domain, [scale]))
    values = np.unique(np.linspace(0, scale, 40).round())
    units = domain.to_unit(values[:, None])
    for value in units:
        for variable in (0, 1):
            cut = Cut(np.array([variable]), value.copy(), ())
            left, right, *_ = root.cut(cut, domain)
            for other in units:
                inside = left.contains(other, value, domain) | right.contains(other, value, domain)
                assert inside.all()


def test_a_difference_pulls_the_boxes_together():
    root = Regions.root(relate(unit_box(1), ([0.75], [1.0]), (-np.inf, 1.0)))
    np.testing.assert_allclose([root.first_low[0, 0], root.second_high[0, 0]], [0.75, 0.25], atol=1e-15)
    assert root.first_low[0, 0] <= 0.75
    assert root.second_high[0, 0] >= 0.25


def test_a_half_without_pairs_is_dropped():
    root = Regions.root(relate(unit_box(1), ([0.75], [1.0]), (-np.inf, 1.0)))
    *_, left_alive, right_alive = root.cut(Cut(np.array([0]), np.array([0.5]), ()), unit_box(1))
    assert left_alive[0]
    assert not right_alive[0]


def test_equal_and_constant_features_are_not_cut_in_the_difference():
    domain = InputDomain([0, 2, 0], [1, 2, 1])
    relation = relate(domain, [0.0, 0.0, 0.5])
    np.testing.assert_allclose(Regions.root(relation).widths(relation)[0], [1, 0, 1, 0, 0, 1])


def test_a_group_with_one_pair_left_is_not_cut():
    domain = unit_box(2, one_hot=[[0, 1]])
    relation = relate(domain, [1.0, 1.0])
    root = Regions.root(relation)
    assert root.widths(relation)[0, -1] == 1.0
    kept = np.zeros((1, 2, 2), dtype=bool)
    kept[0, 0, 1] = True
    left, right, *_ = root.cut(Cut(np.array([4]), np.array([0.0]), (kept,)), domain)
    assert left.widths(relation)[0, -1] == 0.0
    assert right.pairs[0].sum() == 3
    assert not right.pairs[0][0, 0, 1]


def test_the_whole_domain_is_one_box():
    box = whole_domain(InputDomain([0, 3, 0, 0], [5, 3, 1, 1], one_hot=[[2, 3]]))
    np.testing.assert_array_equal(box.high, [[1, 0, 1, 1]])
    assert box.categories[0].shape == (1, 2)
    assert box.categories[0].all()
