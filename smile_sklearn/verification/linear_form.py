"""Rows of the network written over its nonlinear units: ``constant + sum_k C_k node_k``.

Composing ``w`` with the affine layers below it before bounding lets opposite weights cancel,
which layer-by-layer intervals never do.
"""

from dataclasses import dataclass, field

import numpy as np

from smile_sklearn.properties.relation import UNIT_ROUNDOFF
from smile_sklearn.snapshot.graph import Affine, Sum
from smile_sklearn.verification.intervals import Interval, affine_input_difference, affine_input_range
from smile_sklearn.verification.rounding import (
    SMALLEST,
    absolute_matmul,
    add_lower,
    add_upper,
    gamma,
    inflate,
    matmul_interval,
)


@dataclass(eq=False)
class LinearForm:
    """Coefficients (m, size) and constants (m,), each known up to its stated error."""

    coefficients: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)
    constant: np.ndarray | float = 0.0
    constant_error: np.ndarray | float = 0.0

    def range(self, ranges, domain):
        """Interval of the form on the domain, from the ranges of its units."""
        low = np.asarray(add_lower(np.asarray(self.constant), -np.asarray(self.constant_error)))
        high = np.asarray(add_upper(np.asarray(self.constant), np.asarray(self.constant_error)))
        for index, weight in self.coefficients.items():
            part = (
                affine_input_range(weight, domain)
                if index == 0
                else Interval(*matmul_interval(weight, *ranges[index]))
            )
            error = absolute_matmul(self.errors[index], ranges[index].magnitude)
            low, high = add_lower(low, part.low, -error), add_upper(high, part.high, error)
        return Interval(low, high)

    def difference(self, differences, relation):
        """Interval of the form's difference over the related pairs; the constant drops out."""
        rows = len(next(iter(self.coefficients.values())))
        low = high = np.zeros(rows)
        for index, weight in self.coefficients.items():
            part = (
                affine_input_difference(weight, relation)
                if index == 0
                else Interval(*matmul_interval(weight, *differences[index]))
            )
            error = absolute_matmul(self.errors[index], differences[index].magnitude)
            low, high = add_lower(low, part.low, -error), add_upper(high, part.high, error)
        return Interval(low, high)


def linear_form(graph, rows):
    """Write ``sum_k rows[k] @ node_k`` over the input and the nonlinear nodes.

    Parameters
    ----------
    graph : Graph
    rows : dict of int to ndarray of shape (m, size)
        Coefficients over the starting nodes.

    Returns
    -------
    LinearForm
    """
    form = LinearForm()
    pending = {index: (weight, np.zeros_like(weight)) for index, weight in rows.items()}
    while pending:
        index = max(pending)
        weight, error = pending.pop(index)
        node = graph.nodes[index]
        if isinstance(node, Sum):
            for source in node.sources:
                _accumulate(pending, source, weight, error)
        elif isinstance(node, Affine):
            # Computed C = fl(w W): |C - w W| <= gamma_n |w| |W|, plus what w itself was off by.
            new = weight @ node.weight
            new_error = _product_error(weight, error, node.weight)
            form.constant = form.constant + weight @ node.bias
            form.constant_error = inflate(
                form.constant_error
                + _product_error(weight, error, node.bias[:, None])[:, 0]
                + UNIT_ROUNDOFF * np.abs(form.constant),
                3,
            )
            _accumulate(pending, node.source, new, new_error)
        else:
            form.coefficients[index], form.errors[index] = weight, error
    return form


def _product_error(weight, error, matrix):
    n_terms = weight.shape[1]
    rounding = gamma(n_terms) * absolute_matmul(weight, np.abs(matrix)) + n_terms * SMALLEST
    rounding = np.where((weight != 0).astype(float) @ (matrix != 0).astype(float) > 0, rounding, 0.0)
    return inflate(rounding + absolute_matmul(error, np.abs(matrix)), 3)


def _accumulate(pending, index, weight, error):
    if index in pending:
        old, old_error = pending[index]
        weight = old + weight
        error = inflate(old_error + error + UNIT_ROUNDOFF * np.abs(weight), 3)
    pending[index] = (weight, error)
