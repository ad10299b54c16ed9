"""Products of matrices of Python integers: the one place where python-flint is used, if it is installed.

flint multiplies several times faster than numpy's object arrays, but every entry must be converted on the
way in and out. Measured, it pays from `WORTHWHILE` products an entry on: for wide layers, and hardly for
the networks of a few units that branch and bound is made for. The result is the same integers either way.
"""

import numpy as np

try:
    from flint import fmpz_mat
except ImportError:  # an extra: nothing but speed depends on it
    fmpz_mat = None

WORTHWHILE = 10
"""Products for each entry converted, from which flint is the faster of the two."""


def matmul(first, second):
    """``first @ second`` for object arrays of integers, of one or two dimensions each."""
    if fmpz_mat is None or first.ndim != 2 or second.ndim != 2:
        return first @ second
    (rows, inner), columns = first.shape, second.shape[1]
    if rows * inner * columns < WORTHWHILE * (rows * inner + inner * columns + rows * columns):
        return first @ second
    product = fmpz_mat(first.tolist()) * fmpz_mat(second.tolist())
    result = np.empty(rows * columns, dtype=object)
    result[:] = [int(entry) for entry in product.entries()]
    return result.reshape(rows, columns)
