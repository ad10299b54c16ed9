"""What training calls a violation: strategies that a method chooses from."""

from abc import ABC, abstractmethod

import torch

from smile_sklearn.training.bounds import DifferenceMeasure


class ViolationMeasure(ABC):
    """Signed violations of the goals, differentiable in the certified parameters.

    Attributes
    ----------
    calls, seconds, timeouts : int, float, int
        Searches for counterexamples so far, their wall time, and how many the wall-clock guard cut short.
    """

    calls = 0
    seconds = 0.0
    timeouts = 0

    def before_step(self, network):
        """Look for counterexamples where the strategy needs any; called before every step."""

    def counterexamples(self, output_scale):
        """Pairs found that broke a property, as ``EnvelopeCounterexample``; none where none are kept."""
        return []

    @abstractmethod
    def violations(self, network, box=None):
        """Return a tensor (n_goals,): positive where a goal is violated.

        Parameters
        ----------
        network : SMiLENetwork
        box : tuple of Graph and BoxNodes, default=None
            ``network.auxiliary_graph()``, if at hand.
        """


class BoundViolation(ViolationMeasure):
    """Relative excess of the difference bounds: ``(bound - epsilon) / epsilon``.

    An upper bound of the violation, so that driving it to 0 ends in a proof.

    Parameters
    ----------
    goals : sequence of Goal
        Tightened ones, so that the slack of the final proof fits in.
    device : str
    """

    def __init__(self, goals, device="cpu"):
        self.goals = tuple(goals)
        self.measures = [DifferenceMeasure(goal.relation, goal.coupling, device) for goal in self.goals]

    def violations(self, network, box=None):
        """See :class:`ViolationMeasure`."""
        box = box or network.auxiliary_graph()
        values = [
            self._one(goal, *measure.bounds(network, box))
            for goal, measure in zip(self.goals, self.measures, strict=True)
        ]
        return torch.stack(values) if values else torch.zeros(0, dtype=torch.float64)

    @staticmethod
    def _one(goal, upper, lower):
        sides = []
        if goal.epsilon_upper < float("inf"):
            sides.append(upper - goal.epsilon_upper)
        if goal.epsilon_lower > -float("inf"):
            sides.append(lower + goal.epsilon_lower)
        return torch.stack(sides).max() / goal.scale


class PoolViolation(ViolationMeasure):
    """Relative excess of V at the worst pair of a pool: a lower bound of the violation.

    Parameters
    ----------
    search : PoolSearch
        Of pools whose goals are tightened.
    """

    def __init__(self, search):
        self.search = search

    @property
    def calls(self):
        """Searches so far."""
        return self.search.calls

    @property
    def seconds(self):
        """Their wall time."""
        return self.search.seconds

    def before_step(self, network):
        """See :class:`ViolationMeasure`."""
        self.search.step()

    def counterexamples(self, output_scale):
        """See :class:`ViolationMeasure`."""
        return [pair for pool in self.search.pools for pair in pool.counterexamples(output_scale)]

    def violations(self, network, box=None):
        """See :class:`ViolationMeasure`."""
        box = box or network.auxiliary_graph()
        values = [pool.violation(network, box) for pool in self.search.pools]
        return torch.stack(values) if values else torch.zeros(0, dtype=torch.float64)


class MixedViolation(ViolationMeasure):
    r"""Between the two: ``(1 - alpha) lower + alpha upper``, with one gradient.

    What MTL-IBP does to a loss between an attack and interval bounds, done to the violation of
    a global property. ``0 < alpha < 1``: at the ends one of the two is not needed.

    Parameters
    ----------
    lower : PoolViolation
    upper : BoundViolation
    alpha : float
    """

    def __init__(self, lower, upper, alpha):
        self.lower, self.upper, self.alpha = lower, upper, alpha

    @property
    def calls(self):
        """Searches so far."""
        return self.lower.calls

    @property
    def seconds(self):
        """Their wall time."""
        return self.lower.seconds

    def before_step(self, network):
        """See :class:`ViolationMeasure`."""
        self.lower.before_step(network)

    def counterexamples(self, output_scale):
        """See :class:`ViolationMeasure`."""
        return self.lower.counterexamples(output_scale)

    def violations(self, network, box=None):
        """See :class:`ViolationMeasure`."""
        box = box or network.auxiliary_graph()
        lower, upper = (side.violations(network, box) for side in (self.lower, self.upper))
        return torch.lerp(lower, upper, self.alpha)
