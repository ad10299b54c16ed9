r"""The paper's own verification problem, to the letter: the reference of ``mip_against_paper.py``.

Equations 5 and 6 of "SMiLE: relational properties": two copies of both auxiliaries, their embeddings as
variables of their own, both sides of R in ONE model with the side selector b,

.. math::

    \max \gamma: \quad & \underline\delta \le x' - x'' \le \bar\delta \quad (5c) \\
    & \underline h(x) \le z, \quad z \le \underline h(x) + M (1 - t), \quad z \le \bar h(x) + M t
      \quad (6d-6i, each copy) \\
    & \gamma \le y' - y'' - \bar\epsilon + M b, \quad
      \gamma \le y'' - y' + \underline\epsilon + M (1 - b) \quad (5h, 5i), \quad \gamma \ge 0 \quad (5k)

and textbook big-M rows for every clamped unit that can be in two states. What the paper leaves open is filled
in generously: every M is derived from intervals, a one-sided property has the row of its side alone,
stable units carry no binary. The paper says "infeasible" where the property holds, since gamma > 0.

The paper knows the box coupling only. For the shared one the same model gets, instead of the boxes,
rows for what both embeddings then obey: min(0, dlo, dhi) <= z' - z'' <= max(0, dlo, dhi).
"""

import time
from dataclasses import dataclass

import numpy as np

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.graph import Affine, Clamp, GroupSort, Input, Sum
from smile_sklearn.verification.difference import Analysis
from smile_sklearn.verification.formulations.model import ModelBuilder
from smile_sklearn.verification.linear_form import linear_form
from smile_sklearn.verification.solvers import SolverDoor, Termination


@dataclass(frozen=True)
class PaperAnswer:
    """What the paper's model says of a property.

    Parameters
    ----------
    violation : float
        Largest gamma found; 0 where the solver says that no violation exists, -inf if nothing was found.
    bound : float
        The solver's dual bound on gamma; inf if none.
    terminations : tuple of Termination
        One a margin.
    seconds : float
    nodes : int
    """

    violation: float
    bound: float
    terminations: tuple
    seconds: float
    nodes: int

    @property
    def solved(self):
        """Whether every margin was solved; infeasible says that the property holds."""
        return all(end in (Termination.OPTIMAL, Termination.INFEASIBLE) for end in self.terminations)


def paper_maximum(snapshot, relation, coupling="box", *, time_limit=None, door=None):
    """Largest violation of a property by the paper's model, one model a margin.

    Parameters
    ----------
    snapshot : NetworkSnapshot
    relation : Relation
    coupling : {"box", "shared"}
    time_limit : float or None
        Seconds for all margins.
    door : SolverDoor or None
        HiGHS by default.

    Returns
    -------
    PaperAnswer
    """
    door, started = door or SolverDoor("highs"), time.perf_counter()
    analysis, results = Analysis(snapshot, relation), []
    for margin in range(len(analysis.margins)):
        model = paper_model(analysis, coupling, margin)
        left = None if time_limit is None else max(0.0, time_limit - (time.perf_counter() - started))
        results.append(door.solve(model, time_limit=left))
    holds = [result.termination is Termination.INFEASIBLE for result in results]
    reached = [-np.inf if result.objective is None else result.objective for result in results]
    bounds = [np.inf if result.bound is None else result.bound for result in results]
    return PaperAnswer(
        violation=max(0.0 if none else value for none, value in zip(holds, reached, strict=True)),
        bound=max(0.0 if none else value for none, value in zip(holds, bounds, strict=True)),
        terminations=tuple(result.termination for result in results),
        seconds=time.perf_counter() - started,
        nodes=sum(result.nodes for result in results),
    )


def paper_model(analysis, coupling, margin):
    """The model of one margin, a LinearModel that maximises gamma."""
    snapshot, builder = analysis.snapshot, ModelBuilder()
    copies = [_Copy(builder, analysis) for _ in range(2)]
    _relate(builder, analysis.relation, *(copy.columns[0] for copy in copies))
    embeddings = [_embedding(builder, analysis, copy, coupling) for copy in copies]
    if coupling == "shared":
        _share(builder, analysis, copies, embeddings)
    row = analysis.margins[margin]
    ends = _ends(analysis)
    # y = w z + constant; the constant cancels in y' - y'' and is left out.
    low = np.minimum(row * ends[0], row * ends[1]).sum()
    high = np.maximum(row * ends[0], row * ends[1]).sum()
    outputs = builder.columns([low, low], high)
    for output, embedding in zip(outputs, embeddings, strict=True):
        builder.row([*zip(embedding, row, strict=True), (output, -1.0)], 0.0, 0.0)
    _violation(builder, analysis.relation, outputs, high - low)
    assert snapshot.n_latent == len(row)
    return builder.build()


def _violation(builder, relation, outputs, reach):
    """Gamma and the rows of the sides, 5h and 5i; b only where both sides have a limit."""
    first, second = outputs
    limits = [relation.epsilon_upper, -relation.epsilon_lower]
    sides = [(sign, limit) for sign, limit in zip((1.0, -1.0), limits, strict=True) if np.isfinite(limit)]
    most = max(0.0, *(reach - limit for _, limit in sides), 0.0)
    (gamma,) = builder.columns(0.0, most)
    builder.maximise([(gamma, 1.0)])
    selector = builder.columns(0.0, 1.0, integer=True)[0] if len(sides) == 2 else None
    for place, (sign, limit) in enumerate(sides):
        terms = [(gamma, 1.0), (first, -sign), (second, sign)]
        if selector is None:
            builder.row(terms, upper=-limit)
            continue
        # Off: gamma may be `most` while sign (y' - y'') is as small as -reach.
        large = most + reach + limit
        if place == 0:  # 5h: + M b
            builder.row([*terms, (selector, -large)], upper=-limit)
        else:  # 5i: + M (1 - b)
            builder.row([*terms, (selector, large)], upper=large - limit)


class _Copy:
    """One copy of both auxiliaries, textbook big-M over interval ranges."""

    def __init__(self, builder, analysis):
        self.builder, self.ranges = builder, analysis.ranges
        graph, domain = analysis.snapshot.graph, analysis.snapshot.domain
        self.columns = {}
        encoders = {Affine: self._affine, Clamp: self._clamp, Sum: self._sum, GroupSort: self._sort}
        for index, node in enumerate(graph.nodes):
            if isinstance(node, Input):
                self.columns[index] = _inputs(builder, domain)
                continue
            self.columns[index] = builder.columns(*self.ranges[index])
            encoders[type(node)](index, node)

    def _affine(self, index, node):
        for unit, column in enumerate(self.columns[index]):
            terms = zip(self.columns[node.source], node.weight[unit], strict=True)
            self.builder.row([*terms, (column, -1.0)], -node.bias[unit], -node.bias[unit])

    def _sum(self, index, node):
        parts = (self.columns[source] for source in node.sources)
        for first, second, column in zip(*parts, self.columns[index], strict=True):
            self.builder.row([(first, 1.0), (second, 1.0), (column, -1.0)], 0.0, 0.0)

    def _clamp(self, index, node):
        low, high = self.ranges[node.source]
        for unit, (before, after) in enumerate(
            zip(self.columns[node.source], self.columns[index], strict=True)
        ):
            _clamp(self.builder, before, after, (low[unit], high[unit]), (node.lower[unit], node.upper[unit]))

    def _sort(self, index, node):
        if node.group != 2:
            raise UnsupportedError(f"Got GroupSort of {node.group}; as max and min it is written for 2 only.")
        low, high = self.ranges[node.source]
        before, after = (self.columns[place].reshape(-1, 2) for place in (node.source, index))
        for block, (inputs, (smaller, larger)) in enumerate(zip(before, after, strict=True)):
            (chosen,) = self.builder.columns(0.0, 1.0, integer=True)
            places = 2 * block, 2 * block + 1
            for (own, other), sign in (((0, 1), 1.0), ((1, 0), -1.0)):
                # larger <= own + M (off), off = 1 - chosen for the first and chosen for the second.
                excess = max(0.0, high[places[other]] - low[places[own]])
                self.builder.row([(larger, 1.0), (inputs[own], -1.0)], lower=0.0)
                terms = [(larger, 1.0), (inputs[own], -1.0), (chosen, sign * excess)]
                self.builder.row(terms, upper=excess if sign > 0 else 0.0)
            terms = [(smaller, 1.0), (larger, 1.0), (inputs[0], -1.0), (inputs[1], -1.0)]
            self.builder.row(terms, 0.0, 0.0)


def _clamp(builder, before, after, source, clamp):
    """``after = max(c, min(e, before))``: a binary for each kink inside the range."""
    (low, high), (bottom, top) = source, clamp
    if low >= top or high <= bottom:
        return  # constant: its range says so
    difference = [(after, 1.0), (before, -1.0)]
    if low < bottom:
        (above,) = builder.columns(0.0, 1.0, integer=True)
        builder.row([(after, 1.0), (above, bottom - min(top, high))], upper=bottom)
        builder.row([*difference, (above, bottom - low)], upper=bottom - low)
    else:
        builder.row(difference, upper=0.0)
    if top < high:
        (beyond,) = builder.columns(0.0, 1.0, integer=True)
        builder.row([(after, 1.0), (beyond, max(bottom, low) - top)], lower=max(bottom, low))
        builder.row([*difference, (beyond, high - top)], lower=0.0)
    else:
        builder.row(difference, lower=0.0)


def _inputs(builder, domain):
    """Coordinates of one copy: binaries of groups, whole multiples of integers."""
    moving = domain.in_group | (domain.scale > 0)
    columns = np.array(
        [
            builder.columns(0.0, 1.0 if moves else 0.0, integer=group)[0]
            for moves, group in zip(moving, domain.in_group, strict=True)
        ]
    )
    for feature in np.flatnonzero(domain.is_integer & (domain.scale > 0)):
        (whole,) = builder.columns(0.0, domain.scale[feature], integer=True)
        builder.row([(columns[feature], domain.scale[feature]), (whole, -1.0)], 0.0, 0.0)
    for group in domain.groups:
        terms = [(columns[place], 1.0) for place in group.columns]
        builder.row(terms, -np.inf if group.at_most_one else 1.0, 1.0)
    return columns


def _relate(builder, relation, first, second):
    """5c, a row a feature; on the columns of a group it relates exactly the allowed pairs."""
    for a, b, low, high in zip(first, second, *relation.unit_delta(), strict=True):
        builder.row([(a, 1.0), (b, -1.0)], low, high)


def _ends(analysis):
    """Range of the embeddings: lo up to max(lo, hi)."""
    lower, upper = (analysis.ranges[end] for end in (analysis.snapshot.lower, analysis.snapshot.upper))
    return lower.low, np.maximum(lower.high, upper.high)


def _embedding(builder, analysis, copy, coupling):
    """Z between lo and max(lo, hi), 6d-6f; under the shared coupling its range alone."""
    snapshot = analysis.snapshot
    embedding = builder.columns(*_ends(analysis))
    if coupling == "shared":
        return embedding
    lower, upper = copy.columns[snapshot.lower], copy.columns[snapshot.upper]
    gap = _gap(analysis)
    for unit, place in enumerate(embedding):
        (flipped,) = builder.columns(0.0, 1.0, integer=True)  # 1 - t of the paper
        wide, narrow = max(0.0, gap.high[unit]), max(0.0, -gap.low[unit])
        builder.row([(place, 1.0), (lower[unit], -1.0)], lower=0.0)
        builder.row([(place, 1.0), (lower[unit], -1.0), (flipped, wide)], upper=wide)
        builder.row([(place, 1.0), (upper[unit], -1.0), (flipped, -narrow)], upper=0.0)
    return embedding


def _gap(analysis):
    snapshot = analysis.snapshot
    eye = np.eye(snapshot.n_latent)
    if snapshot.width is not None:
        rows = {snapshot.width: eye}
    elif snapshot.lower == snapshot.upper:
        rows = {snapshot.upper: np.zeros_like(eye)}
    else:
        rows = {snapshot.upper: eye, snapshot.lower: -eye}
    return linear_form(snapshot.graph, rows).range(analysis.ranges, snapshot.domain)


def _share(builder, analysis, copies, embeddings):
    """``z' - z''`` within the extremes of 0, dlo and dhi; both directions, since both sides are asked."""
    snapshot = analysis.snapshot
    for unit in range(snapshot.n_latent):
        ends = [[copy.columns[end][unit] for copy in copies] for end in (snapshot.lower, snapshot.upper)]
        ranges = [
            tuple(end[unit] for end in analysis.differences[node])
            for node in (snapshot.lower, snapshot.upper)
        ]
        moved = [embedding[unit] for embedding in embeddings]
        for sign in (1.0, -1.0):
            most = max([0.0, *(max(sign * end for end in range_) for range_ in ranges)])
            chosen = builder.columns(np.zeros(3), 1.0, integer=True)
            builder.row([(place, 1.0) for place in chosen], 1.0, 1.0)
            lows = [0.0, *(min(sign * end for end in range_) for range_ in ranges)]
            pairs = [None, *ends]
            for place, low, pair in zip(chosen, lows, pairs, strict=True):
                terms = [(moved[0], sign), (moved[1], -sign), (place, most - low)]
                if pair is not None:
                    terms += [(pair[0], -sign), (pair[1], sign)]
                builder.row(terms, upper=most - low)


__all__ = ["PaperAnswer", "paper_maximum", "paper_model"]
