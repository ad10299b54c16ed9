"""Ranges of both copies and differences between them, as tight as one pass makes them.

What :class:`~smile_sklearn.verification.difference.Analysis` knows, refined for the models of this
folder: every row behind the first layer is also bounded backwards (:mod:`.backward`), and each copy has
ranges of its own, since a choice of allowed pairs of categories may leave each of them other categories.
"""

from dataclasses import dataclass

import numpy as np

from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.snapshot.graph import Affine, Clamp, Input, Sum
from smile_sklearn.verification.formulations.backward import backward_upper, difference_lines, value_lines
from smile_sklearn.verification.intervals import (
    Interval,
    affine_input_difference,
    affine_input_range,
    clamp_difference,
    input_range,
)
from smile_sklearn.verification.linear_form import linear_form
from smile_sklearn.verification.rounding import add_lower, add_upper, matmul_interval

NODE_TYPES = (Input, Affine, Clamp, Sum)
"""Nodes that have a formulation; GroupSort would need a permutation matrix a block."""


@dataclass(frozen=True)
class _Categories:
    """Those of a group that one copy may take."""

    columns: tuple
    categories: np.ndarray


class _CopyDomain:
    """The domain of one copy: all that ranges of the input need."""

    def __init__(self, relation, copy):
        domain = relation.domain
        self.in_group, self.scale = domain.in_group, domain.scale
        self.groups = tuple(
            _Categories(group.columns, group.categories[allowed.any(axis=1 - copy)])
            for group, allowed in zip(domain.groups, relation.group_pairs, strict=True)
        )

    def input_range(self):
        low, high = (np.array(end) for end in input_range(self))
        for group in self.groups:
            columns = list(group.columns)
            low[columns], high[columns] = group.categories.min(axis=0), group.categories.max(axis=0)
        return Interval(low, high)


class RelationPart:
    """A relation with some of its allowed pairs of categories only.

    Parameters
    ----------
    relation : Relation
    group_pairs : tuple of (k, k) bool arrays
        One a group, each at most what the relation allows, and not empty.
    """

    def __init__(self, relation, group_pairs):
        self.domain, self.group_pairs = relation.domain, tuple(group_pairs)
        low, high = (np.array(end) for end in relation.unit_delta())
        for group, allowed in zip(self.domain.groups, self.group_pairs, strict=True):
            first, second = np.nonzero(allowed)
            steps = group.categories[first] - group.categories[second]
            low[list(group.columns)], high[list(group.columns)] = steps.min(axis=0), steps.max(axis=0)
        self._delta = low, high

    def unit_delta(self):
        """Unit differences of the pairs that are left."""
        return self._delta


class PairAnalysis:
    """What is known of every unit in both copies before a solver is asked.

    Parameters
    ----------
    analysis : Analysis
        Of the snapshot under the whole relation.
    group_pairs : tuple of (k, k) bool arrays or None
        A choice of the allowed pairs of categories, one array a group; None for all.

    Attributes
    ----------
    ranges : tuple of two list of Interval
        One list a copy, one interval a node.
    differences : list of Interval
    """

    def __init__(self, analysis, group_pairs=None):
        self.base, self.snapshot, self.margins = analysis, analysis.snapshot, analysis.margins
        relation = analysis.relation
        self.relation = RelationPart(relation, relation.group_pairs if group_pairs is None else group_pairs)
        self._domains = tuple(_CopyDomain(self.relation, copy) for copy in (0, 1))
        self.ranges, self.differences = ([], []), []
        self._lines, self._difference_lines = ({}, {}), {}
        for index, node in enumerate(self.snapshot.graph.nodes):
            if type(node) not in NODE_TYPES:
                raise UnsupportedError(f"The MIP has no formulation of {type(node).__name__!r}.")
            self._analyse(index, node)

    @classmethod
    def of(cls, analysis):
        """The analysis itself, or one of all the pairs of an :class:`Analysis`."""
        return analysis if isinstance(analysis, cls) else cls(analysis)

    def range(self, rows, copy):
        """Interval of ``sum_k rows[k] @ node_k`` in one copy."""
        form = linear_form(self.snapshot.graph, rows)
        plain = form.range(self.ranges[copy], self._domains[copy])
        return _intersection(plain, self._backward(rows, lambda negated: self._range_upper(negated, copy)))

    def difference(self, rows):
        """Interval of the difference of ``sum_k rows[k] @ node_k`` between the copies."""
        plain = linear_form(self.snapshot.graph, rows).difference(self.differences, self.relation)
        return _intersection(plain, self._backward(rows, self._difference_upper))

    def _backward(self, rows, upper):
        return Interval(-upper({node: -weight for node, weight in rows.items()}), upper(rows))

    def _range_upper(self, rows, copy):
        return backward_upper(
            self.snapshot.graph,
            rows,
            self._lines[copy],
            [interval.magnitude for interval in self.ranges[copy]],
            lambda weight: affine_input_range(weight, self._domains[copy]).high,
            constants=True,
        )

    def _difference_upper(self, rows):
        return backward_upper(
            self.snapshot.graph,
            rows,
            self._difference_lines,
            [interval.magnitude for interval in self.differences],
            lambda weight: affine_input_difference(weight, self.relation).high,
            constants=False,
        )

    def _analyse(self, index, node):
        for copy in (0, 1):
            self.ranges[copy].append(self._node_range(index, node, copy))
        difference = self._node_difference(index, node)
        first, second = (ranges[index] for ranges in self.ranges)
        apart = Interval(add_lower(first.low, -second.high), add_upper(first.high, -second.low))
        constant = (first.low == first.high) & (second.low == second.high) & (first.low == second.low)
        apart = Interval(*(np.where(constant, 0.0, end) for end in apart))  # equal, so exactly equal
        self.differences.append(_intersection(difference, apart))
        if isinstance(node, Clamp):
            sources = [ranges[node.source] for ranges in self.ranges]
            for copy in (0, 1):
                self._lines[copy][index] = value_lines(node, sources[copy])
            self._difference_lines[index] = difference_lines(
                node, _hull(*sources), self.differences[node.source]
            )

    def _node_range(self, index, node, copy):
        ranges = self.ranges[copy]
        if isinstance(node, Input):
            return self._domains[copy].input_range()
        if isinstance(node, Clamp):
            return Interval(
                *(np.minimum(np.maximum(end, node.lower), node.upper) for end in ranges[node.source])
            )
        if isinstance(node, Sum):
            first, second = ranges[node.first], ranges[node.second]
            plain = Interval(add_lower(first.low, second.low), add_upper(first.high, second.high))
        elif node.source == 0:
            low, high = affine_input_range(node.weight, self._domains[copy])
            return Interval(add_lower(low, node.bias), add_upper(high, node.bias))
        else:
            low, high = matmul_interval(node.weight, *ranges[node.source])
            plain = Interval(add_lower(low, node.bias), add_upper(high, node.bias))
        backward = self._backward({index: np.eye(node.size)}, lambda rows: self._range_upper(rows, copy))
        return _intersection(plain, backward)

    def _node_difference(self, index, node):
        differences = self.differences
        if isinstance(node, Input):
            return Interval(*self.relation.unit_delta())
        if isinstance(node, Clamp):
            source = _hull(*(ranges[node.source] for ranges in self.ranges))
            return clamp_difference(node, differences[node.source], source)
        if isinstance(node, Sum):
            first, second = differences[node.first], differences[node.second]
            plain = Interval(add_lower(first.low, second.low), add_upper(first.high, second.high))
        elif node.source == 0:
            return affine_input_difference(node.weight, self.relation)
        else:
            plain = Interval(*matmul_interval(node.weight, *differences[node.source]))
        return _intersection(plain, self._backward({index: np.eye(node.size)}, self._difference_upper))


def _intersection(first, second):
    return Interval(np.maximum(first.low, second.low), np.minimum(first.high, second.high))


def _hull(first, second):
    return Interval(np.minimum(first.low, second.low), np.maximum(first.high, second.high))
