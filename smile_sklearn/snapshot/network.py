"""NetworkSnapshot: what is certified, as plain read-only float64 arrays."""

import hashlib
import json
from dataclasses import dataclass, replace

import numpy as np

from smile_sklearn.exceptions import CertificateError
from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.snapshot.forward import evaluate, fixed_order_matmul, order_is_fixed
from smile_sklearn.snapshot.graph import Affine, Clamp, Conv2d, Graph, GroupSort, Input, Sum
from smile_sklearn.snapshot.lowering import lowered_graph

FORMAT = "smile_sklearn.snapshot/1"
"""Name and version of the file format; a reader refuses any other."""

_FIELDS = {
    Input: ("size",),
    Affine: ("source",),
    Conv2d: ("height", "width", "stride", "padding", "source"),
    Clamp: ("source",),
    GroupSort: ("group", "size", "source"),
    Sum: ("first", "second", "size"),
}
_ARRAYS = {
    Input: (),
    Affine: ("weight", "bias"),
    Conv2d: ("weight", "bias"),
    Clamp: ("lower", "upper"),
    GroupSort: (),
    Sum: (),
}
_KINDS = {kind.__name__: kind for kind in _FIELDS}


@dataclass(frozen=True, eq=False)
class NetworkSnapshot:
    """The certified part of a network: auxiliaries, clip and head, without the backbone.

    ``f(x) = W clip(h(x); lo(x), hi(x)) + b`` with ``clip(z; l, u) = max(l, min(u, z))``
    (paper, eq. 3-4). Whatever ``h`` computes, ``f`` is fenced by what is stored here.

    Parameters
    ----------
    graph : Graph
        Nodes of both auxiliaries over the inputs in unit coordinates.
    lower, upper : int
        Nodes of ``lo`` and ``hi``, each of size n_latent.
    width : int or None
        Node with ``hi = lo + width`` and ``width >= 0`` on the domain; ``None`` where lo and
        hi are free and may flip (then the upper end of the box is ``max(lo, hi)``).
    head_weight : ndarray of shape (n_outputs, n_latent)
        Units of the target (a logit for classifiers); the standardisation of y is folded in.
    head_bias : ndarray of shape (n_outputs,)
    reads : tuple of int
        Features that the backbone reads: a structural fact that the shared coupling uses.
    domain : InputDomain
        Box, integers and groups in raw units; its widths are the input scaling.
    """

    graph: Graph
    lower: int
    upper: int
    width: int | None
    head_weight: np.ndarray
    head_bias: np.ndarray
    reads: tuple
    domain: InputDomain

    def __post_init__(self):
        object.__setattr__(self, "graph", frozen_graph(self.graph))
        object.__setattr__(self, "head_weight", _frozen(self.head_weight))
        object.__setattr__(self, "head_bias", _frozen(self.head_bias))
        object.__setattr__(self, "reads", tuple(sorted(int(index) for index in self.reads)))
        self._check_shapes()

    def __reduce__(self):
        # Through the constructor, so that the arrays of a copy are read-only as well.
        return NetworkSnapshot, tuple(getattr(self, name) for name in self.__dataclass_fields__)

    @property
    def n_features(self):
        """Number of input features."""
        return self.graph.nodes[0].size

    @property
    def n_latent(self):
        """Number of latent units."""
        return self.head_weight.shape[1]

    @property
    def n_outputs(self):
        """Number of outputs: 1, or one logit a class."""
        return self.head_weight.shape[0]

    @property
    def digest(self):
        """SHA-256 (hex) of everything stored here, recomputed at every access."""
        header, arrays = self._serialise()
        digest = hashlib.sha256(header.encode())
        for array in arrays:
            digest.update(repr(array.shape).encode())
            digest.update(array.astype("<f8", order="C").tobytes())
        return digest.hexdigest()

    def lowered(self):
        """The same network with convolutions as dense affine nodes: what verifiers read.

        Its graph is the same real function, node by node. ``predict``, the self-test of the summation
        order and the digest are those of the network itself.
        """
        graph = lowered_graph(self.graph)
        return self if graph is self.graph else replace(self, graph=graph)

    def bounds(self, inputs):
        """Return ``lo`` and ``hi`` at rows in unit coordinates, each (n, n_latent)."""
        lower, upper = evaluate(self.graph, inputs, (self.lower, self.upper))
        return lower, upper

    def forward(self, inputs, embedding):
        """Return the output (n, n_outputs) of rows in unit coordinates."""
        return self.head(self.clip(*self.bounds(inputs), embedding))

    @staticmethod
    def clip(lower, upper, embedding):
        """Return ``max(lo, min(hi, z))``, elementwise.

        A NaN in the embedding becomes ``lo``: the box then contains the result whatever the
        backbone did (``np.fmin`` would give ``hi``, also inside, but lo is what we state).
        """
        clipped = np.maximum(lower, np.minimum(upper, embedding))
        return np.where(np.isnan(embedding), lower, clipped)

    def head(self, latent):
        """Return ``W latent + b`` in the fixed order of summation, (n, n_outputs)."""
        return fixed_order_matmul(latent, self.head_weight) + self.head_bias

    def margins(self):
        """Rows ``w`` of the quantities a property speaks of, (n_margins, n_latent).

        One output: the head itself. Several: ``W_j - W_k`` for all j < k, in the order of
        :meth:`margin_pairs`. A margin is bounded through its own row, never as U_j - L_k.
        """
        if self.n_outputs == 1:
            return self.head_weight
        first, second = self.margin_pairs()
        return self.head_weight[first] - self.head_weight[second]

    def margin_pairs(self):
        """Index arrays (j, k), j < k, of the margins of several outputs."""
        return np.triu_indices(self.n_outputs, k=1)

    def order_is_fixed(self):
        """Whether this machine sums each row of every layer in one fixed order."""
        head = Graph((Input(self.n_latent), Affine(self.head_weight, self.head_bias, 0)))
        return order_is_fixed(self.graph) and order_is_fixed(head)

    def save(self, path):
        """Write a plain ``.npz`` (no pickle) that ``smile_sklearn.check`` can read."""
        header, arrays = self._serialise()
        named = {f"array_{index}": array for index, array in enumerate(arrays)}
        np.savez(path, header=np.array(header), **named)

    @classmethod
    def load(cls, path):
        """Read a snapshot written by :meth:`save`.

        Raises
        ------
        CertificateError
            If the file is not a snapshot of this format.
        """
        with np.load(path, allow_pickle=False) as archive:
            if "header" not in archive:
                raise CertificateError(
                    f"Got {path!s}, which has no snapshot header; write it with snapshot_.save()."
                )
            header = json.loads(str(archive["header"]))
            if header.get("format") != FORMAT:
                raise CertificateError(f"Got format {header.get('format')!r}, expected {FORMAT!r}.")
            arrays = iter(_stored_arrays(archive, header["n_arrays"]))
        nodes = []
        for kind_name, fields in header["nodes"]:
            kind = _KINDS[kind_name]
            _check_whole(fields.values(), f"{kind_name} node")
            nodes.append(kind(**fields, **{name: next(arrays) for name in _ARRAYS[kind]}))
        _check_whole([header["lower"], header["upper"], *header["reads"]], "list of ends and features")
        _check_whole([] if header["width"] is None else [header["width"]], "width")
        snapshot = cls(
            graph=Graph(tuple(nodes)),
            lower=header["lower"],
            upper=header["upper"],
            width=header["width"],
            head_weight=next(arrays),
            head_bias=next(arrays),
            reads=tuple(header["reads"]),
            domain=InputDomain.from_dict(header["domain"]),
        )
        if snapshot._serialise()[0] != json.dumps(header, sort_keys=True):
            # The digest covers the header that would be written, so it must be the one that was read.
            raise CertificateError(f"Got {path!s}, whose header is not as snapshot_.save() writes it.")
        return snapshot

    def _serialise(self):
        """Canonical JSON header and the list of arrays: one form for file and digest."""
        arrays = [getattr(node, name) for node in self.graph.nodes for name in _ARRAYS[type(node)]]
        arrays += [self.head_weight, self.head_bias]
        header = {
            "format": FORMAT,
            "nodes": [
                [type(node).__name__, {name: int(getattr(node, name)) for name in _FIELDS[type(node)]}]
                for node in self.graph.nodes
            ],
            "lower": self.lower,
            "upper": self.upper,
            "width": self.width,
            "reads": list(self.reads),
            "domain": self.domain.to_dict(),
            "n_arrays": len(arrays),
        }
        return json.dumps(header, sort_keys=True), arrays

    def _check_shapes(self):
        nodes, n_latent = self.graph.nodes, self.head_weight.shape[1]
        if self.domain.n_features != nodes[0].size:
            raise ValueError(f"Got a domain of {self.domain.n_features} features for {nodes[0].size} inputs.")
        ends = [self.lower, self.upper] + ([] if self.width is None else [self.width])
        if any(nodes[end].size != n_latent for end in ends):
            raise ValueError(f"lower, upper and width must have {n_latent} units, as the head reads.")
        if self.head_bias.shape != (self.head_weight.shape[0],):
            raise ValueError(
                f"Got a head bias of shape {self.head_bias.shape} for weights {self.head_weight.shape}."
            )
        clamps = {index: node for index, node in enumerate(nodes) if isinstance(node, Clamp)}
        crossed = [index for index, node in clamps.items() if not (node.lower <= node.upper).all()]
        if crossed:
            # min(max(x, lower), upper) would be the constant upper; no bound is made for that, nor for NaN.
            raise ValueError(f"Got the clamps {crossed} with lower > upper, expected lower <= upper.")
        if self.width is not None:
            upper = nodes[self.upper]
            if not isinstance(upper, Sum) or (upper.first, upper.second) != (self.lower, self.width):
                # The box bound composes w with lo's last layer on the strength of hi = lo + width.
                raise ValueError("With a width, the upper node must be Sum(lower, width).")


def _stored_arrays(archive, n_arrays):
    _check_whole([n_arrays], "number of arrays")
    arrays = [archive[f"array_{index}"] for index in range(n_arrays)]
    alien = {str(array.dtype) for array in arrays if array.dtype.kind != "f" or array.dtype.itemsize != 8}
    if alien or len(archive.files) != n_arrays + 1:
        raise CertificateError(
            f"Got {len(archive.files) - 1} arrays, not of float64: {sorted(alien)}; "
            f"expected {n_arrays} of float64."
        )
    return arrays


def _check_whole(values, what):
    # 2.0 and true would pass for 2 and 1, and the digest would not tell them apart.
    if not all(type(value) is int for value in values):
        raise CertificateError(f"Got a {what} with {list(values)}, expected whole numbers.")


def frozen_graph(graph):
    """Copy a numpy graph into read-only float64 arrays."""
    return Graph(tuple(_frozen_node(node) for node in graph.nodes))


def _frozen(array):
    array = np.array(array, dtype=np.float64, order="C")
    array.setflags(write=False)
    return array


def _frozen_node(node):
    return replace(node, **{name: _frozen(getattr(node, name)) for name in _ARRAYS[type(node)]})
