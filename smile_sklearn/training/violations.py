"""What training calls a violation: strategies that a method chooses from."""

from abc import ABC, abstractmethod

import torch

from smile_sklearn.training.bounds import DifferenceMeasure
from smile_sklearn.training.state import tighten


class ViolationMeasure(ABC):
    """Signed violations of the goals, differentiable in the certified parameters.

    Attributes
    ----------
    calls, seconds, timeouts : int, float, int
        Generator calls so far, their wall time, and how many the wall-clock guard cut short.
    """

    calls = 0
    seconds = 0.0
    timeouts = 0

    def before_step(self, network):
        """Look for counterexamples where the strategy needs any; called before every step."""

    @abstractmethod
    def violations(self, network):
        """Return a tensor (n_goals,): positive where a goal is violated."""


class BoundViolation(ViolationMeasure):
    """Relative excess of the difference bounds: ``(bound - epsilon) / epsilon``.

    An upper bound of the violation, so that driving it to 0 ends in a proof.

    Parameters
    ----------
    goals : sequence of Goal
    margin : float
        Share of epsilon kept in hand for the slack of the final proof.
    device : str
    """

    def __init__(self, goals, margin=1e-3, device="cpu"):
        self.goals = tuple(tighten(goal, margin) for goal in goals)
        self.measures = [DifferenceMeasure(goal.relation, goal.coupling, device) for goal in self.goals]

    def violations(self, network):
        """See :class:`ViolationMeasure`."""
        values = [
            self._one(goal, measure, network) for goal, measure in zip(self.goals, self.measures, strict=True)
        ]
        return torch.stack(values) if values else torch.zeros(0, dtype=torch.float64)

    def _one(self, goal, measure, network):
        upper, lower = measure.bounds(network)
        sides = []
        if goal.epsilon_upper < float("inf"):
            sides.append(upper - goal.epsilon_upper)
        if goal.epsilon_lower > -float("inf"):
            sides.append(lower + goal.epsilon_lower)
        return torch.stack(sides).max() / goal.scale
