"""The tree of a branch and bound: read strictly, walked from the region of all related pairs to its leaves.

Every split is carried out here, on exact regions, and both of its parts are walked: whatever the document
says, the leaves cover the root. What it can get wrong is its own form, and that is a failed check.
"""

import numpy as np

from smile_sklearn._check.claim import finite
from smile_sklearn._check.region import grid_point
from smile_sklearn._check.report import CheckFailure

TREE_LIMIT = 500_000
"""Nodes of one tree that are read; a larger one is not checked, so it fails."""


def leaves(tree, cutter):
    """Yield (number of the node, Region) for every leaf that holds a pair.

    Parameters
    ----------
    tree : list
        In preorder: "leaf", or ["second", j, v], ["difference", j, v] or ["pairs", g, list], each
        followed by the part on its left and the part on its right.
    cutter : Cutter

    Raises
    ------
    CheckFailure
        If the list is not one whole tree, or a node is malformed.
    """
    if not isinstance(tree, list) or not tree:
        raise CheckFailure("a side must have a tree, a list of nodes")
    if len(tree) > TREE_LIMIT:
        raise CheckFailure(f"a tree of {len(tree)} nodes is not read, the limit is {TREE_LIMIT}")
    waiting = [cutter.root]
    for number, node in enumerate(tree):
        if not waiting:
            raise CheckFailure(f"the tree is complete before node {number} of {len(tree)}")
        region = waiting.pop()
        if node != "leaf":
            left, right = _split(node, number, region, cutter)
            waiting += [right, left]
        elif region is not None:
            yield number, region
    if waiting:
        raise CheckFailure(f"the tree ends after {len(tree)} nodes with {len(waiting)} parts missing")


def _split(node, number, region, cutter):
    """The two parts of a region, None for empty ones; an empty region has two empty parts."""
    if not isinstance(node, list) or len(node) != 3 or node[0] not in ("second", "difference", "pairs"):
        raise CheckFailure(f"node {number} is {_shown(node)}, expected a leaf or a split of three items")
    kind, place, where = node
    if kind == "pairs":
        group = _index(place, len(cutter.root.pairs), number, "group")
        chosen = _mask(where, cutter.root.pairs[group], number)
        return (None, None) if region is None else cutter.split_pairs(region, group, chosen)
    feature = _index(place, len(cutter.numeric), number, "feature")
    if not cutter.numeric[feature]:
        raise CheckFailure(f"node {number} splits feature {feature}, a column of a group, at a number")
    point = grid_point(float(finite(where, f"the split of node {number}")))
    split = cutter.split_second if kind == "second" else cutter.split_difference
    return (None, None) if region is None else split(region, feature, point)


def _index(value, size, number, what):
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < size:
        return value
    raise CheckFailure(f"node {number} names {what} {_shown(value)}, expected one of {size}")


def _mask(chosen, allowed, number):
    """The listed ordered pairs as a (k, k) mask; each must be allowed by the relation, and listed once."""
    mask = np.zeros_like(allowed)
    if not isinstance(chosen, list):
        raise CheckFailure(f"node {number} must list pairs of categories, got {_shown(chosen)}")
    for pair in chosen:
        if not isinstance(pair, list) or len(pair) != 2:
            raise CheckFailure(f"node {number} lists {_shown(pair)}, which is no pair of categories")
        a, b = (_index(item, len(mask), number, "category") for item in pair)
        if not allowed[a, b] or mask[a, b]:
            reason = "is listed twice" if mask[a, b] else "is not allowed by the relation"
            raise CheckFailure(f"node {number}: the pair of categories {[a, b]} {reason}")
        mask[a, b] = True
    return mask


def _shown(value):
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
