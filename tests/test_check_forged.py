"""Forged certificates: what an attacker may write into a file, and the step at which it fails."""

import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from smile_sklearn._check import branch_and_bound, solver
from smile_sklearn._check.envelope import Envelope
from smile_sklearn._check.exact import Exact
from smile_sklearn._check.linear_bounds import LinearMaps
from smile_sklearn._check.network import ExactNetwork
from smile_sklearn._check.pairs import rebuild_pairs
from smile_sklearn._check.region import Cutter
from smile_sklearn._check.report import EXTRA, CheckFailure, Journal, plain
from smile_sklearn.certificates import FORMAT, Status, combine
from smile_sklearn.check import check, check_files, main
from smile_sklearn.properties import InputDomain
from smile_sklearn.snapshot import Clamp, Graph, GraphBuilder, NetworkSnapshot
from smile_sklearn.verification.branch_and_bound import BranchAndBound
from smile_sklearn.verification.difference import DifferenceBounds
from tests.support.networks import deployed, random_snapshot, relate, unit_box

NOTHING = {"status": "UNKNOWN", "bound": "inf", "variation": "inf", "rigor": "replayed"}
"""What a certificate says that claims nothing."""


def wide_box(reads, width=20.0, n_features=2):
    """lo = -width / 2 and hi = width / 2 everywhere: f is what the backbone likes within."""
    builder = GraphBuilder(n_features)
    ends = [builder.affine(np.zeros((1, n_features)), np.array([sign * width / 2])) for sign in (-1.0, 1.0)]
    return NetworkSnapshot(
        builder.build(), *ends, None, np.ones((1, 1)), np.zeros(1), reads, unit_box(n_features)
    )


def document(snapshot, delta, epsilon=0.5, proof=None, **fields):
    """A claim about ``|x' - x''| <= delta => |f' - f''| <= epsilon``, as an attacker may fill it in."""
    relation = {
        "delta_lower": [-end for end in delta],
        "delta_upper": list(delta),
        "epsilon_lower": -epsilon,
        "epsilon_upper": epsilon,
    }
    claim = {
        "format": FORMAT,
        "name": "forged",
        "statement": "a caption",
        "status": "HOLDS",
        "bound": -epsilon,
        "variation": 0.0,
        "rigor": "rounded",
        "verifier": "nobody",
        "coupling": "box",
        "seconds": 0.0,
        "digest": snapshot.digest,
        "domain": snapshot.domain.to_dict(),
        "slack": 1.0,
        "attained": "-inf",
        "counterexample": None,
        "proof": {"relation": relation, **(proof or {})},
        "versions": {},
        "parts": [],
    }
    return {**claim, **fields}


def at_most(value, snapshot, delta, proof, **fields):
    """A document that claims ``|f' - f''| <= value``, a dyadic number, of epsilon 0.5."""
    return document(snapshot, delta, 0.5, proof, bound=value - 0.5, variation=value, **fields)


def problems(value, names):
    """Maximisations of both sides with one bound; each entry of ``names`` is more of an item."""
    return {
        "kind": "mip",
        "problems": [
            {"side": side, "margin": 0, "bound": value, **more}
            for side in ("upper", "lower")
            for more in names
        ],
    }


def failed(claim, snapshot):
    report = check(claim if isinstance(claim, str) else json.dumps(claim), snapshot)
    assert not report.passed, str(report)
    return [step.name for step in report.failures]


class TestCrossedClamp:
    """min(max(x, 5), 1) is 1 wherever it is read: neither bounds nor files may hold such a clamp."""

    @pytest.fixture
    def snapshot(self):
        builder = GraphBuilder(1)
        node = builder.affine(np.array([[1.0]]), np.zeros(1))
        lower = builder.clamp(np.array([1.0]), np.array([5.0]), node)
        upper = builder.affine(np.array([[0.0]]), np.array([3.0]))
        return NetworkSnapshot(
            builder.build(), lower, upper, None, np.ones((1, 1)), np.zeros(1), (0,), unit_box(1)
        )

    @pytest.fixture
    def crossed(self, snapshot):
        """The same with its ends exchanged, past the constructor."""
        nodes = list(snapshot.graph.nodes)
        nodes[2] = Clamp(nodes[2].upper, nodes[2].lower, nodes[2].source)
        forged = replace(snapshot)
        object.__setattr__(forged, "graph", Graph(tuple(nodes)))
        lower, upper = forged.bounds(np.array([[0.3]]))
        assert (lower, upper) == (1.0, 3.0)  # f may change by 2
        return forged

    @pytest.mark.parametrize(
        "proof",
        [
            {"kind": "closed form", "couplings": {"box": [-(2.0**-10), 2.0**-10]}},
            {"kind": "difference", "couplings": {"box": [-(2.0**-10), 2.0**-10]}},
            {
                "kind": "branch and bound",
                "couplings": ["box"],
                "bounds": [-(2.0**-10), 2.0**-10],
                "sides": [
                    {"margin": 0, "side": side, "bound": 2.0**-10, "tree": ["leaf"]}
                    for side in ("upper", "lower")
                ],
            },
        ],
        ids=lambda proof: proof["kind"],
    )
    def test_is_refused_by_the_checker(self, crossed, proof, tmp_path):
        claim = at_most(2.0**-10, crossed, [1.0], proof)
        report = check(json.dumps(claim), crossed)
        assert [step.name for step in report.failures] == ["model"]
        assert "lower end above" in report.failures[0].detail
        crossed.save(tmp_path / "model.npz")
        (tmp_path / "certificate.json").write_text(json.dumps(claim))
        report = check_files(tmp_path / "certificate.json", tmp_path / "model.npz")
        assert [step.name for step in report.failures] == ["model"]

    def test_one_that_touches_is_none(self, snapshot):
        nodes = list(snapshot.graph.nodes)
        nodes[2] = replace(nodes[2], upper=nodes[2].lower)
        ExactNetwork(replace(snapshot, graph=Graph(tuple(nodes))))


class TestCouplings:
    """A list of couplings is one of three, or none."""

    @pytest.mark.parametrize(
        "coupling", ["box, box", "box,box", "shared, box", "shared, shared", "box, shared, box", "", "box "]
    )
    def test_others_are_refused_by_every_kind(self, coupling):
        snapshot, value = wide_box(reads=(0, 1)), 2.0**-10
        names = coupling.split(", ")
        sides = [{"margin": 0, "side": side, "bound": value, "tree": ["leaf"]} for side in ("upper", "lower")]
        for proof, rigor in (
            (problems(value, [{"solver": "difference bounds"}]), "solver"),
            (
                {
                    "kind": "branch and bound",
                    "couplings": names,
                    "bounds": [-value, value],
                    "sides": sides,
                },
                "rounded",
            ),
            ({"kind": "difference", "couplings": {name: [-value, value] for name in names}}, "rounded"),
            ({"kind": "closed form", "couplings": {name: [-value, value] for name in names}}, "rounded"),
        ):
            claim = at_most(value, snapshot, [1.0, 0.0], proof, rigor=rigor, coupling=coupling)
            assert failed(claim, snapshot) == ["proof"]

    def test_shared_bounds_need_the_shared_coupling(self):
        # h reads feature 0, which moves: f may change by 20.
        snapshot, value = wide_box(reads=(0,)), 2.0**-10
        for coupling in ("shared", "box, shared"):
            for name in ("difference bounds", "highs 1.15"):
                proof = problems(value, [{"solver": name}])
                claim = at_most(value, snapshot, [1.0, 0.0], proof, rigor="solver", coupling=coupling)
                report = check(json.dumps(claim), snapshot)
                # Nothing is derived from a coupling that does not apply.
                assert report.failures == report.steps[-1:]
                assert report.steps[-1].name == "coupling"

    def test_shared_bounds_are_made_for_the_shared_coupling_alone(self):
        snapshot = random_snapshot(0, 2, (4,))
        relation = document(snapshot, [1.0, 1.0])["proof"]["relation"]
        network, pairs = ExactNetwork(snapshot), rebuild_pairs(relation, snapshot.domain)
        maps, root, nothing = LinearMaps(network), Cutter(pairs).root, Exact.of([-1e300])
        once, twice, shared = (
            Envelope(maps, names, network.margins[0]).bounds([root], nothing).value.fraction()
            for names in (("box",), ("box", "box"), ("shared",))
        )
        assert once == twice != shared


class TestSolverNames:
    """What no solver is named for is trusted under some name, never silently."""

    @pytest.fixture
    def snapshot(self):
        return random_snapshot(0, 2, (4,), n_latent=2)

    def claim(self, snapshot, names, value=64.0, **fields):
        return at_most(
            value,
            snapshot,
            [1.0, 1.0],
            problems(value, names),
            **{"rigor": "solver", "status": "BOUNDED", **fields},
        )

    @pytest.mark.parametrize("item", [{}, {"solver": ""}, {"solver": "  "}, {"solver": 7}, {"solver": None}])
    @pytest.mark.parametrize(("verifier", "trusted"), [("mip", "mip"), (" \n", "an unnamed solver")])
    def test_items_without_one(self, snapshot, item, verifier, trusted):
        mixed = [{"solver": "difference bounds", "bound": "inf"}, item]
        for names in ([item], mixed):
            report = check(json.dumps(self.claim(snapshot, names, verifier=verifier)), snapshot)
            assert report.passed, str(report)
            assert trusted in report.trusted
            assert any("translation" in item for item in report.trusted)
            assert "proved again, in full" not in str(report)

    def test_names_are_stripped_and_listed_once(self, snapshot):
        names = [{"solver": " highs "}, {"solver": "highs"}]
        report = check(json.dumps(self.claim(snapshot, names)), snapshot)
        assert report.trusted[0] == "highs"
        assert len(report.trusted) == 2

    def test_without_a_solver_nothing_is_trusted(self, snapshot):
        report = check(json.dumps(self.claim(snapshot, [{"solver": "difference bounds"}])), snapshot)
        assert report.passed
        assert not report.trusted

    def test_a_network_too_large_to_examine_is_said_to_be(self, snapshot, monkeypatch):
        claim = json.dumps(self.claim(snapshot, [{"solver": "highs"}]))
        assert not any("too large" in item for item in check(claim, snapshot).trusted)
        monkeypatch.setattr(solver, "SIZE", 1)
        report = check(claim, snapshot)
        assert report.passed
        assert any("too large" in item for item in report.trusted)

    def test_an_unnamed_solver_on_a_large_network(self):
        snapshot, value = random_snapshot(0, 4, (80, 64), n_latent=4), 2.0**-10
        mixed = [{"solver": "difference bounds", "bound": "inf"}, {}]
        claim = at_most(value, snapshot, [1.0] * 4, problems(value, mixed), rigor="solver", verifier="")
        report = check(json.dumps(claim), snapshot)  # false, and so large that all rests on the solver
        assert report.trusted[0] == "an unnamed solver"

    @pytest.mark.parametrize(("slack", "step"), [(0.0, "rigor"), (-7.0, "document"), ("inf", "document")])
    def test_slack_below_that_of_the_forward_pass(self, snapshot, slack, step):
        assert failed(self.claim(snapshot, [{"solver": "highs"}], slack=slack), snapshot) == [step]

    def test_an_overflow_is_found_in_large_networks_too(self, monkeypatch):
        monkeypatch.setattr(solver, "SIZE", 0)
        builder = GraphBuilder(1)
        low = builder.affine(np.array([[1e308]]), np.array([1e308]))
        snapshot = NetworkSnapshot(
            builder.build(), low, low, None, np.ones((1, 1)), np.zeros(1), (), unit_box(1)
        )
        proof = problems(64.0, [{"solver": "highs"}])
        claim = at_most(64.0, snapshot, [1.0], proof, rigor="solver", status="BOUNDED")
        assert "solver" in failed(claim, snapshot)


class TestViolations:
    """Outputs that no backbone of the file can give."""

    def claim(self, snapshot, first, second, outputs, epsilon=0.5, delta=(1.0, 0.0)):
        outputs = [np.atleast_1d(values).tolist() for values in outputs]
        change = np.subtract(*outputs)
        if len(change) > 1:
            change = np.subtract.outer(change, change)
        pair = {
            "first": list(first),
            "second": list(second),
            "first_output": outputs[0],
            "second_output": outputs[1],
            "violation": float(np.abs(change).max() - epsilon),
        }
        return document(
            snapshot,
            delta,
            epsilon,
            **{**NOTHING, "status": "VIOLATED"},
            coupling="shared",
            counterexample=pair,
        )

    def test_one_input_with_two_outputs(self):
        snapshot = wide_box(reads=(0, 1))
        moved = self.claim(snapshot, [0.25, 0.5], [0.75, 0.5], (10.0, -10.0))
        assert check(json.dumps(moved), snapshot).passed
        same = self.claim(snapshot, [0.25, 0.5], [0.25, 0.5], (10.0, -10.0))
        assert failed(same, snapshot) == ["counterexample"]

    def test_one_input_after_scaling(self):
        # Two raw numbers that are one unit coordinate, to the bit.
        domain = InputDomain([0.0, 0.0], [1e300, 1.0])
        snapshot = replace(wide_box(reads=(0, 1)), domain=domain)
        rows = np.array([[0.0, 0.5], [5e-324, 0.5]])
        assert (domain.to_unit(rows)[0] == domain.to_unit(rows)[1]).all()
        assert failed(self.claim(snapshot, *rows.tolist(), (10.0, -10.0)), snapshot) == ["counterexample"]

    def test_equal_in_all_that_the_backbone_reads(self):
        snapshot = wide_box(reads=(1,))
        claim = self.claim(snapshot, [0.25, 0.5], [0.75, 0.5], (10.0, -10.0))
        report = check(json.dumps(claim), snapshot)
        assert [step.name for step in report.failures] == ["counterexample"]
        assert "all that the backbone reads" in report.failures[0].detail

    @pytest.mark.parametrize("n_outputs", [1, 3])
    @pytest.mark.parametrize("seed", range(4))
    def test_what_a_backbone_gives_passes_and_a_little_more_does_not(self, seed, n_outputs):
        snapshot = random_snapshot(seed, 2, (4,), n_latent=1, n_outputs=n_outputs, reads=(1,))
        rows = [[0.05, 0.5], [0.95, 0.5]]
        # An embedding far above: f is what hi (or lo, the larger one) gives, at both rows.
        outputs = deployed(snapshot, lambda units: np.full((len(units), 1), 1e6))(np.array(rows))
        claim = lambda values: self.claim(snapshot, *rows, values, epsilon=1e-9)
        assert check(json.dumps(claim(outputs)), snapshot).passed
        lower, upper = snapshot.bounds(snapshot.domain.to_unit(np.array(rows)))
        steps = np.append([lower[0] - lower[1], np.maximum(lower, upper)[0] - np.maximum(lower, upper)[1]], 0)
        head = snapshot.head_weight[:, 0]
        # Each output alone stays in its box; together they move more than any unit does.
        further = 1.001 * (steps.max() if steps.max() > -steps.min() else steps.min()) * head
        beyond = (outputs[1] + further, outputs[1])
        if n_outputs == 1 or np.abs(further).max() > 1e-9:
            assert failed(claim(beyond), snapshot) == ["counterexample"]

    def test_margins_of_one_row(self):
        # Both outputs read one unit: f_0 - f_1 = 0 whatever it is, though each may be in [-10, 10].
        snapshot = replace(wide_box(reads=(0, 1)), head_weight=np.ones((2, 1)), head_bias=np.zeros(2))
        rows = [0.25, 0.5], [0.75, 0.5]
        claim = self.claim(snapshot, *rows, ([10.0, -10.0], [-10.0, 10.0]))
        report = check(json.dumps(claim), snapshot)
        assert [step.name for step in report.failures] == ["counterexample"]
        assert "margin" in report.failures[0].detail


class TestPrinting:
    """Names and captions come from the file; the report is the checker's."""

    EVIL = "p\nThe certificate is proved again, in full.\n\x1b[8m"

    def test_plain(self):
        assert plain("a b~") == "a b~"
        for text in (self.EVIL, "\r", "\x7f", "\x9b", "é", "\u202e", "\ud800", "\U0001f600", "\u2028"):
            assert plain(text).isascii()
            assert plain(text).isprintable()
        assert plain("\ud800\n") == "\\ud800\\n"

    @pytest.mark.parametrize("text", [EVIL, "\ud800", "bound: claimed -1, derived -1\u2028"])
    def test_every_name_is_escaped(self, text, tmp_path, capsys):
        snapshot = random_snapshot(0, 2, (3,), domain=unit_box(2, integer=[1], feature_names=["a", text]))
        proof = problems(64.0, [{"solver": text}])
        part = at_most(
            64.0,
            snapshot,
            [1.0, 1.0],
            proof,
            status="BOUNDED",
            rigor="solver",
            name=text,
            statement=text,
            verifier=text,
        )
        inner = {name: value for name, value in part.items() if name != "format"}
        other = {**inner, "name": "other"}
        whole = {**part, "parts": [inner, other], "proof": {}, "statement": f"{text} And {text}"}
        snapshot.save(tmp_path / "model.npz")
        for claim in (part, whole, {**part, "status": "HOLDS"}, {**part, "digest": text}):
            (tmp_path / "certificate.json").write_text(json.dumps(claim))
            main([str(tmp_path / "certificate.json"), str(tmp_path / "model.npz")])
            lines = capsys.readouterr().out.splitlines()
            assert all(line.isascii() and line.isprintable() for line in lines)
            assert lines[-1].startswith(("The certificate passes.", "The certificate FAILS at: "))
            assert all(
                line.startswith(("ok   ", "FAIL ", "caption (not checked): ", "trusted: "))
                for line in lines[:-1]
            )

    def relation_line(self, domain, delta, epsilon=50.0):
        snapshot = random_snapshot(0, domain.n_features, (3,), domain=domain)
        report = check(json.dumps(document(snapshot, delta, epsilon, **NOTHING)), snapshot)
        return next(step.detail for step in report.steps if step.name == "relation")

    def test_every_feature_is_in_the_relation(self):
        delta = [1.0] * 6 + [1e-300] * 2
        line = self.relation_line(unit_box(8), delta)
        assert line == (
            "x' - x'': x0 to x5 in [-1.0, 1.0]; x6 to x7 in [-1e-300, 1e-300]; others 0; "
            "then f(x') - f(x'') in [-50.0, 50.0]"
        )
        named = unit_box(8, feature_names=[f"n{j}" for j in range(8)])
        line = self.relation_line(named, delta)
        assert all(repr(f"n{j}") in line for j in range(8))
        assert line.index("'n5'") < line.index("[-1.0, 1.0]") < line.index("'n6'") < line.index("1e-300")

    def test_digits_are_not_rounded(self):
        line = self.relation_line(unit_box(2), [1 - 2.0**-53, 0.0], epsilon=0.1 + 0.2)
        assert f"x0 in [-{1 - 2.0**-53!r}, {1 - 2.0**-53!r}]; others 0" in line
        assert repr(0.1 + 0.2) in line

    def test_a_feature_name_cannot_imitate_the_line(self):
        name = "age in [-99, 99], debt in [-99, 99], income"
        line = self.relation_line(unit_box(2, feature_names=[name, "b"]), [1.0, 0.0])
        assert f"x' - x'': {name!r} in [-1.0, 1.0]" in line

    def test_the_caption_is_shown_as_such(self):
        snapshot = random_snapshot(0, 2, (3,))
        certificate = DifferenceBounds().verify(snapshot, relate(snapshot.domain, 0.1, 50.0))
        text = str(check(replace(certificate, statement="All is well."), snapshot))
        assert "caption (not checked): All is well." in text.splitlines()

    def test_what_claims_nothing_is_not_proved(self):
        snapshot = random_snapshot(0, 2, (3,))
        unknown = document(snapshot, [1.0, 1.0], **NOTHING)
        report = check(json.dumps(unknown), snapshot)
        assert report.passed
        assert str(report).splitlines()[-1] == "The certificate claims nothing; nothing is proved."
        certificate = DifferenceBounds().verify(snapshot, relate(snapshot.domain, 0.1, 50.0), coupling="box")
        assert str(check(certificate, snapshot)).splitlines()[-1] == (
            "The certificate is proved again, in full."
        )
        nothing = replace(
            certificate,
            name="silent",
            bound=np.inf,
            variation=np.inf,
            rigor="replayed",
            status=Status.UNKNOWN,
            proof={**certificate.proof, "kind": "none"},
        )
        report = check(combine([certificate, nothing]), snapshot)
        assert report.passed, str(report)
        assert str(report).splitlines()[-1] == "The certificate passes; it claims nothing of silent."


class TestFields:
    """What was not compared before."""

    @pytest.fixture
    def snapshot(self):
        return random_snapshot(0, 2, (3,), domain=unit_box(2, integer=[1]))

    @pytest.fixture
    def certificate(self, snapshot):
        return DifferenceBounds().verify(snapshot, relate(snapshot.domain, [0.1, 1.0], 50.0), coupling="box")

    @pytest.mark.parametrize(
        "changes",
        [
            {"slack": 0.5},
            {"coupling": "shared"},
            {"verifier": "a proof assistant"},
            {"proof": {"kind": "difference"}},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_of_a_set(self, certificate, snapshot, changes):
        parts = certificate, replace(certificate, name="second")
        text = combine(parts).to_json()
        assert check(text, snapshot).passed
        assert failed({**json.loads(text), **changes}, snapshot) == ["parts"]

    @pytest.mark.parametrize("slack", [-1e-300, "inf", "-inf"])
    def test_slack_of_a_bound_is_a_number_of_at_least_0(self, certificate, snapshot, slack):
        claim = {**json.loads(certificate.to_json()), "slack": slack}
        assert failed(claim, snapshot) == ["document"]

    def test_no_bound_may_have_any_slack(self, snapshot):
        for slack in (0.0, "inf"):
            claim = document(snapshot, [1.0, 1.0], **NOTHING, slack=slack)
            assert check(json.dumps(claim), snapshot).passed
        assert failed(document(snapshot, [1.0, 1.0], **NOTHING, slack=-1.0), snapshot) == ["document"]

    def test_attained_is_said_to_be_a_remark(self, certificate, snapshot):
        assert not check(certificate, snapshot).trusted
        report = check(replace(certificate, attained=certificate.bound), snapshot)
        assert report.passed
        assert any(item.startswith("attained ") and "not checked" in item for item in report.trusted)
        assert "in full" not in str(report)

    @pytest.mark.parametrize("value", [True, 1.0])
    def test_the_domain_is_compared_as_json(self, certificate, snapshot, value):
        claim = json.loads(certificate.to_json())
        assert claim["domain"]["integer"] == [value]
        claim["domain"]["integer"] = [value]
        assert failed(claim, snapshot) == ["domain"]


class TestCrashes:
    """No document ends the checker but through its report."""

    @pytest.fixture
    def snapshot(self):
        return random_snapshot(0, 2, (3,))

    @pytest.mark.parametrize("kind", [[1], {}, {"mip": 1}, 3, True, None])
    def test_kinds_that_are_no_text(self, snapshot, kind):
        nothing = document(snapshot, [1.0, 1.0], **NOTHING, proof={"kind": kind})
        assert check(json.dumps(nothing), snapshot).passed
        something = document(snapshot, [1.0, 1.0], proof={"kind": kind})
        assert set(failed(something, snapshot)) == {"proof", "rigor"}

    def test_parts_have_no_parts(self, snapshot):
        nothing = document(snapshot, [1.0, 1.0], **NOTHING)
        inner = {name: value for name, value in nothing.items() if name != "format"}
        once = {**nothing, "proof": {}, "parts": [inner]}
        assert check(json.dumps(once), snapshot).passed
        twice = {**once, "parts": [{**inner, "proof": {}, "parts": [inner]}]}
        report = check(json.dumps(twice), snapshot)
        assert "parts of its own" in report.failures[0].detail

    @pytest.mark.parametrize("share", [0.5, 0.9, 0.97, 0.99, 1.0, 1.5])
    @pytest.mark.parametrize("where", ["parts", "name", "counterexample", "proof", "domain", "versions"])
    def test_deep_nesting(self, snapshot, where, share):
        nothing = document(snapshot, [1.0, 1.0], **NOTHING)
        depth = int(share * sys.getrecursionlimit())
        deep = "[" * depth + "]" * depth
        if where == "parts":
            inner = json.dumps({name: value for name, value in nothing.items() if name != "format"})
            before, after = inner.split('"parts": []')
            deep = "[" + (before + '"parts": [') * depth + inner + ("]" + after) * depth + "]"
        text = json.dumps({**nothing, where: "DEEP"}).replace('"DEEP"', deep)
        report = check(text, snapshot)
        assert str(report)
        assert not report.passed or where == "versions"

    @pytest.mark.parametrize("error", [RecursionError, MemoryError, TypeError, ValueError])
    def test_an_error_is_a_failed_step_that_names_it(self, snapshot, error, monkeypatch):
        def broken(*arguments):
            raise error("by the test")

        certificate = DifferenceBounds().verify(snapshot, relate(snapshot.domain, 0.1, 50.0))
        monkeypatch.setattr("smile_sklearn.check.check_proof", broken)
        report = check(certificate, snapshot)
        assert [step.name for step in report.failures] == ["proof"]
        assert report.failures[0].detail == f"{error.__name__}: by the test"
        monkeypatch.setattr("smile_sklearn.check._check_property", broken)
        assert [step.name for step in check(certificate, snapshot).failures] == ["proof"]
        monkeypatch.setattr("smile_sklearn.check.ExactNetwork", broken)
        assert [step.name for step in check(certificate, snapshot).failures] == ["model"]


class TestEffort:
    """A false claim costs one allowance of splits, however many sides and items it lists."""

    @pytest.fixture
    def snapshot(self):
        return random_snapshot(3, 3, (8,), n_latent=3, n_outputs=4, reads=())

    @pytest.fixture
    def splits(self, monkeypatch):
        """Regions that the checker cut, one entry each."""
        made, split = [], branch_and_bound.Prover._split

        def counted(*arguments):
            made.append(1)
            return split(*arguments)

        monkeypatch.setattr(branch_and_bound.Prover, "_split", counted)
        monkeypatch.setattr(branch_and_bound.Prover, "_refute", lambda *arguments: None)
        monkeypatch.setattr("smile_sklearn._check.report.Effort.__init__.__defaults__", (40,))
        return made

    def test_ends_with_the_first_side_that_fails(self, snapshot, splits):
        certificate = BranchAndBound(max_subproblems=1).verify(snapshot, relate(snapshot.domain, 1.0, 0.5))
        claim = json.loads(certificate.to_json())
        assert len(claim["proof"]["sides"]) == 6
        for side in claim["proof"]["sides"]:
            side.update(bound=0.01, tree=["leaf"])
        report = check(json.dumps(claim), snapshot)
        assert [step.name for step in report.steps].count("tree") == 1
        assert 0 < len(splits) < 40 + 2 * branch_and_bound.BATCH

    def test_is_shared_by_the_parts_of_a_set(self, snapshot, splits):
        certificate = BranchAndBound(max_subproblems=1).verify(snapshot, relate(snapshot.domain, 1.0, 0.5))
        claim = json.loads(combine([replace(certificate, name=str(n)) for n in range(20)]).to_json())
        for part in claim["parts"]:
            part["proof"]["sides"][0].update(bound=0.01, tree=["leaf"])
        assert "tree" in failed(claim, snapshot)
        assert 0 < len(splits) < 40 + 2 * branch_and_bound.BATCH

    def test_is_shared_by_what_a_solver_is_trusted_for(self, splits):
        snapshot = random_snapshot(3, 3, (8,), n_latent=3, n_outputs=9, reads=())
        items = [
            {"side": side, "margin": margin, "bound": 0.01, "solver": "highs"}
            for side in ("upper", "lower")
            for margin in range(36)
        ]
        claim = at_most(0.01, snapshot, [1.0] * 3, {"kind": "mip", "problems": items}, rigor="solver")
        report = check(json.dumps(claim), snapshot)
        assert "solver" in [step.name for step in report.steps]
        # Each of the 72 adds one for its single leaf.
        assert 0 < len(splits) < 40 + 72 + branch_and_bound.BATCH

    def test_items_without_a_solver_are_proved_once(self, monkeypatch):
        snapshot = random_snapshot(0, 2, (4,))
        calls, prove = [], solver._Reproof.prove

        def counted(self, *arguments):
            calls.append(arguments)
            return prove(self, *arguments)

        monkeypatch.setattr(solver._Reproof, "prove", counted)
        items = [{"solver": "difference bounds"}] * 50 + [{"solver": "difference bounds", "bound": 128.0}]
        claim = at_most(64.0, snapshot, [1.0, 1.0], problems(64.0, items), rigor="solver", status="BOUNDED")
        assert check(json.dumps(claim), snapshot).passed
        assert sorted((key, bound) for key, _, bound in calls) == [(("lower", 0), 64), (("upper", 0), 64)]

    def test_a_journal_starts_with_the_whole_allowance(self):
        journal = Journal()
        assert journal.effort.splits == journal.curiosity.splits == EXTRA
        assert journal.effort is not journal.curiosity
        assert math.isfinite(EXTRA)
        assert issubclass(branch_and_bound.Refuted, CheckFailure)
