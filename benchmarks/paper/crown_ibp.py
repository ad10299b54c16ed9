"""CROWN-IBP (Zhang et al., ICLR 2020), written anew: a certified-training baseline with its own verifier.

A small convolutional network with one logit, trained on a lower bound of ``sign * f`` over the ball of
every row: interval bounds (IBP) for the hidden layers, and for the output a mix of them with
linear relaxations propagated backwards (CROWN) that fades out while delta grows. What the published code
does for ten classes is done for one margin; sizes and epochs are those of this study.
"""

import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


class ConvolutionalNet(nn.Module):
    """conv 4x4 (stride 2, padding 1) twice, one hidden layer, one logit; relu between."""

    def __init__(self, channels=(8, 16), hidden=64, side=28):
        super().__init__()
        first, second = channels
        self.convolutions = nn.ModuleList([nn.Conv2d(1, first, 4, 2, 1), nn.Conv2d(first, second, 4, 2, 1)])
        self.dense = nn.ModuleList([nn.Linear(second * (side // 4) ** 2, hidden), nn.Linear(hidden, 1)])
        self.side = side

    @property
    def layers(self):
        """All affine layers, in order."""
        return [*self.convolutions, *self.dense]

    def forward(self, rows):
        """Logit (n,) of flat rows (n, side * side)."""
        values = rows.reshape(-1, 1, self.side, self.side)
        for layer in self.convolutions:
            values = torch.relu(layer(values))
        return self.dense[1](torch.relu(self.dense[0](values.flatten(1))))[:, 0]

    def predict(self, rows):
        """Class in {0, 1} of an array of rows."""
        with torch.no_grad():
            return (self(torch.as_tensor(rows, dtype=torch.float32)).numpy() > 0).astype(int)


def interval_bounds(net, low, high):
    """IBP: ends of every pre-activation, for boxes around flat rows; the last are those of the logit."""
    shape = (-1, 1, net.side, net.side)
    ends, low, high = [], low.reshape(shape), high.reshape(shape)
    for index, layer in enumerate(net.layers):
        if index == len(net.convolutions):
            low, high = low.flatten(1), high.flatten(1)
        centre, radius = (low + high) / 2, (high - low) / 2
        spread = _linear(layer, radius, layer.weight.abs(), None)
        centre = _linear(layer, centre, layer.weight, layer.bias)
        ends.append((centre - spread, centre + spread))
        low, high = torch.relu(centre - spread), torch.relu(centre + spread)
    return ends


def crown_lower_bound(net, ends, low, high, signs):
    """CROWN: lower bound of ``sign * logit`` by linear relaxations of the relus, back to the input.

    Parameters
    ----------
    net : ConvolutionalNet
    ends : list
        From `interval_bounds`.
    low, high : Tensor of shape (n, d)
    signs : Tensor of shape (n,)
    """
    last = net.dense[1]
    slope = signs[:, None] * last.weight
    bound = signs * last.bias
    for index in range(len(net.layers) - 2, -1, -1):
        layer, (least, most) = net.layers[index], ends[index]
        slope = slope.reshape(least.shape)
        # Where the sign of a unit is open: above the chord, below the nearer of 0 and the identity.
        chord = torch.relu(most) / (torch.relu(most) + torch.relu(-least)).clamp(min=1e-8)
        below = (chord > 0.5).to(chord.dtype)
        positive, negative = torch.relu(slope), -torch.relu(-slope)
        offset = torch.where((least < 0) & (most > 0), -chord * least, torch.zeros_like(chord))
        bound = bound + (negative * offset).flatten(1).sum(dim=1)
        slope = positive * below + negative * chord
        per_unit = slope.sum(dim=(2, 3)) if slope.dim() == 4 else slope
        bound = bound + per_unit @ layer.bias
        slope = _transposed(layer, slope)
    slope = slope.reshape(low.shape)
    return bound + (torch.relu(slope) * low - torch.relu(-slope) * high).sum(dim=1)


def _linear(layer, values, weight, bias):
    if isinstance(layer, nn.Conv2d):
        return functional.conv2d(values, weight, bias, layer.stride, layer.padding)
    return functional.linear(values, weight, bias)


def _transposed(layer, slope):
    if isinstance(layer, nn.Conv2d):
        return functional.conv_transpose2d(slope, layer.weight, None, layer.stride, layer.padding)
    return slope @ layer.weight


def ball(rows, delta):
    """Ends of the sup-norm ball around rows, cut by [0, 1]."""
    return (rows - delta).clamp(min=0.0), (rows + delta).clamp(max=1.0)


@dataclass(frozen=True)
class CrownIBP:
    """Trainer and verifier.

    Parameters
    ----------
    delta : float
        0 trains on the rows alone: the Agnostic network of the same size.
    epochs, batch_size, learning_rate : int, int, float
    ramp : tuple of float
        Shares of the steps between which delta and the weight of IBP grow from 0 to 1.
    reach : float
        Multiple of delta that is trained for.
    point_weight : float
        Weight of the loss at the rows themselves once the ramp is over (kappa).
    seed : int
    """

    delta: float
    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 2e-3
    ramp: tuple = (0.05, 0.5)
    reach: float = 1.1
    point_weight: float = 0.3
    seed: int = 0

    def fit(self, rows, labels):
        """Return a trained net and the CPU seconds it took."""
        started = time.process_time()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            net = ConvolutionalNet()
            self._train(
                net, torch.tensor(rows, dtype=torch.float32), torch.tensor(labels, dtype=torch.float32)
            )
        return net.eval(), time.process_time() - started

    def _train(self, net, rows, labels):
        signs = 2.0 * labels - 1.0
        steps = self.epochs * -(-len(rows) // self.batch_size)
        optimizer = torch.optim.Adam(net.parameters(), lr=self.learning_rate)
        # Constant, then a linear fall: certified training changes its problem until the ramp ends.
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min(1.0, (step + 1) / (0.05 * steps), max(0.01, (1 - step / steps) / 0.3))
        )
        step = 0
        for _ in range(self.epochs):
            for batch in torch.randperm(len(rows)).split(self.batch_size):
                loss = self._loss(net, rows[batch], signs[batch], step / steps)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 10.0)
                optimizer.step()
                schedule.step()
                step += 1

    def _loss(self, net, rows, signs, progress):
        point = functional.softplus(-signs * net(rows)).mean()
        start, end = self.ramp
        share = min(1.0, max(0.0, (progress - start) / (end - start)))
        if self.delta == 0.0 or share == 0.0:
            return point
        low, high = ball(rows, share * self.reach * self.delta)
        ends = interval_bounds(net, low, high)
        worst = torch.where(signs > 0, ends[-1][0][:, 0], -ends[-1][1][:, 0])
        if share < 1.0:  # the weight of CROWN is 1 - share
            crown = crown_lower_bound(net, ends, low, high, signs)
            worst = share * worst + (1.0 - share) * crown
        weight = 1.0 - share * (1.0 - self.point_weight)
        return weight * point + (1.0 - weight) * functional.softplus(-worst).mean()

    def verify(self, net, rows):
        """Predicted class of every row, and whether IBP or CROWN shows that no input near it changes it.

        In double precision without outward rounding, as is usual in the field.
        """
        net = net.double()
        with torch.no_grad():
            rows = torch.tensor(rows, dtype=torch.float64)
            signs = torch.where(net(rows) > 0, 1.0, -1.0).double()
            low, high = ball(rows, self.delta)
            ends = interval_bounds(net, low, high)
            interval = torch.where(signs > 0, ends[-1][0][:, 0], -ends[-1][1][:, 0])
            worst = torch.maximum(interval, crown_lower_bound(net, ends, low, high, signs))
        net.float()
        return (signs.numpy() > 0).astype(int), worst.numpy() > 0
