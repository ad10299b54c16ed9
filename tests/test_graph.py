"""The expression graph: what may be built, and what refuses."""

import numpy as np
import pytest

from smile_sklearn.snapshot import Affine, Clamp, Graph, GraphBuilder, GroupSort, Input, Sum


def chain():
    builder = GraphBuilder(3)
    first = builder.affine(np.ones((4, 3)), np.zeros(4))
    second = builder.clamp(np.zeros(4), np.full(4, np.inf), first)
    third = builder.group_sort(2, second)
    return builder, (first, second, third, builder.sum(first, third))


def test_the_builder_hands_out_indices_in_topological_order():
    builder, nodes = chain()
    graph = builder.build()
    assert nodes == (1, 2, 3, 4)
    assert len(graph) == 5
    assert [node.size for node in graph.nodes] == [3, 4, 4, 4, 4]
    assert [node.sources for node in graph.nodes] == [(), (0,), (1,), (2,), (1, 3)]


def test_ancestors_are_what_is_needed_and_nothing_else():
    builder, (first, second, _, last) = chain()
    graph = builder.build()
    assert graph.ancestors(second) == [0, first, second]
    assert graph.ancestors(last) == [0, 1, 2, 3, 4]
    assert graph.ancestors(0) == [0]
    assert graph.ancestors(first, 0) == [0, first]


class Softplus(Clamp):
    """A subclass is another layer, of which nothing is known."""


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "Input"),
        ((Affine(np.ones((1, 1)), np.zeros(1), 0),), "Input"),
        ((Input(2), Input(2)), "one Input"),
        ((Input(2), Affine(np.ones((1, 3)), np.zeros(1), 0)), "sizes"),
        ((Input(2), Clamp(np.zeros(3), np.ones(3), 0)), "sizes"),
        ((Input(2), Affine(np.ones((2, 2)), np.zeros(2), 1)), "before"),
        ((Input(2), Affine(np.ones((2, 2)), np.zeros(2), -1)), "before"),
        ((Input(2), Sum(0, 2, 2), Affine(np.ones((2, 2)), np.zeros(2), 0)), "before"),
        ((Input(2), Affine(np.ones((3, 2)), np.zeros(3), 0), Sum(0, 1, 2)), "sizes"),
        ((Input(3), GroupSort(2, 3, 0)), "multiple"),
        ((Input(2), Affine(np.ones((3, 2)), np.zeros((3, 1)), 0)), "shape"),
        ((Input(2), Affine(np.ones((3, 2)), np.zeros(1), 0)), "shape"),
        ((Input(2), Clamp(np.zeros(2), np.ones(1), 0)), "shape"),
        ((Input(2), Softplus(np.zeros(2), np.ones(2), 0)), "Softplus"),
        ((Input(2), object()), "object"),
    ],
)
def test_what_is_no_graph_is_refused(nodes, message):
    with pytest.raises(ValueError, match=message):
        Graph(nodes)
