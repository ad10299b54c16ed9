"""The paper's model, the reference of the benchmark: the optimum of enumeration and of the MIP."""

import numpy as np
import pytest
from support.exhaustive import largest_value
from support.networks import random_snapshot, relate, unit_box

from benchmarks.paper_mip import paper_maximum
from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.snapshot.graph import GraphBuilder
from smile_sklearn.verification.formulations.value import pair_envelope
from smile_sklearn.verification.mip import MIP
from smile_sklearn.verification.solvers import Termination


def truth(snapshot, relation, coupling, signs=(1, -1)):
    limits = {1: relation.epsilon_upper, -1: -relation.epsilon_lower}
    return max(
        largest_value(snapshot, relation, (coupling,), sign * row) - limits[sign]
        for sign in signs
        for row in snapshot.margins()
    )


@pytest.mark.parametrize("coupling", ["box", "shared"])
@pytest.mark.parametrize(
    ("ends", "activation"), [("free", "relu"), ("affine", "clamp"), ("relu", "negative")]
)
def test_optimum_is_that_of_enumeration(ends, activation, coupling):
    for seed, n_outputs in ((0, 1), (1, 3)):
        snapshot = random_snapshot(
            seed, 1, (4,), 2, ends=ends, activation=activation, n_outputs=n_outputs, reads=()
        )
        relation = relate(snapshot.domain, (-0.1, 0.2), (-0.02, 0.01))
        answer = paper_maximum(snapshot, relation, coupling)
        assert answer.solved
        assert answer.violation == pytest.approx(truth(snapshot, relation, coupling), abs=1e-4)


def test_groups_integers_and_one_side():
    domain = InputDomain([0, 0, 0, -1], [1, 1, 3, 1], integer=[2], one_hot=[[0, 1]])
    for seed in range(2):
        snapshot = random_snapshot(seed, 4, (3,), 2, domain=domain, reads=())
        relation = relate(domain, (np.array([-1, -1, 0, -0.5]), np.array([1, 1, 2, 0.5])), (-np.inf, 0.01))
        answer = paper_maximum(snapshot, relation)
        assert answer.violation == pytest.approx(truth(snapshot, relation, "box", signs=(1,)), abs=1e-4)


def test_it_agrees_with_the_package_where_nothing_enumerates():
    snapshot = random_snapshot(2, 6, (8,), 4, ends="free")
    relation = relate(snapshot.domain, 0.1, 0.05)
    certificate = MIP().verify(snapshot, relation, coupling="box")
    answer = paper_maximum(snapshot, relation)
    assert certificate.attained - 1e-5 <= answer.violation <= certificate.bound


def test_infeasible_says_that_the_property_holds():
    """gamma > 0 asks for a violation; where none exists the paper's model has no solution."""
    snapshot = random_snapshot(0, 1, (3,), 2)
    largest = truth(snapshot, relate(snapshot.domain, 0.1, 0.0), "box")
    answer = paper_maximum(snapshot, relate(snapshot.domain, 0.1, 1.1 * largest))
    assert answer.terminations == (Termination.INFEASIBLE,)
    assert answer.solved
    assert answer.violation == answer.bound == 0.0


def sorting(group):
    generator, builder = np.random.default_rng(0), GraphBuilder(1)
    hidden = builder.affine(generator.normal(size=(4, 1)) * 2, generator.normal(size=4))
    hidden = builder.group_sort(group, hidden)
    lower = builder.affine(generator.normal(size=(2, 4)), np.zeros(2), hidden)
    gap = builder.affine(np.zeros((2, 1)), np.array([0.1, 0.2]))
    upper = builder.sum(lower, gap)
    head = np.array([[1.0, -2.0]])
    return NetworkSnapshot(builder.build(), lower, upper, gap, head, np.zeros(1), (0,), unit_box(1))


def test_sorting_two_is_max_and_min():
    snapshot = sorting(2)
    relation = relate(snapshot.domain, 0.2, 0.01)
    grid = np.linspace(0.0, 1.0, 401)[:, None]  # 0.2 is a multiple of its step, kinks are near it
    value = max(
        pair_envelope(snapshot, ("box",), snapshot.margins()[0], grid, np.roll(grid, shift))
        .value[np.abs(grid - np.roll(grid, shift))[:, 0] <= 0.2]
        .max()
        for shift in range(-80, 81)
    )
    assert paper_maximum(snapshot, relation).violation == pytest.approx(value - 0.01, abs=0.02)
    with pytest.raises(UnsupportedError, match="GroupSort"):
        paper_maximum(sorting(4), relate(unit_box(1), 0.2))
