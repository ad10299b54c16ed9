"""The auxiliaries of the paper: two networks, free to cross."""

from itertools import pairwise

import torch
from torch import nn

from smile_sklearn.network.auxiliary import BoxNodes, relu


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
