"""The graph walked by torch: the differentiable twin of ``snapshot.forward``."""

import math

import torch

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.graph import Affine, Clamp, Conv2d, Graph, GroupSort, Input, Sum

LARGE = 100_000
"""Values from which on a clamp is looked at for being a relu."""


def evaluate(graph, inputs, targets):
    """Evaluate nodes of a graph of torch arrays, each layer in the precision of its weights.

    Parameters
    ----------
    graph : Graph
    inputs : Tensor of shape (n, d)
        Rows in unit coordinates.
    targets : sequence of int

    Returns
    -------
    list of Tensor
        One of shape (n, size) a target, in the precision of the inputs.
    """
    values = {}
    for index in graph.ancestors(*targets):
        node = graph.nodes[index]
        values[index] = inputs if isinstance(node, Input) else _apply(node, [values[i] for i in node.sources])
    return [values[index].to(inputs.dtype) for index in targets]


def _apply(node, arguments):
    if isinstance(node, Affine):
        return torch.nn.functional.linear(arguments[0].to(node.weight.dtype), node.weight, node.bias)
    if isinstance(node, Conv2d):
        return convolve(node, arguments[0], node.weight, node.bias)
    if isinstance(node, Clamp):
        return clamp(node, arguments[0])
    if isinstance(node, GroupSort):
        blocks = arguments[0].reshape(len(arguments[0]), -1, node.group)
        return blocks.sort(dim=2).values.reshape(arguments[0].shape)
    if isinstance(node, Sum):
        return arguments[0] + arguments[1]
    raise UnsupportedError(f"Got a node of type {type(node).__name__!r}, which has no torch forward pass.")


def clamp(node, values):
    """Clamp values (n, size) as ``node`` does."""
    # A relu by its own name is much the faster, for its gradient compares nothing with bounds; to
    # recognise it costs as much as a small clamp.
    if values.numel() > LARGE and not node.lower.any() and node.upper.isinf().all():
        return torch.relu(values)
    return torch.clamp(values, node.lower, node.upper)


def convolve(node, rows, weight, bias=None):
    """Convolve flat images (n, channels * height * width) as ``node`` does, with a weight of its shape."""
    images = rows.to(weight.dtype).reshape(len(rows), *node.image_shape)
    images = torch.nn.functional.conv2d(images, weight, bias, node.stride, node.padding)
    return images.flatten(start_dim=1)


def dense_graph(graph):
    """The graph with convolutions as affine nodes and all weights in double precision, differentiable.

    For bounds of single units over all inputs; batches of rows are cheaper as convolutions. The same
    object where there are none.
    """
    if not any(isinstance(node, Conv2d) for node in graph.nodes):
        return graph
    return Graph(tuple(_dense(node) for node in graph.nodes))


def _dense(node):
    if isinstance(node, Affine):
        return Affine(node.weight.double(), node.bias.double(), node.source)
    if isinstance(node, Clamp):
        return Clamp(node.lower.double(), node.upper.double(), node.source)
    if not isinstance(node, Conv2d):
        return node
    # Column i of the matrix is the image of the i-th unit vector.
    identity = torch.eye(math.prod(node.image_shape), dtype=torch.float64, device=node.weight.device)
    bias = node.bias.double().repeat_interleave(math.prod(node.output_shape[1:]))
    return Affine(convolve(node, identity, node.weight.double()).T, bias, node.source)
