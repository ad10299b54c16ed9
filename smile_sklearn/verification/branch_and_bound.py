r"""Branch and bound over sub-boxes of related pairs: complete for V in the limit, without a solver."""

import numpy as np
from joblib import Parallel, delayed

from smile_sklearn.snapshot.graph import DENSE_NODE_TYPES
from smile_sklearn.verification.base import BoundPair, Proof, Verifier
from smile_sklearn.verification.branching.envelope_bounds import EnvelopeBounds
from smile_sklearn.verification.branching.linear_bounds import GraphBounds
from smile_sklearn.verification.branching.regions import Regions
from smile_sklearn.verification.branching.search import Attained, Frontier, Search, Tree, expand
from smile_sklearn.verification.branching.splitting import make_rule
from smile_sklearn.verification.difference import Analysis
from smile_sklearn.verification.replay import counterexample_from_unit, sample_pairs
from smile_sklearn.verification.rounding import absolute_matmul, add_upper
from smile_sklearn.verification.sides import epsilon_of, share_of, sides

ROUND = 1000
"""Subproblems of one part of a search between two looks at all parts."""

PARTS = 8
"""Parts that the open regions of one side are dealt to, once it has proven hard; whatever ``n_jobs`` is,
so that it does not change the answer."""


class BranchAndBound(Verifier):
    """Largest V(x', x'') over all related pairs, by cutting them into regions.

    Each region is bounded by backward linear bounds; the one with the largest bound is cut first, so
    that at any time the largest bound of a leaf is a proven bound. A search ends when that is at most
    epsilon, when it is within ``gap`` of a V that some related pair has, or at a limit. Every bound is
    rounded outward: no solver is trusted. Meant for few moving inputs (the regions needed grow
    exponentially with them); with many the bound is right, and far from the largest V.

    Parameters
    ----------
    splitting : {"reciph", "width", "smear"} or SplittingRule
        Which variable of a region is cut.
    max_subproblems : int
        Regions bounded for each margin and side.
    gap : float
        Relative distance of bound and attained value at which a side is finished.
    batch_size : int
        Regions cut at once.
    n_jobs : int or None
        Sides, and parts of hard ones, searched in parallel (joblib; None asks `parallel_config`). The
        answer is the same for every value unless the time runs out.
    """

    name = "branch and bound"
    couplings = ("box", "shared")
    node_types = DENSE_NODE_TYPES

    def __init__(self, splitting="reciph", max_subproblems=20_000, gap=1e-4, batch_size=128, n_jobs=None):
        self.splitting = splitting
        self.max_subproblems = max_subproblems
        self.gap = gap
        self.batch_size = batch_size
        self.n_jobs = n_jobs

    def _verify(self, snapshot, relation, couplings, context):
        rule, analysis = make_rule(self.splitting), Analysis(snapshot, relation)
        if not np.isfinite(analysis.slack).all():
            return self._proof(relation, couplings, rule, [])
        graph = GraphBounds(snapshot.graph, snapshot.domain)
        problems = []
        for sign in sides(relation):
            for margin, row in enumerate(analysis.margins):
                envelope = EnvelopeBounds(snapshot, couplings, sign * row, graph)
                limits = (_slack(analysis, margin), epsilon_of(relation, sign), self.gap, self.batch_size)
                problems.append(Side(Search(relation, envelope, rule, *limits), margin, sign))
        counterexample = self._search(problems, context)
        return self._proof(relation, couplings, rule, problems, counterexample)

    def _search(self, problems, context):
        """Rounds over all sides that are not finished; return a counterexample, which ends them."""
        while True:
            for side in problems:
                counterexample = side.counterexample(context.predict)
                if counterexample is not None:
                    return counterexample
            for side in problems:
                side.known = max(other.attained.value for other in problems if other.sign == side.sign)
            dealt = [(side, part) for side in problems for part in side.deal(self.max_subproblems)]
            if not dealt or context.remaining() == 0.0:
                return None
            # Lazily, so that the time left is that of the moment at which a part is started.
            outcomes = Parallel(n_jobs=self.n_jobs, pre_dispatch="n_jobs")(
                delayed(expand)(*side.arguments(part), share_of(context, dealt, number))
                for number, (side, part) in enumerate(dealt)
            )
            answers = [(side, part, outcome) for (side, part), outcome in zip(dealt, outcomes, strict=True)]
            for side in problems:
                side.merge([(part, outcome) for owner, part, outcome in answers if owner is side])

    def _proof(self, relation, couplings, rule, problems, counterexample=None):
        ends = {
            sign: max((side.bound for side in problems if side.sign == sign), default=np.inf)
            for sign in (1, -1)
        }
        if relation.symmetric:
            ends[-1] = ends[1]
        bounds = BoundPair(lower=-float(ends[-1]), upper=float(ends[1]))
        return Proof(
            bounds=bounds,
            rigor="rounded",
            couplings=couplings,
            slack=max((side.search.slack for side in problems), default=np.inf),
            data={
                "kind": self.name,
                "couplings": list(couplings),
                "bounds": list(bounds),
                "splitting": rule.name,
                "subproblems": sum(side.subproblems for side in problems),
                "sides": [side.to_dict() for side in problems],
            },
            counterexample=counterexample,
            attained=max((side.attained.value - side.search.epsilon for side in problems), default=-np.inf),
        )


class Side:
    """The search for the largest V of one margin and sign: its tree, and what is open of it.

    Parameters
    ----------
    search : Search
    margin : int
    sign : {1, -1}
    """

    def __init__(self, search, margin, sign):
        self.search, self.margin, self.sign = search, margin, sign
        relation = search.relation
        self.tree, self.closed, self.subproblems, self.rounds = Tree(), -np.inf, 1, 0
        self.open, pairs = search.frontier(np.zeros(1, dtype=int), Regions.root(relation))
        self.scale = float(self.open.upper[0])
        sampled = (relation.domain.to_unit(rows) for rows in sample_pairs(relation))
        self.attained = Attained(-np.inf, None).improved(search, *sampled).improved(search, *pairs)
        self.known, self._replayed = self.attained.value, search.epsilon

    @property
    def bound(self):
        """Proven bound of this side, slack included."""
        return float(max(self.closed, self.open.upper.max(initial=-np.inf)))

    def counterexample(self, predict):
        """Replay the best pair on f itself, once, if its V is above epsilon; None if f does not break R."""
        if not self.attained.value > self._replayed:
            return None
        self._replayed = self.attained.value
        return counterexample_from_unit(self.search.relation, *self.attained.pair, predict)

    def deal(self, max_subproblems):
        """What is left to do, dealt to parts; nothing when the side is finished.

        Returns
        -------
        list of (int ndarray, int)
            Rows of the open regions, and the subproblems that may be spent below them.
        """
        limit = self.search.limit(max(self.known, self.attained.value), self.scale)
        left = max_subproblems - self.subproblems
        order = self.open.best_first()
        order = order[(self.open.upper[order] > limit) & (self.open.cut.variable[order] >= 0)]
        if left < 2 or not len(order):
            return []
        n_parts = 1 if self.rounds == 0 else min(PARTS, len(order), left // 2)
        budget = min(ROUND, left // n_parts)
        # Dealt in the order of their bounds; more regions than half the budget cannot be cut anyway.
        return [(order[part::n_parts][: budget // 2], budget) for part in range(n_parts)]

    def arguments(self, part):
        """Arguments of `expand` for one part, but for the time."""
        rows, budget = part
        return self.search, self.open.take(rows), self.attained, self.known, self.scale, budget

    def merge(self, answers):
        """Put the answers of the parts in the place of their regions."""
        self.rounds += bool(answers)
        rest = np.ones(len(self.open.nodes), dtype=bool)
        grown = []
        for (rows, _), outcome in answers:
            rest[rows] = False
            numbers = self.tree.graft(self.open.nodes[rows], outcome.tree)
            grown.append(outcome.open._replace(nodes=numbers[outcome.open.nodes]))
            self.closed = max(self.closed, outcome.closed)
            self.subproblems += outcome.subproblems
            if outcome.attained.value > self.attained.value:
                self.attained = outcome.attained
        self.open = Frontier.joined([self.open.take(rest), *grown])

    def to_dict(self):
        """Plain JSON types for the certificate."""
        bound = self.bound
        return {
            "margin": self.margin,
            "side": "upper" if self.sign > 0 else "lower",
            "bound": bound if np.isfinite(bound) else "inf",
            "subproblems": self.subproblems,
            "tree": self.tree.preorder(),
        }


def _slack(analysis, margin):
    """Float forward pass, and the rounding of a margin; the regions hold the very floats that are read."""
    snapshot = analysis.snapshot
    ends = (analysis.differences[end].magnitude for end in (snapshot.lower, snapshot.upper))
    reach = add_upper(np.maximum(*ends), analysis.width())
    rounded = absolute_matmul(analysis.margin_error[[margin]], reach)
    return float(add_upper(analysis.slack[[margin]], rounded)[0])
