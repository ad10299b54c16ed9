r"""Best-first search for the largest V over regions: what is open, what was cut, what was shown.

At any time

.. math:: attained \;\le\; \max_{Q} V + slack \;\le\; \max(\text{closed}, \max_{\text{open}} upper)

as the leaves of the tree cover all related pairs. Regions that can no longer matter are closed: their
bound is at most the limit, which is epsilon, or what was attained plus the gap asked for.
"""

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from smile_sklearn.verification.branching.envelope_bounds import EnvelopeBounds
from smile_sklearn.verification.branching.regions import Cut, Regions
from smile_sklearn.verification.formulations.value import pair_envelope
from smile_sklearn.verification.replay import repair_unit
from smile_sklearn.verification.rounding import add_upper


class Frontier(NamedTuple):
    """Open leaves of a tree, n of them.

    Parameters
    ----------
    nodes : int ndarray of shape (n,)
        Their numbers in the tree.
    upper : ndarray of shape (n,)
        Proven bounds, slack included.
    regions : Regions
    cut : Cut
        Where each is to be cut next.
    """

    nodes: np.ndarray
    upper: np.ndarray
    regions: Regions
    cut: Cut

    def take(self, rows):
        """Some of the leaves."""
        return Frontier(self.nodes[rows], self.upper[rows], self.regions.take(rows), self.cut.take(rows))

    @classmethod
    def joined(cls, parts):
        """Several frontiers as one."""
        variable, value, kept = zip(*(part.cut for part in parts), strict=True)
        return cls(
            np.concatenate([part.nodes for part in parts]),
            np.concatenate([part.upper for part in parts]),
            Regions.joined([part.regions for part in parts]),
            Cut(
                np.concatenate(variable),
                np.concatenate(value),
                tuple(map(np.concatenate, zip(*kept, strict=True))),
            ),
        )

    def best_first(self):
        """Rows in the order of their bounds, the largest first; ties in the order of the tree."""
        return np.lexsort((self.nodes, -self.upper))


class Tree:
    """A forest of cuts; a node is a number, and a leaf until it is cut."""

    def __init__(self, n_roots=1):
        self.cuts = [None] * n_roots
        self.children = [None] * n_roots

    def grow(self, node, cut):
        """Cut a leaf; return the numbers of its children."""
        left = len(self.cuts)
        self.cuts += [None, None]
        self.children += [None, None]
        self.cuts[node], self.children[node] = cut, (left, left + 1)
        return left, left + 1

    def graft(self, roots, other):
        """Put the trees of another forest on leaves of this one; return its nodes' numbers here."""
        numbers = list(roots) + list(range(len(self.cuts), len(self.cuts) + len(other.cuts) - len(roots)))
        self.cuts += [None] * (len(other.cuts) - len(roots))
        self.children += [None] * (len(other.cuts) - len(roots))
        for node, (cut, children) in enumerate(zip(other.cuts, other.children, strict=True)):
            if cut is not None:
                self.cuts[numbers[node]] = cut
                self.children[numbers[node]] = tuple(numbers[child] for child in children)
        return np.array(numbers)

    def preorder(self):
        """Cuts of the tree of node 0 in preorder, "leaf" for a leaf."""
        order, stack = [], [0]
        while stack:
            node = stack.pop()
            order.append("leaf" if self.cuts[node] is None else self.cuts[node])
            stack.extend(reversed(self.children[node] or ()))
        return order


@dataclass(frozen=True, eq=False)
class Search:
    """What stays the same while one side of one margin is searched; plain arrays, may be pickled.

    Parameters
    ----------
    relation : Relation
    envelope : EnvelopeBounds
    rule : SplittingRule
    slack : float
        Added to every bound of V: what the floats of the forward pass may add to it.
    epsilon : float
        The limit of this side.
    gap : float
        Relative, see `limit`.
    batch_size : int
        Regions cut at once.
    """

    relation: object
    envelope: EnvelopeBounds
    rule: object
    slack: float
    epsilon: float
    gap: float
    batch_size: int

    def limit(self, attained, scale):
        """Bound at which a region is closed: what is at most that changes no answer.

        Either epsilon, or the largest V attained (anywhere on this side) up to the gap, which is relative
        to what was attained or to epsilon, whichever is larger, and where both are 0 to a small
        part of ``scale``, the bound at the root.
        """
        size = max(abs(attained) if np.isfinite(attained) else 0.0, abs(self.epsilon), self.gap * scale)
        return max(self.epsilon, attained + self.slack + self.gap * size)

    def frontier(self, nodes, regions, parents=np.inf):
        """Bound regions, choose their cuts, and look for a good pair among their maximisers.

        Returns
        -------
        Frontier
        tuple of two ndarray of shape (n, d)
            The maximiser of each linear bound.
        """
        bounds = self.envelope.bound(regions)
        # A part of a region is bounded by the bound of the whole as well.
        upper = np.minimum(add_upper(bounds.upper, self.slack), parents)
        cut = self.rule.cuts(regions, bounds, self.envelope, self.relation)
        return Frontier(nodes, upper, regions, cut), self.envelope.maximiser(bounds, regions)

    def value(self, first, second):
        """V of pairs in unit coordinates, plain floats."""
        envelope = self.envelope
        return pair_envelope(envelope.snapshot, envelope.couplings, envelope.row, first, second).value


class Attained(NamedTuple):
    """The largest V shown by an exactly related pair: its value and the pair in unit coordinates."""

    value: float
    pair: tuple | None

    def improved(self, search, first, second):
        """Try the best of some pairs, repaired until Q holds exactly."""
        if not len(first):
            return self
        values = search.value(first, second)
        best = int(np.argmax(values))
        if not values[best] > self.value:
            return self
        raw = repair_unit(search.relation, first[best], second[best])
        if raw is None:
            return self
        first, second = search.relation.domain.to_unit(np.stack(raw))
        value = float(search.value(first[None], second[None])[0])
        return Attained(value, (first, second)) if value > self.value else self


class Outcome(NamedTuple):
    """What one part of a search found.

    Parameters
    ----------
    tree : Tree
        Its roots 0, 1, ... are the regions that the part was given, in order.
    open : Frontier
    closed : float
        Largest bound of a leaf that was closed.
    attained : Attained
    subproblems : int
    """

    tree: Tree
    open: Frontier
    closed: float
    attained: Attained
    subproblems: int


def expand(search, frontier, attained, known, scale, budget, seconds):
    """Search below some open regions, best first, until they are done or a limit is met.

    Parameters
    ----------
    search : Search
    frontier : Frontier
    attained : Attained
        By this side.
    known : float
        The largest V attained by any side that shares the limit.
    scale : float
    budget : int
        Subproblems that may be bounded.
    seconds : float or None

    Returns
    -------
    Outcome
    """
    stop = None if seconds is None else time.monotonic() + seconds
    tree, closed, count = Tree(len(frontier.nodes)), -np.inf, 0
    frontier = frontier._replace(nodes=np.arange(len(frontier.nodes)))
    while budget - count >= 2 and not (stop is not None and time.monotonic() >= stop):
        limit = search.limit(max(known, attained.value), scale)
        done = frontier.upper <= limit
        closed = max(closed, frontier.upper[done].max(initial=-np.inf))
        frontier = frontier.take(~done)
        order = frontier.best_first()
        order = order[frontier.cut.variable[order] >= 0]
        # Two halves each; batches of a large network are small, so that the clock is looked at often.
        size = min(search.batch_size, (budget - count) // 2, (search.envelope.at_once + 1) // 2)
        if not len(order):
            break
        chosen, rest = order[:size], np.ones(len(frontier.nodes), dtype=bool)
        rest[chosen] = False
        children, pairs = _cut(search, tree, frontier.take(chosen))
        frontier = Frontier.joined([frontier.take(rest), children]) if pairs else frontier.take(rest)
        if pairs:
            count += len(children.nodes)
            attained = attained.improved(search, *pairs)
    return Outcome(tree, frontier, closed, attained, count)


def _cut(search, tree, parents):
    """Cut regions in two and bound the halves that are not empty: (Frontier, maximisers or None)."""
    domain = search.relation.domain
    left, right, left_alive, right_alive = parents.regions.cut(parents.cut, domain)
    numbers = np.array(
        [tree.grow(node, describe(parents.cut, row, domain)) for row, node in enumerate(parents.nodes)]
    )
    nodes = np.concatenate([numbers[left_alive, 0], numbers[right_alive, 1]])
    if not len(nodes):
        return None, None
    regions = Regions.joined([left.take(left_alive), right.take(right_alive)])
    upper = np.concatenate([parents.upper[left_alive], parents.upper[right_alive]])
    return search.frontier(nodes, regions, upper)


def describe(cut, row, domain):
    """One cut as plain JSON types: ["second", j, v], ["difference", j, v] or ["pairs", g, [[a, b], ...]]."""
    variable, d = int(cut.variable[row]), domain.n_features
    if variable < 2 * d:
        return ["second" if variable < d else "difference", variable % d, float(cut.value[row])]
    group = variable - 2 * d
    return ["pairs", group, np.argwhere(cut.kept[group][row]).tolist()]
