"""Convolutions: the forward pass, the dense form that every proof reads, files, verifiers, the checker."""

import itertools
import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from support.networks import relate, unit_box
from support.random_networks import HOSTILE, exact_nodes

from smile_sklearn.certificates import Status
from smile_sklearn.check import check
from smile_sklearn.exceptions import CertificateError, UnsupportedError
from smile_sklearn.network.evaluate import dense_graph
from smile_sklearn.network.evaluate import evaluate as evaluate_torch
from smile_sklearn.properties import GloballyRobust, InputDomain
from smile_sklearn.snapshot import Conv2d, Graph, GraphBuilder, Input, NetworkSnapshot, evaluate, forward
from smile_sklearn.snapshot.forward import fixed_order_convolution, order_is_fixed
from smile_sklearn.snapshot.lowering import dense_form, lowered_graph
from smile_sklearn.verification import make_verifier
from smile_sklearn.verification.intervals import Interval, forward_errors, node_ranges
from smile_sklearn.verification.local.interval_product import ConvolutionProduct
from smile_sklearn.verification.local.local_bounds import LocalBounds

SHAPES = [
    # image (channels, height, width), kernel (out, height, width), stride, padding
    ((1, 8, 8), (3, 4, 4), 2, 1),
    ((3, 5, 7), (2, 3, 2), 2, 3),
    ((2, 4, 4), (3, 4, 4), 1, 0),
    ((1, 3, 3), (2, 5, 5), 3, 2),
    ((2, 6, 1), (1, 1, 1), 4, 0),
]


def convolution(seed, image, kernel, stride, padding, sizes=(1.0,)):
    generator = np.random.default_rng(seed)
    shape = (kernel[0], image[0], *kernel[1:])
    weight = generator.normal(size=shape) * generator.choice(sizes, shape)
    bias = generator.normal(size=kernel[0])
    return Conv2d(weight, bias, *image[1:], stride, padding, 0)


def single(node):
    return Graph((Input(int(np.prod(node.image_shape))), node))


def by_definition(node):
    """The matrix of a convolution, every entry from the definition of the sum."""
    channels, height, width = node.image_shape
    out_channels, out_height, out_width = node.output_shape
    matrix = np.zeros((node.size, channels * height * width))
    places = itertools.product(range(out_channels), range(out_height), range(out_width))
    for row, (o, y, x) in enumerate(places):
        for c, i, j in itertools.product(*map(range, node.weight.shape[1:])):
            at = (y * node.stride - node.padding + i, x * node.stride - node.padding + j)
            if 0 <= at[0] < height and 0 <= at[1] < width:
                matrix[row, (c * height + at[0]) * width + at[1]] = node.weight[o, c, i, j]
    return matrix


# --- one layer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_the_dense_form_is_the_definition_to_the_last_bit(shape):
    node = convolution(0, *shape)
    dense = dense_form(node)
    assert (dense.weight == by_definition(node)).all()
    assert (dense.bias == np.repeat(node.bias, node.size // len(node.bias))).all()
    assert dense.source == node.source


@pytest.mark.parametrize("shape", SHAPES)
def test_the_forward_pass_is_that_of_torch(shape):
    node = convolution(1, *shape)
    rows = np.random.default_rng(0).normal(size=(9, single(node).nodes[0].size))
    images, weight, bias = (
        torch.tensor(array) for array in (rows.reshape(9, *node.image_shape), node.weight, node.bias)
    )
    expected = torch.nn.functional.conv2d(images, weight, bias, node.stride, node.padding)
    assert tuple(expected.shape[1:]) == node.output_shape
    computed = evaluate(single(node), rows, (1,))[0]
    np.testing.assert_allclose(computed, expected.flatten(1).numpy(), rtol=1e-12, atol=1e-12)
    again = Conv2d(weight, bias, *node.image_shape[1:], node.stride, node.padding, 0)
    (in_torch,) = evaluate_torch(single(again), torch.tensor(rows), (1,))
    np.testing.assert_allclose(in_torch.numpy(), computed, rtol=1e-12, atol=1e-12)
    assert torch.equal(dense_graph(single(again)).nodes[1].weight, torch.tensor(by_definition(node)))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_has_the_same_bits_in_any_batch(shape, monkeypatch):
    node = convolution(2, *shape)
    rows = np.random.default_rng(0).normal(size=(40, single(node).nodes[0].size))
    rows[31] = rows[4]
    together = fixed_order_convolution(rows, node)
    assert (together[31] == together[4]).all()
    for size in (1, 2, 17):
        assert (fixed_order_convolution(rows[-size:], node) == together[-size:]).all()
    assert order_is_fixed(single(node))
    # The blocks that bound the memory change no bit either.
    for block in (1, 7):
        monkeypatch.setattr(forward, "ROW_BLOCK", block)
        assert (evaluate(single(node), rows, (1,))[0] == together).all()


def test_order_is_fixed_tries_the_kernels(monkeypatch):
    node, seen = convolution(0, *SHAPES[0]), set()
    monkeypatch.setattr(forward, "_sums_in_one_order", lambda _, *shape: seen.add(shape) or False)
    assert not order_is_fixed(single(node))
    assert seen == {(3, 16)}


@pytest.mark.parametrize("seed", range(6))
def test_what_the_forward_pass_errs_by_is_covered_by_the_dense_form(seed):
    """The claim that lets every verifier read the matrix in place of the convolution, in fractions."""
    image, kernel, stride, padding = SHAPES[seed % len(SHAPES)]
    first = convolution(seed, image, kernel, stride, padding, sizes=HOSTILE)
    domain = unit_box(int(np.prod(image)))
    builder = GraphBuilder(domain.n_features)
    node = builder.conv2d(first.weight, first.bias, image[1:], stride=stride, padding=padding)
    shape = builder.node(node).output_shape
    node = builder.clamp(np.full(first.size, -1.0), np.full(first.size, np.inf), node)
    second = convolution(seed, shape, (2, 1, 1), 1, 0, sizes=HOSTILE)
    builder.conv2d(second.weight, second.bias, shape[1:], stride=1, padding=0, source=node)
    graph = builder.build()
    dense = lowered_graph(graph)
    ranges = node_ranges(dense, domain)
    errors = forward_errors(dense, ranges)
    for row in np.random.default_rng(seed).random((3, domain.n_features)):
        computed = evaluate(graph, row[None], range(len(graph)))
        exact = exact_nodes(dense, row)
        for index, error in enumerate(errors):
            pairs = zip(computed[index][0].tolist(), exact[index], error.tolist(), strict=True)
            assert all(abs(Fraction(value) - true) <= Fraction(bound) for value, true, bound in pairs)
            low, high = ranges[index]
            assert all(a <= true <= b for a, true, b in zip(low, exact[index], high, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_intervals_of_many_rows_contain_the_exact_values(seed):
    node = convolution(seed, *SHAPES[seed], sizes=HOSTILE)
    generator = np.random.default_rng(seed)
    ends = generator.random((2, 5, single(node).nodes[0].size))
    low, high = ends.min(axis=0), ends.max(axis=0)
    found = ConvolutionProduct(node, np.ones(low.shape[1])).interval(Interval(low, high))
    matrix, bias = by_definition(node), dense_form(node).bias
    for row in range(5):
        for unit in generator.integers(node.size, size=6):
            for sign, end in ((1, found.high), (-1, found.low)):
                corner = np.where(sign * matrix[unit] > 0, high[row], low[row])
                exact = sum(
                    (Fraction(w) * Fraction(x) for w, x in zip(matrix[unit], corner, strict=True)),
                    Fraction(bias[unit]),
                )
                assert sign * exact <= sign * Fraction(end[row, unit])
                assert abs(float(exact) - end[row, unit]) <= 1e-5 * max(1.0, np.abs(matrix[unit]).sum())


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": np.ones((2, 16))}, "shape"),
        ({"bias": np.zeros(4)}, "bias"),
        ({"bias": np.zeros((3, 1))}, "bias"),
        ({"height": 7}, "sizes"),
        ({"stride": 0}, "stride"),
        ({"padding": -1}, "padding"),
        ({"padding": 1.0}, "whole"),
        ({"height": 1, "width": 64, "padding": 0}, "at least as large"),
        ({"source": 1}, "before"),
    ],
)
def test_what_is_no_convolution_is_refused(change, message):
    node = replace(convolution(0, *SHAPES[0]), **change)
    with pytest.raises(ValueError, match=message):
        Graph((Input(64), node))


def small_snapshot(seed=0, scale=0.3, n_outputs=1, **change):
    """4x4 images, two convolutions, a linear layer; hi = lo + .05."""
    generator = np.random.default_rng(seed)
    builder = GraphBuilder(16)
    node = builder.conv2d(
        scale * generator.normal(size=(2, 1, 3, 3)), generator.normal(size=2), (4, 4), stride=1, padding=1
    )
    node = builder.clamp(np.zeros(32), np.full(32, np.inf), node)
    node = builder.conv2d(
        scale * generator.normal(size=(2, 2, 2, 2)), np.zeros(2), (4, 4), stride=2, padding=0, source=node
    )
    node = builder.clamp(np.zeros(8), np.full(8, np.inf), node)
    lower = builder.affine(scale * generator.normal(size=(2, 8)), np.zeros(2), node)
    width = builder.affine(np.zeros((2, 16)), np.full(2, 0.05))
    upper = builder.sum(lower, width)
    nodes = list(builder.build().nodes)
    nodes[1] = replace(nodes[1], **change)
    domain = InputDomain(np.zeros(16), np.full(16, 2.0))
    head = generator.normal(size=(n_outputs, 2))
    return NetworkSnapshot(
        Graph(tuple(nodes)), lower, upper, width, head, np.zeros(n_outputs), range(16), domain
    )


def test_a_snapshot_with_convolutions_is_saved_digested_and_read_only(tmp_path):
    snapshot = small_snapshot()
    snapshot.save(tmp_path / "model.npz")
    again = NetworkSnapshot.load(tmp_path / "model.npz")
    assert again.digest == snapshot.digest
    rows = np.random.default_rng(0).random((5, 16))
    for end, other in zip(snapshot.bounds(rows), again.bounds(rows), strict=True):
        assert (end == other).all()
    assert isinstance(again.graph.nodes[1], Conv2d)
    with pytest.raises(ValueError, match="read-only"):
        again.graph.nodes[1].weight[0, 0, 0, 0] = 1.0
    weight = snapshot.graph.nodes[1].weight.copy()
    weight[1, 0, 2, 2] = np.nextafter(weight[1, 0, 2, 2], 9.0)
    assert small_snapshot(weight=weight).digest != snapshot.digest
    # The same matrix is another network: its digest covers how it is computed.
    assert snapshot.lowered().digest != snapshot.digest
    assert snapshot.lowered().lowered() is not snapshot
    dense = snapshot.lowered()
    assert dense.lowered() is dense


@pytest.mark.parametrize("change", [{"stride": 2.0}, {"stride": True}, {"dilation": 2}, {"kind": "Conv3d"}])
def test_a_file_with_another_convolution_is_refused(tmp_path, change):
    path = tmp_path / "model.npz"
    small_snapshot().save(path)
    with np.load(path) as archive:
        content = dict(archive)
    header = json.loads(str(content["header"]))
    if "kind" in change:
        header["nodes"][1][0] = change["kind"]
    else:
        header["nodes"][1][1].update(change)
    np.savez(path, **{**content, "header": np.array(json.dumps(header, sort_keys=True))})
    with pytest.raises((CertificateError, TypeError, KeyError)):
        NetworkSnapshot.load(path)


# --- proofs ---------------------------------------------------------------------------------------


def related_pairs(relation, generator, n_pairs=4000):
    """Random pairs and corners, inside the domain; on a grid, so that differences are exact."""
    domain = relation.domain
    first = domain.lower + generator.integers(0, 1025, (n_pairs, 16)) / 1024 * (domain.upper - domain.lower)
    step = generator.choice([-1.0, 0.0, 1.0], (n_pairs, 16)) * relation.delta_upper
    second = np.clip(first + step, domain.lower, domain.upper)
    kept = relation.contains(first, second)
    return first[kept], second[kept]


@pytest.mark.parametrize(
    "name", ["difference", "closed_form", "falsifier", "branch_and_bound", "mip", "auto"]
)
def test_every_verifier_reads_the_dense_form(name):
    snapshot = small_snapshot(seed=3)
    relation = relate(snapshot.domain, np.full(16, 0.0625), 0.2)
    prove = make_verifier(name).verify
    try:
        certificate = prove(snapshot, relation, time_limit=2.0)
    except UnsupportedError as refusal:
        # The closed form is of affine ends only, and says so of the dense form as well.
        with pytest.raises(UnsupportedError, match=str(refusal)[:40]):
            prove(snapshot.lowered(), relation)
        assert name == "closed_form"
        return
    assert certificate.digest == snapshot.digest
    first, second = related_pairs(relation, np.random.default_rng(0))
    assert len(first) > 1000
    worst = 0.0
    for sign in (-np.inf, np.inf):  # any backbone: both ends of the box
        ends = [
            snapshot.forward(snapshot.domain.to_unit(rows), np.full((len(rows), 2), side))
            for rows, side in ((first, sign), (second, -sign))
        ]
        worst = max(worst, np.abs(ends[0] - ends[1]).max())
    assert worst <= certificate.variation
    report = check(certificate, snapshot)
    assert report.passed, report
    assert not check(certificate, small_snapshot(seed=4)).passed
    assert not check(certificate, snapshot.lowered()).passed


def test_an_order_that_changes_is_seen_through_the_convolution(monkeypatch):
    snapshot = small_snapshot()
    monkeypatch.setattr(forward, "_sums_in_one_order", lambda _, units, columns: columns != 9)
    with pytest.raises(UnsupportedError, match="differently in different batches"):
        make_verifier("difference").verify(snapshot, relate(snapshot.domain, np.full(16, 0.1)))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_kernels_that_are_no_numbers_certify_nothing(value):
    weight = small_snapshot().graph.nodes[1].weight.copy()
    weight[0, 0, 1, 1] = value
    snapshot = small_snapshot(weight=weight)
    certificate = make_verifier("difference").verify(snapshot, relate(snapshot.domain, np.full(16, 0.1)))
    assert certificate.status is not Status.HOLDS
    assert certificate.bound > 1e100
    premise = GloballyRobust(0.1, None).premise(snapshot.domain)
    rows = np.random.default_rng(0).random((4, 16))
    low, high = LocalBounds(snapshot, premise, shared=False)(rows, np.zeros((4, 2)))
    assert (high - low > 1e100).all()
    if np.isfinite(value):
        return
    assert not check(certificate, snapshot).passed


def test_a_weight_that_meets_only_the_padding_still_counts_if_it_is_infinite():
    """Infinity times a zero around the image is NaN in the forward pass, and no entry of any matrix."""
    weight = np.ones((1, 1, 3, 3))
    weight[0, 0, 0, 0] = np.inf
    node = Conv2d(weight, np.zeros(1), 1, 1, 1, 1, 0)
    assert np.isnan(evaluate(single(node), np.ones((1, 1)), (1,))[0]).all()
    assert np.isnan(dense_form(node).weight).all()


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_bounds_around_rows_contain_every_neighbour(seed, n_outputs):
    snapshot = small_snapshot(seed, scale=1.0, n_outputs=n_outputs)
    premise = GloballyRobust(0.1, None).premise(snapshot.domain)
    generator = np.random.default_rng(seed)
    rows = 2.0 * generator.random((6, 16))
    best = None if n_outputs == 1 else generator.integers(n_outputs, size=6)
    low, high = LocalBounds(snapshot, premise, shared=False)(rows, np.zeros((6, 2)), best)
    dense = LocalBounds(snapshot.lowered(), premise, shared=False)(rows, np.zeros((6, 2)), best)
    np.testing.assert_allclose(low, dense.low, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(high, dense.high, rtol=1e-9, atol=1e-9)
    for _ in range(300):
        step = 0.1 * generator.choice([-1.0, 1.0, generator.uniform(-1, 1)], rows.shape)
        near = np.clip(rows + step, 0.0, 2.0)
        embedding = generator.choice([-np.inf, np.inf, 0.0], (6, 2))
        output = snapshot.forward(snapshot.domain.to_unit(near), embedding)
        if best is not None:
            output = output[np.arange(6), best][:, None] - output
        assert (low <= output).all()
        assert (output <= high).all()
