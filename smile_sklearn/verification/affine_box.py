r"""Networks whose box is affine on the domain, and their V as one linear function of the pair.

With lo affine and :math:`q = hi - lo` affine and of one sign on X, the largest the clip can do is affine
too, :math:`m = \max(0, q) = q` or 0, and for a row w of the head (or of a margin)

.. math:: V(x', x'') = w (lo' - lo'') + w^+ m' + |w^-| m'' = a \cdot p' + b \cdot p'' + c

in unit coordinates p. Clamps that never reach a kink on X are affine there and are composed as such.
"""

from dataclasses import dataclass

import numpy as np

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.graph import Affine, Clamp, Graph
from smile_sklearn.verification.intervals import node_ranges
from smile_sklearn.verification.linear_form import linear_form
from smile_sklearn.verification.rounding import absolute_matmul, add_upper

ROUNDING_SHARE = 2.0**-40
"""A box is open "up to rounding" if hi falls below lo by at most this share of the terms of hi - lo.

No bound rests on it: what is missing is added to V. It separates boxes that really flip from widths built
as ``V x + |c| - sum min(V, 0)``, whose float bias is off by some units of the last place.
"""


@dataclass(frozen=True, eq=False)
class AffineBox:
    """What makes V affine.

    Parameters
    ----------
    graph : Graph
        The network with its stable clamps written as affine nodes; the same indices.
    is_open : ndarray of shape (n_latent,), bool
        Units with hi >= lo on X; the others have hi <= lo, and the clip returns lo.
    flip : ndarray of shape (n_latent,)
        By how much an open unit may be flipped after all, by rounding.
    width : ndarray of shape (n_latent,)
        Largest ``max(0, hi - lo)`` on X.
    """

    graph: Graph
    is_open: np.ndarray
    flip: np.ndarray
    width: np.ndarray


def affine_box(snapshot):
    """Return the :class:`AffineBox` of a snapshot.

    Raises
    ------
    UnsupportedError
        If lo or hi - lo is not affine on the domain, or hi - lo changes its sign there.
    """
    ranges = node_ranges(snapshot.graph, snapshot.domain)
    graph = compose_stable_clamps(snapshot.graph, ranges)
    identity = np.eye(snapshot.n_latent)
    gap = linear_form(graph, box_rows(snapshot, np.zeros_like(identity), identity))
    for name, form in (("lo", linear_form(graph, {snapshot.lower: identity})), ("hi - lo", gap)):
        bent = {type(graph.nodes[index]).__name__ for index in form.coefficients if index != 0}
        if bent:
            raise UnsupportedError(
                f"The closed form needs lo and hi - lo affine on the domain, but {name} passes through "
                f"{sorted(bent)}. Use verifier='mip' or 'auto'."
            )
    low, high = (np.broadcast_to(end, len(identity)) for end in gap.range(ranges, snapshot.domain))
    magnitude = ranges[0].magnitude
    terms = np.abs(gap.coefficients[0]) @ magnitude + np.abs(gap.constant)
    rounding = gap.errors[0] @ magnitude + gap.constant_error + ROUNDING_SHARE * terms
    # max(0, q) = 0 where q <= 0, and <= q + max(0, -q_min) everywhere.
    is_closed = high <= 0.0
    is_open = ~is_closed & (low >= -rounding)
    if not (is_open | is_closed).all():
        unit = int(np.argmin(is_open | is_closed))
        raise UnsupportedError(
            f"The closed form needs hi - lo of one sign on the domain, but that of unit {unit} lies in "
            f"[{low[unit]:.3g}, {high[unit]:.3g}]. Use verifier='mip' or 'auto'."
        )
    flip = np.where(is_open, np.maximum(0.0, -low), 0.0)
    return AffineBox(graph, is_open, flip, np.maximum(0.0, high))


def compose_stable_clamps(graph, ranges):
    """Write every clamp whose units never reach a kink as an affine node; indices stay.

    A unit whose source lies within [lower, upper] passes it on; one whose source never enters is constant.
    """
    nodes = []
    for node in graph.nodes:
        if isinstance(node, Clamp):
            source = ranges[node.source]
            passes = (source.low >= node.lower) & (source.high <= node.upper)
            below, above = source.high <= node.lower, source.low >= node.upper
            if (passes | below | above).all():
                value = np.where(below, node.lower, node.upper)
                node = Affine(np.diag(passes.astype(float)), np.where(passes, 0.0, value), node.source)
        nodes.append(node)
    return Graph(tuple(nodes))


def box_rows(snapshot, lower_rows, gap_rows):
    """Rows over the nodes of the graph that say ``lower_rows @ lo + gap_rows @ (hi - lo)``.

    Exact where each entry of ``gap_rows`` is 0, or the corresponding one of ``lower_rows`` or its negative.
    """
    if snapshot.width is None:
        parts = [(snapshot.lower, lower_rows - gap_rows), (snapshot.upper, gap_rows)]
    else:
        parts = [(snapshot.lower, lower_rows), (snapshot.width, gap_rows)]
    rows = {}
    for node, part in parts:
        rows[node] = rows[node] + part if node in rows else part
    return rows


class AffineEnvelope:
    """V of every margin as a linear function of (p', p''), with what it leaves out.

    Parameters
    ----------
    box : AffineBox
    analysis : Analysis
        Of the same snapshot, under the relation.

    Attributes
    ----------
    first, second, equal : ndarray of shape (n_margins, n_features)
        Coefficients of p', of p'', and of a coordinate that both share (the composed sum of the two, in
        which the slopes of lo cancel exactly).
    constant : ndarray of shape (n_margins,)
    slack : ndarray of shape (n_margins,)
        Upper bound on what f(x') - f(x''), as float64 computes it, may exceed that function by.
    """

    def __init__(self, box, analysis):
        snapshot, margins = analysis.snapshot, analysis.margins
        rise = np.where(box.is_open, np.maximum(margins, 0.0), 0.0)
        fall = np.where(box.is_open, np.maximum(-margins, 0.0), 0.0)
        compose = lambda lower_rows, gap_rows: linear_form(
            box.graph, box_rows(snapshot, lower_rows, gap_rows)
        )
        first, second = compose(margins, rise), compose(-margins, fall)
        # The constant of lo drops out of lo' - lo''; that of the gaps stays, once for every unit.
        equal = compose(np.zeros_like(margins), rise + fall)
        self.first, self.second, self.equal = (form.coefficients[0] for form in (first, second, equal))
        self.constant = np.broadcast_to(equal.constant, len(margins))
        self.slack = add_upper(
            analysis.slack,
            np.broadcast_to(equal.constant_error, len(margins)),
            _coefficient_error((first, second, equal), analysis.ranges[0].magnitude, analysis.relation.equal),
            absolute_matmul(margins, box.flip),
            # |f' - f''| for the true margin row: |w - fl(w)| times the reach of each unit.
            absolute_matmul(
                analysis.margin_error,
                add_upper(box.width, analysis.differences[snapshot.lower].magnitude),
            ),
        )

    def of_side(self, sign):
        """Coefficients (a, b) of p' and p'' for ``sign * (f(x') - f(x''))``.

        The negative is the same V with x' and x'' exchanged.
        """
        return (self.first, self.second) if sign > 0 else (self.second, self.first)


def _coefficient_error(forms, magnitude, equal):
    first, second, joint = (form.errors[0] for form in forms)
    return add_upper(
        absolute_matmul(np.where(equal, 0.0, first), magnitude),
        absolute_matmul(np.where(equal, 0.0, second), magnitude),
        # A group that is held equal, or a category paired with itself, is read off the joint form.
        absolute_matmul(joint, magnitude),
    )
