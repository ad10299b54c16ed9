"""Exact arrays: every float64 is an integer times a power of two, and so are their sums and products.

An array is a numpy array of Python integers with one common exponent. This is rational arithmetic
without the greatest common divisors that make ``fractions.Fraction`` slow. The few quotients that
occur (scaling of inputs, Higham's gamma) are rounded up onto a fine grid where they arise.
"""

from fractions import Fraction

import numpy as np

from smile_sklearn._check.integers import matmul

GRID = 200
"""Quotients are rounded up to multiples of 2^-GRID: far finer than any outward rounding in float64."""


class Exact:
    """``mantissa * 2**exponent``, elementwise; immutable.

    Parameters
    ----------
    mantissa : ndarray of Python int
    exponent : int
    """

    __slots__ = ("exponent", "mantissa")
    __array_ufunc__ = None  # numpy arrays on the left leave operators to this class

    def __init__(self, mantissa, exponent=0):
        self.mantissa = np.asarray(mantissa, dtype=object)
        self.exponent = exponent

    @classmethod
    def of(cls, values):
        """Convert finite float64 values, without error.

        Raises
        ------
        ValueError
            If a value is NaN or infinite.
        """
        values = np.asarray(values, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("got a value that is not finite, expected numbers")
        fraction, power = np.frexp(values)
        integer = np.ldexp(fraction, 53).astype(np.int64)
        # The last bit that is set in any value decides the common exponent.
        last = np.frexp((integer & -integer).astype(float))[1] - 1
        power = power - 53
        if not (integer != 0).any():
            return cls(integer.astype(object))
        exponent = int((power + last)[integer != 0].min())
        shift = np.where(integer == 0, 0, power - exponent)
        down, up = np.maximum(-shift, 0), np.maximum(shift, 0).astype(object)
        return cls((integer >> down).astype(object) << up, exponent)

    @classmethod
    def above(cls, values):
        """Smallest multiples of ``2**-GRID`` that are at least the given Fractions."""
        scaled = [-((-Fraction(value) * (1 << GRID)) // 1) for value in values]
        return cls(_objects(scaled), -GRID)

    @property
    def shape(self):
        """Shape of the array."""
        return self.mantissa.shape

    @property
    def floats(self):
        """Nearby float64 values, for choices that nothing rests on; what is too large becomes infinite."""
        # Integers beyond float64 lose their last bits first; ldexp then goes to 0 or to inf as it must.
        excess = max(0, max((abs(value).bit_length() for value in self.mantissa.flat), default=0) - 1000)
        integers = self.mantissa >> excess if excess else self.mantissa
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(integers.astype(np.float64), self.exponent + excess)

    def fraction(self):
        """The value of an array of one element, as a Fraction."""
        return Fraction(self.mantissa.item()) * Fraction(2) ** self.exponent

    def fractions(self):
        """List of Fractions, of a one-dimensional array."""
        return [Fraction(value) * Fraction(2) ** self.exponent for value in self.mantissa.tolist()]

    def __add__(self, other):
        first, second, exponent = _aligned(self, other)
        return Exact(first + second, exponent)

    def __neg__(self):
        return Exact(-self.mantissa, self.exponent)

    def __sub__(self, other):
        return self + -other

    def __matmul__(self, other):
        return Exact(matmul(self.mantissa, other.mantissa), self.exponent + other.exponent)

    def __mul__(self, other):
        return Exact(self.mantissa * other.mantissa, self.exponent + other.exponent)

    def __abs__(self):
        return Exact(np.abs(self.mantissa), self.exponent)

    def __le__(self, other):
        first, second, _ = _aligned(self, other)
        return (first <= second).astype(bool)

    def __getitem__(self, key):
        return Exact(self.mantissa[key], self.exponent)

    def __len__(self):
        return len(self.mantissa)

    @property
    def T(self):
        """Transpose."""
        return Exact(self.mantissa.T, self.exponent)

    def half(self):
        """Divide by 2."""
        return Exact(self.mantissa, self.exponent - 1)

    def reshape(self, *shape):
        """Same elements in another shape."""
        return Exact(self.mantissa.reshape(*shape), self.exponent)

    def max(self, axis=None):
        """Largest element."""
        return Exact(self.mantissa.max(axis=axis), self.exponent)

    def min(self, axis=None):
        """Smallest element."""
        return Exact(self.mantissa.min(axis=axis), self.exponent)

    def sum(self, axis=None):
        """Sum of the elements."""
        return Exact(self.mantissa.sum(axis=axis), self.exponent)

    def blocks(self, size):
        """Rows of ``size`` consecutive elements."""
        return Exact(self.mantissa.reshape(-1, size), self.exponent)

    def sorted_blocks(self, size):
        """Sort each block of ``size`` consecutive elements."""
        return Exact(np.sort(self.mantissa.reshape(-1, size), axis=1).ravel(), self.exponent)

    def repeat(self, times):
        """Repeat each element."""
        return Exact(np.repeat(self.mantissa, times), self.exponent)


def maximum(first, second):
    """Elementwise larger."""
    first, second, exponent = _aligned(first, second)
    return Exact(np.maximum(first, second), exponent)


def minimum(first, second):
    """Elementwise smaller."""
    return -maximum(-first, -second)


def where(mask, first, second):
    """Elements of ``first`` where the mask is true, else of ``second``."""
    first, second, exponent = _aligned(first, second)
    return Exact(np.where(mask, first, second), exponent)


def stack(parts, axis=0):
    """Join arrays along an axis."""
    exponent = min(part.exponent for part in parts)
    return Exact(np.concatenate([_shifted(part, exponent) for part in parts], axis=axis), exponent)


def replaced(values, rows, others):
    """Copy with some rows replaced."""
    exponent = min(values.exponent, others.exponent)
    mantissa = _shifted(values, exponent).copy()
    mantissa[rows] = _shifted(others, exponent)
    return Exact(mantissa, exponent)


def zeros(*shape):
    """Exact zeros."""
    return Exact(np.full(shape, 0, dtype=object))


def identity(size):
    """The unit matrix."""
    return Exact(np.eye(size, dtype=int).astype(object))


def power_of_two(exponent):
    """``2**exponent``, an array without dimensions."""
    return Exact(_objects([1]).reshape(()), exponent)


def _aligned(first, second):
    exponent = min(first.exponent, second.exponent)
    return _shifted(first, exponent), _shifted(second, exponent), exponent


def _shifted(part, exponent):
    return part.mantissa if part.exponent == exponent else part.mantissa << (part.exponent - exponent)


def _objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
