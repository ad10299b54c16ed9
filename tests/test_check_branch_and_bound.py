"""The checker proves every leaf by itself: a claim below the truth fails, whatever its tree says."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smile_sklearn._check import integers
from smile_sklearn._check.bands import band_maximum
from smile_sklearn._check.derive import Derivation
from smile_sklearn._check.envelope import Envelope
from smile_sklearn._check.exact import Exact
from smile_sklearn._check.linear_bounds import LinearMaps
from smile_sklearn._check.network import ExactNetwork, Interval, Limits
from smile_sklearn._check.pairs import rebuild_pairs
from smile_sklearn._check.region import GRID, Cutter, grid_point
from smile_sklearn._check.relaxation import lower_lines, upper_lines
from smile_sklearn._check.tree import leaves
from smile_sklearn.certificates import Status
from smile_sklearn.check import check
from smile_sklearn.properties import InputDomain
from smile_sklearn.verification.branch_and_bound import BranchAndBound
from smile_sklearn.verification.difference import DifferenceBounds
from smile_sklearn.verification.formulations.value import pair_envelope
from tests.support.exhaustive import largest_value
from tests.support.networks import random_snapshot, relate, related_pairs, unit_box
from tests.support.random_networks import HOSTILE, KINDS, mixed_domain, mixed_relation, mixed_snapshot

COUPLINGS = (("box",), ("shared",), ("box", "shared"))


def small_problem(seed):
    """A network that can be enumerated: numbers, an integer, a group, or two layers over one number."""
    domain, hidden = (
        (unit_box(2), (3,)),
        (unit_box(3, one_hot=[(1, 2)]), (3,)),
        (InputDomain([0, 0], [5, 1.0], integer=[0]), (3,)),
        (unit_box(1), (3, 3)),
        (unit_box(3, one_hot_at_most_one=[(0, 2)]), ()),
    )[seed % 5]
    ends = ("free", "affine", "relu")[seed % 3]
    kind = ("relu", "negative", "clamp")[seed % 3]
    snapshot = random_snapshot(
        seed, domain.n_features, hidden, ends=ends, activation=kind, domain=domain, reads=()
    )
    delta = np.where(domain.in_group | domain.is_integer, 1.0, 0.3)
    return snapshot, relate(domain, delta, 0.1 if seed % 2 else (-0.1, 0.2))


class Problem:
    """What the checker builds of a network and a relation, to make trees and bounds with."""

    def __init__(self, snapshot, relation, couplings):
        self.snapshot, self.relation, self.couplings = snapshot, relation, couplings
        # Any certificate of the pair has the fields that all kinds of proof share.
        self.base = DifferenceBounds().verify(snapshot, relation)
        self.pairs = rebuild_pairs(self.base.proof["relation"], snapshot.domain)
        self.network = ExactNetwork(snapshot)
        self.slack = Derivation(self.network, self.pairs).slack
        self.cutter, self.maps = Cutter(self.pairs), LinearMaps(self.network)

    def random_tree(self, generator, n_leaves):
        return self._grow(generator, n_leaves, self.cutter.root)

    def bound(self, tree, sign):
        """What the checker's own bounds prove on the leaves, slack included, rounded up."""
        regions = [region for _, region in leaves(tree, self.cutter)]
        row = self.network.margins[0]
        envelope = Envelope(self.maps, self.couplings, row if sign > 0 else -row)
        nothing_suffices = Exact.of([-1e300])
        most = max(envelope.bounds(regions, nothing_suffices).value.fractions())
        return above(most + self.slack.max().fraction())

    def truth(self, sign):
        row = sign * self.snapshot.head_weight[0]
        return largest_value(self.snapshot, self.relation, self.couplings, row)

    def certificate(self, sides):
        """Of (sign, bound, tree) triples."""
        bounds = {sign: bound for sign, bound, _ in sides}
        low, high = -bounds.get(-1, bounds[1]), bounds[1]
        bound = max(high - self.relation.epsilon_upper, self.relation.epsilon_lower - low)
        bound = float(np.nextafter(bound, np.inf))
        proof = {
            "kind": "branch and bound",
            "couplings": list(self.couplings),
            "bounds": [low, high],
            "splitting": "reciph",
            "subproblems": sum(len(tree) for _, _, tree in sides),
            "sides": [
                {
                    "margin": 0,
                    "side": "upper" if sign > 0 else "lower",
                    "bound": bound,
                    "subproblems": len(tree),
                    "tree": tree,
                }
                for sign, bound, tree in sides
            ],
            "relation": self.base.proof["relation"],
        }
        return replace(
            self.base,
            bound=bound,
            variation=max(high, -low, 0.0),
            status=Status.HOLDS if bound <= 0 else Status.BOUNDED,
            rigor="rounded",
            coupling=", ".join(self.couplings),
            slack=above(self.slack.max().fraction()),
            proof=proof,
        )

    def _grow(self, generator, n_leaves, region):
        if n_leaves <= 1 or region is None:
            return ["leaf"]
        node, parts = self._random_split(generator, region)
        share = int(generator.integers(1, n_leaves))
        left = self._grow(generator, share, parts[0])
        return [node, *left, *self._grow(generator, n_leaves - share, parts[1])]

    def _random_split(self, generator, region):
        numeric = [j for j, used in enumerate(self.cutter.numeric) if used]
        choice = generator.integers(2 * len(numeric) + len(region.pairs))
        if choice >= 2 * len(numeric):
            group = int(choice) - 2 * len(numeric)
            chosen = region.pairs[group] & (generator.random(region.pairs[group].shape) < 0.5)
            node = ["pairs", group, np.argwhere(chosen).tolist()]
            return node, self.cutter.split_pairs(region, group, chosen)
        feature = numeric[choice // 2]
        ends = region.features[feature]
        second = choice % 2 == 0
        low, high = (ends.second_low, ends.second_high) if second else (ends.low, ends.high)
        point = float(low + generator.random() * (high - low)) / 2.0**GRID
        split = self.cutter.split_second if second else self.cutter.split_difference
        node = ["second" if second else "difference", feature, point]
        return node, split(region, feature, grid_point(point))


def above(value):
    return float(np.nextafter(float(value), np.inf))


def failed_steps(certificate, snapshot):
    text = certificate if isinstance(certificate, str) else certificate.to_json()
    report = check(text, snapshot)
    assert not report.passed, str(report)
    return {step.name for step in report.failures}


class TestLines:
    """Lines and band maxima against a fine grid of exact points."""

    ENDS = ((0.0, np.inf), (-np.inf, 0.0), (-0.4, 1.1), (-np.inf, np.inf), (0.25, 0.25))

    @given(
        low=st.floats(-3, 3),
        width=st.sampled_from([0.0, 1e-12, 0.3, 2.0, 5.0]),
        ends=st.sampled_from(ENDS),
    )
    def test_lie_on_their_side(self, low, width, ends):
        low, high = Exact.of([low]), Exact.of([low + width])
        finite = [np.array([np.isfinite(end)]) for end in ends]
        limits = Limits(*(Exact.of([end if np.isfinite(end) else 0.0]) for end in ends), *finite)
        bottom, top = (Fraction(end) if np.isfinite(end) else None for end in ends)
        above_, below = upper_lines(low, high, limits), lower_lines(low, high, limits)
        start, stop = low.fraction(), high.fraction()
        for step in range(21):
            q = start + (stop - start) * step / 20
            value = q if bottom is None else max(q, bottom)
            value = value if top is None else min(value, top)
            for line, sign in ((above_, 1), (below, -1)):
                assert sign * (line.slope.fraction() * q + line.offset.fraction() - value) >= 0

    @given(
        weights=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
        first=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
        second=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
        shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
        spread=st.tuples(st.floats(0, 0.4), st.floats(0, 0.4)),
    )
    def test_band_maximum_is_the_largest(self, weights, first, second, shares, spread):
        # A point of the set, and a band around its difference, so that the set is not empty.
        x, y = (
            low + share * (high - low) for (low, high), share in zip((first, second), shares, strict=True)
        )
        band = (x - y - spread[0], x - y + spread[1])
        exact = [Interval(*(Exact.of([end]) for end in ends)) for ends in (first, second, band)]
        most = band_maximum(*(Exact.of([weight]) for weight in weights), *exact).fraction()
        corners = []
        for a in (*first, second[0] + band[0], second[0] + band[1], second[1] + band[0], second[1] + band[1]):
            for b in (*second, a - band[0], a - band[1]):
                inside = first[0] - 1e-12 <= a <= first[1] + 1e-12 and second[0] - 1e-12 <= b
                if inside and b <= second[1] + 1e-12 and band[0] - 1e-12 <= a - b <= band[1] + 1e-12:
                    corners.append(weights[0] * a + weights[1] * b)
        assert float(most) == pytest.approx(max(corners), abs=1e-9)


class TestRegions:
    """Whatever is split, every related pair stays in a leaf."""

    @settings(max_examples=40)
    @given(seed=st.integers(0, 10**6), kind=st.sampled_from(KINDS))
    def test_leaves_cover_the_related_pairs(self, seed, kind):
        domain = mixed_domain(seed, widths=(1.0, 3.0, 1e9, 50.0))
        relation = mixed_relation(seed, domain, kind)
        problem = Problem(mixed_snapshot(seed, domain), relation, ("box",))
        tree = problem.random_tree(np.random.default_rng(seed), 12)
        regions = [region for _, region in leaves(tree, problem.cutter)]
        for first, second in zip(*related_pairs(relation, 20, seed), strict=True):
            units = domain.to_unit(np.stack([first, second]))
            assert any(self._holds(region, problem, *units) for region in regions)

    def _holds(self, region, problem, first, second):
        domain = problem.snapshot.domain
        for j in np.flatnonzero(~domain.in_group):
            a, b = (Fraction(float(row[j])) * 2**GRID for row in (first, second))
            ends = region.features[j]
            if not (ends.first_low <= a <= ends.first_high and ends.second_low <= b <= ends.second_high):
                return False
            if not ends.low <= a - b <= ends.high:
                return False
        for group, allowed in zip(domain.groups, region.pairs, strict=True):
            columns = list(group.columns)
            a, b = (int(np.argmax((group.categories == row[columns]).all(axis=1))) for row in (first, second))
            if not allowed[a, b]:
                return False
        return True

    def test_whole_numbers_close_up(self):
        domain = InputDomain([0.0], [10.0], integer=[0])
        problem = Problem(random_snapshot(0, 1, domain=domain, reads=()), relate(domain, 2.0), ("box",))
        left, right = problem.cutter.split_second(problem.cutter.root, 0, grid_point(0.35))
        assert left.features[0].second_high / 2**GRID == pytest.approx(0.3, abs=1e-15)
        assert right.features[0].second_low / 2**GRID == pytest.approx(0.4, abs=1e-15)
        assert left.features[0].first_high / 2**GRID == pytest.approx(0.5, abs=1e-15)
        assert problem.cutter.split_second(left, 0, grid_point(-0.5))[0] is None


class TestBounds:
    """Upper bounds of V on regions."""

    @settings(max_examples=15)
    @given(
        seed=st.integers(0, 10**6),
        kind=st.sampled_from(KINDS),
        ends=st.sampled_from(["width", "free"]),
        sizes=st.sampled_from([(1.0,), HOSTILE]),
        couplings=st.sampled_from(COUPLINGS),
    )
    def test_are_above_what_pairs_have(self, seed, kind, ends, sizes, couplings):
        domain = mixed_domain(seed)
        snapshot = mixed_snapshot(seed, domain, ends=ends, sizes=sizes)
        relation = mixed_relation(seed, domain, kind)
        problem = Problem(snapshot, relation, couplings)
        first, second = (domain.to_unit(rows) for rows in related_pairs(relation, 100, seed))
        for sign in (1, -1):
            tree = problem.random_tree(np.random.default_rng(seed), 4)
            values = pair_envelope(snapshot, couplings, sign * snapshot.head_weight[0], first, second).value
            assert values.max(initial=-np.inf) <= problem.bound(tree, sign)

    @pytest.mark.parametrize("couplings", COUPLINGS)
    @pytest.mark.parametrize("seed", range(5))
    def test_never_below_the_truth_and_near_it_on_small_regions(self, seed, couplings):
        snapshot, relation = small_problem(seed)
        problem = Problem(snapshot, relation, couplings)
        generator = np.random.default_rng(seed)
        coarse, fine = (problem.bound(problem.random_tree(generator, n), 1) for n in (1, 150))
        assert problem.truth(1) - 1e-9 <= fine <= coarse

    def test_affine_networks_are_bounded_exactly(self):
        snapshot = random_snapshot(4, 3, hidden=(), ends="affine", reads=())
        problem = Problem(snapshot, relate(snapshot.domain, 0.2), ("box",))
        assert problem.bound(["leaf"], 1) == pytest.approx(problem.truth(1), rel=1e-9)


class TestTrees:
    """Certificates made of random trees."""

    @pytest.mark.parametrize("couplings", COUPLINGS)
    @pytest.mark.parametrize("seed", range(6))
    def test_pass_with_what_their_leaves_prove(self, seed, couplings):
        snapshot, relation = small_problem(seed)
        problem = Problem(snapshot, relation, couplings)
        generator = np.random.default_rng(seed)
        trees = {sign: problem.random_tree(generator, 10) for sign in (1, -1)}
        sides = [(sign, problem.bound(tree, sign), tree) for sign, tree in trees.items()]
        report = check(problem.certificate(sides).to_json(), snapshot)
        assert report.passed, str(report)

    @pytest.mark.parametrize("couplings", COUPLINGS)
    @pytest.mark.parametrize(
        "seed", [0, 1, 3, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, *range(4, 40)))]
    )
    def test_a_claim_below_the_truth_fails(self, seed, couplings):
        snapshot, relation = small_problem(seed)
        problem = Problem(snapshot, relation, couplings)
        tree = problem.random_tree(np.random.default_rng(seed), 10)
        for wrong in (1, -1):
            sides = [(sign, problem.truth(sign) - 1e-6 if sign == wrong else 1e9, tree) for sign in (1, -1)]
            assert failed_steps(problem.certificate(sides), snapshot) >= {"tree"}

    def test_the_slack_of_the_forward_pass_is_part_of_the_bound(self):
        # V of an affine network is bounded exactly: what is missing is the slack alone.
        snapshot = random_snapshot(4, 3, hidden=(), ends="affine", reads=())
        problem = Problem(snapshot, relate(snapshot.domain, 0.2), ("box",))
        sides = [(sign, problem.bound(["leaf"], sign), ["leaf"]) for sign in (1, -1)]
        assert check(problem.certificate(sides), snapshot).passed
        half = float(problem.slack.max().fraction()) / 2
        less = [(sign, bound - half, tree) for sign, bound, tree in sides]
        assert failed_steps(problem.certificate(less), snapshot) == {"tree"}

    def test_a_coarse_leaf_is_split_further(self):
        snapshot, relation = small_problem(0)
        problem = Problem(snapshot, relation, ("box", "shared"))
        enough = [(sign, 1.1 * problem.truth(sign) + 1e-6, ["leaf"]) for sign in (1, -1)]
        assert problem.bound(["leaf"], 1) > enough[0][1]
        report = check(problem.certificate(enough).to_json(), snapshot)
        assert report.passed, str(report)

    def test_one_side_suffices_only_if_the_pairs_are_exchangeable(self):
        snapshot = random_snapshot(1, 2, reads=())
        for delta, passes in ((0.3, True), (([0.0, -0.3], [0.3, 0.3]), False)):
            problem = Problem(snapshot, relate(snapshot.domain, delta), ("shared",))
            certificate = problem.certificate([(1, problem.bound(["leaf"], 1), ["leaf"])])
            assert check(certificate, snapshot).passed == passes

    def test_an_infinite_side_proves_nothing(self):
        snapshot = random_snapshot(1, 2, reads=())
        problem = Problem(snapshot, relate(snapshot.domain, 0.3, (-np.inf, 0.1)), ("box",))
        certificate = problem.certificate([(1, problem.bound(["leaf"], 1), ["leaf"]), (-1, np.inf, ["leaf"])])
        assert check(certificate, snapshot).passed
        problem = Problem(snapshot, relate(snapshot.domain, 0.3), ("box",))
        certificate = problem.certificate([(1, problem.bound(["leaf"], 1), ["leaf"]), (-1, np.inf, ["leaf"])])
        assert certificate.status is Status.BOUNDED
        document = json.loads(replace(certificate, status=Status.UNKNOWN).to_json())
        assert check(json.dumps(document), snapshot).passed
        document["bound"], document["status"] = 5.0, "BOUNDED"
        assert "bound" in failed_steps(json.dumps(document), snapshot)


GROUP_DOMAIN = unit_box(4, one_hot=[(1, 2, 3)])
NOT_TREES = {
    "no list": "leaf",
    "none": None,
    "empty": [],
    "two leaves": ["leaf", "leaf"],
    "a part missing": [["second", 0, 0.5], "leaf"],
    "a part too many": [["second", 0, 0.5], "leaf", "leaf", "leaf"],
    "nested": [[["second", 0, 0.5], "leaf", "leaf"]],
    "unknown": [["first", 0, 0.5], "leaf", "leaf"],
    "a word": ["leaves"],
    "a number": [0],
    "an object": [{"leaf": 1}],
    "too short": [["second", 0], "leaf", "leaf"],
    "feature -1": [["second", -1, 0.5], "leaf", "leaf"],
    "feature 4": [["second", 4, 0.5], "leaf", "leaf"],
    "feature true": [["second", True, 0.5], "leaf", "leaf"],
    "feature 0.0": [["second", 0.0, 0.5], "leaf", "leaf"],
    "a feature in a list": [["second", [0], 0.5], "leaf", "leaf"],
    "a group column": [["second", 1, 0.5], "leaf", "leaf"],
    "a difference of a group column": [["difference", 2, 0.0], "leaf", "leaf"],
    "at inf": [["second", 0, "inf"], "leaf", "leaf"],
    "at nothing": [["second", 0, None], "leaf", "leaf"],
    "at true": [["second", 0, True], "leaf", "leaf"],
    "at a huge integer": [["second", 0, 10**400], "leaf", "leaf"],
    "group 1": [["pairs", 1, [[0, 0]]], "leaf", "leaf"],
    "pairs of nothing": [["pairs", 0, None], "leaf", "leaf"],
    "no pairs": [["pairs", 0, [[0]]], "leaf", "leaf"],
    "category 3": [["pairs", 0, [[0, 3]]], "leaf", "leaf"],
    "category -1": [["pairs", 0, [[-1, 0]]], "leaf", "leaf"],
    "listed twice": [["pairs", 0, [[0, 0], [0, 0]]], "leaf", "leaf"],
    "not allowed": [["pairs", 0, [[0, 1]]], "leaf", "leaf"],
    "a bad node in an empty part": [["second", 0, -1.0], ["second", 9, 0.5], "leaf", "leaf", "leaf"],
}


class TestMalformed:
    """Documents that were tampered with: a named failure, and no exception."""

    @pytest.fixture(scope="class")
    @staticmethod
    def problem():
        # Categories are held equal: pairs (a, b) with a != b are not allowed.
        delta = np.where(GROUP_DOMAIN.in_group, 0.0, 0.3)
        snapshot = random_snapshot(3, 4, domain=GROUP_DOMAIN, reads=())
        return Problem(snapshot, relate(GROUP_DOMAIN, delta), ("shared",))

    @pytest.fixture(scope="class")
    @staticmethod
    def certificate(problem):
        tree = [["pairs", 0, [[0, 0], [2, 2]]], "leaf", ["second", 0, 0.5], "leaf", "leaf"]
        # So loose that any leaf proves it: what fails below fails by its form.
        certificate = problem.certificate([(sign, 1e6, tree) for sign in (1, -1)])
        assert check(certificate, problem.snapshot).passed
        return certificate

    @pytest.mark.parametrize("tree", NOT_TREES.values(), ids=NOT_TREES)
    def test_trees(self, certificate, problem, tree):
        document = json.loads(certificate.to_json())
        document["proof"]["sides"][1]["tree"] = tree
        assert "tree" in failed_steps(json.dumps(document), problem.snapshot)

    def test_even_a_side_that_claims_nothing_has_a_tree(self, certificate, problem):
        document = json.loads(certificate.to_json())
        document["proof"]["sides"][1].update(bound="inf", tree=["leaf", "leaf"])
        assert "tree" in failed_steps(json.dumps(document), problem.snapshot)

    def test_a_limit_of_nodes(self, certificate, problem, monkeypatch):
        monkeypatch.setattr("smile_sklearn._check.tree.TREE_LIMIT", 4)
        assert "tree" in failed_steps(certificate, problem.snapshot)

    @pytest.mark.parametrize(
        ("edit", "step"),
        [
            (lambda proof: proof.pop("sides"), "proof"),
            (lambda proof: proof.update(sides={}), "proof"),
            (lambda proof: proof.update(sides=[1, 2]), "proof"),
            (lambda proof: proof.update(sides=[]), "interval"),
            (lambda proof: proof["sides"].append(proof["sides"][0]), "proof"),
            (lambda proof: proof["sides"][0].pop("tree"), "proof"),
            (lambda proof: proof["sides"][0].update(side="both"), "proof"),
            (lambda proof: proof["sides"][0].update(side=["upper"]), "proof"),
            (lambda proof: proof["sides"][0].update(margin=1), "proof"),
            (lambda proof: proof["sides"][0].update(margin=-1), "proof"),
            (lambda proof: proof["sides"][0].update(margin=False), "proof"),
            (lambda proof: proof["sides"][0].update(margin=0.0), "proof"),
            (lambda proof: proof["sides"][0].update(bound=None), "proof"),
            (lambda proof: proof["sides"][0].update(bound="-inf"), "proof"),
            (lambda proof: proof["sides"][0].update(bound=-1e300), "tree"),
            (lambda proof: proof["sides"][0].update(side="lower"), "proof"),
            (lambda proof: proof.pop("bounds"), "proof"),
            (lambda proof: proof.update(bounds=[0.0]), "proof"),
            (lambda proof: proof.update(bounds=[-1e-6, 1e-6]), "interval"),
            (lambda proof: proof.update(bounds=["-inf", "inf"]), "bound"),
            (lambda proof: proof.update(couplings=["box"]), "proof"),
            (lambda proof: proof.update(couplings=["shared", "shared"]), "proof"),
            (lambda proof: proof.update(couplings="shared"), "proof"),
            (lambda proof: proof.update(couplings={"shared": 1}), "proof"),
        ],
    )
    def test_sides(self, certificate, problem, edit, step):
        document = json.loads(certificate.to_json())
        edit(document["proof"])
        assert step in failed_steps(json.dumps(document), problem.snapshot)

    def test_shared_needs_a_backbone_that_reads_what_is_equal(self, certificate, problem):
        other = replace(problem.snapshot, reads=(0,))
        document = {**json.loads(certificate.to_json()), "digest": other.digest}
        assert failed_steps(json.dumps(document), other) == {"coupling"}

    def test_nothing_is_proved_where_the_forward_pass_may_overflow(self, certificate, problem):
        other = replace(problem.snapshot, head_bias=np.array([1.7e308]))
        document = {**json.loads(certificate.to_json()), "digest": other.digest}
        assert "proof" in failed_steps(json.dumps(document), other)


class TestVerifier:
    """What branch and bound certifies is proved again."""

    @pytest.mark.parametrize("coupling", ["box", "shared", "auto"])
    @pytest.mark.parametrize("seed", range(6))
    def test_small_networks(self, seed, coupling):
        snapshot, relation = small_problem(seed)
        self._agree(snapshot, relation, coupling)

    @pytest.mark.parametrize("seed", range(10))
    def test_sorts_groups_integers_and_hostile_weights(self, seed):
        domain = mixed_domain(seed)
        snapshot = mixed_snapshot(
            seed, domain, ends=("width", "free")[seed % 2], sizes=HOSTILE if seed % 3 == 0 else (1.0,)
        )
        self._agree(snapshot, mixed_relation(seed, domain, KINDS[seed % 5]), "auto")

    def test_several_classes_and_two_layers(self):
        snapshot = random_snapshot(2, 3, hidden=(4, 4), n_outputs=3, reads=())
        self._agree(snapshot, relate(snapshot.domain, 0.1), "auto")

    @pytest.mark.parametrize("splitting", ["reciph", "width", "smear"])
    def test_a_finished_proof(self, splitting):
        snapshot, relation = small_problem(0)
        largest = max(Problem(snapshot, relation, ("box", "shared")).truth(sign) for sign in (1, -1))
        relation = relate(snapshot.domain, 0.3, 1.05 * largest)
        certificate = BranchAndBound(splitting=splitting).verify(snapshot, relation)
        assert certificate.status is Status.HOLDS
        assert check(certificate.to_json(), snapshot).passed

    def _agree(self, snapshot, relation, coupling):
        certificate = BranchAndBound(max_subproblems=150).verify(snapshot, relation, coupling=coupling)
        report = check(certificate.to_json(), snapshot)
        assert report.passed, str(report)


class TestIntegers:
    """Products by flint and by numpy are the same integers."""

    @pytest.mark.skipif(integers.fmpz_mat is None, reason="python-flint is not installed")
    @pytest.mark.parametrize(
        "shapes", [((40, 30), (30, 40)), ((2, 3), (3, 2)), ((3, 4), (4,)), ((30, 1), (1, 9))]
    )
    def test_agree(self, shapes, monkeypatch):
        generator = np.random.default_rng(0)
        first, second = (
            (generator.integers(-(2**62), 2**62, size=shape).astype(object) << 200) + 1 for shape in shapes
        )
        with_flint = integers.matmul(first, second)
        monkeypatch.setattr(integers, "fmpz_mat", None)
        without = integers.matmul(first, second)
        assert (with_flint == without).all()
        assert {type(entry) for entry in with_flint.flat} == {int}

    def test_the_report_is_the_same_without_flint(self, monkeypatch):
        snapshot = random_snapshot(0, 4, hidden=(16, 16), reads=())
        certificate = BranchAndBound(max_subproblems=30).verify(snapshot, relate(snapshot.domain, 0.1))
        report = check(certificate, snapshot)
        monkeypatch.setattr(integers, "fmpz_mat", None)
        assert str(check(certificate, snapshot)) == str(report)
        assert report.passed
