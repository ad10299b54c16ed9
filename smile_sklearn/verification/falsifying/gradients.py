r"""V of many pairs in plain floats, and its gradient with respect to both inputs.

A vector-Jacobian product of the numpy graph: values forward, cotangents backward. Nothing is proven with
it, so products are BLAS's and sums are in any order. V itself is that of DESIGN 2:

.. math:: V_r = \sum_i r^+_i up_i + r^-_i dn_i

for each signed row r of the head: a margin w for f(x') - f(x''), and -w for f(x'') - f(x').
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.graph import Affine, Clamp, GroupSort, Input, Sum


def node_values(graph, rows, targets):
    """Values of all nodes that ``targets`` depend on, {index: (n, size)}; ``rows`` in unit coordinates."""
    values = {}
    for index in graph.ancestors(*targets):
        node = graph.nodes[index]
        if isinstance(node, Input):
            values[index] = rows
        elif isinstance(node, Affine):
            values[index] = values[node.source] @ node.weight.T + node.bias
        elif isinstance(node, Clamp):
            values[index] = np.minimum(np.maximum(values[node.source], node.lower), node.upper)
        elif isinstance(node, GroupSort):
            blocks = _blocks(values[node.source], node)
            values[index] = np.sort(blocks, axis=2).reshape(len(rows), -1)
        elif isinstance(node, Sum):
            values[index] = values[node.first] + values[node.second]
        else:
            raise _unknown(node)
    return values


def input_gradient(graph, values, cotangents, leak=0.0):
    """Gradient of ``sum_k cotangents[k] . node_k`` at the input, one a row.

    Parameters
    ----------
    graph : Graph
    values : dict of int to ndarray
        From :func:`node_values`.
    cotangents : dict of int to ndarray of shape (n, size)
    leak : float or ndarray of shape (n, 1)
        Slope that flat parts of clamps are given; 0 for the gradient itself. A search that follows
        slope 0 never wakes a unit that is off, one with a leak walks towards its kink.

    Returns
    -------
    ndarray of shape (n, d)
    """
    pending = dict(cotangents)
    gradient = np.zeros_like(values[0])
    while pending:
        index = max(pending)
        node, cotangent = graph.nodes[index], pending.pop(index)
        if isinstance(node, Input):
            gradient = cotangent
        elif isinstance(node, Affine):
            _add(pending, node.source, cotangent @ node.weight)
        elif isinstance(node, Clamp):
            inside = (values[node.source] > node.lower) & (values[node.source] < node.upper)
            _add(pending, node.source, cotangent * np.where(inside, 1.0, leak))
        elif isinstance(node, GroupSort):
            order = np.argsort(_blocks(values[node.source], node), axis=2)
            sorted_back = np.empty_like(_blocks(cotangent, node))
            np.put_along_axis(sorted_back, order, _blocks(cotangent, node), axis=2)
            _add(pending, node.source, sorted_back.reshape(cotangent.shape))
        elif isinstance(node, Sum):
            _add(pending, node.first, cotangent)
            _add(pending, node.second, cotangent)
        else:
            raise _unknown(node)
    return gradient


class PairGradient(NamedTuple):
    """V of the chosen row of each pair, (n,), and its gradient at x' and at x'', each (n, d)."""

    value: np.ndarray
    first: np.ndarray
    second: np.ndarray


class EnvelopeFunction:
    """V(x', x'') of several signed rows of the head.

    Parameters
    ----------
    snapshot : NetworkSnapshot
    couplings : tuple of str
        With both, each unit takes the smaller of its two bounds.
    rows : ndarray of shape (n_rows, n_latent)
    """

    def __init__(self, snapshot, couplings, rows):
        self.snapshot, self.couplings = snapshot, couplings
        self._positive, self._negative = np.maximum(rows, 0.0), np.minimum(rows, 0.0)

    def values(self, first, second):
        """V of pairs in unit coordinates, (n, n_rows)."""
        _, up, down = self._moves(first, second)
        return up.value @ self._positive.T + down.value @ self._negative.T

    def gradient(self, first, second, chosen, leaks=(0.0, 0.0)):
        """Value and gradient of row ``chosen[k]`` at pair k, a :class:`PairGradient`.

        At a kink the gradient is that of one of the pieces that meet there. ``leaks`` are slopes for
        flat parts at x' and at x'', see :func:`input_gradient`. With equal ones a unit that is off at
        both has opposite slopes there: that says how the two should differ, and not where they should be.
        """
        snapshot = self.snapshot
        nodes, up, down = self._moves(first, second, max(leaks))
        leak = np.repeat(leaks, len(first))[:, None]
        positive, negative = self._positive[chosen], self._negative[chosen]
        value = (up.value * positive + down.value * negative).sum(axis=1)
        parts = [positive * rise + negative * fall for rise, fall in zip(up.slopes, down.slopes, strict=True)]
        cotangents = {}
        # lo' above lo'', hi' above hi'': as the rows were stacked.
        _add(cotangents, snapshot.lower, np.vstack(parts[0::2]))
        _add(cotangents, snapshot.upper, np.vstack(parts[1::2]))
        both = input_gradient(snapshot.graph, nodes, cotangents, leak)
        return PairGradient(value, both[: len(first)], both[len(first) :])

    def _moves(self, first, second, leak=0.0):
        snapshot, n_pairs = self.snapshot, len(first)
        ends = (snapshot.lower, snapshot.upper)
        nodes = node_values(snapshot.graph, np.vstack([first, second]), ends)
        lower, upper = (nodes[end] for end in ends)
        ends = (lower[:n_pairs], upper[:n_pairs], lower[n_pairs:], upper[n_pairs:])
        ups, downs = [], []
        if "box" in self.couplings:
            ups.append(_box_rise(*ends))
            downs.append(_exchanged(_box_rise(*_swap(ends))))
        if "shared" in self.couplings:
            ups.append(_shared_rise(*ends, leak))
            downs.append(_exchanged(_shared_rise(*_swap(ends), leak)))
        return nodes, _smaller(ups), _negated(_smaller([_negated(down) for down in downs]))


class _Move(NamedTuple):
    """A bound on z' - z'', (n, n_latent), and its slopes in lo', hi', lo'', hi''."""

    value: np.ndarray
    slopes: tuple


def _box_rise(lower, upper, lower_second, upper_second):
    """``max(lo', hi') - lo''``."""
    opens = (upper > lower).astype(float)
    zero = np.zeros_like(opens)
    return _Move(np.maximum(lower, upper) - lower_second, (1.0 - opens, opens, zero - 1.0, zero))


def _shared_rise(lower, upper, lower_second, upper_second, leak):
    """``max(0, dlo, dhi)``; where both are below 0 the larger has slope ``leak``."""
    low_move, high_move = lower - lower_second, upper - upper_second
    largest = np.maximum(low_move, high_move)
    slope = np.where(largest > 0.0, 1.0, leak)
    by_upper = slope * (high_move > low_move)
    by_lower = slope - by_upper
    return _Move(np.maximum(0.0, largest), (by_lower, by_upper, -by_lower, -by_upper))


def _swap(ends):
    return ends[2], ends[3], ends[0], ends[1]


def _exchanged(move):
    """The least z' - z'' from the largest z'' - z'."""
    negated = _negated(move)
    return _Move(negated.value, _swap(negated.slopes))


def _negated(move):
    return _Move(-move.value, tuple(-slope for slope in move.slopes))


def _smaller(moves):
    best = moves[0]
    for move in moves[1:]:
        takes = move.value < best.value
        slopes = (np.where(takes, new, old) for new, old in zip(move.slopes, best.slopes, strict=True))
        best = _Move(np.where(takes, move.value, best.value), tuple(slopes))
    return best


def _blocks(values, node):
    return values.reshape(len(values), -1, node.group)


def _add(pending, index, cotangent):
    pending[index] = pending[index] + cotangent if index in pending else cotangent


def _unknown(node):
    return UnsupportedError(f"Got a node of type {type(node).__name__!r}, which has no gradient.")
