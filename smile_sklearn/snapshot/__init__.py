"""The network as plain arrays: what is certified, what `predict` reads, what verifiers see."""

from smile_sklearn.snapshot.forward import evaluate, fixed_order_matmul, order_is_fixed
from smile_sklearn.snapshot.graph import (
    Affine,
    Clamp,
    Conv2d,
    Graph,
    GraphBuilder,
    GroupSort,
    Input,
    Sum,
)
from smile_sklearn.snapshot.network import NetworkSnapshot

__all__ = [
    "Affine",
    "Clamp",
    "Conv2d",
    "Graph",
    "GraphBuilder",
    "GroupSort",
    "Input",
    "NetworkSnapshot",
    "Sum",
    "evaluate",
    "fixed_order_matmul",
    "order_is_fixed",
]
