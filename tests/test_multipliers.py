"""Dual ascent: signed steps, never negative, relative to the first violation where asked."""

import math

import pytest
import torch

from smile_sklearn.training.multipliers import DualAscent


def ascend(multipliers, *violations):
    for violation in violations:
        multipliers.step(torch.tensor(violation, dtype=torch.float64))
    return multipliers.values.tolist()


def test_multiplier_rises_with_violation_and_falls_with_slack():
    multipliers = DualAscent([0.5])
    assert ascend(multipliers, [2.0]) == [1.0]
    assert ascend(multipliers, [-1.0]) == [0.5]


def test_multiplier_stays_nonnegative():
    assert ascend(DualAscent([1.0]), [0.5], [-9.0], [-9.0]) == [0.0]


def test_every_property_has_its_own():
    assert ascend(DualAscent([1.0, 0.1]), [1.0, -1.0], [1.0, 5.0]) == [2.0, 0.5]


def test_relative_rate_is_set_by_the_first_violation():
    multipliers = DualAscent([math.nan, math.nan], relative_rate=[0.1, 0.02])
    assert ascend(multipliers, [-1.0, 4.0]) == [0.0, 0.02]
    assert math.isnan(multipliers.rates[0])
    assert ascend(multipliers, [5.0, 4.0]) == pytest.approx([0.1, 0.04])
    # The first violation, not the largest or the latest, is what the rate refers to.
    assert ascend(multipliers, [10.0, 0.0]) == pytest.approx([0.3, 0.04])


def test_a_huge_violation_is_cut():
    assert ascend(DualAscent([1.0], largest=1.0), [50.0]) == [1.0]
