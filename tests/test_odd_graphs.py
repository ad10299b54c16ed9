"""Graphs that no family builds, but an auxiliary of a user's own may: every bound must hold."""

import numpy as np
import pytest
from support.networks import relate, related_pairs, unit_box

from smile_sklearn.certificates import Status
from smile_sklearn.check import check
from smile_sklearn.exceptions import ContradictionError, DomainError, UnsupportedError
from smile_sklearn.properties import GloballyRobust, InputDomain
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.snapshot.graph import Graph, GraphBuilder, Input
from smile_sklearn.verification import make_verifier
from smile_sklearn.verification.base import BoundPair, Proof, Verifier
from smile_sklearn.verification.local.local_bounds import LocalBounds

VERIFIERS = ("difference", "closed_form", "branch_and_bound", "mip", "auto")


def relu(builder, source, size):
    return builder.clamp(np.zeros(size), np.full(size, np.inf), source)


def one_node_as_lower_and_width():
    """hi = lo + lo, so lo is the width as well."""
    builder = GraphBuilder(2)
    hidden = builder.affine(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([-0.5, -0.7]))
    lower = builder.affine(np.array([[1.0, -2.0]]), np.zeros(1), relu(builder, hidden, 2))
    upper = builder.sum(lower, lower)
    head = np.ones((1, 1)), np.zeros(1)
    return NetworkSnapshot(builder.build(), lower, upper, lower, *head, (1,), unit_box(2))


def one_node_at_both_ends():
    builder = GraphBuilder(2)
    node = builder.affine(np.array([[1.0, -2.0]]), np.zeros(1))
    return NetworkSnapshot(builder.build(), node, node, None, np.ones((1, 1)), np.zeros(1), (1,), unit_box(2))


GROUPED = InputDomain([0, 0, 0], [1, 1, 1], one_hot=[[1, 2]])


def the_input_at_both_ends():
    head = np.array([[1.0, 5.0, -5.0]]), np.zeros(1)
    return NetworkSnapshot(Graph((Input(3),)), 0, 0, None, *head, (), GROUPED)


def a_skip_connection():
    """A sum, and a clamp, that read the columns of a group."""
    builder = GraphBuilder(3)
    total = builder.sum(0, builder.affine(np.zeros((3, 3)), np.zeros(3)))
    lower = builder.affine(np.array([[1.0, 5.0, -5.0]]), np.zeros(1), relu(builder, total, 3))
    width = builder.affine(np.zeros((1, 3)), np.zeros(1))
    upper = builder.sum(lower, width)
    return NetworkSnapshot(builder.build(), lower, upper, width, np.ones((1, 1)), np.zeros(1), (), GROUPED)


def a_clamped_and_sorted_input():
    builder = GraphBuilder(3)
    node = builder.clamp(np.zeros(3), np.full(3, 0.9), 0)
    node = builder.affine(np.array([[1.0, 5.0, -5.0]]), np.zeros(1), builder.group_sort(3, node))
    return NetworkSnapshot(builder.build(), node, node, None, np.ones((1, 1)), np.zeros(1), (), GROUPED)


def half_a_subnormal():
    """Half of 5e-324 is 0 in floats; times 1e324 it is not."""
    builder = GraphBuilder(1)
    tiny = builder.clamp(np.zeros(1), np.full(1, 5e-324), 0)
    lower = builder.affine(
        np.array([[1e16]]), np.zeros(1), builder.affine(np.array([[1e308]]), np.zeros(1), tiny)
    )
    width = builder.affine(np.zeros((1, 1)), np.zeros(1))
    upper = builder.sum(lower, width)
    head = np.ones((1, 1)), np.zeros(1)
    return NetworkSnapshot(builder.build(), lower, upper, width, *head, (), unit_box(1))


ODD = (
    one_node_as_lower_and_width,
    one_node_at_both_ends,
    the_input_at_both_ends,
    a_skip_connection,
    a_clamped_and_sorted_input,
    half_a_subnormal,
)


def largest_difference(snapshot, relation):
    """Of f over sampled pairs with the backbone at an end of its box, the same at both rows."""
    first, second = related_pairs(relation, 4000, seed=1)
    ends = [snapshot.domain.to_unit(rows) for rows in (first, second)]
    worst = 0.0
    for embedding in (-np.inf, np.inf):
        values = [snapshot.forward(rows, np.full((len(rows), snapshot.n_latent), embedding)) for rows in ends]
        worst = max(worst, float(np.abs(values[0] - values[1]).max()))
    return worst


@pytest.mark.parametrize("verifier", VERIFIERS)
@pytest.mark.parametrize("build", ODD)
def test_no_pair_beats_a_bound(build, verifier):
    snapshot = build()
    delta = np.ones(snapshot.n_features)
    delta[list(snapshot.reads)] = 0.0
    relation = relate(snapshot.domain, delta, 1e-3)
    shown = largest_difference(snapshot, relation)
    assert shown > 0.5
    try:
        certificate = make_verifier(verifier).verify(snapshot, relation, time_limit=20)
    except UnsupportedError:
        assert verifier in ("closed_form", "mip")
        return
    assert certificate.variation >= shown
    assert certificate.status is not Status.HOLDS
    assert check(certificate, snapshot).passed, check(certificate, snapshot)


@pytest.mark.parametrize("build", ODD)
def test_no_related_row_leaves_its_local_interval(build):
    snapshot = build()
    premise = relate(snapshot.domain, np.full(snapshot.n_features, 1.0))
    first, second = related_pairs(premise, 500, seed=2)
    embedding = np.zeros((len(first), snapshot.n_latent))
    interval = LocalBounds(snapshot, premise, shared=False)(first, embedding)
    values = snapshot.forward(snapshot.domain.to_unit(second), embedding)
    assert (interval.low <= values).all()
    assert (values <= interval.high).all()


def test_a_neighbourhood_of_another_domain_is_refused():
    snapshot = one_node_at_both_ends()
    premise = GloballyRobust(0.1, None).premise(InputDomain([0, 0], [0.1, 0.1]))
    with pytest.raises(DomainError, match="another domain"):
        LocalBounds(snapshot, premise, shared=False)


def test_a_bound_that_says_nothing_hides_no_other():
    """relu(p) through 1e-300, 1e300 and 1e10: composed they overflow, layer by layer they do not."""
    builder = GraphBuilder(1)
    hidden = relu(builder, builder.affine(np.array([[1e-300]]), np.zeros(1)), 1)
    hidden = builder.affine(np.array([[1e300]]), np.zeros(1), hidden)
    node = builder.affine(np.array([[1e10]]), np.zeros(1), hidden)
    head = np.array([[1e-10]]), np.zeros(1)
    snapshot = NetworkSnapshot(builder.build(), node, node, None, *head, (), unit_box(1))
    premise = GloballyRobust(0.1, None).premise(snapshot.domain)
    interval = LocalBounds(snapshot, premise, shared=False)(np.array([[0.5]]), np.zeros((1, 1)))
    assert interval.low[0, 0] == pytest.approx(0.4)
    assert interval.high[0, 0] == pytest.approx(0.6)


class _Confused(Verifier):
    """Proves a bound, and shows a pair above it."""

    name = "confused"
    couplings = ("box", "shared")
    node_types = make_verifier("difference").node_types

    def _verify(self, snapshot, relation, couplings, context):
        return Proof(BoundPair(-0.1, 0.1), "rounded", couplings, attained=0.5)


def test_a_verifier_that_contradicts_itself_is_not_believed():
    snapshot = one_node_at_both_ends()
    with pytest.raises(ContradictionError, match="confused"):
        _Confused().verify(snapshot, relate(snapshot.domain, 0.5, 1.0))
