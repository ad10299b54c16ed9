"""How much of the backbone is used: the share by hand, and what must not count."""

import numpy as np
import pytest

from smile_sklearn.properties import InputDomain
from smile_sklearn.reporting import backbone_utilisation
from smile_sklearn.snapshot.graph import GraphBuilder
from smile_sklearn.snapshot.network import NetworkSnapshot

ROWS = np.array([[0.0], [0.25], [0.5], [1.0]])


def snapshot(head, slopes=(0.0, 1.0), width=0.4):
    """Two units: lo = slope x, hi = lo + width."""
    builder = GraphBuilder(1)
    lower = builder.affine(np.array(slopes)[:, None], np.zeros(2))
    wide = builder.affine(np.zeros((2, 1)), np.full(2, width))
    upper = builder.sum(lower, wide)
    return NetworkSnapshot(
        graph=builder.build(),
        lower=lower,
        upper=upper,
        width=wide,
        head_weight=np.atleast_2d(np.array(head)),
        head_bias=np.zeros(len(np.atleast_2d(head))),
        reads=(0,),
        domain=InputDomain([0.0], [1.0]),
    )


def embedding(first, second):
    return lambda rows: np.column_stack([np.broadcast_to(first(rows[:, 0]), len(rows)), second(rows[:, 0])])


def measure(head, first=lambda x: x, second=lambda x: x + 0.1, **options):
    return backbone_utilisation(snapshot(head, **options), embedding(first, second), ROWS)


def test_units_count_by_their_head_weight():
    # The first unit passes x = .25 only (lo < h < hi is strict), the second every row.
    assert measure([3.0, -1.0]).inactive_clip == pytest.approx((3 * 0.25 + 1.0) / 4)
    assert measure([1.0, 0.0]).inactive_clip == 0.25
    assert measure([0.0, 5.0]).inactive_clip == 1.0


def test_a_head_of_zeros_uses_nothing():
    used = measure([0.0, 0.0])
    assert (used.inactive_clip, used.free_channels, used.mean_width) == (0.0, 0.0, 0.0)


def test_a_constant_embedding_never_counts():
    assert measure([1.0, 1.0], first=lambda x: 0.2, second=lambda x: x - 1).inactive_clip == 0.0


def test_units_of_constant_boxes_are_told_apart():
    used = measure([1.0, 1.0])
    assert used.free_channels == pytest.approx(0.5 * 0.25)
    assert used.inactive_clip == pytest.approx(0.5 * 0.25 + 0.5)


def test_the_mean_width_is_weighted_too():
    assert measure([1.0, 1.0], width=0.4).mean_width == pytest.approx(0.4)


def test_several_outputs_count_by_their_margins():
    """A unit that all classes read alike moves no margin."""
    assert measure([[1.0, 2.0], [1.0, -1.0]]).inactive_clip == 1.0
