"""Projection onto the l1 ball against bisection and sorting, and its gradient."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from smile_sklearn.network.projections import LEAK, L1BallProjection, project_rows_on_l1_ball, thresholds


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


def by_sorting(magnitude):
    """Tau of Duchi et al., figure 1."""
    ordered = -np.sort(-magnitude, axis=1)
    sums = np.cumsum(ordered, axis=1) - 1.0
    counts = np.arange(1, magnitude.shape[1] + 1)
    last = (ordered * counts > sums).sum(axis=1) - 1
    return np.maximum(0.0, sums[np.arange(len(sums)), last] / (last + 1))


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 30.0, 1e6])
@pytest.mark.parametrize("start", [None, 0.0, 1e-3, 0.9, 5.0])
def test_newton_finds_the_threshold_of_sorting_from_any_start(scale, start):
    magnitude = scale * np.abs(np.random.default_rng(1).normal(size=(60, 40)))
    magnitude[0, 1:] = 0.0
    magnitude[1] = scale  # ties
    magnitude[2] *= np.arange(40) % 2  # zeros
    first = None if start is None else torch.full((60,), start * scale, dtype=torch.float64)
    found = thresholds(torch.tensor(magnitude), first).numpy()
    np.testing.assert_allclose(found, by_sorting(magnitude), rtol=1e-12, atol=1e-12)


def test_a_row_of_zeros_is_its_own_projection():
    assert (thresholds(torch.zeros((2, 5), dtype=torch.float64)) == 0).all()
    assert (project_rows_on_l1_ball(torch.zeros((2, 5), dtype=torch.float64)) == 0).all()


def test_a_warm_start_changes_no_bit():
    generator = torch.Generator().manual_seed(0)
    warm = L1BallProjection()
    rows = torch.randn((40, 100), dtype=torch.float64, generator=generator)
    for _ in range(20):
        rows = rows + 0.3 * torch.randn(rows.shape, dtype=torch.float64, generator=generator)
        assert torch.equal(warm(rows), project_rows_on_l1_ball(rows))
    other = rows[:7].float()  # a start that does not fit is not used
    assert torch.equal(warm(other), project_rows_on_l1_ball(other))


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
    # No entry of a row outside the ball is shrunk to 0: there the two are the same function.
    rows = torch.tensor(
        [[1.5, -1.2, 1.3, 1.4], [0.1, 0.2, -0.3, 0.05]], dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(project_rows_on_l1_ball, (rows,), eps=1e-7, atol=1e-5)


def test_entries_shrunk_to_zero_receive_a_share_of_the_gradient():
    rows = torch.tensor([[1.5, -0.9, 0.01, -0.02]], dtype=torch.float64, requires_grad=True)
    wanted = torch.tensor([[0.3, 0.7, 2.0, -5.0]], dtype=torch.float64)
    projected = project_rows_on_l1_ball(rows)
    assert torch.equal(projected == 0, torch.tensor([[False, False, True, True]]))
    (projected * wanted).sum().backward()
    # On the support the part along (1, -1), the normal of the face: (0.3 - 0.7) / 2.
    expected = torch.tensor([[0.5, 0.5, LEAK * 2.0, LEAK * -5.0]], dtype=torch.float64)
    assert torch.allclose(rows.grad, expected)


def test_float_rows_of_zeros_have_a_finite_gradient():
    rows = torch.zeros((2, 3), dtype=torch.float64, requires_grad=True)
    project_rows_on_l1_ball(rows).sum().backward()
    assert torch.isfinite(rows.grad).all()
