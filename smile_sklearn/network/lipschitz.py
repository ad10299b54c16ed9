"""The norm-constrained auxiliary."""

import torch
from torch import nn

from smile_sklearn.network.auxiliary import Auxiliary
from smile_sklearn.network.projections import project_rows_on_l1_ball


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
