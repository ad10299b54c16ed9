"""The auxiliaries as a small expression graph: what every verifier reads.

Six node types are enough for all auxiliary families of the package. One type of
coordinate-wise unit, :class:`Clamp`, covers relu (bounds ``[0, inf]``), ``-relu(-x)``
(bounds ``[-inf, 0]``) and the two-sided clamp: all are nondecreasing and 1-Lipschitz,
which is everything that the difference bounds use of them.

The arrays are numpy in a snapshot and torch in training: the graph is written once, by the
auxiliary, and walked by the forward passes, by both difference bounds and by the MIP.
A :class:`Conv2d` is an affine map with most of its weights zero: verifiers read it in its dense
form (`smile_sklearn.snapshot.lowering`) and need to know of no convolution.
"""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Input:
    """The input in unit coordinates, shape (n, size)."""

    size: int

    @property
    def sources(self):
        """Indices of the nodes this node reads."""
        return ()


class _OneSource:
    """A node that reads one other node, ``source``."""

    @property
    def sources(self):
        """Indices of the nodes this node reads."""
        return (self.source,)


@dataclass(frozen=True, eq=False)
class Affine(_OneSource):
    """``weight @ x + bias``; weight (out, in), bias (out,)."""

    weight: Any
    bias: Any
    source: int

    @property
    def size(self):
        """Number of outputs."""
        return self.weight.shape[0]


@dataclass(frozen=True, eq=False)
class Conv2d(_OneSource):
    """Two-dimensional convolution of images that are kept as flat rows, channel by channel.

    As ``torch.nn.functional.conv2d`` of the rows reshaped to (n, channels, height, width), with zeros
    around the image, flattened again.

    Parameters
    ----------
    weight : array of shape (out_channels, channels, kernel_height, kernel_width)
    bias : array of shape (out_channels,)
    height, width : int
        Of the image that is read; it has ``weight.shape[1]`` channels.
    stride, padding : int
        The same in both directions.
    source : int
    """

    weight: Any
    bias: Any
    height: int
    width: int
    stride: int
    padding: int
    source: int

    @property
    def image_shape(self):
        """(channels, height, width) of the image that is read."""
        return (self.weight.shape[1], self.height, self.width)

    @property
    def output_shape(self):
        """(channels, height, width) of the image that is written."""
        sides = ((self.height, self.weight.shape[2]), (self.width, self.weight.shape[3]))
        steps = [(side + 2 * self.padding - kernel) // self.stride + 1 for side, kernel in sides]
        return (self.weight.shape[0], *steps)

    @property
    def size(self):
        """Number of outputs."""
        channels, height, width = self.output_shape
        return channels * height * width


@dataclass(frozen=True, eq=False)
class Clamp(_OneSource):
    """``min(max(x, lower), upper)``, one pair of bounds a unit (infinities allowed)."""

    lower: Any
    upper: Any
    source: int

    @property
    def size(self):
        """Number of outputs."""
        return self.lower.shape[0]


@dataclass(frozen=True, eq=False)
class GroupSort(_OneSource):
    """Sorts each block of ``group`` consecutive units in ascending order."""

    group: int
    size: int
    source: int


@dataclass(frozen=True, eq=False)
class Sum:
    """Element-wise sum of two nodes of equal size, added in the order given."""

    first: int
    second: int
    size: int

    @property
    def sources(self):
        """Indices of the nodes this node reads."""
        return (self.first, self.second)


NODE_TYPES = (Input, Affine, Conv2d, Clamp, GroupSort, Sum)
"""Every node there is."""

DENSE_NODE_TYPES = (Input, Affine, Clamp, GroupSort, Sum)
"""What is left of them in a lowered graph: what a verifier may have to handle."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in topological order; node 0 is the one :class:`Input`.

    Raises
    ------
    ValueError
        If a node reads a later one, or sizes do not fit.
    """

    nodes: tuple

    def __post_init__(self):
        if not self.nodes or not isinstance(self.nodes[0], Input):
            raise ValueError("A graph starts with its Input node.")
        for index, node in enumerate(self.nodes):
            _check_node(self.nodes, index, node)

    def __len__(self):
        return len(self.nodes)

    def ancestors(self, *targets):
        """Sorted indices of the nodes that ``targets`` depend on, themselves included."""
        found, stack = set(), list(targets)
        while stack:
            index = stack.pop()
            if index not in found:
                found.add(index)
                stack.extend(self.nodes[index].sources)
        return sorted(found)


class GraphBuilder:
    """Collects nodes and hands out their indices; used by the auxiliary families."""

    def __init__(self, n_features):
        self._nodes = [Input(n_features)]

    def affine(self, weight, bias, source=0):
        """Append an :class:`Affine` node and return its index."""
        return self._append(Affine(weight, bias, source))

    def conv2d(self, weight, bias, image, *, stride, padding, source=0):
        """Append a :class:`Conv2d` over images of (height, width) and return its index."""
        height, width = image
        return self._append(Conv2d(weight, bias, height, width, stride, padding, source))

    def clamp(self, lower, upper, source):
        """Append a :class:`Clamp` node and return its index."""
        return self._append(Clamp(lower, upper, source))

    def group_sort(self, group, source):
        """Append a :class:`GroupSort` node and return its index."""
        return self._append(GroupSort(group, self._nodes[source].size, source))

    def sum(self, first, second):
        """Append a :class:`Sum` node and return its index."""
        return self._append(Sum(first, second, self._nodes[first].size))

    def node(self, index):
        """The node of an index."""
        return self._nodes[index]

    def build(self):
        """Return the finished :class:`Graph`."""
        return Graph(tuple(self._nodes))

    def _append(self, node):
        self._nodes.append(node)
        return len(self._nodes) - 1


def _check_node(nodes, index, node):
    if type(node) not in NODE_TYPES:
        # A verifier that guesses what an unknown layer does is unsound.
        raise ValueError(
            f"Got a node of type {type(node).__name__!r}, but a graph has nodes of "
            f"{[kind.__name__ for kind in NODE_TYPES]} only."
        )
    if index and isinstance(node, Input):
        raise ValueError("A graph has one Input node, at index 0.")
    if any(not 0 <= source < index for source in node.sources):
        raise ValueError(f"Node {index} reads {node.sources}; sources must come before it.")
    if isinstance(node, Conv2d):
        _check_convolution(index, node)
    sizes = [nodes[source].size for source in node.sources]
    expected = {
        Affine: lambda: [node.weight.shape[1]],
        Conv2d: lambda: [math.prod(node.image_shape)],
        Sum: lambda: [node.size] * 2,
    }
    wanted = expected.get(type(node), lambda: [node.size])() if node.sources else []
    if sizes != wanted:
        raise ValueError(
            f"Node {index} ({type(node).__name__}) expects inputs of sizes {wanted}, got {sizes}."
        )
    vectors = {Affine: ("bias",), Conv2d: ("bias",), Clamp: ("lower", "upper")}.get(type(node), ())
    length = node.weight.shape[0] if isinstance(node, Conv2d) else node.size
    if any(tuple(getattr(node, name).shape) != (length,) for name in vectors):
        # Broadcasting would accept a bias of shape (k, 1) and add another one to every row.
        raise ValueError(
            f"Node {index} ({type(node).__name__}) expects {' and '.join(vectors)} of shape ({length},)."
        )
    if isinstance(node, GroupSort) and node.size % node.group:
        raise ValueError(f"GroupSort of {node.group} needs a multiple of it, got {node.size} units.")


def _check_convolution(index, node):
    if len(node.weight.shape) != 4:
        raise ValueError(
            f"Node {index} (Conv2d) expects a weight of shape (out, in, height, width), "
            f"got {tuple(node.weight.shape)}."
        )
    whole = (node.height, node.width, node.stride, node.padding)
    fits = all(type(value) is int for value in whole) and min(node.height, node.width, node.stride) >= 1
    if not fits or node.padding < 0 or min(node.output_shape) < 1 or min(node.weight.shape) < 1:
        raise ValueError(
            f"Node {index} (Conv2d) expects an image at least as large as its kernel, stride >= 1 and "
            f"padding >= 0, all whole numbers; got a kernel {tuple(node.weight.shape)} over images "
            f"{node.image_shape} with stride {node.stride} and padding {node.padding}."
        )
