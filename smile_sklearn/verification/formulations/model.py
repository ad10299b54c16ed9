"""Mixed-integer linear models as plain arrays, and how much a solver's tolerances can hide in them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class LinearModel:
    r"""Maximise :math:`c^T x + c_0` over :math:`b^- \le A x \le b^+`, :math:`l \le x \le u`, some x whole.

    Parameters
    ----------
    lower, upper : ndarray of shape (n_columns,)
        Finite.
    integer : ndarray of shape (n_columns,), bool
    rows, columns : ndarray of shape (n_entries,), int
        Places of the entries of A, sorted by row, each place once.
    entries : ndarray of shape (n_entries,)
    row_lower, row_upper : ndarray of shape (n_rows,)
        One of the two may be infinite.
    objective : ndarray of shape (n_columns,)
    offset : float
    blocks : dict of str to ndarray of int
        Columns by name, to read a solution back.
    """

    lower: np.ndarray
    upper: np.ndarray
    integer: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    entries: np.ndarray
    row_lower: np.ndarray
    row_upper: np.ndarray
    objective: np.ndarray
    offset: float
    blocks: dict

    @property
    def n_columns(self):
        """Number of variables."""
        return len(self.lower)

    @property
    def n_rows(self):
        """Number of rows, a ranged row counted once."""
        return len(self.row_lower)

    @property
    def n_rows_split(self):
        """Number of rows after splitting the ranged ones in two, as Pyomo does for Gurobi."""
        ranged = np.isfinite(self.row_lower) & np.isfinite(self.row_upper) & (self.row_lower < self.row_upper)
        return self.n_rows + int(ranged.sum())

    @property
    def n_integers(self):
        """Number of whole-valued variables that are not fixed."""
        return int((self.integer & (self.lower < self.upper)).sum())

    def activity(self):
        """Interval of every row over the bounds of its columns: two (n_rows,) arrays."""
        ends = self.entries * self.lower[self.columns], self.entries * self.upper[self.columns]
        low = np.bincount(self.rows, np.minimum(*ends), minlength=self.n_rows)
        high = np.bincount(self.rows, np.maximum(*ends), minlength=self.n_rows)
        return low, high

    def tolerance_range(self):
        r"""Sum of the ranges of all variables and of the activities of all rows.

        What a dual tolerance :math:`\tau` may hide, per unit of it, if this is the model that the
        solver saw: the scaled one. A solver's bound is that of
        multipliers y, which by weak duality is

        .. math:: \sum_i \max(y_i b^-_i, y_i b^+_i) + \sum_j \max(r_j l_j, r_j u_j), \quad r = c - A^T y,

        for ANY y; the solver leaves out terms whose reduced cost or multiplier has the wrong sign
        by at most :math:`\tau`. Each of them is worth at most :math:`\tau` times the range of its
        column, or of its row. Equality rows are counted as well, though their multipliers have no
        wrong sign: an allowance for cutting planes and for presolve, whose tolerances we do not see.
        Primal errors (rows and bounds that presolve takes for met) are NOT covered: see ``scaling``.
        """
        low, high = self.activity()
        return float((self.upper - self.lower).sum() + (high - low).sum())


class ModelBuilder:
    """Collects columns, rows and the objective of a :class:`LinearModel`."""

    def __init__(self):
        self._lower, self._upper, self._integer = [], [], []
        self._rows, self._row_lower, self._row_upper = [], [], []
        self._objective, self._offset = {}, 0.0
        self._size = 0
        self.blocks = {}

    def columns(self, lower, upper, *, integer=False):
        """Append columns with these bounds (broadcast) and return their indices."""
        lower, upper = np.broadcast_arrays(np.asarray(lower, float), np.asarray(upper, float))
        start, self._size = self._size, self._size + lower.size
        self._lower.append(lower.ravel())
        self._upper.append(upper.ravel())
        self._integer.append(np.full(lower.size, integer))
        return np.arange(start, self._size)

    def row(self, terms, lower=-np.inf, upper=np.inf):
        """Append ``lower <= sum of coefficient * column <= upper``.

        Parameters
        ----------
        terms : iterable of (column, coefficient)
            A column may come several times if its coefficients add up without rounding (0, 1, -1).
        """
        self._rows.append(_merged(terms))
        self._row_lower.append(lower)
        self._row_upper.append(upper)

    def maximise(self, terms, offset=0.0):
        """Add to the objective."""
        for column, coefficient in terms:
            self._objective[column] = self._objective.get(column, 0.0) + coefficient
        self._offset += offset

    def build(self):
        """Return the finished model."""
        lower, upper = np.concatenate(self._lower), np.concatenate(self._upper)
        row_lower, row_upper = np.array(self._row_lower, float), np.array(self._row_upper, float)
        lengths = [len(row) for row in self._rows]
        rows = np.repeat(np.arange(len(lengths)), lengths)
        columns = np.array([column for row in self._rows for column in row], dtype=np.intp)
        entries = np.array([entry for row in self._rows for entry in row.values()], dtype=np.float64)
        kept = entries != 0.0
        objective = np.zeros(len(lower))
        for column, coefficient in self._objective.items():
            objective[column] = coefficient
        return LinearModel(
            lower=lower,
            upper=upper,
            integer=np.concatenate(self._integer),
            rows=rows[kept],
            columns=columns[kept],
            entries=entries[kept],
            row_lower=row_lower,
            row_upper=row_upper,
            objective=objective,
            offset=self._offset,
            blocks=dict(self.blocks),
        )


def _merged(terms):
    row = {}
    for column, coefficient in terms:
        row[int(column)] = row.get(int(column), 0.0) + float(coefficient)
    return row
