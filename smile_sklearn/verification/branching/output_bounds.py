"""Linear bounds of one input (arity 1): of any nodes, and of the envelope [L, U] of the output."""

import numpy as np

from smile_sklearn.verification.branching.batch_intervals import UNDERFLOW, outward
from smile_sklearn.verification.branching.envelope_bounds import gap_ranges
from smile_sklearn.verification.branching.linear_bounds import GraphBounds, in_chunks
from smile_sklearn.verification.branching.linear_functions import maximum_on_boxes
from smile_sklearn.verification.branching.relaxations import upper_line
from smile_sklearn.verification.intervals import Interval
from smile_sklearn.verification.rounding import gamma


def row_bounds(graph, domain, rows, boxes):
    """Interval of linear functions of nodes over boxes of one input (arity 1).

    Parameters
    ----------
    graph : Graph
    domain : InputDomain
    rows : dict of int to ndarray of shape (m, size)
        ``sum_k rows[k] @ node_k``: ``{snapshot.lower: np.eye(n_latent)}`` bounds lo.
    boxes : Boxes of shape (n, d)

    Returns
    -------
    Interval of ndarrays of shape (n, m)
    """
    bounds = GraphBounds(graph, domain)
    both = {index: np.concatenate([row, -row])[None, None] for index, row in rows.items()}
    n_rows, parts = next(iter(both.values())).shape[2], []
    for chunk in in_chunks(len(boxes.low), bounds.boxes_at_once(n_rows)):
        ranges = bounds.ranges(boxes.take(chunk))
        parts.append(maximum_on_boxes(bounds.upper(both, ranges), ranges.boxes, domain))
    ends = np.concatenate(parts)
    return Interval(-ends[:, n_rows // 2 :], ends[:, : n_rows // 2])


def output_bounds(snapshot, rows, boxes, graph=None):
    r"""Interval of [L, U] of rows of the head over boxes of one input, whatever the backbone computes.

    .. math::

        U = \sum_i w^+_i \max(lo_i, hi_i) + w^-_i lo_i, \quad L = \sum_i w^+_i lo_i + w^-_i \max(lo_i, hi_i)

    Parameters
    ----------
    snapshot : NetworkSnapshot
    rows : ndarray of shape (m, n_latent)
        ``snapshot.head_weight``, or ``snapshot.margins()``; biases are not added.
    boxes : Boxes of shape (n, d)
    graph : GraphBounds or None
        Of the snapshot, if it is there already.

    Returns
    -------
    Interval of ndarrays of shape (n, m)
        At most L, and at least U, everywhere on the box; real numbers, without the slack of the forward pass.
    """
    graph = GraphBounds(snapshot.graph, snapshot.domain) if graph is None else graph
    chunks = in_chunks(len(boxes.low), graph.boxes_at_once(2 * len(rows)))
    ends = np.concatenate([_ends(snapshot, rows, boxes.take(chunk), graph) for chunk in chunks])
    return Interval(-ends[:, len(rows) :], ends[:, : len(rows)])


def _ends(snapshot, rows, boxes, graph):
    """Upper bounds of U and of -L, (n, 2 m)."""
    ranges = graph.ranges(boxes)
    gap = gap_ranges(graph, snapshot, ranges, np.ones(snapshot.n_latent, dtype=bool))
    line = upper_line(*gap, 0.0, np.inf)
    # U = w lo + w+ m and -L = -w lo + |w-| m, with m = max(0, hi - lo) <= s q + t.
    both = np.concatenate([rows, -rows])
    opens = np.maximum(both, 0.0) * line.slope[:, None]
    if snapshot.width is not None:
        weights = {snapshot.lower: np.broadcast_to(both, opens.shape)}
        weights[snapshot.width] = weights.get(snapshot.width, 0.0) + opens  # one node may be both
    elif snapshot.lower == snapshot.upper:
        weights = {snapshot.lower: np.broadcast_to(both, opens.shape)}
    else:
        weights = {snapshot.lower: both - opens, snapshot.upper: opens}
    terms = np.maximum(both, 0.0) * line.intercept[:, None]
    reach = sum(ranges.magnitude(end)[0] for end in weights) @ np.abs(both).T
    bound = maximum_on_boxes(
        graph.upper({index: weight[None] for index, weight in weights.items()}, ranges),
        ranges.boxes,
        snapshot.domain,
    )
    small = gamma(8 * snapshot.n_latent + 64) * (np.abs(terms).sum(axis=2) + reach + np.abs(bound))
    return outward(bound + terms.sum(axis=2) + (4 * small + UNDERFLOW), 1)
