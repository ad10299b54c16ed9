"""V of given pairs in torch: the differentiable twin of ``verification.formulations.value``."""

from typing import NamedTuple

import torch

from smile_sklearn.network.evaluate import evaluate
from smile_sklearn.training.bounds import margin_rows
from smile_sklearn.verification.sides import epsilon_of, sides


class Pairs(NamedTuple):
    """Related pairs in unit coordinates, (n, n_features) each."""

    first: torch.Tensor
    second: torch.Tensor


class EnvelopeMeasure:
    r"""``V(x', x'') - epsilon`` of many pairs, all sides and margins of a goal in one pass.

    .. math:: V = \sum_i w^+_i up_i + w^-_i dn_i

    with ``up`` and ``dn`` of the goal's coupling (box or shared), which bound ``z' - z''`` from above and
    below. The exchanged side has the row -w and the same pair.

    Parameters
    ----------
    goal : Goal
    device : str
    """

    def __init__(self, goal, device="cpu"):
        self.coupling = goal.coupling
        self.signs = torch.tensor(sides(goal.relation), dtype=torch.float64, device=device)
        epsilons = [epsilon_of(goal, sign) for sign in sides(goal.relation)]
        self.epsilons = torch.tensor(epsilons, dtype=torch.float64, device=device)

    def violations(self, network, box, pairs):
        """Return ``V - epsilon`` of each pair's worst side and margin, (n,), in network units.

        Parameters
        ----------
        network : SMiLENetwork
        box : tuple of Graph and BoxNodes
            ``network.auxiliary_graph()``.
        pairs : Pairs
        """
        graph, nodes = box
        n_pairs = len(pairs.first)
        lower, upper = evaluate(graph, torch.cat(pairs), (nodes.lower, nodes.upper))
        ends = (lower[:n_pairs], upper[:n_pairs], lower[n_pairs:], upper[n_pairs:])
        up, down = {"box": _box_moves, "shared": _shared_moves}[self.coupling](*ends)
        margins = margin_rows(network.head_weight)
        # (sides, margins): every side of R asks every margin.
        rows = (self.signs[:, None, None] * margins).flatten(0, 1)
        values = up @ torch.relu(rows).T - down @ torch.relu(-rows).T
        return (values - self.epsilons.repeat_interleave(len(margins))).amax(dim=1)


def _box_moves(lower, upper, lower_second, upper_second):
    """Largest and least ``z' - z''`` of two points of two boxes."""
    return torch.maximum(lower, upper) - lower_second, lower - torch.maximum(lower_second, upper_second)


def _shared_moves(lower, upper, lower_second, upper_second):
    """Largest and least ``z' - z''`` of one embedding clipped by two boxes (lemma 2)."""
    low, high = lower - lower_second, upper - upper_second
    return torch.relu(torch.maximum(low, high)), -torch.relu(-torch.minimum(low, high))
