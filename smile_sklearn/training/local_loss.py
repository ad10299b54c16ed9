"""Local training: the loss at the worst output that an input related to a training row may have.

The differentiable twin of ``verification.local``: interval bounds of the auxiliaries over the
neighbourhoods of a batch, box coupling (any backbone), the head composed with lo's last layer. Nothing is
rounded outward here; what certifies a row re-proves it from the snapshot.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.network.evaluate import clamp, convolve
from smile_sklearn.snapshot.graph import Affine, Clamp, Conv2d, GroupSort, Input, Sum
from smile_sklearn.verification.intervals import input_range


@dataclass(frozen=True)
class LocalTraining:
    r"""How properties without a global claim are trained (``GloballyRobust(delta, None)``).

    With t the share of training steps done and s = min(1, t / ramp), a step minimises

    .. math:: (1 - s (1 - c)) \, L(f(x), y) + s (1 - c) \, L(f_{worst}(x), y)

    c the ``point_weight``, L the loss of the estimator, and the worst output that of the inputs
    within s times ``reach`` times delta of x: of a classifier the one that favours each other class
    most, of a regressor the end of the interval that is farther from y.

    Parameters
    ----------
    point_weight : float, default=0.3
        Weight of the loss at the rows themselves once the ramp is over.
    reach : float, default=1.1
        Multiple of delta that is trained for: a little more than what will be asked.
    ramp : float, default=0.4
        Share of the steps over which delta grows from 0. 0: full size at once.
    """

    point_weight: float = 0.3
    reach: float = 1.1
    ramp: float = 0.4

    def __post_init__(self):
        if not (0 <= self.point_weight <= 1 and self.reach > 0 and 0 <= self.ramp <= 1):
            raise ValueError(
                f"Got {self!r}, expected point_weight and ramp between 0 and 1, and reach above 0."
            )

    def share(self, progress):
        """How far the ramp is done, in [0, 1]."""
        return 1.0 if progress >= self.ramp else progress / self.ramp


class LocalLoss:
    """What training minimises beside the global properties: ``loss`` at the rows and at worst outputs.

    Parameters
    ----------
    loss : callable
        ``loss(output, targets, weights) -> scalar``.
    premises : sequence of Premise
        Which inputs are related to a row; the losses of several are averaged.
    training : LocalTraining
    worst : callable
        `worst_logit`, `worst_logits` or `worst_prediction`.
    device : torch.device or str
    """

    def __init__(self, loss, premises, training, worst, device="cpu"):
        self.loss, self.training, self.worst = loss, training, worst
        self.regions = tuple(RowRegions.of(premise, device) for premise in premises)

    def __call__(self, network, inputs, components, targets, weights, progress):
        """Return the loss of one batch; ``progress`` in [0, 1) is the share of training steps done."""
        share = self.training.share(progress)
        robust = share * (1.0 - self.training.point_weight)
        total = (1.0 - robust) * self.loss(components.output, targets, weights)
        box = components.box or network.auxiliary_graph()
        for region in self.regions:
            low, high = region.around(inputs, share * self.training.reach)
            bounds = OutputBounds(network, box, low, high)
            found = self.loss(self.worst(bounds, targets), targets, weights)
            total = total + robust / len(self.regions) * found
        return total


class RowRegions(NamedTuple):
    """Boxes around rows in unit coordinates, cut by the domain; the hull of the categories allowed.

    Parameters
    ----------
    lower, upper : Tensor of shape (d,)
        What related inputs may differ by, in either role.
    least, most : Tensor of shape (d,)
        Range of every input on the domain.
    """

    lower: torch.Tensor
    upper: torch.Tensor
    least: torch.Tensor
    most: torch.Tensor

    @classmethod
    def of(cls, premise, device):
        """Those of a premise."""
        lower, upper = premise.unit_delta()
        ends = (np.minimum(lower, -upper), np.maximum(upper, -lower), *input_range(premise.domain))
        return cls(*(torch.tensor(end, dtype=torch.float64, device=device) for end in ends))

    def around(self, inputs, scale):
        """Lower and upper ends (n, d) for differences of ``scale`` times those allowed."""
        low = torch.maximum(inputs + scale * self.lower, self.least)
        return low, torch.minimum(inputs + scale * self.upper, self.most)


class OutputBounds:
    """Upper bounds of linear functions of z over the boxes of all inputs in a region.

    Parameters
    ----------
    network : SMiLENetwork
    box : tuple of Graph and BoxNodes
        ``network.auxiliary_graph()``.
    low, high : Tensor of shape (n, d)
    """

    def __init__(self, network, box, low, high):
        self.network = network
        graph, self.nodes = box
        last = graph.nodes[self.nodes.lower]
        # Composed with lo's last layer, opposite weights of its units cancel; that needs hi = lo + width.
        self.last = last if self.nodes.width is not None and isinstance(last, Affine) else None
        wanted = [self.nodes.lower if self.last is None else self.last.source]
        wanted.append(self.nodes.upper if self.nodes.width is None else self.nodes.width)
        self.lower, self.top = interval_values(graph, low, high, wanted)

    def upper(self, rows):
        """Largest ``rows @ z`` over the region, (n, len(rows))."""
        positive, negative = torch.relu(rows), -torch.relu(-rows)
        if self.nodes.width is None:
            top = torch.maximum(self.lower[1], self.top[1])
            return top @ positive.T + self.lower[0] @ negative.T
        width = torch.relu(self.top[1]).to(rows.dtype) @ positive.T
        if self.last is None:
            return self.lower[1].to(rows.dtype) @ positive.T + self.lower[0] @ negative.T + width
        composed = rows.to(self.last.weight.dtype) @ self.last.weight
        moved = _linear(composed, *self.lower)[1].to(rows.dtype)
        return moved + rows @ self.last.bias.to(rows.dtype) + width

    def ends(self):
        """Least and largest output, (n, 1) each, of a network with one."""
        weight, bias = self.network.head_weight, self.network.head_bias
        found = self.upper(torch.cat([weight, -weight]))
        return bias - found[:, 1:], bias + found[:, :1]


def worst_logit(bounds, targets):
    """Of one logit: its lower end where the target is 1, its upper end where it is 0, (n, 1)."""
    low, high = bounds.ends()
    return torch.where(targets[:, None] > 0.5, low, high)


def worst_logits(bounds, targets):
    """Largest ``f_k - f_y`` for every class k, (n, n_classes): 0 for the target y itself."""
    weight, bias = bounds.network.head_weight, bounds.network.head_bias
    own = targets.long()
    n_classes = len(weight)
    # All ordered pairs of classes: more rows than are read, but one product for the whole batch.
    rows = (weight[None] - weight[:, None]).flatten(0, 1)
    margins = bounds.upper(rows) + (bias[None] - bias[:, None]).flatten()
    return margins.reshape(-1, n_classes, n_classes)[torch.arange(len(own), device=own.device), own]


def worst_prediction(bounds, targets):
    """The end of the interval that is farther from the target, (n, 1)."""
    low, high = bounds.ends()
    middle = 0.5 * (low + high)
    return torch.where(targets[:, None] < middle, high, low)


def interval_values(graph, low, high, wanted):
    """Intervals of nodes over boxes of inputs, each layer in the precision of its weights.

    Parameters
    ----------
    graph : Graph
        Of torch tensors.
    low, high : Tensor of shape (n, d)
    wanted : sequence of int

    Returns
    -------
    list of tuple of Tensor
        Lower and upper ends, each of shape (n, size).
    """
    values = {}
    for index in graph.ancestors(*wanted):
        node = graph.nodes[index]
        if isinstance(node, Input):
            values[index] = low, high
        elif isinstance(node, Affine):
            ends = _linear(node.weight, *values[node.source])
            values[index] = tuple(end + node.bias for end in ends)
        elif isinstance(node, Conv2d):
            values[index] = _convolution(node, *values[node.source])
        elif isinstance(node, Clamp):
            values[index] = tuple(clamp(node, end) for end in values[node.source])
        elif isinstance(node, GroupSort):
            values[index] = tuple(_sorted(end, node.group) for end in values[node.source])
        elif isinstance(node, Sum):
            pairs = zip(values[node.first], values[node.second], strict=True)
            values[index] = tuple(first + second for first, second in pairs)
        else:
            raise UnsupportedError(
                f"Got a node of type {type(node).__name__!r}, for which no bound is known."
            )
    return [values[index] for index in wanted]


def _linear(weight, low, high):
    """Interval of ``weight @ x``: the image of the centre, and the absolute image of the radius.

    The half of the weights stands for that of centre and radius, which are many more numbers.
    """
    half, low, high = 0.5 * weight, low.to(weight.dtype), high.to(weight.dtype)
    middle, reach = (low + high) @ half.T, (high - low) @ half.abs().T
    return middle - reach, middle + reach


def _convolution(node, low, high):
    half, low, high = 0.5 * node.weight, low.to(node.weight.dtype), high.to(node.weight.dtype)
    middle, reach = convolve(node, low + high, half, node.bias), convolve(node, high - low, half.abs())
    return middle - reach, middle + reach


def _sorted(values, group):
    return values.reshape(len(values), -1, group).sort(dim=2).values.reshape(values.shape)
