"""Bounds of f around given rows: what no input of a row's neighbourhood leaves, in one more pass.

The neighbourhood of a row x is what a premise Q relates to it in either role, cut by X:

    N(x) = {x' in X : (x', x) in Q or (x, x') in Q}

Nothing but Q and the network is used: no certificate, and no epsilon.
"""

from typing import NamedTuple

import numpy as np

from smile_sklearn.exceptions import DomainError, UnsupportedError
from smile_sklearn.properties.relation import UNIT_ROUNDOFF
from smile_sklearn.snapshot.graph import Affine, Clamp, Conv2d, GroupSort, Input, Sum
from smile_sklearn.verification.difference import output_slack
from smile_sklearn.verification.intervals import Interval, node_ranges
from smile_sklearn.verification.linear_form import linear_form
from smile_sklearn.verification.local.interval_product import ConvolutionProduct, IntervalProduct
from smile_sklearn.verification.local.neighbourhood import Neighbourhood, neighbourhoods
from smile_sklearn.verification.rounding import SMALLEST, absolute_matmul, add_upper, inflate

BLOCK = 256
"""Rows bounded at once: what bounds the memory."""


class LocalBounds:
    r"""Intervals that f of every neighbour of a row lies in, as ``predict`` computes it.

    For a row w of the head, or of a margin of the predicted class, and every x' in N(x)

    .. math:: w \cdot lo(x') + w^- \cdot width(x') \le f(x') - b \le w \cdot lo(x') + w^+ \cdot width(x')

    whatever the backbone does; w is composed with the last affine layers of lo and width, so that
    opposite weights cancel, and what is below them is bounded by intervals. The intervals of the latent
    units give a second bound, and the narrower end counts: units from lo to max(lo, hi), or, if
    h(x') = h(x) (shared coupling), clip(z; l, u) = max(l, min(u, z)) for the row's own z, which is
    nondecreasing in l and u.

    Rounding. Bounds are of real arithmetic over the float inputs; each layer adds what computing
    it may err by (`IntervalProduct`), and the output what ``predict`` may (``output_slack``, which
    is for two outputs: one has half of it). Centres and radii are products of matrices by BLAS: the
    bound on their rounding holds in any order of summation.

    Parameters
    ----------
    snapshot : NetworkSnapshot
    premise : Premise
        Over the domain of the snapshot.
    shared : bool
        Whether h(x') = h(x), bit for bit, for all related inputs.
    """

    def __init__(self, snapshot, premise, *, shared):
        if premise.domain != snapshot.domain:
            # Neighbourhoods are scaled by the domain: by another one they would be those of other inputs.
            raise DomainError(
                f"{premise.name!r} is stated over another domain than the network's "
                f"({premise.domain}; {snapshot.domain}). Resolve the property over snapshot.domain."
            )
        nodes, snapshot = snapshot.graph.nodes, snapshot.lowered()
        self.snapshot, self.premise, self.shared = snapshot, premise, shared
        with np.errstate(over="ignore", invalid="ignore"):
            # An overflow makes the slack infinite, and then nothing is bounded.
            self.ranges = node_ranges(snapshot.graph, snapshot.domain)
            self.slack = _slack_of_one_output(snapshot, self.ranges)
        ends = [self.ranges[snapshot.lower].magnitude, self.ranges[snapshot.upper].magnitude]
        self.latent_magnitude = np.maximum(*ends)
        self._layers = {
            index: self._product(nodes[index], node)
            for index, node in enumerate(snapshot.graph.nodes)
            if isinstance(node, Affine)
        }
        self._goals = {}

    def _product(self, node, dense):
        """Intervals of one layer: of a convolution by its patches, which are far less than its dense form."""
        magnitude = self.ranges[dense.source].magnitude
        if isinstance(node, Conv2d) and not (node.source == 0 and self.snapshot.domain.groups):
            return ConvolutionProduct(node, magnitude)
        return IntervalProduct(dense.weight, dense.bias, magnitude)

    def __call__(self, rows, embedding, best=None):
        """Bound f, or the margins of the predicted class, around rows.

        Parameters
        ----------
        rows : ndarray of shape (n, d)
            Raw units, inside the domain.
        embedding : ndarray of shape (n, n_latent)
            h of these rows; read for the shared coupling only.
        best : ndarray of shape (n,) or None
            Index of the predicted class, with several outputs.

        Returns
        -------
        Interval
            Ends of shape (n, n_outputs); with several outputs of ``f_best - f_k`` (0 for k = best).
        """
        shape = (len(rows), self.snapshot.n_outputs)
        if not np.isfinite(self.slack).all():
            # The forward pass may overflow: nothing is known of it.
            return Interval(np.full(shape, -np.inf), np.full(shape, np.inf))
        low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            for near in neighbourhoods(self.premise, rows[part]):
                with np.errstate(over="ignore", invalid="ignore"):
                    # What overflows is infinite or NaN, and is read as saying nothing.
                    found = self._bound(near, embedding[part], None if best is None else best[part])
                # Related in one role or in the other: the hull of both.
                low[part], high[part] = np.minimum(low[part], found.low), np.maximum(high[part], found.high)
        return Interval(low, high)

    def _bound(self, near, embedding, best):
        values = self._values(near)
        latent = self._latent(values, embedding)
        if best is None:
            return self._goal(0).bound(values, latent)
        low = np.empty((len(best), self.snapshot.n_outputs))
        high = np.empty_like(low)
        for chosen in np.unique(best):
            rows = best == chosen
            inside = {index: _taken(value, rows) for index, value in values.items()}
            found = self._goal(int(chosen)).bound(inside, _taken(latent, rows))
            low[rows], high[rows] = found
        return Interval(low, high)

    def _goal(self, chosen):
        if chosen not in self._goals:
            self._goals[chosen] = _Goal(self, chosen)
        return self._goals[chosen]

    def _values(self, near):
        """Interval of every node at every row, cut by its range on the domain."""
        graph, values = self.snapshot.graph, {}
        for index in graph.ancestors(self.snapshot.lower, self.snapshot.upper):
            node = graph.nodes[index]
            if isinstance(node, Input):
                values[index] = near
                continue
            if isinstance(node, Affine):
                found = self._layers[index].interval(values[node.source])
            elif isinstance(node, Clamp):
                ends = _interval(values[node.source])
                found = Interval(*(np.minimum(np.maximum(end, node.lower), node.upper) for end in ends))
            elif isinstance(node, GroupSort):
                # The k-th smallest of a block lies between the k-th smallest lower and upper end.
                found = Interval(*(_sorted(end, node.group) for end in _interval(values[node.source])))
            elif isinstance(node, Sum):
                first, second = _interval(values[node.first]), _interval(values[node.second])
                low = np.nextafter(first.low + second.low, -np.inf)
                found = Interval(low, np.nextafter(first.high + second.high, np.inf))
            else:
                raise UnsupportedError(
                    f"Got a node of type {type(node).__name__!r}, for which no bound is known."
                )
            whole = self.ranges[index]
            values[index] = Interval(np.maximum(found.low, whole.low), np.minimum(found.high, whole.high))
        return values

    def _latent(self, values, embedding):
        """Interval of clip(z; lo(x'), hi(x')): for the row's own z if that is shared, else for any z."""
        lower, upper = (_interval(values[end]) for end in (self.snapshot.lower, self.snapshot.upper))
        if not self.shared:
            return Interval(lower.low, np.maximum(lower.high, upper.high))
        # A NaN becomes lo, as in ``predict``.
        z = np.where(np.isnan(embedding), -np.inf, embedding)
        return Interval(
            *(np.maximum(low, np.minimum(high, z)) for low, high in zip(lower, upper, strict=True))
        )


class _Goal:
    """f, or the margins of one class, over the units that its affine layers read.

    Lower ends are negated upper ends of -w: one stack of rows serves both.
    """

    def __init__(self, bounds, chosen):
        snapshot, ranges = bounds.snapshot, bounds.ranges
        weight, bias = snapshot.head_weight, snapshot.head_bias
        self.error = bounds.slack[chosen]
        if snapshot.n_outputs > 1:
            weight, bias = weight[chosen] - weight, bias[chosen] - bias
            # The differences of weights and biases are rounded once each.
            rounding = absolute_matmul(UNIT_ROUNDOFF * np.abs(weight), bounds.latent_magnitude)
            self.error = add_upper(self.error, 2.0 * rounding, 2.0 * UNIT_ROUNDOFF * np.abs(bias))
        rows, biases = np.vstack([weight, -weight]), np.concatenate([bias, -bias])
        self.error = np.concatenate([self.error, self.error])
        self.latent = IntervalProduct(rows, biases, bounds.latent_magnitude)
        self.envelopes = _envelopes(snapshot, ranges, rows, biases)

    def bound(self, values, latent):
        """Interval (n, m) of the computed values over the neighbourhoods."""
        bounds = [envelope.upper(values) for envelope in self.envelopes]
        bounds = [*bounds, self.latent.interval(latent).high]
        # Composed weights may overflow, and inf * 0 is NaN: such a bound says nothing, the others still do.
        high = np.minimum.reduce([np.where(np.isnan(bound), np.inf, bound) for bound in bounds])
        high = np.nextafter(high + self.error, np.inf)
        m = high.shape[1] // 2
        return Interval(-high[:, m:], high[:, :m])


def _envelopes(snapshot, ranges, rows, biases):
    """Upper bounds of ``rows @ z + biases`` over z in the box of each x'; every one of them holds.

    The top of the box is ``max(lo, hi) = hi + max(0, lo - hi) = lo + max(0, hi - lo)``, so the first is
    linear where hi >= lo, the second where lo >= hi: the correction is 0 there. With
    ``hi = lo + width`` the first alone is enough; that width >= 0 is not trusted, it costs nothing.
    """
    graph, lower, upper = snapshot.graph, snapshot.lower, snapshot.upper
    positive, negative = np.maximum(rows, 0.0), np.minimum(rows, 0.0)
    identity, none = np.eye(snapshot.n_latent), np.zeros(snapshot.n_latent)

    def form(weights, constant):
        return _Form(linear_form(graph, weights), constant, ranges)

    if lower == upper:
        return [_Envelope(form({lower: rows}, biases), positive, form({lower: 0.0 * identity}, none))]
    flipped = form({upper: -identity, lower: identity}, none)
    found = [_Envelope(form({upper: positive, lower: negative}, biases), positive, flipped)]
    if snapshot.width is None:
        open_ = form({upper: identity, lower: -identity}, none)
        found.append(_Envelope(form({lower: rows}, biases), positive, open_))
    return found


class _Envelope(NamedTuple):
    """A linear form plus ``weight @ max(0, gap)``, weight >= 0."""

    form: "_Form"
    weight: np.ndarray
    gap: "_Form"

    def upper(self, values):
        gap = np.maximum(0.0, self.gap.upper(values))
        # All terms are nonnegative: a relative error, and one underflow a term.
        added = inflate(gap @ self.weight.T, self.weight.shape[1]) + gap.shape[1] * SMALLEST
        return np.nextafter(self.form.upper(values) + added, np.inf)


class _Form:
    """``constant + sum_k C_k node_k``, its rounding bounded once for all rows."""

    def __init__(self, form, bias, ranges):
        self.products, self.constant = {}, form.constant + bias
        error = add_upper(
            np.broadcast_to(form.constant_error, bias.shape),
            2.0 * UNIT_ROUNDOFF * np.abs(self.constant),
        )
        for index, weight in form.coefficients.items():
            if not weight.any() and not form.errors[index].any():
                continue  # what cancels exactly: lo in hi - lo = width
            magnitude = ranges[index].magnitude
            self.products[index] = IntervalProduct(weight, np.zeros_like(bias), magnitude)
            # C_k is known up to its error.
            error = add_upper(error, absolute_matmul(form.errors[index], magnitude))
        self.error = error

    def upper(self, values):
        # Also where nothing but the constant is left, one row an input.
        total = np.tile(np.nextafter(self.constant + self.error, np.inf), (len(values[0].low), 1))
        for index, product in self.products.items():
            total = np.nextafter(total + product.interval(values[index]).high, np.inf)
        return total


def _slack_of_one_output(snapshot, ranges):
    """What rounding adds to one computed f, or to f_j - f_k: (n_outputs, n_outputs), or (1, 1)."""
    slack = 0.5 * output_slack(snapshot, ranges)
    if snapshot.n_outputs == 1:
        return slack[None]
    matrix = np.zeros((snapshot.n_outputs, snapshot.n_outputs))
    first, second = snapshot.margin_pairs()
    matrix[first, second] = matrix[second, first] = slack
    return matrix


def _sorted(values, group):
    return np.sort(values.reshape(len(values), -1, group), axis=2).reshape(values.shape)


def _interval(value):
    """Of the input, the groups of which only affine layers can read as wholes, the hull."""
    return value.interval() if isinstance(value, Neighbourhood) else value


def _taken(value, rows):
    if isinstance(value, Neighbourhood):
        return value.taken(rows)
    return Interval(value.low[rows], value.high[rows])
