"""Closed form: the largest V itself, without a solver, where the box is affine on the domain."""

import numpy as np

from smile_sklearn.snapshot.graph import DENSE_NODE_TYPES
from smile_sklearn.verification.affine_box import AffineEnvelope, affine_box
from smile_sklearn.verification.bands import band_maximum
from smile_sklearn.verification.base import BoundPair, Proof, Verifier
from smile_sklearn.verification.difference import Analysis
from smile_sklearn.verification.falsifying.pair_space import PairSpace
from smile_sklearn.verification.formulations.value import pair_envelope
from smile_sklearn.verification.replay import repair_unit, replay
from smile_sklearn.verification.rounding import matmul_upper
from smile_sklearn.verification.sides import epsilon_of, sides


class ClosedForm(Verifier):
    r"""Largest V(x', x'') of an affine box, feature by feature; complete for V, box coupling.

    .. math:: \max V = c + \sum_j \max_{(p'_j, p''_j) \in H_j} (a_j p'_j + b_j p''_j)
                         + \sum_G \max_{(s, t) \in Q_G} (a_s + b_t)

    V is affine (:mod:`~smile_sklearn.verification.affine_box`) and Q is a product over features and
    groups, so each is maximised by itself: a feature at a vertex of the hexagon H of box and band, a group
    at its best allowed pair of categories (s, t). Integers lose nothing: box and band of an integer feature
    have whole ends in units of k, so the hexagon has whole vertices; only the 4u by which
    ``relation.unit_delta`` is widened for the scaling remain.
    """

    name = "closed form"
    couplings = ("box",)
    node_types = DENSE_NODE_TYPES

    def check(self, snapshot, relation, coupling="auto"):
        """Return the couplings to use, or raise UnsupportedError saying what does not fit."""
        couplings = super().check(snapshot, relation, coupling)
        affine_box(snapshot.lowered())
        return couplings

    def _verify(self, snapshot, relation, couplings, context):
        analysis = Analysis(snapshot, relation)
        if not np.isfinite(analysis.slack).all():
            return _proof(couplings, BoundPair(-np.inf, np.inf))
        envelope = AffineEnvelope(affine_box(snapshot), analysis)
        largest = {sign: largest_values(envelope, relation, sign) for sign in (1, -1)}
        bounds = BoundPair(-float(largest[-1].max()), float(largest[1].max()))
        attained, counterexample = -np.inf, None
        for sign in sides(relation):
            margin = int(np.argmax(largest[sign]))
            weights = (coefficients[[margin]] for coefficients in envelope.of_side(sign))
            first, second = PairSpace(relation).best(*weights)
            pair = repair_unit(relation, first[0], second[0])
            if pair is None:
                continue
            first, second = snapshot.domain.to_unit(np.stack(pair))
            row = sign * analysis.margins[margin]
            value = float(pair_envelope(snapshot, couplings, row, first[None], second[None]).value[0])
            attained = max(attained, value - epsilon_of(relation, sign))
            if counterexample is None and context.predict is not None:
                counterexample = replay(relation, *pair, context.predict)
        slack = float(envelope.slack.max())
        return _proof(couplings, bounds, slack=slack, attained=attained, counterexample=counterexample)


def largest_values(envelope, relation, sign):
    """Upper bound of ``sign * (f(x') - f(x''))`` for every margin, all slack included, (n_margins,)."""
    a, b = envelope.of_side(sign)
    moving, still, top = _numeric(relation)
    low, high = relation.unit_delta()
    zeros = np.zeros(int(moving.sum()))
    parts = [
        band_maximum(
            a[:, moving], b[:, moving], zeros, top[moving], zeros, top[moving], low[moving], high[moving]
        ),
        matmul_upper(envelope.equal[:, still], np.zeros(int(still.sum())), top[still])[:, None],
    ]
    for group, allowed in zip(relation.domain.groups, relation.group_pairs, strict=True):
        best = _group_scores(envelope, sign, group, allowed).max(axis=1, keepdims=True)
        # A sum of two floats is 0 only where it is exactly 0.
        parts.append(np.where(best == 0, 0.0, np.nextafter(best, np.inf)))
    parts += [envelope.constant[:, None], envelope.slack[:, None]]
    terms = np.hstack(parts)
    ones = np.ones(terms.shape[1])
    return matmul_upper(terms, ones, ones)


def _numeric(relation):
    """Masks of the features outside groups that may differ, and that are equal; the upper ends."""
    domain = relation.domain
    numeric = ~domain.in_group
    return numeric & ~relation.equal, numeric & relation.equal, np.where(domain.scale > 0, 1.0, 0.0)


def _group_scores(envelope, sign, group, allowed):
    """a_s + b_t of every allowed pair of categories (s, t), (n_margins, n_pairs)."""
    columns, (firsts, seconds) = list(group.columns), np.nonzero(allowed)
    # Categories are rows of 0 with at most one 1: these products are exact.
    a, b, both = (
        coefficients[:, columns] @ group.categories.T
        for coefficients in (*envelope.of_side(sign), envelope.equal)
    )
    return np.where(firsts == seconds, both[:, firsts], a[:, firsts] + b[:, seconds])


def _proof(couplings, bounds, **shown):
    return Proof(
        bounds=bounds,
        rigor="rounded",
        couplings=couplings,
        data={"kind": "closed form", "couplings": {"box": [bounds.lower, bounds.upper]}},
        **shown,
    )
