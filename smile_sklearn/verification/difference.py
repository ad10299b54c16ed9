"""Difference bounds: a proof in one pass, without a solver (lemma 3)."""

import numpy as np

from smile_sklearn.properties.relation import UNIT_ROUNDOFF
from smile_sklearn.snapshot.graph import DENSE_NODE_TYPES
from smile_sklearn.verification.base import BoundPair, Proof, Verifier
from smile_sklearn.verification.intervals import (
    affine_error,
    forward_errors,
    node_differences,
    node_ranges,
)
from smile_sklearn.verification.linear_form import linear_form
from smile_sklearn.verification.rounding import (
    absolute_matmul,
    add_upper,
    matmul_upper,
)
from smile_sklearn.verification.signs import Moves, output_moves


class DifferenceBounds(Verifier):
    """Interval bounds of V(x', x'') over all related pairs, for both couplings.

    With ``D = [D-, D+]`` the interval of a unit's difference over Q (lemma 3) and a row ``w``
    of the head or of a margin,

    - box: ``V = w (lo' - lo'') + w+ width' - w- width''``, w composed with lo's last affine
      layer and the width replaced by its largest value on the domain;
    - shared: ``V = sum_i w+_i max(0, D+(lo_i), D+(hi_i)) + w-_i min(0, D-(lo_i), D-(hi_i))``.

    The smaller of the couplings that apply is reported. Where a sign argument decides
    (:mod:`~smile_sklearn.verification.signs`), the bound is exactly 0 and the rigor "exact".
    Incomplete: a bound above epsilon refutes nothing.
    """

    name = "difference bounds"
    couplings = ("box", "shared")
    node_types = DENSE_NODE_TYPES

    def _verify(self, snapshot, relation, couplings, context):
        analysis = Analysis(snapshot, relation)
        rounded = [analysis.bounds(coupling) for coupling in couplings]
        best = BoundPair(max(pair.lower for pair in rounded), min(pair.upper for pair in rounded))
        signs = output_moves(snapshot, relation, shared="shared" in couplings)
        if not np.isfinite(analysis.slack).all():
            # inf - inf and 0 * inf are NaN: signs are silent where the forward pass may overflow.
            signs = Moves(np.ones_like(signs.up), np.ones_like(signs.down))
        # Signs speak of the floats: what cannot go up has a difference of at most exactly 0.
        upper = best.upper if signs.up.any() else min(best.upper, 0.0)
        lower = best.lower if signs.down.any() else max(best.lower, 0.0)
        # They prove 0 and nothing below it: a limit that excludes 0 rests on the rounded bounds.
        exact = all(
            np.isinf(end) or (allows_zero and not moves.any())
            for end, allows_zero, moves in (
                (relation.epsilon_upper, relation.epsilon_upper >= 0.0, signs.up),
                (relation.epsilon_lower, relation.epsilon_lower <= 0.0, signs.down),
            )
        )
        return Proof(
            bounds=BoundPair(lower, upper),
            rigor="exact" if exact else "rounded",
            couplings=couplings,
            # That of the bound: an exact one is 0 and rounding has no part in it.
            slack=0.0 if exact else float(analysis.slack.max()),
            data={
                "kind": "difference",
                "couplings": {
                    name: [pair.lower, pair.upper] for name, pair in zip(couplings, rounded, strict=True)
                },
            },
        )


class Analysis:
    """Ranges, differences and rounding slack of one snapshot under one relation.

    Parameters
    ----------
    snapshot : NetworkSnapshot
    relation : Relation

    Attributes
    ----------
    ranges, differences : list of Interval
        One a node, in unit coordinates and latent units.
    margins : ndarray of shape (n_margins, n_latent)
    slack : ndarray of shape (n_margins,)
        What the float64 forward pass may add to a difference of two outputs.
    """

    def __init__(self, snapshot, relation):
        self.snapshot, self.relation = snapshot, relation
        graph = snapshot.graph
        self.ranges = node_ranges(graph, snapshot.domain)
        self.differences = node_differences(graph, self.ranges, relation)
        self.margins = snapshot.margins()
        self.margin_error = UNIT_ROUNDOFF * np.abs(self.margins) * (snapshot.n_outputs > 1)
        self.slack = output_slack(snapshot, self.ranges)

    def bounds(self, coupling):
        """Proven interval of f(x') - f(x'') over Q, slack included, over all margins."""
        bound = {"box": self.box_bound, "shared": self.shared_bound}[coupling]
        upper = add_upper(bound(swapped=False), self.slack).max()
        lower = -add_upper(bound(swapped=True), self.slack).max()
        return BoundPair(float(lower), float(upper))

    def shared_bound(self, *, swapped):
        """Upper bound of V, shared coupling, (n_margins,); ``swapped`` exchanges x' and x''."""
        lower, upper = (
            self._difference(node, swapped) for node in (self.snapshot.lower, self.snapshot.upper)
        )
        most = np.maximum(0.0, np.maximum(lower.high, upper.high))
        least = np.minimum(0.0, np.minimum(lower.low, upper.low))
        bound = matmul_upper(self.margins, least, most)
        return add_upper(bound, absolute_matmul(self.margin_error, np.maximum(most, -least)))

    def box_bound(self, *, swapped):
        """Upper bound of V, box coupling, (n_margins,)."""
        snapshot = self.snapshot
        form = linear_form(snapshot.graph, {snapshot.lower: self.margins})
        differences = [self._difference(node, swapped) for node in range(len(snapshot.graph))]
        relation = _Swapped(self.relation) if swapped else self.relation
        lower = form.difference(differences, relation).high
        width = self.width()
        bound = add_upper(lower, absolute_matmul(self.margins, width))
        margin_error = add_upper(width, self.differences[snapshot.lower].magnitude)
        return add_upper(bound, absolute_matmul(self.margin_error, margin_error))

    def width(self):
        """Largest ``max(lo, hi) - lo`` of each unit on the domain, (n_latent,)."""
        snapshot, graph = self.snapshot, self.snapshot.graph
        if snapshot.lower == snapshot.upper:
            return np.zeros(snapshot.n_latent)
        identity = np.eye(snapshot.n_latent)
        if snapshot.width is not None:
            form = linear_form(graph, {snapshot.width: identity})
        else:
            form = linear_form(graph, {snapshot.upper: identity, snapshot.lower: -identity})
        return np.maximum(0.0, form.range(self.ranges, snapshot.domain).high)

    def _difference(self, index, swapped):
        difference = self.differences[index]
        return difference.swapped() if swapped else difference


class _Swapped:
    """A relation with x' and x'' exchanged: all that the affine difference reads of it."""

    def __init__(self, relation):
        self._relation = relation
        self.domain = relation.domain
        self.group_pairs = tuple(allowed.T for allowed in relation.group_pairs)

    def unit_delta(self):
        """Unit differences of the exchanged pair."""
        lower, upper = self._relation.unit_delta()
        return 0.0 - upper, 0.0 - lower


def output_slack(snapshot, ranges):
    """Upper bound on what rounding adds to a computed f(x') - f(x''), (n_margins,).

    The computed clip lies in the computed box (box coupling) or is the same function of the
    computed (lo, hi) at both rows (shared coupling); clip is 1-Lipschitz in the sup norm and
    exact, so a latent unit errs by at most e_i = max(e(lo_i), e(hi_i)). The head adds its own
    rounding, for each of the two rows: ``2 (sum_i |w_i| e_i + gamma (|W| |z| + |b|))``.
    """
    errors = forward_errors(snapshot.graph, ranges)
    if not all(np.isfinite(error).all() for error in errors):
        # A weight is not finite, or a unit may overflow; zero weights behind it would hide that here.
        return np.full(len(snapshot.margins()), np.inf)
    latent_error = np.maximum(errors[snapshot.lower], errors[snapshot.upper])
    ends = [ranges[snapshot.lower], ranges[snapshot.upper]]
    magnitude = np.maximum(*(end.magnitude for end in ends))
    head = affine_error(snapshot.head_weight, snapshot.head_bias, magnitude, latent_error)
    if snapshot.n_outputs > 1:
        first, second = snapshot.margin_pairs()
        # A margin is one more rounded subtraction of outputs of at most this size.
        output = add_upper(absolute_matmul(snapshot.head_weight, magnitude), np.abs(snapshot.head_bias), head)
        head = add_upper(head[first], head[second], 2 * UNIT_ROUNDOFF * (output[first] + output[second]))
    return np.where(np.isnan(head), np.inf, 2.0 * head)
