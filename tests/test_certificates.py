"""Certificates: what they may say, how they are joined, written, read, and refused."""

import json
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from smile_sklearn.certificates import RIGOR, Certificate, Counterexample, Status, combine
from smile_sklearn.exceptions import CertificateError
from smile_sklearn.properties import InputDomain


def certificate(**changes):
    fields = {
        "name": "fair",
        "statement": "for every two inputs that differ only in sex, the outputs differ by at most 1",
        "status": Status.HOLDS,
        "bound": -0.25,
        "variation": 0.75,
        "rigor": "rounded",
        "verifier": "difference bounds",
        "coupling": "shared",
        "seconds": 0.5,
        "digest": "a" * 64,
        "domain": InputDomain([0.0, 0.1], [1.0, 0.3], integer=[0], feature_names=["sex", "age"]).to_dict(),
    }
    return Certificate(**{**fields, **changes})


def pair():
    return Counterexample(np.array([0.1, 1.0]), np.array([0.3, 1.0]), np.array([2.0]), np.array([0.5]), 0.5)


def test_statuses_are_ordered_worst_first_and_are_no_bools():
    assert sorted(Status) == [Status.VIOLATED, Status.UNKNOWN, Status.BOUNDED, Status.HOLDS]
    for value in (*Status, certificate()):
        with pytest.raises(TypeError, match="not a bool"):
            bool(value)
        with pytest.raises(TypeError):
            assert value
    assert str(Status.HOLDS) == "HOLDS"


@pytest.mark.parametrize("bound", [5e-324, 1e-300, 1.0, np.inf, np.nan])
def test_holds_needs_a_bound_of_at_most_zero(bound):
    with pytest.raises(CertificateError, match="HOLDS"):
        certificate(bound=bound)
    with pytest.raises(CertificateError):
        replace(certificate(), bound=bound)


@pytest.mark.parametrize("bound", [0.0, -0.0, -1.0, -np.inf])
def test_holds_with_a_bound_of_at_most_zero(bound):
    assert certificate(bound=bound).status is Status.HOLDS


def test_violated_needs_a_counterexample():
    with pytest.raises(CertificateError, match="counterexample"):
        certificate(status=Status.VIOLATED, bound=0.5)
    assert (
        certificate(status=Status.VIOLATED, bound=np.inf, counterexample=pair()).counterexample.violation
        == 0.5
    )


def test_the_rigor_is_one_of_four_strongest_first():
    assert list(RIGOR) == ["replayed", "exact", "rounded", "solver"]
    with pytest.raises(ValueError, match="rigor"):
        certificate(rigor="certain")


def test_certificates_are_frozen():
    with pytest.raises(FrozenInstanceError):
        certificate().status = Status.HOLDS


def test_a_set_is_as_good_as_its_worst_part():
    good = certificate()
    bounded = certificate(
        name="monotonic", status=Status.BOUNDED, bound=0.125, variation=np.inf, rigor="solver"
    )
    violated = certificate(name="robust", status=Status.VIOLATED, bound=0.5, counterexample=pair())
    both = combine([good, bounded])
    assert (both.status, both.bound, both.variation, both.rigor) == (Status.BOUNDED, 0.125, np.inf, "solver")
    assert (both.name, both.seconds) == ("all", 1.0)
    assert both["fair"] is good
    assert both["monotonic"] is bounded
    assert both["all"] is both
    with pytest.raises(KeyError, match="monotonic"):
        both["relational"]
    assert combine([good]) is good
    three = combine([good, bounded, violated])
    assert three.status is Status.VIOLATED
    assert three.counterexample is violated.counterexample
    assert combine([certificate(rigor="exact"), good]).rigor == "rounded"
    unknown = combine([good, certificate(status=Status.UNKNOWN, bound=np.inf)])
    assert (unknown.status, unknown.bound) == (Status.UNKNOWN, np.inf)


def test_a_certificate_reads_as_a_sentence():
    assert str(certificate()).startswith("HOLDS: for every two inputs that differ only in sex")
    assert "whole numbers in sex" in str(certificate())
    assert "at most 0.125" in str(certificate(status=Status.BOUNDED, bound=0.125))
    assert "nothing was proven" in str(certificate(status=Status.UNKNOWN, bound=np.inf))
    assert "breaks it by 0.5" in str(certificate(status=Status.VIOLATED, bound=np.inf, counterexample=pair()))
    assert str(combine([certificate(), certificate(name="other")])).count("HOLDS") == 2


def test_the_digest_decides_whose_certificate_it_is():
    certificate().check_digest("a" * 64)
    for other in ("b" * 64, "a" * 63, "A" * 64, ""):
        with pytest.raises(CertificateError, match="call certify"):
            certificate().check_digest(other)
    # A set whose parts were taken from another network's document.
    mixed = combine([certificate(), certificate(name="other", digest="b" * 64)])
    with pytest.raises(CertificateError, match="call certify"):
        mixed.check_digest("a" * 64)


def test_a_set_cannot_claim_more_than_its_worst_part():
    bounded = certificate(name="other", status=Status.BOUNDED, bound=0.5)
    whole = combine([certificate(), bounded])
    assert whole.status is Status.BOUNDED
    with pytest.raises(CertificateError, match="worst part"):
        replace(whole, status=Status.HOLDS, bound=0.0)


def same(first, second):
    for name in Certificate.__dataclass_fields__:
        one, other = getattr(first, name), getattr(second, name)
        if name == "parts":
            assert all(same(a, b) for a, b in zip(one, other, strict=True))
        elif name == "counterexample" and one is not None:
            for entry in Counterexample.__dataclass_fields__:
                assert np.array_equal(getattr(one, entry), getattr(other, entry))
        else:
            assert one == other, name
    return True


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bound": -0.1, "variation": 0.1 + 0.2, "slack": 5e-324, "seconds": 1e-7},
        {"status": Status.UNKNOWN, "bound": np.inf, "variation": np.inf},
        {"status": Status.VIOLATED, "bound": np.inf, "counterexample": pair()},
        {
            "status": Status.BOUNDED,
            "bound": np.nextafter(0, 1),
            "proof": {"kind": "difference", "couplings": {"box": [-np.inf, 1 / 3]}},
        },
    ],
)
def test_json_keeps_every_bit_and_is_strict(changes):
    one = certificate(**changes)
    text = one.to_json(indent=1)
    json.loads(text, parse_constant=lambda token: pytest.fail(f"{token} is not JSON"))
    again = Certificate.from_json(text)
    assert same(one, again)
    assert type(again.status) is Status
    many = combine([one, certificate(name="second")])
    assert same(many, Certificate.from_json(many.to_json()))


def tampered(**changes):
    data = json.loads(certificate(status=Status.BOUNDED, bound=0.125).to_json())
    data.update(changes)
    return json.dumps(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        certificate().to_json()[:-20],
        tampered(format="smile_sklearn.certificate/99"),
        tampered(status="HOLDS"),  # with the bound of BOUNDED
        tampered(status="PROVEN"),
        tampered(status="VIOLATED"),
        tampered(status="HOLDS", bound="nan"),
        tampered(status="HOLDS", bound=None),
        tampered(unknown_field=1),
        tampered(rigor="certain"),
        tampered(parts=[{"name": "fair"}]),
        tampered(bound=0.125).replace("0.125", "NaN"),
    ],
)
def test_what_is_no_certificate_is_refused(text):
    with pytest.raises(CertificateError):
        Certificate.from_json(text)
