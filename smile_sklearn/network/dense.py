"""Auxiliaries of affine and of relu layers."""

import torch
from torch import nn

from smile_sklearn.network.auxiliary import Auxiliary, parameter, relu


class AffineAuxiliary(Auxiliary):
    """``lo = A x_V + B e(x_S) + c``: the smallest family, exact under interval bounds."""

    def __init__(self, architecture, hidden=0):
        super().__init__(architecture, hidden)
        self.weight = parameter(self.n_bounded, architecture.n_features)
        self.bias = nn.Parameter(torch.full((self.n_bounded,), self.initial_lower, dtype=torch.float64))
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
        self.output_bias = nn.Parameter(
            torch.full((self.n_bounded,), self.initial_lower, dtype=torch.float64)
        )

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
