"""The auxiliaries lo and hi: small networks that alone carry the proof.

A family writes its layers into a :class:`~smile_sklearn.snapshot.graph.GraphBuilder`, with
*effective* weights: signs and norms are imposed in the weights themselves, so that verifiers
find the structure in the numbers and need not trust how they were trained.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from smile_sklearn.network.projections import project_rows_on_l1_ball

FREE_CHANNEL_BOUND = 10.0
"""Constant bounds of a free channel: embeddings are of the order of 1 (y standardised)."""

INITIAL_WIDTH = {True: 0.1, False: 1.0}
"""Width of a box at the start: thin boxes spend epsilon (lemma 1), shared ones do not."""

MANY_FEATURES = 100
"""Above this a robust model gets lipschitz rows: the l1 norm of a relu row grows with the features,
and a penalty on it then costs more accuracy than a projection (below, relu is cheaper and as good)."""


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
        context = tuple(index for index in architecture.reads if not varying[index])
        self.context = ContextNetwork(context, architecture.n_features) if context else None
        start = INITIAL_WIDTH[architecture.thin_boxes]
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


class AffineAuxiliary(Auxiliary):
    """``lo = A x_V + B e(x_S) + c``: the smallest family, exact under interval bounds."""

    def __init__(self, architecture, hidden=0):
        super().__init__(architecture, hidden)
        self.weight = parameter(self.n_bounded, architecture.n_features)
        self.bias = nn.Parameter(torch.zeros(self.n_bounded, dtype=torch.float64))
        self._add_context_weight(self.n_bounded)

    def bounded_units(self, builder):
        """See :class:`Auxiliary`."""
        node = self.first_layer(builder, self.weight, self.bias)
        if not self.architecture.n_free:
            return node
        identity = torch.eye(self.n_bounded, dtype=torch.float64, device=self.bias.device)
        return builder.affine(*self.with_free_channels(identity, torch.zeros_like(self.bias)), node)


class HiddenAuxiliary(Auxiliary):
    """One hidden layer: ``lo = W2 act(A x_V + B e(x_S) + c) + b``; subclasses choose act."""

    def __init__(self, architecture, hidden=32):
        super().__init__(architecture, hidden)
        self.weight = parameter(hidden, architecture.n_features)
        self.bias = nn.Parameter(torch.empty(hidden, dtype=torch.float64).uniform_(-1.0, 1.0))
        self._add_context_weight(hidden)
        self.output_weight = parameter(self.n_bounded, hidden)
        self.output_bias = nn.Parameter(torch.zeros(self.n_bounded, dtype=torch.float64))

    def bounded_units(self, builder):
        """See :class:`Auxiliary`."""
        node = self.activation(builder, self.first_layer(builder, self.weight, self.bias))
        weight, bias = self.with_free_channels(self.above(self.output_weight), self.output_bias)
        return builder.affine(weight, bias, node)

    def activation(self, builder, node):
        """Append the activation; return its node."""
        raise NotImplementedError


class ReluAuxiliary(HiddenAuxiliary):
    """The paper's family: one hidden relu layer."""

    def activation(self, builder, node):
        """See :class:`HiddenAuxiliary`."""
        return relu(builder, node, self.bias)


class MonotoneAuxiliary(HiddenAuxiliary):
    """A third each of relu, -relu(-x) and clamp(-1, 1), so that nonnegative weights stay expressive.

    Sums of relus with nonnegative weights are convex only; with the mirrored relu and the
    clamp they approximate any monotone function (R2 .51 against .39 with plain relu).
    """

    def activation(self, builder, node):
        """See :class:`HiddenAuxiliary`."""
        kinds = torch.arange(self.hidden, device=self.bias.device) % 3
        low = torch.tensor([0.0, -math.inf, -1.0], dtype=torch.float64, device=self.bias.device)
        high = torch.tensor([math.inf, 0.0, 1.0], dtype=torch.float64, device=self.bias.device)
        return builder.clamp(low[kinds], high[kinds], node)


class LipschitzAuxiliary(Auxiliary):
    """GroupSort network that is 1-Lipschitz in the sup norm weighted by what may differ.

    The first layer has rows with ``sum_i |w_ji| reach_i <= 1``, the others lie in the l1 ball;
    GroupSort is 1-Lipschitz in the sup norm and, unlike relu, loses no gradient. So every unit
    of lo differs by at most 1 over all related pairs, and the head alone says how much that
    is. Rows are *projected* (sparse), not normalised.
    """

    def __init__(self, architecture, hidden=64, group=4):
        super().__init__(architecture, hidden)
        self.group = group
        n_features = architecture.n_features
        reach = torch.as_tensor(architecture.reach)
        # A feature on which nothing may differ has no price: its weights are left free.
        self.register_buffer("unit", torch.where(reach > 0, reach, torch.ones_like(reach)))
        self.register_buffer("priced", reach > 0)
        self.weight = nn.Parameter(torch.randn(hidden, n_features, dtype=torch.float64) * 2 / n_features)
        self.bias = nn.Parameter(torch.zeros(hidden, dtype=torch.float64))
        self._add_context_weight(hidden)
        self.middle_weight = nn.Parameter(torch.randn(hidden, hidden, dtype=torch.float64) * 2 / hidden)
        self.middle_bias = nn.Parameter(torch.zeros(hidden, dtype=torch.float64))
        self.output_weight = nn.Parameter(
            torch.randn(self.n_bounded, hidden, dtype=torch.float64) * 2 / hidden
        )
        self.output_bias = nn.Parameter(torch.zeros(self.n_bounded, dtype=torch.float64))

    def column_weights(self, raw):
        """Signs, and the weighted l1 ball: raw weights are per ``reach``."""
        weight = super().column_weights(raw)
        return torch.where(self.priced, project_rows_on_l1_ball(weight * self.priced) / self.unit, weight)

    def bounded_units(self, builder):
        """See :class:`Auxiliary`."""
        node = builder.group_sort(self.group, self.first_layer(builder, self.weight, self.bias))
        middle = project_rows_on_l1_ball(self.above(self.middle_weight))
        node = builder.group_sort(self.group, builder.affine(middle, self.middle_bias, node))
        weight = project_rows_on_l1_ball(self.above(self.output_weight))
        return builder.affine(*self.with_free_channels(weight, self.output_bias), node)


class FreeAuxiliary(nn.Module):
    """The paper's auxiliaries: lo and hi are separate networks and may flip.

    Parameters
    ----------
    architecture : Architecture
    hidden : int
        Hidden relu units of each; 0 for affine ones.
    """

    def __init__(self, architecture, hidden=4):
        super().__init__()
        self.architecture = architecture
        sizes = [architecture.n_features, *([hidden] if hidden else []), architecture.n_latent]
        self.ends = nn.ModuleList(
            nn.ModuleList(nn.Linear(first, second, dtype=torch.float64) for first, second in pairwise(sizes))
            for _ in range(2)
        )

    def append_to(self, builder):
        """Append lo and hi; return their :class:`BoxNodes` with no width."""
        lower, upper = (self._append_end(builder, layers) for layers in self.ends)
        return BoxNodes(lower, upper, None)

    @staticmethod
    def _append_end(builder, layers):
        node = 0
        for index, layer in enumerate(layers):
            node = builder.affine(layer.weight, layer.bias, node)
            if index < len(layers) - 1:
                node = relu(builder, node, layer.bias)
        return node


FAMILIES = {
    "affine": AffineAuxiliary,
    "relu": ReluAuxiliary,
    "monotone": MonotoneAuxiliary,
    "lipschitz": LipschitzAuxiliary,
}
"""Width-coupled families by the name that ``auxiliary=`` takes."""


def build_auxiliary(auxiliary, architecture):
    """Return the auxiliary asked for: a name of `FAMILIES`, ``"auto"``, or a factory.

    ``"auto"`` is monotone where a sign is required, lipschitz where boxes must be thin
    (robustness) over many features, and relu elsewhere.
    """
    if auxiliary == "auto":
        auxiliary = _family_for(architecture)
    if isinstance(auxiliary, str):
        if auxiliary not in FAMILIES:
            raise ValueError(f"Got auxiliary={auxiliary!r}, expected 'auto' or one of {sorted(FAMILIES)}.")
        return FAMILIES[auxiliary](architecture)
    if callable(auxiliary):
        return auxiliary(architecture)
    raise ValueError(
        f"Got auxiliary={auxiliary!r}, expected a family name or a function of the Architecture."
    )


def _family_for(architecture):
    if architecture.sign_constrained:
        return "monotone"
    if architecture.thin_boxes and architecture.n_features > MANY_FEATURES:
        return "lipschitz"
    return "relu"


def parameter(rows, columns):
    """Glorot-uniform weight (rows, columns) in float64."""
    weight = nn.Parameter(torch.empty(rows, columns, dtype=torch.float64))
    nn.init.xavier_uniform_(weight)
    return weight


def relu(builder, node, bias):
    """Append a relu, as the clamp to [0, inf]; ``bias`` gives size, dtype and device."""
    zeros = torch.zeros_like(bias)
    return builder.clamp(zeros, torch.full_like(zeros, math.inf), node)
