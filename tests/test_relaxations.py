"""Lines above and below units: against dense sampling in exact arithmetic, and tight where they can be."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smile_sklearn.verification.branching.relaxations import (
    difference_line,
    lower_line,
    lower_of_maximum,
    upper_line,
    upper_of_maximum,
    upper_of_three,
)

sizes = st.sampled_from([1e-9, 1e-3, 1.0, 1e4, 1e9])
number = st.tuples(st.floats(-2, 2), sizes).map(lambda pair: pair[0] * pair[1])
ends = st.sampled_from([(0.0, np.inf), (-np.inf, 0.0), (-0.5, 0.75), (-np.inf, np.inf), (0.25, 0.25)])


def points_of(low, high, *kinks):
    inside = [Fraction(kink) for kink in kinks if np.isfinite(kink) and low <= kink <= high]
    low, high = Fraction(low), Fraction(high)
    return [low, high, *inside, *(low + (high - low) * Fraction(k, 7) for k in range(1, 7))]


def clamp(value, bottom, top):
    value = value if value >= bottom else Fraction(bottom)
    return value if value <= top else Fraction(top)


@given(a=number, b=number, ends=ends)
def test_lines_bound_the_clamp_exactly(a, b, ends):
    low, high = min(a, b), max(a, b)
    above, below = (line(low, high, *ends) for line in (upper_line, lower_line))
    for q in points_of(low, high, *ends):
        value = clamp(q, *ends)
        assert value <= Fraction(float(above.slope)) * q + Fraction(float(above.intercept))
        assert value >= Fraction(float(below.slope)) * q + Fraction(float(below.intercept))


@pytest.mark.parametrize(
    ("low", "high", "slope", "intercept"),
    [(-1.0, 3.0, 0.75, 0.75), (-3.0, -1.0, 0.0, 0.0), (1.0, 3.0, 1.0, 0.0)],
)
def test_the_line_above_relu_is_its_chord(low, high, slope, intercept):
    line = upper_line(low, high, 0.0, np.inf)
    np.testing.assert_allclose([line.slope, line.intercept], [slope, intercept], atol=1e-14)


def test_the_line_below_relu_is_the_nearer_of_its_two():
    assert lower_line(-1.0, 3.0, 0.0, np.inf).slope == 1.0
    assert lower_line(-3.0, 1.0, 0.0, np.inf).slope == 0.0


def test_a_clamp_between_its_kinks_is_its_own_line():
    for line in (upper_line(-0.25, 0.5, -1.0, 1.0), lower_line(-0.25, 0.5, -1.0, 1.0)):
        assert line.slope == 1.0
        np.testing.assert_allclose(line.intercept, 0.0, atol=1e-15)


@given(a=number, b=number, c=number, d=number, ends=ends)
def test_the_difference_line_bounds_differences_of_units(a, b, c, d, ends):
    first, second = Fraction(a), Fraction(b)
    low, high = sorted((c, d))
    difference = min(max(first - second, Fraction(low)), Fraction(high))
    line = difference_line(low, high)
    value = clamp(second + difference, *ends) - clamp(second, *ends)
    assert value <= Fraction(float(line.slope)) * difference + Fraction(float(line.intercept))


@given(a=number, b=number, lead=number, trail=number)
def test_planes_bound_the_larger_of_two(a, b, lead, trail):
    step = Fraction(a) - Fraction(b)
    lead, trail = max(lead, float(step) * 1.0001), max(trail, -float(step) * 1.0001)
    if not (step <= Fraction(lead) and -step <= Fraction(trail)):
        return
    above, below = upper_of_maximum(lead, trail), lower_of_maximum(lead, trail)
    first, second = Fraction(a), Fraction(b)
    for plane, sign in ((above, 1), (below, -1)):
        share = Fraction(float(plane.share))
        value = share * first + (1 - share) * second + Fraction(float(plane.intercept))
        assert sign * (value - max(first, second)) >= 0


def test_the_plane_above_the_larger_of_two_is_exact_where_the_order_is_known():
    plane = upper_of_maximum(3.0, -1.0)
    assert plane.share == 1.0
    assert plane.intercept <= 0.0 + 1e-15
    assert upper_of_maximum(1.0, 1.0).intercept == pytest.approx(0.5)


@given(values=st.tuples(number, number, number, number), shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_the_plane_bounds_the_largest_of_three(values, shares):
    first, second = sorted(values[:2]), sorted(values[2:])
    t = [
        Fraction(low) + Fraction(share) * (Fraction(high) - Fraction(low))
        for (low, high), share in zip((first, second), shares, strict=True)
    ]
    growth = np.nextafter([second[0] - first[1], second[1] - first[0]], [-np.inf, np.inf])
    plane = upper_of_three(*(tuple(map(np.float64, ends)) for ends in (first, second, growth)))
    value = Fraction(float(plane.first)) * t[0] + Fraction(float(plane.second)) * t[1]
    assert max(Fraction(0), *t) <= value + Fraction(float(plane.intercept))


@pytest.mark.parametrize(
    ("first", "second", "growth", "weights"),
    [
        ((1.0, 2.0), (3.0, 4.0), (1.5, 2.0), (0.0, 1.0)),
        ((1.0, 2.0), (-1.0, 0.5), (-3.0, -0.5), (1.0, 0.0)),
        ((-2.0, -1.0), (-3.0, 0.0), (-1.0, 1.0), (0.0, 0.0)),
    ],
)
def test_the_plane_of_three_is_exact_where_one_leads(first, second, growth, weights):
    plane = upper_of_three(*(tuple(map(np.float64, ends)) for ends in (first, second, growth)))
    assert (plane.first, plane.second) == weights
    assert plane.intercept == pytest.approx(0.0, abs=1e-14)
