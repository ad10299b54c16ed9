"""Outward rounding against exact rational arithmetic; exact zeros stay zero."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smile_sklearn.verification.rounding import (
    SMALLEST,
    UNIT_ROUNDOFF,
    absolute_matmul,
    add_lower,
    add_upper,
    gamma,
    inflate,
    matmul_interval,
    matmul_upper,
)

NUMBERS = st.one_of(
    st.floats(-1e150, 1e150),
    st.sampled_from([0.0, -0.0, SMALLEST, -SMALLEST, 1e-308, 2.5e-162, -1e-170, 1.0, 1 + 2**-52, 1e9, -1e9]),
)


def matrices(rows, columns):
    return st.lists(NUMBERS, min_size=rows * columns, max_size=rows * columns).map(
        lambda values: np.array(values, dtype=float).reshape(rows, columns)
    )


def dot(row, values):
    return sum((Fraction(a) * Fraction(b) for a, b in zip(row.tolist(), values, strict=True)), Fraction(0))


def test_the_constants():
    assert np.finfo(float).eps / 2 == UNIT_ROUNDOFF
    assert SMALLEST > 0
    assert SMALLEST / 2 == 0


@pytest.mark.parametrize("n", [1, 2, 7, 100, 10_000, 1_000_000])
def test_gamma_is_higham_rounded_up(n):
    u = Fraction(1, 2**53)
    assert (
        n * u / (1 - n * u) <= Fraction(float(gamma(n))) <= n * u / (1 - n * u) * (1 + 4 * u) + 4 * u * n * u
    )


@given(st.floats(0, 1e300), st.integers(1, 1000))
def test_inflate_covers_what_a_sum_of_products_may_have_lost(value, n):
    u = Fraction(1, 2**53)
    bound = float(inflate(value, n))
    if value == 0:
        assert bound == 0
    else:
        # The true sum is at most value / (1 - gamma_n), and there is room to spare for two roundings.
        lost = n * u / (1 - n * u)
        assert Fraction(bound) >= Fraction(value) / (1 - lost)


@given(st.lists(NUMBERS, min_size=1, max_size=6))
def test_sums_are_outward(terms):
    exact = sum(map(Fraction, terms), Fraction(0))
    arrays = [np.array([term]) for term in terms]
    assert add_lower(*arrays)[0] <= exact <= add_upper(*arrays)[0]


@given(NUMBERS)
def test_adding_an_exact_zero_changes_nothing(value):
    for zero in (0.0, -0.0):
        assert add_upper(np.array(value), np.array(zero)) == value
        assert add_lower(np.array(zero), np.array(value)) == value


def test_sums_that_overflow_stay_bounds():
    big = np.array(1.5e308)
    with np.errstate(over="ignore"):
        assert add_upper(big, big) == np.inf
        assert add_upper(-big, -big) >= -np.finfo(float).max
        assert add_lower(-big, -big) == -np.inf


@given(matrices(2, 4), matrices(1, 4), matrices(1, 4), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_products_over_a_box_are_outward(weight, one, other, share):
    low, high = np.minimum(one[0], other[0]), np.maximum(one[0], other[0])
    lower, upper = matmul_interval(weight, low, high)
    with np.errstate(over="ignore", invalid="ignore"):
        inside = np.clip(low + np.array(share) * (high - low), low, high)
    for row, bottom, top in zip(weight, lower, upper, strict=True):
        # The extreme corners, exactly, and a point between.
        best = sum(
            max(Fraction(w) * Fraction(a), Fraction(w) * Fraction(b))
            for w, a, b in zip(row, low, high, strict=True)
        )
        worst = sum(
            min(Fraction(w) * Fraction(a), Fraction(w) * Fraction(b))
            for w, a, b in zip(row, low, high, strict=True)
        )
        assert bottom <= worst
        assert best <= top
        assert bottom <= dot(row, inside.tolist()) <= top
        assert (matmul_upper(weight, low, high) == upper).all()


@given(matrices(2, 4), matrices(1, 4))
def test_products_are_not_much_wider_than_needed(weight, values):
    """A bound that is always infinite would pass the tests above."""
    values = values[0]
    upper = matmul_upper(weight, values, values)
    for row, top in zip(weight, upper, strict=True):
        exact = dot(row, values.tolist())
        size = sum((abs(Fraction(w) * Fraction(v)) for w, v in zip(row, values, strict=True)), Fraction(0))
        assert Fraction(float(top)) <= exact + size * Fraction(1, 2**45) + Fraction(1, 10**300)


@given(matrices(2, 5), matrices(1, 5))
def test_absolute_products_are_outward(weight, values):
    magnitude = np.abs(values[0])
    bound = absolute_matmul(weight, magnitude)
    for row, top in zip(weight, bound, strict=True):
        assert dot(np.abs(row), magnitude.tolist()) <= top


@given(matrices(2, 3), matrices(3, 2))
def test_absolute_products_of_matrices_are_outward(weight, matrix):
    bound = absolute_matmul(weight, np.abs(matrix))
    for row in range(2):
        for column in range(2):
            assert dot(np.abs(weight[row]), np.abs(matrix[:, column]).tolist()) <= bound[row, column]


@given(matrices(1, 4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_zero_only_where_every_product_has_a_zero_factor(values, zero_weight):
    weight = np.where(zero_weight, 0.0, values)
    high = np.where(zero_weight, 3.0, 0.0)
    assert matmul_upper(weight, high, high)[0] == 0.0
    assert absolute_matmul(weight, high)[0] == 0.0


def test_a_product_that_underflows_is_no_zero():
    tiny = np.array([[1e-200, -1e-200]])
    values = np.array([1e-200, 1e-200])
    lower, upper = matmul_interval(tiny, values, values)
    assert lower[0] < 0 < upper[0]
    assert matmul_upper(tiny[:, :1], values[:1], values[:1])[0] > 0
    assert absolute_matmul(tiny, values)[0] > 0
    # Below zero, rounded up towards it: never exactly 0 either.
    assert matmul_upper(tiny[:, 1:], values[:1], values[:1])[0] >= -1e-300


@pytest.mark.parametrize("wild", [np.inf, -np.inf, np.nan])
def test_overflow_and_nan_prove_nothing(wild):
    with np.errstate(all="ignore"):
        for weight, values in (([[wild, 1.0]], [1.0, 1.0]), ([[1.0, -1.0]], [wild, wild])):
            upper = matmul_upper(np.array(weight), np.array(values), np.array(values))[0]
            assert not upper < 0
            if not math.isnan(weight[0][0]):
                assert upper == np.inf or wild == -np.inf
        assert (
            matmul_upper(np.array([[1e300, -1e300]]), np.array([1e300] * 2), np.array([1e300] * 2))[0]
            == np.inf
        )


def test_long_sums_of_equal_terms():
    """Where rounding accumulates most: 0.1 added ten thousand times, in whatever order BLAS likes."""
    for n in (1000, 10_000):
        weight, values = np.full((1, n), 0.1), np.full(n, 0.3)
        lower, upper = matmul_interval(weight, values, values)
        exact = n * Fraction(0.1) * Fraction(0.3)
        assert lower[0] <= exact <= upper[0]
        assert upper[0] - lower[0] < 1e-6


def test_many_products_that_underflow_together():
    """Sixteen products of just under half the smallest float: each is lost, their sum is three of it."""
    weight, values = np.full((1, 16), 1e-162), np.full(16, 2.4e-162)
    assert (weight[0] * values == 0).all()
    exact = 16 * Fraction(1e-162) * Fraction(2.4e-162)
    lower, upper = matmul_interval(weight, values, values)
    assert lower[0] <= exact <= upper[0]
    lower, upper = matmul_interval(-weight, values, values)
    assert lower[0] <= -exact <= upper[0]
    assert exact <= absolute_matmul(weight, values)[0]
