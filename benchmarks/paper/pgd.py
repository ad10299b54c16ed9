"""Projected gradient descent in the sup norm: what an attack finds, against what a proof excludes."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch

from smile_sklearn.network.evaluate import evaluate
from smile_sklearn.snapshot import Graph

INSIDE = 1.0 - 1e-6
"""Share of delta that an attack uses: rows stay within delta after rounding to double precision."""


@dataclass(frozen=True)
class Attack:
    """L-infinity PGD on one logit, within delta of a row and within [0, 1].

    Sign steps whose size falls linearly from half of delta; of every start the best point of the whole
    path counts. The first start is the row itself, the others are uniform in the ball.

    Parameters
    ----------
    delta : float
    steps : int, default=100
    restarts : int, default=3
        Starts a row; a row that is broken is not attacked again.
    seed : int, default=0
    """

    delta: float
    steps: int = 100
    restarts: int = 3
    seed: int = 0

    def __call__(self, logit, rows, signs):
        """Return for every row (n, d) the point near it at which ``sign * logit`` is least.

        Parameters
        ----------
        logit : callable
            Differentiable, from a float32 tensor (n, d) to (n,).
        rows : ndarray of shape (n, d)
            In [0, 1].
        signs : ndarray of shape (n,)
            1 where the logit should be positive, else -1.
        """
        generator = torch.Generator().manual_seed(self.seed)
        centres = torch.tensor(rows, dtype=torch.float32)
        signs = torch.tensor(signs, dtype=torch.float32)
        best, least = centres.clone(), torch.full((len(rows),), torch.inf)
        for restart in range(self.restarts):
            left = torch.nonzero(least > 0)[:, 0]
            if not len(left):
                break
            noise = torch.rand(centres[left].shape, generator=generator) * 2 - 1
            start = noise * self.delta * float(restart > 0)
            found, values = self._descend(logit, centres[left], signs[left], start)
            better = values < least[left]
            best[left[better]], least[left[better]] = found[better], values[better]
        # In double precision a point is put back into the ball, whose ends single precision rounds.
        radius = INSIDE * self.delta
        return np.clip(np.clip(best.double().numpy(), rows - radius, rows + radius), 0.0, 1.0)

    def _descend(self, logit, centres, signs, start):
        low, high = (centres - self.delta).clamp(min=0.0), (centres + self.delta).clamp(max=1.0)
        points = torch.clamp(centres + start, low, high)
        best, least = points.clone(), torch.full((len(points),), torch.inf)
        for step in range(self.steps + 1):
            points.requires_grad_(True)
            values = signs * logit(points)
            (gradient,) = torch.autograd.grad(values.sum(), points)
            points, values = points.detach(), values.detach()
            better = values < least
            best[better], least[better] = points[better], values[better]
            size = 0.5 * self.delta * (1.0 - step / (self.steps + 1))
            points = torch.clamp(points - size * gradient.sign(), low, high)
        return best, least


def smile_logit(model):
    """Return the logit of a fitted two-class SMiLEClassifier on [0, 1] inputs, as a float32 torch function.

    A copy of what ``predict`` reads: the frozen auxiliaries and head, and the backbone.
    """
    snapshot = model.snapshot_
    lower, upper = model.domain_.lower, model.domain_.upper
    if (lower != 0).any() or (upper != 1).any():
        raise ValueError("Got a model on another domain, expected InputDomain(zeros, ones).")
    graph = Graph(tuple(_to_torch(node) for node in snapshot.graph.nodes))
    backbone = copy.deepcopy(model.network_.backbone).float().eval().requires_grad_(False)
    weight, bias = (
        torch.tensor(part, dtype=torch.float32) for part in (snapshot.head_weight, snapshot.head_bias)
    )
    columns = list(snapshot.reads)

    def logit(rows):
        low, high = evaluate(graph, rows, (snapshot.lower, snapshot.upper))
        latent = torch.maximum(low, torch.minimum(high, backbone(rows[:, columns])))
        return torch.nn.functional.linear(latent, weight, bias)[:, 0]

    return logit


def _to_torch(node):
    arrays = {name: value for name, value in vars(node).items() if isinstance(value, np.ndarray)}
    return replace(node, **{name: torch.tensor(value, dtype=torch.float32) for name, value in arrays.items()})


def surviving_rows(model, logit, rows, labels, certified, attack):
    """Rows that are predicted right, as they are and at what the attack finds near them; (n,) bool.

    Certified rows are attacked too, from one start: a proof that an attack breaks is wrong.

    Parameters
    ----------
    model : object with predict
        Judges every point that the attack returns: what counts is the model itself, not its torch copy.
    logit : callable
        See `Attack`.
    rows, labels : ndarrays of shape (n, d) and (n,)
        Labels in {0, 1}.
    certified : ndarray of bool, shape (n,)
    attack : Attack
    """
    signs = 2.0 * labels - 1.0
    right = model.predict(rows) == labels
    for part, strategy in ((~certified & right, attack), (certified & right, replace(attack, restarts=1))):
        chosen = np.flatnonzero(part)
        if len(chosen):
            found = strategy(logit, rows[chosen], signs[chosen])
            right[chosen] &= model.predict(found) == labels[chosen]
    return right
