"""The backbone h: a built-in network, or any module of the user's."""

import copy
import warnings
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.forward import evaluate, order_is_fixed
from smile_sklearn.snapshot.graph import Graph, GraphBuilder
from smile_sklearn.snapshot.network import frozen_graph

N_PROBES = 16
"""Random rows on which a user's module must repeat itself before the shared coupling trusts it."""


class MLPBackbone(nn.Module):
    """Relu network ``n_inputs -> hidden_layer_sizes -> n_latent``.

    With no inputs (properties that hold nothing equal) it is a trainable constant.

    Parameters
    ----------
    n_inputs : int
    hidden_layer_sizes : sequence of int
    n_latent : int
    spread : float, default=1.0
        Factor on the initial weights of the last layer.
    """

    def __init__(self, n_inputs, hidden_layer_sizes, n_latent, spread=1.0):
        super().__init__()
        sizes = [n_inputs, *hidden_layer_sizes, n_latent] if n_inputs else [0, n_latent]
        with warnings.catch_warnings():
            # torch warns that a layer of no inputs has nothing to initialise, which is intended.
            warnings.filterwarnings(
                "ignore", message="Initializing zero-element tensors", category=UserWarning
            )
            self.layers = nn.ModuleList(
                nn.Linear(first, second, dtype=torch.float64) for first, second in pairwise(sizes)
            )
        with torch.no_grad():
            self.layers[-1].weight.mul_(spread)
        if not n_inputs:
            nn.init.zeros_(self.layers[0].bias)

    def forward(self, inputs):
        """Return the embedding (n, n_latent) of rows (n, n_inputs)."""
        for layer in self.layers[:-1]:
            inputs = torch.relu(layer(inputs))
        return self.layers[-1](inputs)

    def graph(self):
        """The layers as a numpy graph, for the fixed-order forward pass of ``predict``."""
        builder = GraphBuilder(self.layers[0].in_features)
        node = 0
        for index, layer in enumerate(self.layers):
            node = builder.affine(
                layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy(), node
            )
            if index < len(self.layers) - 1:
                node = builder.clamp(np.zeros(layer.out_features), np.full(layer.out_features, np.inf), node)
        return builder.build()


@dataclass(frozen=True, eq=False)
class ArrayBackbone:
    """A built-in backbone frozen to arrays: equal rows give equal bits in any batch.

    Raises
    ------
    UnsupportedError
        If this machine does not keep the order of summation at the shapes of this backbone.
    """

    graph: Graph
    repeats_bits = True

    def __post_init__(self):
        object.__setattr__(self, "graph", frozen_graph(self.graph))
        if not order_is_fixed(self.graph):
            raise UnsupportedError(
                "On this machine the backbone's forward pass sums a row differently in different batches, "
                "so no certificate can speak of what it computes."
            )

    def __reduce__(self):
        # Through the constructor, so that the arrays of a copy are read-only as well.
        return ArrayBackbone, (self.graph,)

    def __call__(self, inputs):
        """Return the embedding (n, n_latent) of rows (n, n_inputs) in unit coordinates."""
        return evaluate(self.graph, inputs, (len(self.graph) - 1,))[0]


@dataclass(frozen=True, eq=False)
class ModuleBackbone:
    """A user's module in eval mode.

    Parameters
    ----------
    module : nn.Module
        A private float64 copy.
    n_inputs : int
    row_by_row : bool
        The shared coupling needs h(x') = h(x'') bit for bit, and BLAS sums a row differently
        with its place in the batch: rows are then evaluated one at a time.

    Raises
    ------
    UnsupportedError
        If rows are evaluated one at a time and some row's output changes from call to call.
    """

    module: nn.Module
    n_inputs: int
    row_by_row: bool

    def __post_init__(self):
        if not self.row_by_row:
            return
        # No finite test shows that a module is a function of its row; this one finds what users do
        # by accident (dropout that stays on, noise, counters). The rest is trusted, and said.
        rows = np.random.default_rng(0).random((N_PROBES, self.n_inputs))
        if not np.array_equal(self(rows), self(rows[::-1])[::-1], equal_nan=True):
            raise UnsupportedError(
                "Got a backbone whose output for one row changes from call to call in eval mode, but the "
                "shared coupling needs a function of the row. Look for F.dropout without "
                "training=self.training, for noise or for state; or use coupling='box'."
            )

    @property
    def repeats_bits(self):
        """Whether equal rows give equal bits, as the shared coupling asks."""
        return self.row_by_row

    def __call__(self, inputs):
        """Return the embedding (n, n_latent) of rows (n, n_inputs) in unit coordinates."""
        rows = torch.as_tensor(np.ascontiguousarray(inputs))
        self.module.eval()
        with torch.no_grad():
            if self.row_by_row:
                # A copy each: BLAS also sums a row differently with its alignment in memory, and
                # torch aligns what it allocates.
                return torch.cat([self.module(row.clone()[None]) for row in rows]).numpy()
            return self.module(rows).numpy()


def build_backbone(backbone, n_inputs, hidden_layer_sizes, n_latent, spread=1.0):
    """Return the backbone as a float64 module: built in, a user's module, or from a factory.

    ``spread`` is for the built-in one (`MLPBackbone`); a module keeps its own initial weights.

    Raises
    ------
    ValueError
        If the module does not map (n, n_inputs) to (n, n_latent).
    """
    if backbone is None:
        return MLPBackbone(n_inputs, hidden_layer_sizes, n_latent, spread)
    if isinstance(backbone, nn.Module):
        module = copy.deepcopy(backbone)
    elif callable(backbone):
        # A copy: a factory may hand out one module twice, and fit trains it.
        module = copy.deepcopy(backbone(n_inputs, n_latent))
    else:
        raise ValueError(
            f"Got backbone={backbone!r}, expected a torch.nn.Module, "
            "a function (n_inputs, n_latent) -> module, or None."
        )
    if not isinstance(module, nn.Module):
        raise ValueError(f"Got a backbone factory that returns {module!r}, expected a torch.nn.Module.")
    module = module.double()
    module.eval()
    with torch.no_grad():
        shape = tuple(module(torch.full((2, n_inputs), 0.5, dtype=torch.float64)).shape)
    if shape != (2, n_latent):
        raise ValueError(
            f"Got a backbone that maps (2, {n_inputs}) to {shape}, expected (2, {n_latent}): it reads the "
            f"{n_inputs} features that the properties hold equal and returns n_latent={n_latent} units."
        )
    return module


def freeze_backbone(module, n_inputs, *, row_by_row):
    """Return the callable that ``predict`` uses, apart from the module that training changes."""
    if isinstance(module, MLPBackbone):
        return ArrayBackbone(module.graph())
    return ModuleBackbone(copy.deepcopy(module).cpu(), n_inputs, row_by_row)
