"""The sign-constrained auxiliary."""

import torch
from torch import nn

from smile_sklearn.network.auxiliary import parameter, thirds
from smile_sklearn.network.dense import HiddenAuxiliary


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
