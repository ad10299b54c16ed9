"""Forward pass of a graph in float64 with a fixed order of summation.

Rounding is monotone, so a network of clamps, sorts, minima, maxima and sign-constrained
sums is *exactly* monotone in floats, provided every row is summed in one fixed order.
BLAS does not promise that: with ``@`` the same row may differ by 1e-13 with its place in
the batch. ``np.einsum`` without optimisation on contiguous operands does, up to 8192
columns; beyond, it splits a single row differently from several. Columns are therefore
taken in blocks whose sums are added in order. A convolution is the same product, with the patches
of the image as rows.
"""

import math
from functools import cache

import numpy as np

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.graph import Affine, Clamp, Conv2d, GroupSort, Input, Sum

COLUMN_BLOCK = 4096
"""Columns summed by one einsum call; half of the width at which its order changes."""

ROW_BLOCK = 1000
"""Rows summed by one einsum call, no more than the self-test tries; and evaluated at once, for the memory."""


def fixed_order_matmul(rows, weight):
    """Return ``rows @ weight.T``, each row summed in an order that depends on nothing else.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
    weight : ndarray of shape (k, d)

    Returns
    -------
    ndarray of shape (n, k)
    """
    total = np.zeros((rows.shape[0], weight.shape[0]))
    for start in range(0, weight.shape[1], COLUMN_BLOCK):
        block = slice(start, start + COLUMN_BLOCK)
        right = np.ascontiguousarray(weight[:, block])
        for first in range(0, len(rows), ROW_BLOCK):
            several = slice(first, first + ROW_BLOCK)
            left = np.ascontiguousarray(rows[several, block])
            total[several] += np.einsum("ij,kj->ik", left, right, optimize=False)
    return total


def fixed_order_convolution(rows, node):
    """Return a `Conv2d` of flat images (n, channels * height * width), flat again, (n, node.size).

    Every output is one product of a patch, zeros around the image included, with its kernel.
    """
    channels, n_positions = node.output_shape[0], math.prod(node.output_shape[1:])
    kernels = node.weight.reshape(channels, -1)
    images = np.empty((len(rows), channels, n_positions))
    step = max(1, ROW_BLOCK // n_positions)  # patches that stay in the cache
    for start in range(0, len(rows), step):
        several = slice(start, start + step)
        patches = image_patches(rows[several], node)
        outputs = fixed_order_matmul(patches, kernels) + node.bias
        # Positions are rows of the product and come last in a flat image.
        images[several] = outputs.reshape(-1, n_positions, channels).transpose(0, 2, 1)
    return images.reshape(len(rows), node.size)


def image_patches(rows, node):
    """What each output position of a `Conv2d` reads, (n * n_positions, weights of a kernel)."""
    edge = (node.padding, node.padding)
    images = np.pad(rows.reshape(len(rows), *node.image_shape), ((0, 0), (0, 0), edge, edge))
    windows = np.lib.stride_tricks.sliding_window_view(images, node.weight.shape[2:], axis=(2, 3))
    windows = windows[:, :, :: node.stride, :: node.stride].transpose(0, 2, 3, 1, 4, 5)
    return windows.reshape(-1, math.prod(node.weight.shape[1:]))


def evaluate(graph, inputs, targets):
    """Evaluate nodes of a numpy graph.

    Parameters
    ----------
    graph : Graph
        With numpy arrays.
    inputs : ndarray of shape (n, d)
        Rows in unit coordinates.
    targets : sequence of int
        Indices of the nodes wanted.

    Returns
    -------
    list of ndarray
        One array of shape (n, size) a target.
    """
    if len(inputs) <= ROW_BLOCK:
        return _evaluate(graph, inputs, targets)
    # A row does not depend on the others, to the last bit: neither does it on the blocks.
    blocks = [
        _evaluate(graph, inputs[start : start + ROW_BLOCK], targets)
        for start in range(0, len(inputs), ROW_BLOCK)
    ]
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


def _evaluate(graph, inputs, targets):
    values = {}
    for index in graph.ancestors(*targets):
        node = graph.nodes[index]
        values[index] = inputs if isinstance(node, Input) else _apply(node, [values[i] for i in node.sources])
    return [values[index] for index in targets]


def _apply(node, arguments):
    if isinstance(node, Affine):
        return fixed_order_matmul(arguments[0], node.weight) + node.bias
    if isinstance(node, Conv2d):
        return fixed_order_convolution(arguments[0], node)
    if isinstance(node, Clamp):
        return np.minimum(np.maximum(arguments[0], node.lower), node.upper)
    if isinstance(node, GroupSort):
        blocks = arguments[0].reshape(len(arguments[0]), -1, node.group)
        return np.sort(blocks, axis=2).reshape(arguments[0].shape)
    if isinstance(node, Sum):
        return arguments[0] + arguments[1]
    raise UnsupportedError(f"Got a node of type {type(node).__name__!r}, which has no forward pass.")


def order_is_fixed(graph):
    """Test on this machine that every affine node and convolution sums a row alike in batches of any size.

    Exact proofs (tolerance 0, epsilon 0) and the shared coupling rest on it, so it is
    measured at the model's own shapes rather than believed.

    Returns
    -------
    bool
        Whether the bits of each row agree across batches of 1, 2 and 1000 rows.
    """
    shapes = {_matrix_shape(node) for node in graph.nodes if isinstance(node, (Affine, Conv2d))}
    return all(_sums_in_one_order(fixed_order_matmul, *shape) for shape in sorted(shapes))


def _matrix_shape(node):
    """Rows and columns of the product that the forward pass of a layer is."""
    return (node.weight.shape[0], math.prod(node.weight.shape[1:]))


@cache
def _sums_in_one_order(matmul, n_units, n_columns, n_rows=(1, 2, 1000), seed=0):
    """The self-test of one shape, once a process: the order is a matter of shapes, not of values.

    (Weights of zero are multiplied like any other; random ones show a change of order in the last bits.)
    """
    generator = np.random.default_rng(seed)
    weight = generator.normal(size=(n_units, n_columns))
    rows = generator.random((max(n_rows), n_columns))
    reference = matmul(rows, weight)
    # The last rows, so that a row also changes its place in the batch and its alignment.
    return all(np.array_equal(matmul(rows[-size:], weight), reference[-size:]) for size in n_rows)
