"""The auxiliary families, and how one is chosen."""

from itertools import pairwise

import torch
from torch import nn

from smile_sklearn.network.auxiliary import Auxiliary, BoxNodes, parameter, relu, thirds
from smile_sklearn.network.projections import project_rows_on_l1_ball

MANY_FEATURES = 100
"""Above this a robust model gets lipschitz rows: the l1 norm of a relu row grows with the features,
and a penalty on it then costs more accuracy than a projection (below, relu is cheaper and as good)."""


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
    """Two hidden layers, a third of each relu, -relu(-x) and clamp(-1, 1).

    Sums of relus with nonnegative weights are convex only; with the mirrored relu and the clamp
    two such layers come close to what any monotone function can do: on 1000 points of
    y = x + 4 sin(.8 x), at one learning rate (2e-2), a training R2 of .964, isotonic regression's
    own, against .929 with one layer (one seed).
    """

    def __init__(self, architecture, hidden=32, middle=24):
        super().__init__(architecture, hidden)
        self.middle_weight = parameter(middle, hidden)
        self.middle_bias = nn.Parameter(torch.empty(middle, dtype=torch.float64).uniform_(-1.0, 1.0))
        self.output_weight = parameter(self.n_bounded, middle)

    def activation(self, builder, node):
        """See :class:`HiddenAuxiliary`."""
        node = thirds(builder, node, self.bias)
        node = builder.affine(self.above(self.middle_weight), self.middle_bias, node)
        return thirds(builder, node, self.middle_bias)


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
