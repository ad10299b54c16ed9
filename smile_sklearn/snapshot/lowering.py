"""Convolutions as dense matrices: what verifiers and the checker read in their place.

A weight of the kernel is copied to every place at which it acts, and the rest are zeros: no
arithmetic, so the dense map is the same real function, and whoever bounds an affine layer bounds the
convolution.

Bounds also cover what computing a layer errs by: at most n + 1 roundings of an output, n the number
of columns of its matrix, in any order of summation (``forward_errors``). The forward pass of a
convolution sums, for one output, one product a weight of the kernel. Those that fall on the zeros
around the image are exactly 0 and adding them is exact; the others are the nonzero columns of the dense
row, n at most. So the dense form, read with its own n, covers the convolution that ``predict`` computes.
"""

import numpy as np

from smile_sklearn.snapshot.graph import Affine, Conv2d, Graph


def lowered_graph(graph):
    """The graph with every `Conv2d` as an `Affine` of the same index; the same object if there is none."""
    if not any(isinstance(node, Conv2d) for node in graph.nodes):
        return graph
    return Graph(tuple(dense_form(node) if isinstance(node, Conv2d) else node for node in graph.nodes))


def dense_form(node):
    """A numpy `Conv2d` as an `Affine` node: weights copied into place, zeros elsewhere."""
    out_channels, out_height, out_width = node.output_shape
    channels, height, width = node.image_shape
    kernel_height, kernel_width = node.weight.shape[2:]
    bias = np.repeat(node.bias, out_height * out_width)
    if not np.isfinite(node.weight).all():
        # Infinity times a zero around the image is NaN, which no place in a matrix can say: so all of it.
        return Affine(np.full((node.size, channels * height * width), np.nan), bias, node.source)
    dense = np.zeros((out_channels, out_height, out_width, channels, height, width))
    for i in range(kernel_height):
        rows, from_rows = _inside(i, out_height, height, node)
        for j in range(kernel_width):
            columns, from_columns = _inside(j, out_width, width, node)
            # Broadcast over all pairs of an output row and an output column; every place is written once.
            place = np.ix_(rows, columns)
            source = from_rows[:, None], from_columns[None, :]
            dense[:, place[0], place[1], :, source[0], source[1]] = node.weight[:, :, i, j]
    return Affine(dense.reshape(node.size, -1), bias, node.source)


def _inside(offset, n_outputs, n_inputs, node):
    """Output positions at which a row (or column) of the kernel lies on the image, and where it lies."""
    outputs = np.arange(n_outputs)
    inputs = outputs * node.stride - node.padding + offset
    on_image = (inputs >= 0) & (inputs < n_inputs)
    return outputs[on_image], inputs[on_image]
