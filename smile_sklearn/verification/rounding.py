"""Outward rounding: bounds that stay bounds when float64 computes them.

The model is the standard one (Higham, Accuracy and Stability of Numerical Algorithms,
section 3.1): a sum of n products, in any order, with or without fused operations, errs by
at most ``gamma_n`` times the sum of the absolute products. Exact zeros stay zero: a sum in
which every product has a zero factor is returned as 0.0, never as a small number, because
sign arguments rest on it.
"""

import numpy as np

from smile_sklearn.properties.relation import UNIT_ROUNDOFF

SMALLEST = np.nextafter(0.0, 1.0)
"""Smallest positive float64; bounds what one underflowing product loses."""


def gamma(n):
    """Return Higham's ``gamma_n = n u / (1 - n u)``, rounded up."""
    return np.nextafter(n * UNIT_ROUNDOFF / (1.0 - n * UNIT_ROUNDOFF), np.inf)


def inflate(value, n_terms):
    """Upper bound of a nonnegative sum of ``n_terms`` products from its computed value.

    The computed value is at least ``(1 - gamma_n)`` times the true one, and
    ``1 / (1 - gamma_n) <= 1 + gamma_2n``. Zero stays zero only where all terms were zero:
    underflow of a product is covered by one `SMALLEST` a term, added by the caller's sums.
    """
    return np.where(value > 0, np.nextafter(value * (1.0 + gamma(2 * n_terms + 4)), np.inf), value)


def add_upper(*terms):
    """Upper bound of a sum of arrays; adding an exact zero changes nothing."""
    total = terms[0]
    for term in terms[1:]:
        value, exact = total + term, (total == 0) | (term == 0)
        total = np.where(exact, value, np.nextafter(value, np.inf))
    return total


def sum_upper(first, second):
    """Smallest float that is at least first + second (TwoSum: the rest is exact); inf where it overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = first + second
        virtual = total - first
        rest = (first - (total - virtual)) + (second - virtual)
    short = rest > 0
    total[short] = np.nextafter(total[short], np.inf)
    return total


def add_lower(*terms):
    """Lower bound of a sum of arrays, the mirror of :func:`add_upper`."""
    return -add_upper(*(-np.asarray(term) for term in terms))


def matmul_upper(weight, low, high):
    """Upper bound of ``weight @ x`` over ``low <= x <= high``, shape (k,)."""
    return matmul_interval(weight, low, high)[1]


def matmul_interval(weight, low, high):
    """Outward bounds (lower, upper) of ``weight @ x`` over ``low <= x <= high``, each (k,).

    The upper one is ``W+ high + W- low`` plus the error of computing it: two products of length n
    and their sum, at most ``gamma_{n+1}`` times the absolute sum, itself computed. The lower one is
    its mirror image. All products with W+ are one matrix product, so that W is read once.
    """
    ends = np.array([low, high, np.abs(low), np.abs(high), low != 0, high != 0], dtype=np.float64).T
    positive, negative = np.maximum(weight, 0.0) @ ends, np.minimum(weight, 0.0) @ ends
    # Columns: the upper end, and the negated lower one.
    value = (positive[:, :2] + negative[:, 1::-1])[:, ::-1] * _UP_AND_DOWN
    magnitude = positive[:, 3:1:-1] - negative[:, 2:4]
    n_terms = 2 * weight.shape[1]
    slack = gamma(2 * n_terms + 4) * magnitude + n_terms * SMALLEST
    # Whether any product is truly nonzero, decided on the factors: a product may underflow, but a sum of
    # weights of one sign times ones does not vanish. NaN, of an infinite weight, counts as touched.
    untouched = positive[:, 5:3:-1] - negative[:, 4:6] <= 0
    bound = np.where(untouched, 0.0, np.nextafter(value + slack, np.inf))
    bound = np.where(np.isnan(bound), np.inf, bound)  # overflow proves nothing
    return -bound[:, 1], bound[:, 0]


_UP_AND_DOWN = np.array([1.0, -1.0])


def absolute_matmul(weight, magnitude):
    """Upper bound of ``|weight| @ magnitude`` for a nonnegative vector or matrix."""
    value = np.abs(weight) @ magnitude
    touched = (weight != 0).astype(float) @ (np.asarray(magnitude) != 0).astype(float) > 0
    n_terms = weight.shape[-1]
    return np.where(touched, inflate(value, n_terms) + n_terms * SMALLEST, 0.0)
