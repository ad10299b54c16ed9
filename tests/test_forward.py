"""The forward pass: right, in one order of summation, and monotone in floats."""

import numpy as np
import pytest
import torch
from support.networks import hand_drawn, relate, unit_box
from support.random_networks import exact_nodes, mixed_domain, mixed_snapshot

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.network.backbone import MLPBackbone, freeze_backbone
from smile_sklearn.snapshot import (
    Affine,
    Graph,
    GraphBuilder,
    Input,
    NetworkSnapshot,
    evaluate,
    fixed_order_matmul,
    forward,
    order_is_fixed,
)
from smile_sklearn.verification.difference import DifferenceBounds

SHAPES = [
    (1, 1),
    (1, 7),
    (3, 0),
    (8, 13),
    (33, 13),
    (5, 31),
    (1, 257),
    (64, 64),
    (2, 4096),
    (2, 4097),
    (1, 20_000),
]


@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_a_row_has_the_same_bits_wherever_it_stands(rows, columns):
    generator = np.random.default_rng(rows + columns)
    weight = generator.normal(size=(rows, columns))
    inputs = generator.normal(size=(40, columns))
    inputs[25] = inputs[3]
    together = fixed_order_matmul(inputs, weight)
    assert (together[25] == together[3]).all()
    for size in (1, 2, 3, 17):
        assert (fixed_order_matmul(inputs[-size:], weight) == together[-size:]).all()
    # Other layouts of the same numbers: a slice, Fortran order, an address that is no multiple of 64.
    spread = np.zeros((40, 2 * columns))
    spread[:, ::2] = inputs
    assert (fixed_order_matmul(spread[:, ::2], weight) == together).all()
    assert (fixed_order_matmul(np.asfortranarray(inputs), np.asfortranarray(weight)) == together).all()
    for offset in range(1, 8):
        memory = np.zeros(inputs.size + offset)
        moved = memory[offset:].reshape(inputs.shape)
        moved[:] = inputs
        assert (fixed_order_matmul(moved, weight) == together).all()
    np.testing.assert_allclose(together, inputs @ weight.T, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("rows", "columns"), SHAPES[1:])
def test_sums_of_one_sign_are_monotone_to_the_last_bit(rows, columns):
    generator = np.random.default_rng(rows)
    weight = np.abs(generator.normal(size=(rows, columns))) * generator.choice(
        [1e-9, 1.0, 1e9], (rows, columns)
    )
    point = generator.normal(size=columns)
    path = np.tile(point, (200, 1))
    for step in range(1, 200):
        # Up by a unit in the last place, in some coordinates.
        chosen = generator.random(columns) < 0.3
        path[step] = np.where(chosen, np.nextafter(path[step - 1], np.inf), path[step - 1])
    assert (np.diff(fixed_order_matmul(path, weight), axis=0) >= 0).all()


def test_order_is_fixed_measures_the_kernel(monkeypatch):
    graph = Graph((Input(100), Affine(np.ones((40, 100)), np.zeros(40), 0)))
    assert order_is_fixed(graph)

    def sums_by_batch_size(rows, weight):
        # What BLAS does: another order for one row than for many.
        step = -1 if len(rows) == 1 else 1
        return np.add.accumulate((rows[:, None, :] * weight)[:, :, ::step], axis=2)[:, :, -1]

    monkeypatch.setattr(forward, "fixed_order_matmul", sums_by_batch_size)
    assert not order_is_fixed(graph)
    snapshot = hand_drawn()
    monkeypatch.setattr(NetworkSnapshot, "order_is_fixed", lambda self: False)
    with pytest.raises(UnsupportedError, match="differently in different batches"):
        DifferenceBounds().verify(snapshot, relate(snapshot.domain, [0.5]))


def test_order_is_fixed_looks_at_every_shape(monkeypatch):
    builder = GraphBuilder(5)
    node = builder.affine(np.ones((7, 5)), np.zeros(7))
    builder.affine(np.ones((3, 7)), np.zeros(3), node)
    seen = set()
    original = fixed_order_matmul

    def record(rows, weight):
        seen.add((len(rows), weight.shape))
        return original(rows, weight)

    monkeypatch.setattr(forward, "fixed_order_matmul", record)
    assert order_is_fixed(builder.build())
    assert seen >= {(size, shape) for size in (1, 2, 1000) for shape in ((7, 5), (3, 7))}


@pytest.mark.parametrize("seed", range(4))
def test_evaluate_is_near_the_exact_value(seed):
    domain = mixed_domain(seed)
    snapshot = mixed_snapshot(seed, domain)
    rows = np.random.default_rng(seed).random((5, domain.n_features))
    computed = evaluate(snapshot.graph, rows, range(len(snapshot.graph)))
    for number, row in enumerate(rows):
        for value, exact in zip(computed, exact_nodes(snapshot.graph, row), strict=True):
            np.testing.assert_allclose(value[number], [float(one) for one in exact], rtol=1e-10, atol=1e-10)


def test_only_what_is_asked_for_is_evaluated():
    snapshot = hand_drawn()
    (width,) = evaluate(snapshot.graph, np.array([[0.5]]), (snapshot.width,))
    assert width.tolist() == [[0.5]]


EXTREME = [np.nan, np.inf, -np.inf, 1e300, -1e300, 5e-324, 0.0, -0.0]


@pytest.mark.parametrize("ends", ["width", "free"])
def test_whatever_h_says_the_latent_unit_is_in_its_box(ends):
    domain = unit_box(3)
    snapshot = mixed_snapshot(5, domain, ends=ends, n_latent=4)
    inputs = np.random.default_rng(0).random((50, 3))
    low, high = snapshot.bounds(inputs)
    identity = NetworkSnapshot(
        snapshot.graph, snapshot.lower, snapshot.upper, snapshot.width, np.eye(4), np.zeros(4), (), domain
    )
    for value in EXTREME:
        latent = identity.forward(inputs, np.full((50, 4), value))
        assert (low <= latent).all()
        assert (latent <= np.maximum(low, high)).all()
    if ends == "free":
        assert (high < low).any()  # flipped boxes are among them


def test_nan_from_the_backbone_becomes_lo():
    snapshot = hand_drawn(weight=2.0, width=1.0)
    out = snapshot.forward(np.array([[0.25], [0.5]]), np.array([[np.nan], [np.inf]]))
    assert out.tolist() == [[0.5], [2.0]]


def test_a_flipped_box_gives_lo():
    domain = unit_box(1)
    builder = GraphBuilder(1)
    low = builder.affine(np.array([[0.0]]), np.array([1.0]))
    high = builder.affine(np.array([[0.0]]), np.array([-1.0]))
    snapshot = NetworkSnapshot(builder.build(), low, high, None, np.eye(1), np.zeros(1), (0,), domain)
    assert snapshot.forward(np.zeros((3, 1)), np.array([[-5.0], [0.0], [5.0]])).tolist() == [[1.0]] * 3


def test_the_builtin_backbone_repeats_its_bits():
    generator = np.random.default_rng(0)
    for sizes in ((33,), (16, 16), ()):
        backbone = freeze_backbone(MLPBackbone(13, sizes, 5), 13, row_by_row=True)
        rows = generator.random((60, 13))
        rows[41] = rows[2]
        together = backbone(rows)
        assert (together[41] == together[2]).all()
        assert all((backbone(rows[[place]])[0] == together[place]).all() for place in range(60))


@pytest.mark.parametrize("columns", [3, 9, 12, 13, 31, 100])
def test_a_backbone_of_the_user_repeats_its_bits_too(columns):
    """BLAS sums a row by its place and by its alignment in memory; the shared coupling allows neither."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(columns, 33), torch.nn.Tanh(), torch.nn.Linear(33, 8)
    ).double()
    backbone = freeze_backbone(module, columns, row_by_row=True)
    row = np.random.default_rng(0).random(columns)
    values = backbone(np.tile(row, (100, 1)))
    assert (values == values[0]).all()
    assert (backbone(row[None])[0] == values[0]).all()
