"""The sign-constrained auxiliary."""

import torch
from torch import nn

from smile_sklearn.network.auxiliary import parameter, thirds
from smile_sklearn.network.dense import HiddenAuxiliary

INITIAL_RANGE = 1.0
"""How far a first-layer unit moves over the box of the features it reads, on average, at the start:
half the span of the clamp."""


class MonotoneAuxiliary(HiddenAuxiliary):
    """Two hidden layers, a third of each relu, -relu(-x) and clamp(-1, 1).

    Sums of relus with nonnegative weights are convex only; with the mirrored relu and the clamp
    two such layers come close to what any monotone function can do.

    What they reach depends on where the kinks start. A unit whose kink lies outside of the domain
    is linear or dead there, and nonnegative weights cannot combine two of them into a new kink; so
    the kinks of each kind of first-layer unit start spread evenly over the box. On y = x + 4 sin(.8 x)
    that brings the training R2 at the default learning rate from .0145 below isotonic regression's to
    .0005 below it (seed 0; benchmarks/paper/monotonicity.py has all nine tasks).
    """

    def __init__(self, architecture, hidden=32, middle=24):
        super().__init__(architecture, hidden)
        self._spread_kinks()
        self.middle_weight = parameter(middle, hidden)
        self.middle_bias = nn.Parameter(torch.empty(middle, dtype=torch.float64).uniform_(-1.0, 1.0))
        self.output_weight = parameter(self.n_bounded, middle)

    def activation(self, builder, node):
        """See :class:`HiddenAuxiliary`."""
        node = thirds(builder, node, self.bias)
        node = builder.affine(self.above(self.middle_weight), self.middle_bias, node)
        return thirds(builder, node, self.middle_bias)

    @torch.no_grad()
    def _spread_kinks(self):
        """Draw the first layer with ``c = -A u``, u in the unit box of the inputs."""
        n_read = float(self.column_weights(torch.ones_like(self.weight[:1])).abs().sum())
        largest = 2.0 * INITIAL_RANGE / max(n_read, 1.0)
        self.weight.uniform_(-largest, largest)
        self.bias.copy_(-(self.column_weights(self.weight) * _spread_points(self.weight)).sum(dim=1))


def _spread_points(like):
    """A point of the unit box for every unit, those of one kind of `thirds` stratified in every feature."""
    points = torch.empty_like(like)
    for kind in range(3):
        chosen = points[kind::3]
        ranks = torch.rand_like(chosen).argsort(dim=0)
        points[kind::3] = (ranks + torch.rand_like(chosen)) / max(len(chosen), 1)
    return points
