"""The independent checker passes what was proved, names what was edited, and contains what networks do."""

import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smile_sklearn._check.derive import Derivation
from smile_sklearn._check.exact import Exact, maximum, where
from smile_sklearn._check.network import ExactNetwork
from smile_sklearn._check.pairs import rebuild_pairs
from smile_sklearn.certificates import Certificate, Counterexample, Status, combine
from smile_sklearn.check import check, check_files, main
from smile_sklearn.exceptions import DomainError
from smile_sklearn.properties import Fair, GloballyRobust, InputDomain, Monotonic
from smile_sklearn.properties.relation import Relation
from smile_sklearn.snapshot import GraphBuilder, NetworkSnapshot
from smile_sklearn.verification.difference import DifferenceBounds

TABLE = InputDomain(
    [0.0, 18.0, 0.0, 0.0, 0.0, -3.0, 5.0, 0.0, 0.0],
    [0.7, 90.0, 1.0, 1.0, 1.0, 11.1, 5.0, 1.0, 1.0],
    integer=[1],
    one_hot=[(2, 3, 4)],
    one_hot_at_most_one=[(7, 8)],
    feature_names=["score", "age", "race_a", "race_b", "race_c", "debt", "constant", "job_a", "job_b"],
)
"""Numeric, integer and constant features, and a group of each kind."""


def random_snapshot(seed, *, ends="width", middle="relu", n_outputs=1, reads=(), domain=TABLE, hidden=5):
    """A network with every type of node; ``ends`` is "width" or "free", ``middle`` the activation."""
    generator = np.random.default_rng(seed)
    n_latent, builder = 3, GraphBuilder(domain.n_features)
    layer = lambda size, n_in: (generator.normal(size=(size, n_in)), generator.normal(size=size))
    node = builder.affine(*layer(2 * hidden, domain.n_features))
    if middle == "sort":
        node = builder.group_sort(2, node)
    else:
        below, above = {"relu": (0.0, np.inf), "negative": (-np.inf, 0.0), "clamp": (-0.4, 1.1)}[middle]
        node = builder.clamp(np.full(2 * hidden, below), np.full(2 * hidden, above), node)
    lower = builder.affine(*layer(n_latent, 2 * hidden), node)
    if ends == "free":
        upper, width = builder.affine(*layer(n_latent, domain.n_features)), None
    else:
        width = builder.affine(*layer(n_latent, 2 * hidden), node)
        width = builder.clamp(np.zeros(n_latent), np.full(n_latent, np.inf), width)
        upper = builder.sum(lower, width)
    return NetworkSnapshot(builder.build(), lower, upper, width, *layer(n_outputs, n_latent), reads, domain)


def monotone_snapshot(reads=(1,)):
    """Nondecreasing in feature 0 by the signs of its weights; feature 1 is free."""
    builder = GraphBuilder(2)
    node = builder.affine(np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([0.1, -1.0]))
    node = builder.clamp(np.zeros(2), np.full(2, np.inf), node)
    lower = builder.affine(np.array([[0.3, 0.7]]), np.zeros(1), node)
    width = builder.affine(np.zeros((1, 2)), np.array([4.0]))
    upper = builder.sum(lower, width)
    domain = InputDomain([0.0, -1.0], [3.0, 1.0])
    return NetworkSnapshot(builder.build(), lower, upper, width, [[2.0]], [0.5], reads, domain)


def table_relation(domain=TABLE, delta=0.05, epsilon=0.3, sides="both"):
    """Protected groups free, the others within a delta of their width."""
    wide = np.where(domain.in_group, np.inf, delta * np.maximum(domain.scale, 1.0))
    ends = {"both": (-epsilon, epsilon), "upper": (-np.inf, epsilon), "lower": (-epsilon, np.inf)}[sides]
    return Relation("table", "a statement", domain, -wide / 2, wide, *ends)


def proved(snapshot, relation, **options):
    return DifferenceBounds().verify(snapshot, relation, **options)


def first_failure(certificate, snapshot):
    report = check(certificate, snapshot)
    assert not report.passed
    return report.failures[0].name


def edited(certificate, **changes):
    """The JSON document with fields replaced; ``relation__epsilon_upper`` reaches into the proof."""
    document = json.loads(certificate.to_json())
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = document["proof"] if parents else document
        for parent in parents:
            place = place[parent]
        place[last] = value(place[last]) if callable(value) else value
    return json.dumps(document)


class TestExactArrays:
    """Integers times powers of two, against Fractions."""

    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=6))
    def test_agree_with_fractions(self, values):
        exact, fractions = Exact.of(values), [Fraction(value) for value in values]
        assert exact.fractions() == fractions
        assert (exact @ exact).fraction() == sum(value * value for value in fractions)
        assert (exact - exact[::-1]).fractions() == [
            a - b for a, b in zip(fractions, fractions[::-1], strict=True)
        ]
        assert maximum(exact, Exact.of([1.0])).fractions() == [max(value, 1) for value in fractions]
        assert abs(exact).max().fraction() == max(map(abs, fractions))
        assert where(exact <= exact[::-1], exact, exact[::-1]).fractions() == [
            min(a, b) for a, b in zip(fractions, fractions[::-1], strict=True)
        ]

    @given(st.fractions())
    def test_quotients_are_rounded_up(self, value):
        above = Exact.above([value]).fraction()
        assert value <= above < value + Fraction(1, 2**199)

    def test_refuses_what_is_not_finite(self):
        with pytest.raises(ValueError, match="not finite"):
            Exact.of([1.0, np.inf])


class TestDerivation:
    """The second derivation of lemma 3."""

    @pytest.mark.parametrize("middle", ["relu", "negative", "clamp", "sort"])
    @pytest.mark.parametrize("ends", ["width", "free"])
    @pytest.mark.parametrize("n_outputs", [1, 3])
    def test_passes_what_difference_bounds_prove(self, ends, middle, n_outputs):
        snapshot = random_snapshot(1, ends=ends, middle=middle, n_outputs=n_outputs)
        certificate = proved(snapshot, table_relation())
        report = check(Certificate.from_json(certificate.to_json()), snapshot)
        assert report.passed, str(report)
        assert {"box", "shared"} == set(certificate.proof["couplings"])

    @settings(max_examples=80)
    @given(
        seed=st.integers(0, 10**6),
        ends=st.sampled_from(["width", "free"]),
        middle=st.sampled_from(["relu", "negative", "clamp", "sort"]),
        n_outputs=st.sampled_from([1, 2]),
        delta=st.sampled_from([0.0, 1e-300, 1e-17, 1e-3, 0.3, 10.0]),
        sides=st.sampled_from(["both", "upper", "lower"]),
        coupling=st.sampled_from(["auto", "box", "shared"]),
    )
    def test_exact_bounds_are_below_and_close(self, seed, ends, middle, n_outputs, delta, sides, coupling):
        snapshot = random_snapshot(seed, ends=ends, middle=middle, n_outputs=n_outputs)
        relation = table_relation(delta=delta, sides=sides)
        certificate = proved(snapshot, relation, coupling=coupling)
        assert check(certificate, snapshot).passed
        for name, (low, high) in certificate.proof["couplings"].items():
            exact_low, exact_high = derived(snapshot, certificate).interval(name)
            assert Fraction(low) <= exact_low
            assert exact_high <= Fraction(high)
            assert float(exact_high - exact_low) == pytest.approx(high - low, rel=1e-9)

    @settings(max_examples=25)
    @given(
        seed=st.integers(0, 10**6),
        ends=st.sampled_from(["width", "free"]),
        middle=st.sampled_from(["relu", "sort"]),
    )
    def test_bounds_contain_what_the_network_does(self, seed, ends, middle):
        snapshot = random_snapshot(seed, ends=ends, middle=middle, reads=(0,))
        low, high = derived(snapshot, proved(snapshot, table_relation())).interval("box")
        first, second = related_rows(seed, 200)
        assert table_relation().contains(first, second).all()
        embedding = np.random.default_rng(seed).normal(size=(2, 200, 3)) * 50.0
        rows = [snapshot.domain.to_unit(part) for part in (first, second)]
        outputs = [snapshot.forward(units, z)[:, 0] for units, z in zip(rows, embedding, strict=True)]
        assert all(low <= Fraction(a) - Fraction(b) <= high for a, b in zip(*outputs, strict=True))

    def test_wide_nets_take_little_time(self):
        domain = InputDomain(np.zeros(30), np.linspace(1, 9, 30))
        snapshot = random_snapshot(0, domain=domain, hidden=64)
        certificate = proved(snapshot, GloballyRobust(0.1, 1.0).resolve(domain))
        report = check(certificate, snapshot)
        assert report.passed, str(report)

    def test_overflow_is_not_proved(self):
        builder = GraphBuilder(1)
        node = builder.affine(np.array([[1e308], [1e308]]), np.array([1e308, 0.0]))
        lower = builder.affine(np.array([[1.0, 1.0]]), np.zeros(1), node)
        width = builder.affine(np.zeros((1, 1)), np.zeros(1))
        snapshot = _with_sum(builder, lower, width)
        with np.errstate(over="ignore", invalid="ignore"):
            certificate = proved(snapshot, Monotonic({0: 1}).resolve(snapshot.domain))
        # x = 1 overflows to inf, where inf - inf is no number: signs must not speak of it.
        assert certificate.status is Status.UNKNOWN
        assert check(certificate, snapshot).passed


def _with_sum(builder, lower, width):
    upper = builder.sum(lower, width)
    return NetworkSnapshot(
        builder.build(), lower, upper, width, [[1.0]], [0.0], (), InputDomain([0.0], [1.0])
    )


def derived(snapshot, certificate):
    pairs = rebuild_pairs(certificate.proof["relation"], snapshot.domain)
    return Derivation(ExactNetwork(snapshot), pairs)


def related_rows(seed, size):
    """Random related pairs of TABLE under ``table_relation()``."""
    generator = np.random.default_rng(seed)
    relation = table_relation()
    second = generator.uniform(TABLE.lower, TABLE.upper, size=(size, TABLE.n_features))
    step = generator.uniform(relation.delta_lower, relation.delta_upper, size=second.shape) * 0.999
    first = np.clip(second + step, TABLE.lower, TABLE.upper)
    for rows in (first, second):
        for group in TABLE.groups:
            rows[:, list(group.columns)] = group.categories[
                generator.integers(len(group.categories), size=size)
            ]
    second[:, 1] = np.round(second[:, 1])
    first[:, 1] = np.clip(second[:, 1] + np.sign(np.round(step[:, 1])), 18, 90)
    return first, second


class TestSigns:
    """Rigor "exact"."""

    def test_passes_a_monotone_network(self):
        snapshot = monotone_snapshot()
        certificate = proved(snapshot, Monotonic({0: 1}).resolve(snapshot.domain))
        assert (certificate.status, certificate.rigor, certificate.bound) == (Status.HOLDS, "exact", 0.0)
        report = check(certificate, snapshot)
        assert report.passed, str(report)
        assert any("fixed order" in item for item in report.trusted)

    def test_wrong_direction_cannot_be_claimed_exact(self):
        snapshot = monotone_snapshot()
        certificate = proved(snapshot, Monotonic({0: -1}).resolve(snapshot.domain))
        assert certificate.status is Status.BOUNDED
        claim = edited(certificate, rigor="exact")
        assert first_failure(claim, snapshot) == "rigor"

    def test_the_box_coupling_has_no_signs(self):
        snapshot = monotone_snapshot()
        certificate = proved(snapshot, Monotonic({0: 1}).resolve(snapshot.domain), coupling="box")
        assert certificate.rigor == "rounded"
        assert check(certificate, snapshot).passed

    def test_limits_that_exclude_zero_are_not_exact(self):
        # x' >= x'' + 1 must raise f by at least 0.2: true by magnitudes, which signs do not see.
        builder = GraphBuilder(1)
        lower = builder.affine(np.array([[0.5]]), np.zeros(1))
        width = builder.affine(np.zeros((1, 1)), np.zeros(1))
        snapshot = _with_sum(builder, lower, width)
        relation = Relation("steep", "a statement", snapshot.domain, [0.5], [1.0], 0.2, np.inf)
        certificate = proved(snapshot, relation)
        assert (certificate.status, certificate.rigor) == (Status.HOLDS, "rounded")
        assert check(certificate, snapshot).passed
        assert first_failure(edited(certificate, rigor="exact"), snapshot) == "rigor"


class TestTampering:
    """Every edit is caught, and the step that catches it is named."""

    @pytest.fixture
    def snapshot(self):
        return random_snapshot(3)

    @pytest.fixture
    def certificate(self, snapshot):
        return proved(snapshot, table_relation())

    @pytest.fixture
    def holds(self, snapshot):
        certificate = proved(snapshot, table_relation(epsilon=1e3))
        assert certificate.status is Status.HOLDS
        return certificate

    @pytest.mark.parametrize(
        ("changes", "step"),
        [
            ({"bound": lambda bound: bound * 0.99}, "bound"),
            ({"bound": lambda bound: bound * 1.01}, "bound"),
            ({"bound": -1.0}, "status"),
            ({"bound": -1.0, "status": "HOLDS"}, "bound"),
            ({"status": "HOLDS"}, "status"),
            ({"status": "UNKNOWN"}, "status"),
            ({"status": "VIOLATED"}, "status"),
            ({"status": "FINE"}, "document"),
            ({"variation": 0.001}, "variation"),
            ({"relation__epsilon_upper": 0.2}, "bound"),
            ({"relation__epsilon_upper": 0.4}, "bound"),
            ({"relation__epsilon_upper": None}, "bound"),
            ({"relation__epsilon_upper": -5.0}, "relation"),
            ({"relation__delta_upper": lambda delta: [2 * end for end in delta]}, "interval"),
            ({"relation__delta_upper": lambda delta: delta[:-1]}, "relation"),
            ({"relation__delta_lower": lambda delta: [100.0 for _ in delta]}, "relation"),
            ({"couplings__box": lambda ends: [ends[0], ends[1] / 2]}, "interval"),
            ({"coupling": "box"}, "proof"),
            ({"rigor": "exact"}, "rigor"),
            ({"rigor": "solver"}, "rigor"),
            ({"slack": 0.0}, "rigor"),
            ({"digest": "0" * 64}, "digest"),
            ({"proof": {}}, "relation"),
            ({"domain": lambda domain: {**domain, "upper": [2 * end for end in domain["upper"]]}}, "domain"),
            ({"domain": lambda domain: {**domain, "integer": []}}, "domain"),
            ({"counterexample": {}}, "status"),
            ({"seconds": 0, "extra": 1}, "document"),
            ({"format": "another"}, "document"),
        ],
    )
    def test_edits(self, certificate, snapshot, changes, step):
        assert check(certificate, snapshot).passed
        assert first_failure(edited(certificate, **changes), snapshot) == step

    def test_holds_with_a_positive_bound(self, holds, snapshot):
        assert first_failure(edited(holds, bound=0.5), snapshot) == "status"

    def test_holds_by_a_smaller_epsilon(self, holds, snapshot):
        assert first_failure(edited(holds, relation__epsilon_upper=0.5), snapshot) == "bound"

    def test_proof_of_an_unknown_kind(self, certificate, snapshot):
        document = json.loads(certificate.to_json())
        document["proof"]["kind"] = "revelation"
        assert first_failure(json.dumps(document), snapshot) == "proof"

    @pytest.mark.parametrize("replacement", ["NaN", "Infinity", '"nan"', "true", "1e999", "1" + "0" * 400])
    def test_numbers_that_are_none(self, certificate, snapshot, replacement):
        text = edited(certificate, bound=12345.5).replace("12345.5", replacement)
        assert first_failure(text, snapshot) == "document"

    def test_a_key_given_twice(self, certificate, snapshot):
        text = certificate.to_json()
        assert first_failure('{"bound": -1.0, ' + text[1:], snapshot) == "document"

    def test_truncated_document(self, certificate, snapshot):
        text = certificate.to_json()
        assert first_failure(text[: len(text) // 2], snapshot) == "document"

    def test_another_weight(self, certificate, snapshot):
        weight = snapshot.head_weight.copy()
        weight[0, 0] = np.nextafter(weight[0, 0], 2.0)
        assert first_failure(certificate, replace(snapshot, head_weight=weight)) == "digest"

    def test_more_reads_than_the_shared_coupling_allows(self, certificate, snapshot):
        other = replace(snapshot, reads=(0, 5))
        assert first_failure(edited(certificate, digest=other.digest), other) == "coupling"

    def test_a_weight_that_is_no_number(self, snapshot):
        other = replace(snapshot, head_bias=np.array([np.nan]))
        certificate = proved(other, table_relation())
        assert certificate.status is Status.UNKNOWN
        assert first_failure(certificate, other) == "model"

    def test_a_relation_over_another_domain_is_not_verified(self, snapshot):
        # The same deltas in raw units would be ten times smaller in the unit coordinates of this domain.
        other = InputDomain(TABLE.lower, np.where(TABLE.in_group, 1.0, TABLE.upper * 10))
        relation = Relation("r", "a statement", other, np.full(9, -0.1), np.full(9, 0.1), -1.0, 1.0)
        with pytest.raises(DomainError, match="another domain"):
            proved(snapshot, relation)


class TestSets:
    @pytest.fixture
    def snapshot(self):
        return monotone_snapshot(reads=())

    @pytest.fixture
    def certificate(self, snapshot):
        properties = Monotonic({0: 1}), GloballyRobust(0.1, 1.0), Fair(1, 0.5)
        return combine([proved(snapshot, one.resolve(snapshot.domain)) for one in properties])

    def test_checks_every_part(self, certificate, snapshot):
        report = check(certificate, snapshot)
        assert report.passed, str(report)
        assert {step.part for step in report.steps if step.name == "bound"} == {
            "monotonic",
            "globallyrobust",
            "fair",
        }

    def test_an_edited_part_is_named(self, certificate, snapshot):
        document = json.loads(certificate.to_json())
        document["parts"][2]["proof"]["relation"]["epsilon_upper"] = 0.1
        report = check(json.dumps(document), snapshot)
        assert {(step.part, step.name) for step in report.failures} == {("fair", "bound")}

    @pytest.mark.parametrize(
        "changes",
        [
            {"status": "HOLDS"},
            {"bound": -1.0},
            {"variation": 0.0},
            {"rigor": "exact"},
            {"statement": "all is well"},
            {"parts": lambda parts: parts[:2]},
        ],
    )
    def test_a_set_is_as_its_parts(self, certificate, snapshot, changes):
        assert certificate.status is Status.BOUNDED
        assert first_failure(edited(certificate, **changes), snapshot) == "parts"

    def test_a_part_for_another_model(self, certificate, snapshot):
        document = json.loads(certificate.to_json())
        document["parts"][1]["digest"] = "0" * 64
        report = check(json.dumps(document), snapshot)
        assert {(step.part, step.name) for step in report.failures} == {("globallyrobust", "digest")}


class TestViolated:
    """A counterexample: all but the backbone is checked."""

    @pytest.fixture
    def snapshot(self):
        return random_snapshot(5, reads=(0, 1), n_outputs=1)

    @pytest.fixture
    def certificate(self, snapshot):
        relation = table_relation(epsilon=0.01)
        first, second = related_rows(0, 400)
        outputs = [
            snapshot.forward(TABLE.to_unit(rows), np.sin(9 * rows[:, :3]) * 10)[:, 0]
            for rows in (first, second)
        ]
        worst = int(np.argmax(np.abs(outputs[0] - outputs[1])))
        values = [float(part[worst]) for part in outputs]
        violation = float(abs(Fraction(values[0]) - Fraction(values[1])) - Fraction(0.01))
        pair = Counterexample(first[worst], second[worst], [values[0]], [values[1]], violation)
        return replace(proved(snapshot, relation), status=Status.VIOLATED, counterexample=pair)

    def test_passes(self, certificate, snapshot):
        report = check(certificate, snapshot)
        assert report.passed, str(report)
        assert any("backbone" in item for item in report.trusted)

    @pytest.mark.parametrize(
        "change",
        [
            lambda pair: {"first": [0.1, *pair["first"][1:]], "second": [0.6, *pair["second"][1:]]},
            lambda pair: {"first": [pair["first"][0], 20.5, *pair["first"][2:]]},
            lambda pair: {"first": [*pair["first"][:2], 1.0, 1.0, 0.0, *pair["first"][5:]]},
            lambda pair: {"first": [*pair["first"][:5], 20.0, *pair["first"][6:]]},
            lambda pair: {"first_output": pair["second_output"]},
            lambda pair: {"first_output": [1e6], "violation": 1.0},
            lambda pair: {"violation": pair["violation"] * 1.01},
            lambda pair: {"violation": -1.0},
            lambda pair: {"first_output": []},
            lambda pair: {"first_output": ["inf"]},
        ],
        ids=[
            "delta",
            "fraction",
            "group",
            "box",
            "equal",
            "impossible",
            "more",
            "negative",
            "short",
            "infinite",
        ],
    )
    def test_edits(self, certificate, snapshot, change):
        text = edited(certificate, counterexample=lambda pair: {**pair, **change(pair)})
        assert first_failure(text, snapshot) == "counterexample"

    def test_needs_a_counterexample(self, certificate, snapshot):
        assert first_failure(edited(certificate, counterexample=None), snapshot) == "status"

    def test_breaks_a_bound_that_is_claimed(self, certificate, snapshot):
        violation = certificate.counterexample.violation
        report = check(edited(certificate, bound=violation / 2), snapshot)
        assert {step.name for step in report.failures} == {"bound"}

    def test_margins_of_several_classes(self):
        snapshot = random_snapshot(6, n_outputs=3)
        relation = table_relation(epsilon=1e-6)
        first, second = related_rows(1, 1)
        outputs = [snapshot.forward(TABLE.to_unit(rows), np.zeros((1, 3)))[0] for rows in (first, second)]
        change = np.subtract.outer(outputs[0] - outputs[1], outputs[0] - outputs[1])
        pair = Counterexample(first[0], second[0], *outputs, float(np.abs(change).max() * 0.999))
        certificate = replace(proved(snapshot, relation), status=Status.VIOLATED, counterexample=pair)
        report = check(certificate, snapshot)
        assert report.passed, str(report)


def solved_interval(certificate):
    """What difference bounds prove with both couplings: a true statement for a solver to make."""
    lows, highs = zip(*certificate.proof["couplings"].values(), strict=True)
    return max(lows), min(highs)


def group_problems(allowed, bound, **more):
    """One problem for each allowed pair of categories of group 0, both sides."""
    return [
        {
            "side": side,
            "margin": 0,
            "bound": bound,
            "solver": "highs 1.15",
            "pair": {"group": 0, "first": int(a), "second": int(b)},
            **more,
        }
        for side in ("upper", "lower")
        for a, b in np.argwhere(allowed)
    ]


class TestSolver:
    """A solver's bound is trusted, and said to be."""

    @pytest.fixture
    def snapshot(self):
        return random_snapshot(7)

    @pytest.fixture
    def certificate(self, snapshot):
        certificate = proved(snapshot, table_relation(epsilon=1e3))
        low, high = solved_interval(certificate)
        problems = [
            {"side": side, "margin": 0, "bound": bound, "solver": "highs 1.15"}
            for side, bound in (("upper", high), ("lower", -low))
        ]
        proof = {"kind": "mip", "problems": problems, "relation": certificate.proof["relation"]}
        return replace(
            certificate,
            bound=float(np.nextafter(max(high, -low) - 1e3, np.inf)),
            variation=max(high, -low),
            status=Status.HOLDS,
            rigor="solver",
            proof=proof,
        )

    def test_says_what_it_trusts(self, certificate, snapshot):
        report = check(certificate, snapshot)
        assert report.passed, str(report)
        assert "highs 1.15" in report.trusted
        assert "trusted: highs 1.15" in str(report)

    @pytest.mark.parametrize(
        ("changes", "step"),
        [
            ({"bound": -0.1}, "bound"),
            ({"status": "BOUNDED"}, "status"),
            ({"variation": 0.1}, "variation"),
            ({"rigor": "rounded"}, "rigor"),
            ({"digest": "0" * 64}, "digest"),
            ({"coupling": "any"}, "proof"),
            ({"relation__epsilon_upper": 0.1}, "bound"),
        ],
    )
    def test_edits(self, certificate, snapshot, changes, step):
        assert first_failure(edited(certificate, **changes), snapshot) == step

    def test_a_pair_refutes_a_bound_that_is_false(self, certificate, snapshot):
        document = json.loads(certificate.to_json())
        for item in document["proof"]["problems"]:
            item["bound"] = 0.25
        document.update(bound=float(np.nextafter(0.25 - 1e3, np.inf)), variation=0.25)
        report = check(json.dumps(document), snapshot)
        assert [step.name for step in report.failures] == ["solver"], str(report)

    @pytest.mark.parametrize("solver", ["highs 1.15", "difference bounds"])
    def test_enumerated_pairs_must_all_be_there(self, certificate, snapshot, solver):
        document = json.loads(certificate.to_json())
        allowed = rebuild_pairs(document["proof"]["relation"], snapshot.domain).allowed[0]
        assert allowed.sum() > 3
        high = certificate.variation
        problems = group_problems(allowed, high, solver=solver)
        document.update(bound=float(np.nextafter(high - 1e3, np.inf)))
        document["proof"]["problems"] = problems
        assert check(json.dumps(document), snapshot).passed
        for broken in (
            problems[1:],  # an ordered pair is missing
            [item for item in problems if item["pair"]["first"] != item["pair"]["second"]],  # others move
        ):
            document["proof"]["problems"] = broken
            assert first_failure(json.dumps(document), snapshot) == "bound"
            # A search that ends at a violation leaves pairs out, and claims no bound.
            nothing = {**document, "bound": "inf", "variation": "inf", "status": "UNKNOWN"}
            assert check(json.dumps(nothing), snapshot).passed
        for broken in (
            [{**problems[0], "pair": {"group": 0, "first": 0, "second": 7}}, *problems[1:]],
            [{**problems[0], "pair": {"group": 5, "first": 0, "second": 0}}, *problems[1:]],
            [{**problems[0], "pair": {"group": 0, "first": True, "second": 0}}, *problems[1:]],
            [{**problems[0], "pair": [0, 0, 0]}, *problems[1:]],
            [{**problems[0], "margin": 1}, *problems[1:]],
        ):
            document["proof"]["problems"] = broken
            assert first_failure(json.dumps(document), snapshot) == "proof"

    def test_equal_categories_may_be_missing_where_all_else_is_equal(self):
        domain = InputDomain([0.0] * 4, [1.0] * 4, one_hot=[(0, 1, 2)])
        snapshot = random_snapshot(2, domain=domain)
        relation = Fair([0, 1, 2], 1e3).resolve(domain)
        certificate = proved(snapshot, relation)
        _, high = solved_interval(certificate)
        problems = group_problems(~np.eye(3, dtype=bool), high)
        document = json.loads(certificate.to_json())
        document.update(bound=float(np.nextafter(high - 1e3, np.inf)), variation=high, rigor="solver")
        document["proof"].update(kind="mip", problems=problems)
        report = check(json.dumps(document), snapshot)
        assert report.passed, str(report)

    def test_bounds_without_a_solver_are_proved_again(self, certificate, snapshot):
        document = json.loads(certificate.to_json())
        for item in document["proof"]["problems"]:
            item["solver"] = "difference bounds"
        report = check(json.dumps(document), snapshot)
        assert report.passed, str(report)
        assert "difference bounds" not in report.trusted
        document["proof"]["problems"][0]["bound"] = 0.25
        assert first_failure(json.dumps(document), snapshot) == "proof"

    @pytest.mark.parametrize("problems", [lambda problems: problems[:1], lambda _: [], lambda _: None])
    def test_a_missing_side_proves_nothing(self, certificate, snapshot, problems):
        document = json.loads(certificate.to_json())
        document["proof"]["problems"] = problems(document["proof"]["problems"])
        assert first_failure(json.dumps(document), snapshot) in ("proof", "bound")


class TestAttained:
    """What a pair attains is a remark that may not contradict the bound."""

    def test_is_read_and_compared(self):
        snapshot = random_snapshot(3)
        certificate = proved(snapshot, table_relation())
        assert certificate.attained == -np.inf
        for attained, passes in (
            (-np.inf, True),
            (certificate.bound, True),
            (certificate.bound * 1.01, False),
        ):
            report = check(replace(certificate, attained=attained), snapshot)
            assert [step.name for step in report.failures] == ([] if passes else ["attained"])
        assert first_failure(edited(certificate, attained="inf"), snapshot) == "document"
        assert first_failure(edited(certificate, attained=None), snapshot) == "document"

    def test_a_certificate_that_only_replays_claims_no_bound(self):
        snapshot = random_snapshot(3)
        certificate = replace(
            proved(snapshot, table_relation()),
            bound=np.inf,
            variation=np.inf,
            status=Status.UNKNOWN,
            rigor="replayed",
        )
        certificate.proof.update(kind="falsifier")
        assert check(certificate, snapshot).passed
        assert first_failure(edited(certificate, rigor="exact"), snapshot) == "rigor"
        assert first_failure(edited(certificate, variation=1.0), snapshot) == "proof"


class TestFiles:
    """Strict JSON, files, and the command line."""

    @pytest.fixture
    def files(self, tmp_path):
        snapshot = random_snapshot(8)
        certificate = proved(snapshot, table_relation(sides="upper"))
        paths = tmp_path / "certificate.json", tmp_path / "model.npz"
        paths[0].write_text(certificate.to_json())
        snapshot.save(paths[1])
        return paths

    def test_pass(self, files, capsys):
        assert check_files(*files).passed
        assert main([str(path) for path in files]) == 0
        assert "ok   bound" in capsys.readouterr().out

    @pytest.mark.parametrize("which", [0, 1])
    @pytest.mark.parametrize(
        "damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: data[::-1]]
    )
    def test_damaged(self, files, which, damage, capsys):
        files[which].write_bytes(damage(files[which].read_bytes()))
        assert main([str(path) for path in files]) == 1
        assert f"FAIL {('document', 'model')[which]}" in capsys.readouterr().out

    @pytest.mark.parametrize("which", [0, 1])
    def test_missing(self, files, which, capsys):
        files[which].unlink()
        assert main([str(path) for path in files]) == 1
        assert f"fails at: {('document', 'model')[which]}" in capsys.readouterr().out.lower()

    def test_the_document_is_strict_json_and_reads_back(self):
        snapshot = random_snapshot(9)
        certificate = replace(
            proved(snapshot, table_relation(sides="upper")),
            bound=np.inf,
            variation=np.inf,
            status=Status.UNKNOWN,
        )
        text = certificate.to_json()
        json.loads(text, parse_constant=pytest.fail)
        again = Certificate.from_json(text)
        assert (again.bound, again.variation, again.status) == (np.inf, np.inf, Status.UNKNOWN)
        assert again.proof == certificate.proof
        assert again.to_json() == text

    def test_command_line_loads_neither_torch_nor_verification(self, files):
        code = (
            "import runpy, sys\n"
            f"sys.argv = ['check', *{[str(path) for path in files]!r}]\n"
            "try:\n    runpy.run_module('smile_sklearn.check', run_name='__main__')\n"
            "except SystemExit as stop:\n    assert stop.code == 0, stop.code\n"
            "heavy = {'torch', 'pyomo', 'smile_sklearn.verification', 'smile_sklearn.network'}\n"
            "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr

    def test_help(self):
        command = [sys.executable, "-m", "smile_sklearn.check", "--help"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0
        assert "exit status" in result.stdout.lower()
