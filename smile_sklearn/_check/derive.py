"""Lemmas 2 and 3 a second time, in exact arithmetic, with Higham's bound for the float64 forward pass."""

from fractions import Fraction

import numpy as np

from smile_sklearn._check.exact import Exact, identity, maximum, minimum, power_of_two, where, zeros
from smile_sklearn._check.network import DomainInputs, Interval, PairInputs, interval_matmul
from smile_sklearn._check.relaxation import clamp
from smile_sklearn._check.report import CheckFailure
from smile_sklearn.snapshot.graph import Affine, Clamp, GroupSort, Input, Sum

UNIT_ROUNDOFF = power_of_two(-53)
LARGEST = power_of_two(1023)
"""No intermediate number of the forward pass may exceed this: beyond, it might overflow."""


class Derivation:
    """Intervals of f(x') - f(x'') over all related pairs.

    Parameters
    ----------
    network : ExactNetwork
    pairs : RelatedPairs

    Raises
    ------
    CheckFailure
        If the float64 forward pass might overflow, so that no bound speaks of it.
    """

    def __init__(self, network, pairs):
        self.network = network
        self.inputs, self.moves = DomainInputs(pairs.domain), PairInputs(pairs)
        self.ranges = node_ranges(network, self.inputs)
        self.differences = node_differences(network, self.ranges, self.moves)
        self.slack = self._slack()

    def interval(self, coupling):
        """Proven (lower, upper) of every margin together, Fractions, rounding slack included."""
        low, high = self.margin_intervals(coupling)
        return low.min().fraction(), high.max().fraction()

    def margin_intervals(self, coupling):
        """The same of each margin, an Interval (n_margins,)."""
        low, high = {"box": self._box, "shared": self._shared}[coupling]()
        return Interval(low - self.slack, high + self.slack)

    def largest_slack(self):
        """What the intervals include for rounding, a Fraction."""
        return self.slack.max().fraction()

    def _shared(self):
        """V with dz = 0: every latent unit moves within [min(0, dlo, dhi), max(0, dlo, dhi)]."""
        snapshot, none = self.network.snapshot, zeros(self.network.snapshot.n_latent)
        lo, hi = self.differences[snapshot.lower], self.differences[snapshot.upper]
        moves = Interval(minimum(none, minimum(lo.low, hi.low)), maximum(none, maximum(lo.high, hi.high)))
        return interval_matmul(self.network.margins, moves)

    def _box(self):
        """V with h free in its box: w (lo' - lo'') plus at most one width a unit, on either side."""
        network, margins = self.network, self.network.margins
        coefficients, _ = linear_form(network, {network.snapshot.lower: margins})
        low = high = zeros(len(margins))
        for index, weight in coefficients.items():
            part = (
                self.moves.affine(weight) if index == 0 else interval_matmul(weight, self.differences[index])
            )
            low, high = low + part.low, high + part.high
        open_by = abs(margins) @ self._width()
        return Interval(low - open_by, high + open_by)

    def _width(self):
        """Largest ``max(lo, hi) - lo`` of each unit on the domain."""
        network, snapshot = self.network, self.network.snapshot
        coefficients, high = linear_form(network, gap_rows(snapshot))
        for index, weight in coefficients.items():
            part = self.inputs.affine(weight) if index == 0 else interval_matmul(weight, self.ranges[index])
            high = high + part.high
        return maximum(zeros(snapshot.n_latent), high)

    def _slack(self):
        """By how much a computed f(x') - f(x'') may exceed the real one, (n_margins,).

        The computed clip is a point of the computed box (or the same function of the computed lo and
        hi at both rows), so it is off by the larger error of the two ends; the head adds its own.
        A margin is one more subtraction. Both rows err.
        """
        network = self.network
        output, error = output_error(network, self.ranges)
        if network.snapshot.n_outputs > 1:
            first, second = network.first, network.second
            error = error[first] + error[second] + UNIT_ROUNDOFF * (output[first] + output[second])
        return error + error


def node_ranges(network, inputs):
    """Exact interval of every node, a list aligned with the nodes."""
    ranges = []
    for index, node in enumerate(network.nodes):
        if isinstance(node, Input):
            interval = inputs.box
        elif isinstance(node, Affine):
            layer = network.layers[index]
            if node.source == 0:
                low, high = inputs.affine(layer.weight)
            else:
                low, high = interval_matmul(layer.weight, ranges[node.source], layer.absolute)
            interval = Interval(low + layer.bias, high + layer.bias)
        elif isinstance(node, Clamp):
            interval = Interval(*(clamp(end, network.limits[index]) for end in ranges[node.source]))
        elif isinstance(node, GroupSort):
            interval = Interval(*(end.sorted_blocks(node.group) for end in ranges[node.source]))
        elif isinstance(node, Sum):
            interval = _sum(ranges[node.first], ranges[node.second])
        else:
            raise CheckFailure(
                f"the model has a node of type {type(node).__name__!r}, which is not known here"
            )
        ranges.append(interval)
    return ranges


def node_differences(network, ranges, moves):
    """Exact interval of every node's difference over the related pairs (lemma 3)."""
    differences = []
    for index, node in enumerate(network.nodes):
        if isinstance(node, Input):
            interval = moves.box
        elif isinstance(node, Affine) and node.source == 0:
            interval = moves.affine(network.layers[index].weight)
        elif isinstance(node, Affine):
            layer = network.layers[index]
            interval = interval_matmul(layer.weight, differences[node.source], layer.absolute)
        elif isinstance(node, Clamp):
            interval = clamp_difference(differences[node.source], ranges[node.source], network.limits[index])
        elif isinstance(node, GroupSort):
            blocks = [end.blocks(node.group) for end in differences[node.source]]
            low, high = blocks[0].min(axis=1), blocks[1].max(axis=1)
            interval = Interval(low.repeat(node.group), high.repeat(node.group))
        else:
            interval = _sum(differences[node.first], differences[node.second])
        span = ranges[index].high - ranges[index].low
        differences.append(Interval(maximum(interval.low, -span), minimum(interval.high, span)))
    return differences


def output_error(network, ranges):
    """Size of the computed outputs, and by how much they err, each (n_outputs,)."""
    snapshot, errors = network.snapshot, node_errors(network, ranges)
    latent = maximum(errors[snapshot.lower], errors[snapshot.upper])
    size = maximum(ranges[snapshot.lower].magnitude, ranges[snapshot.upper].magnitude)
    error = _layer_error(network.head, size, latent)
    return network.head.absolute @ size + abs(network.head.bias) + error, error


def node_errors(network, ranges):
    """By how much each computed unit may differ from the real one, the inputs being exact floats."""
    errors = []
    for index, node in enumerate(network.nodes):
        if isinstance(node, Input):
            error = zeros(node.size)
        elif isinstance(node, Affine):
            error = _layer_error(network.layers[index], ranges[node.source].magnitude, errors[node.source])
        elif isinstance(node, Clamp):
            error = errors[node.source]
        elif isinstance(node, GroupSort):
            error = errors[node.source].blocks(node.group).max(axis=1).repeat(node.group)
        else:
            error = errors[node.first] + errors[node.second]
            size = ranges[node.first].magnitude + ranges[node.second].magnitude + error
            error = error + UNIT_ROUNDOFF * _no_overflow(size)
        errors.append(error)
    return errors


def gap_rows(snapshot):
    """Rows over nodes of ``hi - lo``, one a latent unit."""
    one = identity(snapshot.n_latent)
    if snapshot.width is not None:
        return {snapshot.width: one}
    if snapshot.lower == snapshot.upper:
        return {snapshot.lower: one - one}
    return {snapshot.upper: one, snapshot.lower: -one}


def linear_form(network, rows):
    """Coefficients over the input and the nonlinear nodes, and the constant, of ``sum rows @ node``."""
    pending, coefficients = dict(rows), {}
    constant = zeros(len(next(iter(rows.values()))))
    while pending:
        index = max(pending)  # sources come first: whatever reads this node has been taken
        weight, node = pending.pop(index), network.nodes[index]
        if isinstance(node, Affine):
            layer = network.layers[index]
            constant = constant + weight @ layer.bias
            below = [(node.source, weight @ layer.weight)]
        elif isinstance(node, Sum):
            below = [(node.first, weight), (node.second, weight)]
        else:
            coefficients[index], below = weight, []
        for source, part in below:
            pending[source] = pending[source] + part if source in pending else part
    return coefficients, constant


def _layer_error(layer, magnitude, incoming):
    """Higham, section 3.1: n products and a bias, in any order, err by gamma_{n+1} (|W| |x| + |b|).

    Each product may underflow, by half the smallest float; doubled, that covers what the additions
    make of it.
    """
    n_terms = layer.fan_in
    absolute = _no_overflow(layer.absolute @ (magnitude + incoming) + abs(layer.bias))
    gamma = Exact.above([Fraction(n_terms + 1, 2**53 - n_terms - 1)])
    underflow = Exact(np.array([n_terms], dtype=object), -1074)
    return layer.absolute @ incoming + gamma * absolute + underflow


def _no_overflow(size):
    if not (size <= LARGEST).all():
        raise CheckFailure("the float64 forward pass may overflow")
    return size


def clamp_difference(difference, source, limits):
    """Nondecreasing and 1-Lipschitz: [min(0, D-), max(0, D+)]; unchanged or 0 where it is linear or flat."""
    above_lower = ~limits.has_lower | (limits.lower <= source.low)
    below_upper = ~limits.has_upper | (source.high <= limits.upper)
    flat = (limits.has_lower & (source.high <= limits.lower)) | (
        limits.has_upper & (limits.upper <= source.low)
    )
    none = zeros(*difference.low.shape)
    linear = above_lower & below_upper
    low = where(linear, difference.low, minimum(none, difference.low))
    high = where(linear, difference.high, maximum(none, difference.high))
    return Interval(where(flat, none, low), where(flat, none, high))


def _sum(first, second):
    return Interval(first.low + second.low, first.high + second.high)
