"""The graph walked by torch: the differentiable twin of ``snapshot.forward``."""

import torch

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.graph import Affine, Clamp, GroupSort, Input, Sum


def evaluate(graph, inputs, targets):
    """Evaluate nodes of a graph of torch arrays.

    Parameters
    ----------
    graph : Graph
    inputs : Tensor of shape (n, d)
        Rows in unit coordinates.
    targets : sequence of int

    Returns
    -------
    list of Tensor
        One of shape (n, size) a target.
    """
    values = {}
    for index in graph.ancestors(*targets):
        node = graph.nodes[index]
        values[index] = inputs if isinstance(node, Input) else _apply(node, [values[i] for i in node.sources])
    return [values[index] for index in targets]


def _apply(node, arguments):
    if isinstance(node, Affine):
        return torch.nn.functional.linear(arguments[0], node.weight, node.bias)
    if isinstance(node, Clamp):
        return torch.clamp(arguments[0], node.lower, node.upper)
    if isinstance(node, GroupSort):
        blocks = arguments[0].reshape(len(arguments[0]), -1, node.group)
        return blocks.sort(dim=2).values.reshape(arguments[0].shape)
    if isinstance(node, Sum):
        return arguments[0] + arguments[1]
    raise UnsupportedError(f"Got a node of type {type(node).__name__!r}, which has no torch forward pass.")
