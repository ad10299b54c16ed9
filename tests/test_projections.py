"""Projection onto the l1 ball against a reference by bisection, and its gradient."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from smile_sklearn.network.projections import project_rows_on_l1_ball


def reference(row):
    """Soft thresholding at the tau that bisection finds."""
    magnitude = np.abs(row)
    if magnitude.sum() <= 1:
        return row
    low, high = 0.0, magnitude.max()
    for _ in range(200):
        tau = (low + high) / 2
        low, high = (tau, high) if np.maximum(magnitude - tau, 0).sum() > 1 else (low, tau)
    return np.sign(row) * np.maximum(magnitude - high, 0)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 30.0, 1e6])
def test_rows_are_the_nearest_points_of_the_ball(scale):
    generator = np.random.default_rng(0)
    rows = scale * generator.normal(size=(50, 12))
    rows[0], rows[1, 3:] = 0.0, 0.0
    rows[2] = scale  # ties
    found = project_rows_on_l1_ball(torch.tensor(rows)).numpy()
    for row, projected in zip(rows, found, strict=True):
        np.testing.assert_allclose(projected, reference(row), rtol=1e-9, atol=1e-11 * max(scale, 1.0))


@pytest.mark.parametrize("columns", [1, 2, 7, 500])
def test_no_row_leaves_the_ball_by_one_bit(columns):
    generator = np.random.default_rng(columns)
    rows = generator.normal(size=(300, columns)) * 10.0 ** generator.integers(-6, 7, (300, 1))
    rows[0] = 1.0 / columns  # exactly on the surface, up to rounding
    found = project_rows_on_l1_ball(torch.tensor(rows)).numpy()
    for projected in found[:50]:  # summed exactly
        assert sum(map(Fraction, np.abs(projected).tolist())) <= 1


def test_rows_inside_stay_as_they_are():
    rows = torch.tensor([[0.25, -0.5], [0.0, 0.0], [1e-300, -0.125]], dtype=torch.float64)
    assert (project_rows_on_l1_ball(rows) - rows).abs().max() <= 1e-12


def test_signs_are_kept_so_that_monotone_rows_stay_monotone():
    rows = torch.tensor(np.abs(np.random.default_rng(0).normal(size=(20, 6))) * 5)
    assert (project_rows_on_l1_ball(rows) >= 0).all()


def test_the_gradient_is_that_of_the_projection():
    rows = torch.tensor(
        [[1.5, -0.9, 0.01, 0.4], [0.1, 0.2, -0.3, 0.05]], dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(project_rows_on_l1_ball, (rows,), eps=1e-7, atol=1e-5)


def test_float_rows_of_zeros_have_a_finite_gradient():
    rows = torch.zeros((2, 3), dtype=torch.float64, requires_grad=True)
    project_rows_on_l1_ball(rows).sum().backward()
    assert torch.isfinite(rows.grad).all()
