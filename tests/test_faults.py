"""Injected faults: whatever is changed after certification is caught, and the step that does so is named."""

import json

import numpy as np
import pytest

from smile_sklearn.certificates import Status, combine
from smile_sklearn.check import check, check_files, main
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.verification.branch_and_bound import BranchAndBound
from smile_sklearn.verification.closed_form import ClosedForm
from smile_sklearn.verification.difference import DifferenceBounds
from smile_sklearn.verification.mip import MIP
from tests.support.exhaustive import largest_value
from tests.support.networks import random_snapshot, relate, unit_box

DOMAIN = unit_box(3, one_hot=[(1, 2)])
FREE = np.array([0.3, 1.0, 1.0])
"""Feature 0 moves by 0.3, the group is free."""

VERIFIERS = {
    "difference": DifferenceBounds,
    "closed form": ClosedForm,
    "branch and bound": lambda: BranchAndBound(max_subproblems=2000),
    "mip": MIP,
}
EPSILONS = {"HOLDS": 50.0, "BOUNDED": 0.01}


def issue(kind, status="BOUNDED"):
    """A real certificate and its network; every kind of proof is of the box coupling."""
    hidden = () if kind == "closed form" else (4,)
    snapshot = random_snapshot(7, 3, hidden, ends="affine", domain=DOMAIN, reads=(0, 1, 2))
    relation = relate(DOMAIN, FREE, EPSILONS[status])
    certificate = VERIFIERS[kind]().verify(snapshot, relation)
    assert certificate.proof["kind"] == kind
    assert certificate.status is Status[status]
    return certificate, snapshot


@pytest.fixture(scope="module")
def issued():
    """All kinds, issued once: {kind: (document as text, snapshot)}."""
    found = {kind: issue(kind) for kind in VERIFIERS}
    for kind, (certificate, snapshot) in found.items():
        report = check(certificate.to_json(), snapshot)
        assert report.passed, f"{kind}: {report}"
    return {kind: (certificate.to_json(), snapshot) for kind, (certificate, snapshot) in found.items()}


def failed(document, snapshot):
    report = check(document if isinstance(document, str) else json.dumps(document), snapshot)
    assert not report.passed, str(report)
    assert all(step.name and step.detail for step in report.failures)
    return {step.name for step in report.failures}


def largest(snapshot):
    """The largest V of both sides, by enumeration."""
    relation = relate(DOMAIN, FREE, 1.0)
    return max(
        largest_value(snapshot, relation, ("box",), sign * snapshot.head_weight[0]) for sign in (1, -1)
    )


def lower_intervals(document, by):
    """Lower what the proof says it has proved, on the upper side, and nothing else."""
    proof = document["proof"]
    if proof["kind"] in ("difference", "closed form"):
        proof["couplings"]["box"][1] -= by
    elif proof["kind"] == "branch and bound":
        proof["sides"][0]["bound"] -= by
    else:
        # The largest of the enumerated parts is the one that counts.
        highest = max(proof["problems"], key=lambda problem: problem["bound"])
        highest["bound"] -= by


def claim_consistently(document, value):
    """Let proof, bound and variation all say that |f' - f''| <= value."""
    proof = document["proof"]
    if proof["kind"] in ("difference", "closed form"):
        proof["couplings"]["box"] = [-value, value]
    elif proof["kind"] == "branch and bound":
        proof["bounds"] = [-value, value]
        for side in proof["sides"]:
            side["bound"] = value
    else:
        for problem in proof["problems"]:
            problem["bound"] = value
    bound = float(np.nextafter(value - proof["relation"]["epsilon_upper"], np.inf))
    document.update(
        bound=bound, variation=value, attained="-inf", status="HOLDS" if bound <= 0 else "BOUNDED"
    )


NOT_PROVED = {
    "difference": {"interval"},
    "closed form": {"interval"},
    "branch and bound": {"tree"},
    # What needed no solver is not proved again; what did is refuted by a pair.
    "mip": {"proof", "solver"},
}
"""The steps that find a claim to be below the truth."""


@pytest.mark.parametrize("kind", VERIFIERS)
class TestEveryKind:
    """Faults that any certificate may suffer."""

    def test_bound_lowered(self, issued, kind):
        text, snapshot = issued[kind]
        document = json.loads(text)
        document.update(bound=document["bound"] - 1e-6, attained="-inf")
        assert failed(document, snapshot) == {"bound"}

    def test_bound_below_what_a_pair_attains(self, issued, kind):
        text, snapshot = issued[kind]
        document = json.loads(text)
        document["attained"] = document["bound"] + 1e-6
        assert failed(document, snapshot) == {"attained"}

    def test_variation_lowered(self, issued, kind):
        text, snapshot = issued[kind]
        document = json.loads(text)
        document["variation"] -= 1e-6
        assert failed(document, snapshot) == {"variation"}

    def test_intervals_lowered(self, issued, kind):
        text, snapshot = issued[kind]
        document = json.loads(text)
        lower_intervals(document, 1e-6)
        # Branch and bound and the solver leave room: there the claim no longer follows from the proof.
        assert failed(document, snapshot) & {"interval", "bound", "tree"}

    def test_all_lowered_below_the_truth(self, issued, kind):
        text, snapshot = issued[kind]
        document = json.loads(text)
        claim_consistently(document, largest(snapshot) - 1e-6)
        assert NOT_PROVED[kind] & failed(document, snapshot)

    def test_all_lowered_to_hold(self, issued, kind):
        text, snapshot = issued[kind]
        document = json.loads(text)
        claim_consistently(document, 0.005)
        assert document["status"] == "HOLDS"
        assert NOT_PROVED[kind] & failed(document, snapshot)

    @pytest.mark.parametrize("epsilon", [0.01 - 1e-6, 0.01 + 1e-6])
    def test_epsilon_edited(self, issued, kind, epsilon):
        text, snapshot = issued[kind]
        document = json.loads(text)
        document["proof"]["relation"].update(epsilon_upper=epsilon, epsilon_lower=-epsilon)
        assert failed(document, snapshot) == {"bound"}

    @pytest.mark.parametrize("end", ["epsilon_lower", "epsilon_upper"])
    def test_one_epsilon_edited(self, issued, kind, end):
        text, snapshot = issued[kind]
        document = json.loads(text)
        document["proof"]["relation"][end] *= 0.999
        # Where one side was proved for both, the pairs are no longer exchangeable.
        assert failed(document, snapshot) & {"bound", "interval"}

    @pytest.mark.parametrize("end", ["delta_lower", "delta_upper"])
    def test_one_delta_edited(self, issued, kind, end):
        text, snapshot = issued[kind]
        document = json.loads(text)
        document["proof"]["relation"][end][0] *= 3.0
        assert failed(document, snapshot)

    def test_a_weight_changed_by_one_ulp(self, issued, kind, tmp_path):
        text, snapshot = issued[kind]
        path = tmp_path / "model.npz"
        snapshot.save(path)
        assert check(text, NetworkSnapshot.load(path)).passed
        with np.load(path) as archive:
            arrays = {name: archive[name].copy() for name in archive.files}
        arrays["array_0"].flat[0] = np.nextafter(arrays["array_0"].flat[0], np.inf)
        np.savez(path, **arrays)
        (tmp_path / "certificate.json").write_text(text)
        report = check_files(tmp_path / "certificate.json", path)
        assert [step.name for step in report.failures] == ["digest"]

    def test_domain_edited(self, issued, kind):
        text, snapshot = issued[kind]
        document = json.loads(text)
        document["domain"]["upper"][0] = 2.0
        assert failed(document, snapshot) == {"domain"}

    def test_digest_edited(self, issued, kind):
        text, snapshot = issued[kind]
        document = json.loads(text)
        document["digest"] = document["digest"][::-1]
        assert failed(document, snapshot) == {"digest"}

    @pytest.mark.parametrize("status", ["HOLDS", "UNKNOWN", "VIOLATED"])
    def test_status_edited(self, issued, kind, status):
        text, snapshot = issued[kind]
        document = json.loads(text)
        document["status"] = status
        assert "status" in failed(document, snapshot)

    @pytest.mark.parametrize("rigor", ["exact", "replayed"])
    def test_rigor_edited(self, issued, kind, rigor):
        text, snapshot = issued[kind]
        document = json.loads(text)
        document["rigor"] = rigor
        assert failed(document, snapshot) == {"rigor"}

    def test_kind_edited(self, issued, kind):
        text, snapshot = issued[kind]
        # Two kinds state an interval, and the tighter one rightly proves what the other claims.
        alike = {"difference", "closed form"} if kind in ("difference", "closed form") else {kind}
        for other in [*(set(VERIFIERS) - alike), "falsifier", None]:
            document = json.loads(text)
            document["proof"]["kind"] = other
            assert failed(document, snapshot), other

    def test_every_field_is_needed(self, issued, kind):
        text, snapshot = issued[kind]
        for name in json.loads(text):
            document = json.loads(text)
            del document[name]
            assert failed(document, snapshot) == {"document"}

    def test_the_proof_is_needed(self, issued, kind):
        text, snapshot = issued[kind]
        for name in json.loads(text)["proof"]:
            document = json.loads(text)
            del document["proof"][name]
            if name not in ("splitting", "subproblems"):  # a remark on how the tree was found
                assert failed(document, snapshot)

    @pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
    def test_truncated(self, issued, kind, share, tmp_path, capsys):
        text, snapshot = issued[kind]
        certificate, model = tmp_path / "certificate.json", tmp_path / "model.npz"
        snapshot.save(model)
        certificate.write_text(text[: int(share * len(text))])
        assert main([str(certificate), str(model)]) == 1
        assert "FAIL document" in capsys.readouterr().out
        certificate.write_text(text)
        data = model.read_bytes()
        model.write_bytes(data[: int(share * len(data))])
        assert main([str(certificate), str(model)]) == 1
        assert "FAIL model" in capsys.readouterr().out


class TestSwapped:
    def test_certificates_of_two_models(self, issued):
        first, second = issued["difference"], issued["closed form"]
        assert failed(first[0], second[1]) == {"digest"}
        assert failed(second[0], first[1]) == {"digest"}

    def test_files(self, issued, tmp_path, capsys):
        text, snapshot = issued["difference"]
        certificate, model = tmp_path / "certificate.json", tmp_path / "model.npz"
        certificate.write_text(text)
        snapshot.save(model)
        assert main([str(certificate), str(model)]) == 0
        assert main([str(model), str(certificate)]) == 1
        assert "FAIL document" in capsys.readouterr().out

    def test_the_proof_of_another_relation(self):
        wide, snapshot = issue("branch and bound")
        narrow = BranchAndBound().verify(snapshot, relate(DOMAIN, [0.05, 0.0, 0.0], 0.01))
        document = json.loads(narrow.to_json())
        document["proof"]["relation"] = wide.proof["relation"]
        assert "tree" in failed(document, snapshot)


class TestTreeEdited:
    """A cut of the tree is carried out by the checker, so an edited one is another true proof or none."""

    @pytest.fixture(scope="class")
    @staticmethod
    def document_and_snapshot():
        certificate, snapshot = issue("branch and bound")
        assert len(certificate.proof["sides"][0]["tree"]) >= 5
        return certificate.to_json(), snapshot

    @pytest.mark.parametrize(
        "edit",
        [
            lambda tree: tree[:-1],
            lambda tree: tree[1:],
            lambda tree: [*tree, "leaf"],
            lambda tree: tree[: len(tree) // 2],
            lambda tree: tree + tree,
            lambda tree: tree[::-1],
            lambda tree: [node for node in tree if node != "leaf"],
        ],
        ids=["last cut", "root cut", "one more", "half", "twice", "reversed", "no leaves"],
    )
    def test_parts_cut_out(self, document_and_snapshot, edit):
        text, snapshot = document_and_snapshot
        document = json.loads(text)
        side = document["proof"]["sides"][0]
        side["tree"] = edit(side["tree"])
        assert failed(document, snapshot) >= {"tree"}

    @pytest.mark.parametrize("value", [-1e9, -1e-9, 0.0, 0.123, 2.0, 1e300])
    def test_moved_splits_prove_nothing_false(self, document_and_snapshot, value):
        text, snapshot = document_and_snapshot
        document = json.loads(text)
        tree = document["proof"]["sides"][0]["tree"]
        tree[:] = [
            [node[0], node[1], value] if node != "leaf" and node[0] != "pairs" else node for node in tree
        ]
        report = check(json.dumps(document), snapshot)
        # True or not proved; below the truth it fails whatever the tree.
        assert {step.name for step in report.failures} <= {"tree", "interval", "bound", "variation"}
        claim_consistently(document, largest(snapshot) - 1e-6)
        assert "tree" in failed(document, snapshot)

    def test_a_leaf_instead_of_the_tree(self, document_and_snapshot):
        text, snapshot = document_and_snapshot
        document = json.loads(text)
        document["proof"]["sides"][0]["tree"] = ["leaf"]
        claim_consistently(document, largest(snapshot) - 1e-6)
        assert "tree" in failed(document, snapshot)


class TestSets:
    """Parts of a set, of different kinds."""

    @pytest.fixture(scope="class")
    @staticmethod
    def joined():
        snapshot = random_snapshot(7, 3, (4,), ends="affine", domain=DOMAIN, reads=(0, 1, 2))
        relations = [relate(DOMAIN, FREE, 0.01, name=name) for name in ("first", "second", "third")]
        verifiers = DifferenceBounds(), BranchAndBound(max_subproblems=200), MIP()
        parts = [v.verify(snapshot, relation) for v, relation in zip(verifiers, relations, strict=True)]
        certificate = combine(parts)
        report = check(certificate.to_json(), snapshot)
        assert report.passed, str(report)
        return certificate.to_json(), snapshot

    @pytest.mark.parametrize("dropped", [0, 1, 2])
    def test_parts_dropped(self, joined, dropped):
        text, snapshot = joined
        document = json.loads(text)
        del document["parts"][dropped]
        assert failed(document, snapshot) == {"parts"}

    def test_all_parts_dropped(self, joined):
        text, snapshot = joined
        document = json.loads(text)
        document["parts"] = []
        assert failed(document, snapshot) >= {"relation"}

    def test_parts_renamed_alike(self, joined):
        text, snapshot = joined
        document = json.loads(text)
        document["parts"][1]["name"] = "first"
        assert failed(document, snapshot) == {"parts"}

    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_a_part_lowered(self, joined, number):
        text, snapshot = joined
        document = json.loads(text)
        part = document["parts"][number]
        part.update(bound=part["bound"] - 1e-6, attained="-inf")
        report = check(json.dumps(document), snapshot)
        assert (part["name"], "bound") in {(step.part, step.name) for step in report.failures}
