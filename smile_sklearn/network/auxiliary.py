"""The auxiliaries lo and hi: small networks that alone carry the proof.

A family writes its layers into a :class:`~smile_sklearn.snapshot.graph.GraphBuilder`, with
*effective* weights: signs and norms are imposed in the weights themselves, so that verifiers
find the structure in the numbers and need not trust how they were trained.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

FREE_CHANNEL_BOUND = 10.0
"""Constant bounds of a free channel: embeddings are of the order of 1 (y standardised)."""

INITIAL_WIDTH = {True: 0.1, False: 1.0}
"""Width of a box at the start: thin boxes spend epsilon (lemma 1), shared ones do not."""


@dataclass(frozen=True)
class BoxNodes:
    """Graph nodes of lo, hi and width (None where lo and hi are free)."""

    lower: int
    upper: int
    width: int | None


class ContextNetwork(nn.Module):
    """``e(x_S)``: a free relu network of the features that the shared properties hold equal."""

    def __init__(self, columns, n_features, sizes=(16, 16)):
        super().__init__()
        mask = torch.zeros(n_features, dtype=torch.float64)
        mask[list(columns)] = 1.0
        self.register_buffer("mask", mask)
        self.layers = nn.ModuleList(
            nn.Linear(first, second, dtype=torch.float64)
            for first, second in zip((n_features, *sizes[:-1]), sizes, strict=True)
        )

    def append_to(self, builder):
        """Append e to the graph and return its node."""
        node = 0
        for index, layer in enumerate(self.layers):
            weight = layer.weight * self.mask if index == 0 else layer.weight
            node = relu(builder, builder.affine(weight, layer.bias, node), layer.bias)
        return node


class Auxiliary(nn.Module):
    """Base of the width-coupled families: ``hi = lo + width`` with ``width >= 0`` by construction.

    Free channels (the first ``n_free`` units) have the constant bounds
    ``[-FREE_CHANNEL_BOUND, FREE_CHANNEL_BOUND]``: their difference is exactly 0, so what h
    computes there costs no epsilon. The others are bounded by :meth:`bounded_units`.

    Parameters
    ----------
    architecture : Architecture
    hidden : int
        Hidden units of the family.
    """

    def __init__(self, architecture, hidden):
        super().__init__()
        self.architecture = architecture
        self.hidden = hidden
        self.n_bounded = architecture.n_latent - architecture.n_free
        signs = torch.as_tensor(architecture.column_signs)
        varying = torch.zeros(architecture.n_features, dtype=torch.bool)
        varying[list(architecture.varying)] = True
        self.register_buffer("constrained", ~torch.isnan(signs))
        self.register_buffer("signs", torch.nan_to_num(signs))
        self.register_buffer("reads", varying.double())
        context = ()
        if architecture.shared_embedding:
            context = tuple(index for index in architecture.reads if not varying[index])
        self.context = ContextNetwork(context, architecture.n_features) if context else None
        start = INITIAL_WIDTH[architecture.thin_boxes]
        # Embeddings start around 0. Where the clip alone joins them with what lo reads, so do the boxes: to
        # the side of all embeddings it would be a constant.
        alone = architecture.n_free and not architecture.shared_embedding
        self.initial_lower = -start / 2 if alone else 0.0
        self.raw_width = nn.Parameter(torch.full((self.n_bounded,), start, dtype=torch.float64))

    def column_weights(self, raw):
        """Impose the architecture's signs on the columns of a first layer."""
        return torch.where(self.constrained, self.signs * raw.abs(), raw) * self.reads

    def above(self, raw):
        """Weights of any later layer: nonnegative once some column is sign-constrained."""
        return raw.abs() if self.architecture.sign_constrained else raw

    def widths(self):
        """Effective width a unit, (n_latent,)."""
        bounded = self.raw_width.abs() * (0.0 if self.architecture.zero_width else 1.0)
        free = torch.full(
            (self.architecture.n_free,), 2 * FREE_CHANNEL_BOUND, dtype=torch.float64, device=bounded.device
        )
        return torch.cat([free, bounded])

    def append_to(self, builder):
        """Append lo, width and hi; return their :class:`BoxNodes`."""
        lower = self.bounded_units(builder)
        widths = self.widths()
        zeros = torch.zeros(
            len(widths), self.architecture.n_features, dtype=torch.float64, device=widths.device
        )
        width = builder.affine(zeros, widths, 0)
        return BoxNodes(lower, builder.sum(lower, width), width)

    def first_layer(self, builder, raw, bias):
        """Append ``A x_V + B e(x_S) + c`` and return its node."""
        if self.context is None:
            return builder.affine(self.column_weights(raw), bias, 0)
        context = self.context.append_to(builder)
        base = builder.affine(self.column_weights(raw), torch.zeros_like(bias), 0)
        return builder.sum(base, builder.affine(self.context_weight, bias, context))

    def bounded_units(self, builder):
        """Append lo for all units, free channels included; return its node."""
        raise NotImplementedError

    def with_free_channels(self, weight, bias):
        """Prepend rows of zeros with the lower end of the free channels."""
        n_free = self.architecture.n_free
        rows = weight.new_zeros(n_free, weight.shape[1])
        ends = bias.new_full((n_free,), -FREE_CHANNEL_BOUND)
        return torch.cat([rows, weight]), torch.cat([ends, bias])

    def _add_context_weight(self, n_units):
        if self.context is not None:
            self.context_weight = parameter(n_units, self.context.layers[-1].out_features)


def parameter(rows, columns):
    """Glorot-uniform weight (rows, columns) in float64."""
    weight = nn.Parameter(torch.empty(rows, columns, dtype=torch.float64))
    nn.init.xavier_uniform_(weight)
    return weight


def relu(builder, node, bias):
    """Append a relu, as the clamp to [0, inf]; ``bias`` gives size, dtype and device."""
    zeros = torch.zeros_like(bias)
    return builder.clamp(zeros, torch.full_like(zeros, math.inf), node)


def thirds(builder, node, bias):
    """Append relu, -relu(-x) and clamp(-1, 1) in turn; ``bias`` gives size, dtype and device."""
    kinds = torch.arange(len(bias), device=bias.device) % 3
    low, high = (bias.new_tensor(ends) for ends in ([0.0, -math.inf, -1.0], [math.inf, 0.0, 1.0]))
    return builder.clamp(low[kinds], high[kinds], node)
