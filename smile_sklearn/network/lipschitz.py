"""The norm-constrained auxiliary."""

from itertools import pairwise

import torch
from torch import nn

from smile_sklearn.network.auxiliary import Auxiliary
from smile_sklearn.network.projections import L1BallProjection


class LipschitzAuxiliary(Auxiliary):
    """GroupSort network that is 1-Lipschitz in the sup norm weighted by what may differ.

    The first layer has rows with ``sum_i |w_ji| reach_i <= 1``, the others lie in the l1 ball;
    GroupSort is 1-Lipschitz in the sup norm and, unlike relu, loses no gradient. So every unit
    of lo differs by at most 1 over all related pairs, and the head alone says how much that
    is. Rows are *projected* (sparse), not normalised.

    Parameters
    ----------
    architecture : Architecture
    hidden : int or tuple of int, default=(64, 64)
        Units of each hidden layer, multiples of ``group``; one int: two layers of so many.
    group : int, default=4
        Units that are sorted together. Images want large groups: 16 of 256 units.
    """

    def __init__(self, architecture, hidden=(64, 64), group=4):
        sizes = (hidden, hidden) if isinstance(hidden, int) else tuple(hidden)
        if not sizes or any(size <= 0 or size % group for size in sizes):
            raise ValueError(
                f"Got hidden={hidden!r} with group={group}, expected positive multiples of the group."
            )
        super().__init__(architecture, sizes)
        self.group = group
        n_features = architecture.n_features
        reach = torch.as_tensor(architecture.reach)
        # A feature on which nothing may differ has no price: its weights are left free.
        self.register_buffer("unit", torch.where(reach > 0, reach, torch.ones_like(reach)))
        self.register_buffer("priced", reach > 0)
        # A unit computes in multiples of the reach. Its bias is trained in those of the inputs: a step
        # of the optimiser is then as large as the threshold it moves, whatever delta is.
        self.register_buffer("scale", 1.0 / self.unit.max())
        self.weight = _rows(sizes[0], n_features)
        self.bias = nn.Parameter(torch.zeros(sizes[0], dtype=torch.float64))
        self._add_context_weight(sizes[0])
        self.middle_weights = nn.ParameterList(_rows(after, before) for before, after in pairwise(sizes))
        self.middle_biases = nn.ParameterList(
            nn.Parameter(torch.zeros(size, dtype=torch.float64)) for size in sizes[1:]
        )
        self.output_weight = _rows(self.n_bounded, sizes[-1])
        self.output_bias = nn.Parameter(torch.zeros(self.n_bounded, dtype=torch.float64))
        # Every feature is read, costs, and may have any sign: as for images.
        self._plain = bool((self.priced & ~self.constrained & (self.reads > 0)).all())
        self._project = [L1BallProjection() for _ in range(len(sizes) + 1)]

    def column_weights(self, raw):
        """Signs, and the weighted l1 ball: raw weights are per ``reach``."""
        if self._plain:
            return self._project[0](raw) / self.unit
        weight = super().column_weights(raw)
        inside = self._project[0](weight * self.priced) / self.unit
        return torch.where(self.priced, inside, weight)

    def bounded_units(self, builder):
        """See :class:`Auxiliary`."""
        node = self.first_layer(builder, self.weight, self.bias * self.scale)
        node = builder.group_sort(self.group, node)
        middle = zip(self._project[1:-1], self.middle_weights, self.middle_biases, strict=True)
        for project, raw, bias in middle:
            weight = project(self.above(raw))
            node = builder.group_sort(self.group, builder.affine(weight, bias * self.scale, node))
        weight = self._project[-1](self.above(self.output_weight))
        return builder.affine(*self.with_free_channels(weight, self.output_bias * self.scale), node)


def _rows(n_rows, n_columns):
    """Initial rows, somewhat outside the l1 ball: their projection is sparse from the first step."""
    return nn.Parameter(torch.randn(n_rows, n_columns, dtype=torch.float64) * 2 / n_columns)
