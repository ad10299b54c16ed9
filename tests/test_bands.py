"""The hexagon of two related coordinates, against its vertices in rational numbers."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smile_sklearn.verification.bands import band_maximiser, band_maximum

SIZES = (0.0, 1.0, 1e9, 1e-9)


def exact_maximum(weights, first, second, difference):
    """Over all vertices of the hexagon, in Fractions; None if it is empty."""
    a, b = map(Fraction, weights)
    # n . (x, y) <= c
    planes = [
        ((1, 0), first[1]),
        ((-1, 0), -first[0]),
        ((0, 1), second[1]),
        ((0, -1), -second[0]),
        ((1, -1), difference[1]),
        ((-1, 1), -difference[0]),
    ]
    planes = [(normal, Fraction(end)) for normal, end in planes]
    values = []
    for (n, c), (m, e) in combinations(planes, 2):
        determinant = n[0] * m[1] - n[1] * m[0]
        if determinant == 0:
            continue
        x, y = (c * m[1] - e * n[1]) / Fraction(determinant), (n[0] * e - m[0] * c) / Fraction(determinant)
        if all(k[0] * x + k[1] * y <= end for k, end in planes):
            values.append(a * x + b * y)
    return max(values, default=None)


def drawn(generator):
    first, second = np.sort(generator.random((2, 2)) * generator.choice([1.0, 1e-9, 0.0]), axis=1)
    difference = np.sort(generator.uniform(-1, 1, 2) * generator.choice([1.0, 0.1, 0.0]))
    return generator.normal(size=2) * generator.choice(SIZES, 2), first, second, difference


@given(seed=st.integers(0, 10**9))
@settings(max_examples=400)
def test_the_maximum_is_that_of_the_vertices(seed):
    weights, first, second, difference = drawn(np.random.default_rng(seed))
    truth = exact_maximum(weights, first, second, difference)
    found = float(band_maximum(*weights, *first, *second, *difference))
    if truth is None:
        # Empty by less than rounding may be taken for a pair, never the other way round.
        assert found == -np.inf or found <= 1e-12 * np.abs(weights).sum()
        return
    assert Fraction(found) >= truth
    assert found - float(truth) <= 1e-14 * np.abs(weights).sum() + 1e-300


def test_no_weight_is_exactly_zero_and_a_constant_feature_too():
    assert band_maximum(0.0, 0.0, 0, 1, 0, 1, -1, 1) == 0.0
    assert band_maximum(3.0, -2.0, 0, 0, 0, 0, 0, 0) == 0.0


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [((0.5, 0.2), (0, 1), (-1, 1)), ((0.9, 1.0), (0.0, 0.1), (-0.1, 0.1)), ((0, 1), (0, 1), (1, -1))],
)
def test_what_no_pair_meets_is_empty(first, second, difference):
    assert band_maximum(1.0, 1.0, *first, *second, *difference) == -np.inf


def test_a_point_is_given_that_attains_it():
    point = band_maximiser(1.0, -2.0, 0.0, 1.0, 0.0, 1.0, -0.25, 0.5)
    assert (point.first, point.second, point.value) == (0.5, 0.0, 0.5)


def test_arguments_broadcast():
    bound = band_maximum(
        np.ones((3, 1)), -np.ones((3, 1)), np.zeros(2), 1.0, 0.0, 1.0, -0.1, np.array([0.1, 0.2])
    )
    np.testing.assert_allclose(bound, [[0.1, 0.2]] * 3)
