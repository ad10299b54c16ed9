"""The closed form proved again: the exact largest V of affine boxes, against enumeration and tampering."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smile_sklearn._check.closed_form import closed_form_interval
from smile_sklearn._check.derive import Derivation
from smile_sklearn._check.network import ExactNetwork
from smile_sklearn._check.pairs import rebuild_pairs
from smile_sklearn.check import check
from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.properties import InputDomain
from smile_sklearn.snapshot import GraphBuilder, NetworkSnapshot
from smile_sklearn.verification.closed_form import ClosedForm
from smile_sklearn.verification.difference import DifferenceBounds
from tests.support.exhaustive import largest_value
from tests.support.networks import random_snapshot, relate, unit_box
from tests.support.random_networks import KINDS, mixed_domain, mixed_relation

DOMAINS = (
    unit_box(2),
    unit_box(3, one_hot=[(1, 2)]),
    InputDomain([0, 0], [5, 1.0], integer=[0]),
    unit_box(3, one_hot_at_most_one=[(0, 2)]),
    InputDomain([0.0, -3.0, 2.0], [1e9, -3.0, 2.5]),
)


def affine_snapshot(seed, domain, n_outputs=1, width=True):
    """Affine ends; with ``width`` hi = lo + (V x + |c| - sum min(V, 0)), else free and far apart."""
    ends, gap = ("affine", 0.3) if width else ("free", 9.0)
    return random_snapshot(
        seed,
        domain.n_features,
        (),
        n_outputs=n_outputs,
        ends=ends,
        domain=domain,
        reads=range(domain.n_features),
        gap=gap,
    )


def relation_of(domain, epsilon=0.1):
    free = np.where(domain.in_group | domain.is_integer, 1.0, 0.3 * np.maximum(domain.scale, 0.5))
    return relate(domain, free, epsilon)


def claim(snapshot, relation, low, high):
    """A certificate of the closed form with this interval."""
    base = DifferenceBounds().verify(snapshot, relation, coupling="box")
    bound = max(high - relation.epsilon_upper, relation.epsilon_lower - low)
    bound = float(np.nextafter(bound, np.inf))
    document = json.loads(base.to_json())
    document.update(
        bound=bound,
        variation=max(high, -low, 0.0),
        status="HOLDS" if bound <= 0 else "BOUNDED",
        rigor="rounded",
    )
    document["slack"] = max(document["slack"], slack_of(snapshot, relation))
    document["proof"].update(kind="closed form", couplings={"box": [low, high]})
    return json.dumps(document)


def derivation_of(snapshot, relation):
    base = DifferenceBounds().verify(snapshot, relation, coupling="box")
    pairs = rebuild_pairs(base.proof["relation"], snapshot.domain)
    return Derivation(ExactNetwork(snapshot), pairs), pairs


def slack_of(snapshot, relation):
    derivation, _ = derivation_of(snapshot, relation)
    return float(np.nextafter(float(derivation.largest_slack()), np.inf))


def failed_steps(document, snapshot):
    report = check(document, snapshot)
    assert not report.passed, str(report)
    return {step.name for step in report.failures}


class TestInterval:
    @pytest.mark.parametrize("width", [True, False], ids=["width", "free"])
    @pytest.mark.parametrize("number", range(len(DOMAINS)))
    def test_is_the_largest_value(self, number, width):
        domain = DOMAINS[number]
        snapshot, relation = affine_snapshot(number, domain, width=width), relation_of(domain)
        low, high = (float(end) for end in closed_form_interval(*derivation_of(snapshot, relation)))
        for end, sign in ((high, 1), (-low, -1)):
            truth = largest_value(snapshot, relation, ("box",), sign * snapshot.head_weight[0])
            assert truth <= end
            assert end == pytest.approx(truth, rel=1e-9, abs=1e-9)

    def test_boxes_that_are_closed_add_nothing(self):
        domain = unit_box(2)
        snapshot = random_snapshot(1, 2, (), ends="free", gap=-9.0, reads=(0, 1))
        relation = relate(domain, 0.2)
        _, high = (float(end) for end in closed_form_interval(*derivation_of(snapshot, relation)))
        assert high == pytest.approx(largest_value(snapshot, relation, ("box",), snapshot.head_weight[0]))

    def test_boxes_that_flip_are_bounded_from_above(self):
        snapshot, relation = random_snapshot(2, 2, (), ends="free", gap=0.0), relate(unit_box(2), 0.2)
        _, high = (float(end) for end in closed_form_interval(*derivation_of(snapshot, relation)))
        assert high > largest_value(snapshot, relation, ("box",), snapshot.head_weight[0]) + 1e-3

    def test_stable_clamps_are_affine(self):
        builder = GraphBuilder(1)
        node = builder.affine(np.array([[1.0], [-1.0], [1.0]]), np.array([0.5, -0.5, -3.0]))
        node = builder.clamp(np.array([0.0, -np.inf, 0.0]), np.array([np.inf, 0.0, np.inf]), node)
        lower = builder.affine(np.array([[1.0, -2.0, 5.0]]), np.zeros(1), node)
        width = builder.affine(np.zeros((1, 1)), np.array([0.25]))
        upper = builder.sum(lower, width)
        snapshot = NetworkSnapshot(builder.build(), lower, upper, width, [[1.0]], [0.0], (0,), unit_box(1))
        # lo = 3 x + const: V = 3 * 0.5 + 0.25.
        low, high = closed_form_interval(*derivation_of(snapshot, relate(unit_box(1), 0.5)))
        assert float(high) == pytest.approx(1.75, rel=1e-12)
        assert low == -high


class TestCertificates:
    @settings(max_examples=40)
    @given(
        seed=st.integers(0, 10**6),
        kind=st.sampled_from(KINDS),
        width=st.booleans(),
        n_outputs=st.sampled_from([1, 3]),
    )
    def test_what_the_verifier_proves_passes(self, seed, kind, width, n_outputs):
        domain = mixed_domain(seed)
        snapshot = affine_snapshot(seed, domain, n_outputs, width)
        relation = mixed_relation(seed, domain, kind if n_outputs == 1 else "symmetric")
        try:
            certificate = ClosedForm().verify(snapshot, relation, coupling="box")
        except UnsupportedError:
            return  # a gap that changes its sign
        report = check(certificate.to_json(), snapshot)
        assert report.passed, str(report)

    @pytest.mark.parametrize("number", range(len(DOMAINS)))
    def test_below_the_truth_fails(self, number):
        domain = DOMAINS[number]
        snapshot, relation = affine_snapshot(number, domain), relation_of(domain)
        row = snapshot.head_weight[0]
        above, below = (largest_value(snapshot, relation, ("box",), sign * row) for sign in (1, -1))
        near = 1e-6 * max(above, below, 1.0)
        assert check(claim(snapshot, relation, -below - near, above + near), snapshot).passed
        assert "interval" in failed_steps(claim(snapshot, relation, -below - near, above - near), snapshot)
        assert "interval" in failed_steps(claim(snapshot, relation, -below + near, above + near), snapshot)

    @pytest.fixture
    def problem(self):
        snapshot, relation = affine_snapshot(0, unit_box(2)), relation_of(unit_box(2))
        return json.loads(ClosedForm().verify(snapshot, relation).to_json()), snapshot

    @pytest.mark.parametrize(
        ("edit", "step"),
        [
            (lambda document: document["proof"]["couplings"].update(shared=[-1.0, 1.0]), "proof"),
            (lambda document: document["proof"].update(couplings=["box"]), "proof"),
            (lambda document: document["proof"].update(couplings={"box": [0.0, "nan"]}), "proof"),
            (lambda document: document["proof"].update(couplings={"box": ["-inf", "inf"]}), "bound"),
            (lambda document: document.update(coupling="shared"), "proof"),
            (lambda document: document.update(rigor="exact"), "rigor"),
            (lambda document: document.update(slack=0.0), "rigor"),
            (lambda document: document.update(bound=document["bound"] - 1e-6), "bound"),
            (lambda document: document.update(variation=document["variation"] - 1e-6), "variation"),
        ],
    )
    def test_edits(self, problem, edit, step):
        document, snapshot = problem
        assert check(json.dumps(document), snapshot).passed
        edit(document)
        assert step in failed_steps(json.dumps(document), snapshot)

    def test_a_network_that_is_not_affine_is_named(self):
        snapshot, relation = random_snapshot(0, 2, (3,)), relation_of(unit_box(2))
        report = check(claim(snapshot, relation, -100.0, 100.0), snapshot)
        assert [step.name for step in report.failures] == ["proof"]
        assert "Clamp" in str(report)

    def test_nothing_is_proved_where_the_forward_pass_may_overflow(self):
        snapshot, relation = affine_snapshot(0, unit_box(2)), relation_of(unit_box(2))
        other = replace(snapshot, head_bias=np.array([1.7e308]))
        document = json.loads(claim(snapshot, relation, -100.0, 100.0))
        document["digest"] = other.digest
        assert "interval" in failed_steps(json.dumps(document), other)
