"""The SMiLE module: backbone, auxiliaries, clip, linear head (paper, eq. 3-4)."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn

from smile_sklearn.network.auxiliary import parameter
from smile_sklearn.network.evaluate import evaluate
from smile_sklearn.snapshot.graph import Graph, GraphBuilder
from smile_sklearn.snapshot.network import NetworkSnapshot


class Components(NamedTuple):
    """Everything the training losses read of one forward pass; outputs (n, n_outputs).

    ``box``, the auxiliaries' graph and :class:`BoxNodes`, is here so that a step writes it once.
    """

    output: torch.Tensor
    embedding: torch.Tensor
    lower: torch.Tensor
    upper: torch.Tensor
    box: tuple | None = None


class SMiLENetwork(nn.Module):
    """``f(x) = W clip(h(x_S); lo(x), hi(x)) + b`` in unit coordinates of x and standardised y.

    Parameters
    ----------
    architecture : Architecture
    backbone, auxiliary : nn.Module
        See `build_backbone` and `build_auxiliary`.
    """

    def __init__(self, architecture, backbone, auxiliary):
        super().__init__()
        self.architecture = architecture
        self.backbone = backbone
        self.auxiliary = auxiliary
        self.raw_head = parameter(architecture.n_outputs, architecture.n_latent)
        self.head_bias = nn.Parameter(torch.zeros(architecture.n_outputs, dtype=torch.float64))
        self.register_buffer("columns", torch.as_tensor(architecture.reads, dtype=torch.long))

    @property
    def head_weight(self):
        """Effective head: nonnegative where a zero side of R asks for signs."""
        return self.raw_head.abs() if self.architecture.sign_constrained else self.raw_head

    def auxiliary_graph(self):
        """The auxiliaries as a graph of torch tensors, and its :class:`BoxNodes`."""
        builder = GraphBuilder(self.architecture.n_features)
        nodes = self.auxiliary.append_to(builder)
        return builder.build(), nodes

    def forward(self, inputs):
        """Return the :class:`Components` at rows (n, n_features)."""
        box = graph, nodes = self.auxiliary_graph()
        lower, upper = evaluate(graph, inputs, (nodes.lower, nodes.upper))
        embedding = self.backbone(inputs[:, self.columns])
        # clip(z; l, u) = max(l, min(u, z)): where the ends flip, lo wins.
        latent = torch.maximum(lower, torch.minimum(upper, embedding))
        return Components(self.head(latent), embedding, lower, upper, box)

    def head(self, latent):
        """Return ``W latent + b``."""
        return nn.functional.linear(latent, self.head_weight, self.head_bias)

    def certified_parameters(self):
        """Parameters of lo, hi and g: those the certificate depends on."""
        return [*self.auxiliary.parameters(), self.raw_head, self.head_bias]

    def snapshot(self, domain, *, output_scale=1.0, output_shift=0.0):
        """Write the effective weights out as a :class:`NetworkSnapshot`.

        The standardisation of y is folded into the head: ``f = scale (W z + b) + shift``.
        """
        with torch.no_grad():
            graph, nodes = self.auxiliary_graph()
            return NetworkSnapshot(
                graph=to_numpy(graph),
                lower=nodes.lower,
                upper=nodes.upper,
                width=nodes.width,
                head_weight=self.head_weight.cpu().numpy() * output_scale,
                head_bias=self.head_bias.cpu().numpy() * output_scale + output_shift,
                reads=self.architecture.reads,
                domain=domain,
            )


def to_numpy(graph):
    """Copy a graph of torch tensors into one of numpy arrays."""
    nodes = []
    for node in graph.nodes:
        tensors = {name: value for name, value in vars(node).items() if isinstance(value, torch.Tensor)}
        nodes.append(replace(node, **{name: _array(tensor) for name, tensor in tensors.items()}))
    return Graph(tuple(nodes))


def _array(tensor):
    return tensor.detach().cpu().numpy().copy()
