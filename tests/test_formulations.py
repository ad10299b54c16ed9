"""Ranges, lines, slopes and parts of the pair model: what is known before a solver is asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exhaustive import largest_value
from support.networks import random_snapshot, relate, related_pairs, unit_box

from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.snapshot.forward import evaluate
from smile_sklearn.snapshot.graph import Clamp
from smile_sklearn.verification.difference import Analysis
from smile_sklearn.verification.formulations.analysis import PairAnalysis
from smile_sklearn.verification.formulations.backward import difference_lines, value_lines
from smile_sklearn.verification.formulations.coupling import Gap
from smile_sklearn.verification.formulations.pair import build_pair_model
from smile_sklearn.verification.formulations.parts import WHOLE, Part, belongs, difference_bound, parts_of
from smile_sklearn.verification.formulations.slopes import objective_slopes
from smile_sklearn.verification.intervals import Interval

ENDS = st.sampled_from([(0.0, np.inf), (-np.inf, 0.0), (-0.3, 0.6), (-np.inf, np.inf), (0.25, 0.25)])


# --- lines -----------------------------------------------------------------------------------------------


@given(ends=ENDS, low=st.floats(-3, 3), width=st.floats(0, 4), scale=st.sampled_from([1.0, 1e-9, 1e9]))
@settings(max_examples=200)
def test_lines_are_above_and_below_the_unit(ends, low, width, scale):
    node = Clamp(np.array([ends[0] * scale]), np.array([ends[1] * scale]), 0)
    source = Interval(np.array([low * scale]), np.array([(low + width) * scale]))
    lines = value_lines(node, source)
    points = np.concatenate(
        [np.linspace(source.low[0], source.high[0], 50), np.clip([0, *ends], *np.ravel(source))]
    )
    values = np.clip(points, node.lower[0], node.upper[0])
    room = 1e-15 * scale * 10  # of evaluating the line here
    assert (values <= lines.slope_above[0] * points + lines.above[0] + room).all()
    assert (values >= lines.slope_below[0] * points + lines.below[0] - room).all()
    # They are no looser than the interval of the unit.
    assert (lines.slope_above * points + lines.above).min() <= values.max() + room


@given(ends=ENDS, seed=st.integers(0, 10_000))
@settings(max_examples=100)
def test_lines_hold_for_differences(ends, seed):
    generator = np.random.default_rng(seed)
    low, high = np.sort(generator.normal(size=2))
    first, second = generator.uniform(low, high, (2, 400))
    reach = np.sort(generator.uniform(low - high, high - low, 2))
    kept = (first - second >= reach[0]) & (first - second <= reach[1])
    node = Clamp(np.array([ends[0]]), np.array([ends[1]]), 0)
    difference = Interval(*(np.array([end]) for end in reach))
    lines = difference_lines(node, Interval(np.array([low]), np.array([high])), difference)
    moved = (np.clip(first, *ends) - np.clip(second, *ends))[kept]
    before = (first - second)[kept]
    assert (moved <= lines.slope_above[0] * before + lines.above[0] + 1e-14).all()
    assert (moved >= lines.slope_below[0] * before + lines.below[0] - 1e-14).all()


# --- ranges and differences ------------------------------------------------------------------------------


def mixed_problem(seed, hidden=(5, 4), **options):
    """Two numeric features, an integer of width 3 and a group of three, all of which may move."""
    domain = InputDomain(np.zeros(6), [1, 2, 3, 1, 1, 1], integer=[2], one_hot=[[3, 4, 5]])
    snapshot = random_snapshot(seed, 6, hidden, 3, domain=domain, reads=(), **options)
    return snapshot, relate(domain, np.array([0.1, 0.0, 1, 1, 1, 1]), 0.1)


@pytest.mark.parametrize("ends", ["free", "affine", "relu"])
@pytest.mark.parametrize("activation", ["relu", "negative", "clamp"])
def test_every_node_stays_within_its_range_and_difference(ends, activation):
    for seed in range(3):
        snapshot, relation = mixed_problem(seed, ends=ends, activation=activation)
        plain, raw = Analysis(snapshot, relation), related_pairs(relation, 4000, seed)
        nodes = tuple(range(len(snapshot.graph)))
        values = [evaluate(snapshot.graph, snapshot.domain.to_unit(rows), nodes) for rows in raw]
        for part in (*WHOLE, *parts_of(relation)):
            known = PairAnalysis(plain, part.group_pairs(relation))
            chosen = belongs(known.relation, *raw)
            assert chosen.any()
            for index in nodes:
                low, high = known.differences[index]
                moved = (values[0][index] - values[1][index])[chosen]
                assert ((moved >= low - 1e-12) & (moved <= high + 1e-12)).all()
                assert (low >= plain.differences[index].low - 1e-12).all()
                for copy in (0, 1):
                    low, high = known.ranges[copy][index]
                    value = values[copy][index][chosen]
                    assert ((value >= low - 1e-12) & (value <= high + 1e-12)).all()
                    assert (high <= plain.ranges[index].high + 1e-12).all()


def test_backward_bounds_see_that_units_read_the_same_inputs():
    """relu(x) - relu(x) cancels; intervals of the two do not. And a whole network gets tighter."""
    snapshot = random_snapshot(1, 20, (16,), 4, ends="free")
    plain = Analysis(snapshot, relate(snapshot.domain, 0.1))
    known = PairAnalysis(plain)
    width = lambda interval: (interval.high - interval.low).mean()
    assert width(known.ranges[0][snapshot.lower]) < 0.8 * width(plain.ranges[snapshot.lower])
    assert width(known.differences[snapshot.lower]) < 0.7 * width(plain.differences[snapshot.lower])


def test_exact_zeros_stay_zero():
    snapshot = random_snapshot(0, 3, (4, 4), 2)
    known = PairAnalysis(Analysis(snapshot, relate(snapshot.domain, 0.0)))
    for low, high in known.differences:
        assert not low.any()
        assert not high.any()


# --- parts -----------------------------------------------------------------------------------------------


def test_parts_list_every_allowed_pair_once():
    domain = InputDomain(np.zeros(5), np.ones(5), one_hot=[[0, 1, 2]], one_hot_at_most_one=[[3, 4]])
    low = np.array([-1, -1, 0, 0, 0])  # the third category may only be entered, the second group is equal
    relation = relate(domain, (low, np.array([1, 1, 1, 0, 0])))
    parts = parts_of(relation)
    listed = [pair for part in parts for pair in part.pairs]
    assert sorted(listed) == [tuple(pair) for pair in np.argwhere(relation.group_pairs[0]).tolist()]
    assert len(set(listed)) == len(listed)
    assert {part.group for part in parts} == {0}
    assert parts_of(relation, most_pairs=3) == WHOLE
    assert parts_of(relate(domain, 0.0)) == WHOLE
    assert Part(0, ((0, 1),)).to_dicts() == [{"pair": {"group": 0, "first": 0, "second": 1}}]


@pytest.mark.parametrize("couplings", [("box",), ("shared",), ("box", "shared")])
def test_difference_bounds_are_above_the_maximum(couplings):
    domain = InputDomain([0, 0, 0], [1, 1, 1], one_hot=[[1, 2]])
    for seed in range(4):
        snapshot = random_snapshot(seed, 3, (3,), 2, domain=domain, reads=(), n_outputs=2)
        relation = relate(domain, np.array([0.2, 1, 1]))
        plain, row = Analysis(snapshot, relation), snapshot.margins()[0]
        for sign in (1, -1):
            truth = largest_value(snapshot, relation, couplings, sign * row)
            bounds = [
                difference_bound(PairAnalysis(plain, part.group_pairs(relation)), couplings, 0, sign)
                for part in parts_of(relation)
            ]
            assert truth <= max(bounds) <= difference_bound(PairAnalysis(plain), couplings, 0, sign) + 1e-12


# --- slopes ----------------------------------------------------------------------------------------------


def test_a_width_of_its_own_halves_the_binaries():
    """f = w lo + ...: every hidden unit is pulled one way at x' and the other way at x''."""
    snapshot = random_snapshot(0, 6, (10,), 3, ends="affine")
    known = PairAnalysis(Analysis(snapshot, relate(snapshot.domain, 0.1)))
    row = known.margins[0]
    slopes = objective_slopes(known, ("box",), row, Gap(known))[2]
    np.testing.assert_array_equal(np.sign(slopes.low[0]), -np.sign(slopes.high[1]))
    through_lower = row @ snapshot.graph.nodes[snapshot.lower].weight
    np.testing.assert_allclose(slopes.low[0], through_lower, atol=1e-12)
    assert build_pair_model(known, ("box",), 0, 1).model.n_integers == 10


def test_slopes_hold_between_any_two_pairs():
    """Moving one hidden unit, V changes by no more than its slopes say (shared: 0 is a choice as well)."""
    snapshot = random_snapshot(3, 2, (6,), 4, ends="free", reads=())
    known = PairAnalysis(Analysis(snapshot, relate(snapshot.domain, 0.3)))
    row, generator = known.margins[0], np.random.default_rng(0)
    reached = [
        evaluate(snapshot.graph, rows, (2,))[0] for rows in related_pairs(relate(snapshot.domain, 0.3), 500)
    ]
    apart = np.flatnonzero(known.differences[2].high > 0.0)  # a unit of both copies moves in both
    lower, upper = (snapshot.graph.nodes[end] for end in (snapshot.lower, snapshot.upper))

    def value(couplings, hidden):
        (lo, hi), (lo_second, hi_second) = (
            (lower.weight @ units + lower.bias, upper.weight @ units + upper.bias) for units in hidden
        )
        sign = np.where(row >= 0, 1.0, -1.0)
        if couplings == ("box",):
            tops = np.maximum(lo, hi), np.maximum(lo_second, hi_second)
            return np.where(sign > 0, tops[0] - lo_second, tops[1] - lo) @ np.abs(row)
        rise = np.maximum(0.0, np.maximum(sign * (lo - lo_second), sign * (hi - hi_second)))
        return rise @ np.abs(row)

    for couplings in (("box",), ("shared",)):
        slopes = objective_slopes(known, couplings, row, Gap(known))[2]
        for units in zip(*reached, strict=True):
            hidden = [np.array(values) for values in units]
            copy, unit, step = generator.integers(2), generator.choice(apart), 1e-7
            before = value(couplings, hidden)
            hidden[copy][unit] += step
            change = (value(couplings, hidden) - before) / step
            assert slopes.low[copy, unit] - 1e-6 <= change <= slopes.high[copy, unit] + 1e-6


def test_a_unit_of_both_copies_has_one_slope():
    snapshot = random_snapshot(2, 2, (4,), 2, ends="affine")
    known = PairAnalysis(Analysis(snapshot, relate(unit_box(2), 0.0)))
    slopes = objective_slopes(known, ("box",), known.margins[0], Gap(known))[2]
    assert not slopes.low[1].any()
    np.testing.assert_allclose(
        slopes.high[0], 0.0, atol=1e-12
    )  # lo' - lo'' cancels, the width does not read it
