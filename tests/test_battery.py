"""Every verifier on every problem with a known answer, and on random ones: nobody says what is not so.

The answers are those of ``support.cases``, not of any verifier. Of each certificate, whatever its status:
its bound is at least the truth, its ``attained`` at most, a HOLDS stands where nothing breaks the property,
and a VIOLATED shows a pair that does, looked at again here in rational arithmetic.
"""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import attack, cases, hostile, problems
from support.networks import deployed, random_backbone, random_snapshot
from support.random_networks import KINDS, mixed_domain, mixed_relation, mixed_snapshot

from smile_sklearn.certificates import RIGOR, Status
from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.properties import InputDomain
from smile_sklearn.properties.relation import Relation
from smile_sklearn.verification import make_verifier
from smile_sklearn.verification.base import applicable_couplings
from smile_sklearn.verification.branch_and_bound import BranchAndBound
from smile_sklearn.verification.closed_form import ClosedForm
from smile_sklearn.verification.difference import DifferenceBounds
from smile_sklearn.verification.falsifier import Falsifier
from smile_sklearn.verification.mip import MIP

BUDGET, GAP = 600, 1e-3

VERIFIERS = {
    "difference": DifferenceBounds(),
    "closed form": ClosedForm(),
    "falsifier": Falsifier(n_pairs=64, n_steps=8),
    "branch and bound": BranchAndBound(max_subproblems=BUDGET, gap=GAP, batch_size=32, n_jobs=1),
    "mip": MIP(node_limit=5_000),
}
"""Limited in work, not in seconds: the same answers on a busy machine."""

SOLVER_TOLERANCE = 1e-6
"""What the solver's own feasibility tolerances may add to a maximum, relative to the size of V."""


def certificate_of(verifier, snapshot, relation, coupling, predict=None):
    """The certificate, or None where the verifier declines, which it may only do by UnsupportedError."""
    try:
        return verifier.verify(snapshot, relation, coupling=coupling, predict=predict)
    except UnsupportedError as refusal:
        if not str(refusal):
            raise
        return None


def worst_pair(name):
    with np.errstate(over="ignore", invalid="ignore"):
        return cases.planted(name)


@cache
def answers(name):
    """Certificates of one problem, the worst pair planted in the model that is deployed."""
    problem, planted = cases.load(name), worst_pair(name)
    predict = None if planted is None else planted.predict
    expected = "ignore" if name in hostile.OVERFLOWS else "warn"
    asked = (problem.snapshot, problem.relation, problem.coupling, predict)
    with np.errstate(over=expected, invalid=expected):
        found = {key: certificate_of(verifier, *asked) for key, verifier in VERIFIERS.items()}
    return {key: certificate for key, certificate in found.items() if certificate is not None}


def check_claims(certificate, problem, planted):
    """Whatever a certificate says of a problem is so, and of the pair that is planted in its model."""
    shown = -np.inf if planted is None else planted.violation
    assert certificate.rigor in RIGOR
    assert certificate.bound >= problem.low
    assert certificate.bound >= shown
    if certificate.status is Status.HOLDS:
        assert problem.low <= 0
        assert shown <= 0
    if certificate.status is Status.VIOLATED:
        check_counterexample(certificate, problem.relation, planted.predict)
    if certificate.coupling == ", ".join(problem.couplings) and np.isfinite(problem.high):
        # With fewer couplings V is larger than the answer. A value in floats errs by the slack at most.
        room = certificate.slack + 1e-9 * max(1.0, abs(problem.high))
        assert certificate.attained <= problem.high + room


def check_counterexample(certificate, relation, predict):
    pair = certificate.counterexample
    assert attack.truly_related(relation, attack.Pairs(pair.first[None], pair.second[None])).all()
    broken = cases.broken_by(relation, predict, pair.first, pair.second)
    assert broken > 0
    assert pair.violation == pytest.approx(float(broken), rel=1e-12, abs=0.0)


# --- problems with known answers ------------------------------------------------------------------


@pytest.mark.parametrize("name", cases.CASES)
def test_no_verifier_says_what_is_not_so(name):
    problem, planted = cases.load(name), worst_pair(name)
    found = answers(name)
    assert {"difference", "branch and bound", "falsifier"} <= found.keys()
    for certificate in found.values():
        check_claims(certificate, problem, planted)
    statuses = {certificate.status for certificate in found.values()}
    assert not {Status.HOLDS, Status.VIOLATED} <= statuses


@pytest.mark.parametrize("name", cases.CASES)
def test_the_planted_pair_is_within_the_truth(name):
    """The battery against itself: what a pair shows is not above the answer (none is above "anything")."""
    problem, planted = cases.load(name), worst_pair(name)
    assert problem.low <= problem.high
    if planted is not None:
        assert planted.violation <= problem.high


def decided(name):
    """Problems whose answer is known to more than rounding hides: what a complete verifier must find."""
    return name not in hostile.ROUNDING_DECIDES


@pytest.mark.parametrize("name", list(filter(decided, cases.CASES)))
def test_complete_verifiers_find_the_truth(name):
    problem, found = cases.load(name), answers(name)
    size = max(1.0, abs(problem.high), abs(problem.relation.epsilon_upper))
    if "closed form" in found and found["closed form"].status is not Status.VIOLATED:
        certificate = found["closed form"]
        assert certificate.bound <= problem.high + certificate.slack + 1e-12 * size
    certificate = found.get("mip")
    if certificate is not None and finished(certificate):
        assert certificate.bound <= problem.high + certificate.slack + SOLVER_TOLERANCE * size
    certificate = found["branch and bound"]
    if certificate.status is not Status.VIOLATED and ended(certificate):
        # Below epsilon it stops early: it was asked whether the property holds.
        room = 2 * certificate.slack + GAP * (size + abs(problem.relation.epsilon_upper))
        assert certificate.bound <= max(0.0, problem.high + room)


def ended(certificate):
    """Whether branch and bound stopped before its budget, which it spends two by two."""
    return all(side["subproblems"] < BUDGET - 1 for side in certificate.proof["sides"])


def finished(certificate):
    """Whether every maximisation of the MIP was solved."""
    return certificate.status is not Status.VIOLATED and all(
        problem["termination"] == "optimal" for problem in certificate.proof["problems"]
    )


@pytest.mark.parametrize("name", cases.CASES)
def test_tighter_verifiers_are_not_looser(name):
    """Difference bounds cost one pass and see least: nobody who finishes is above them, but for its gap."""
    found = answers(name)
    loose = found["difference"].bound
    for key in ("closed form", "branch and bound"):
        certificate = found.get(key)
        if certificate is None or certificate.status is Status.VIOLATED or loose <= 0:
            continue
        room = 2 * certificate.slack + 1e-12 * max(1.0, abs(loose))
        assert certificate.bound <= loose + room, key


@pytest.mark.parametrize("name", problems.KEPT)
def test_complete_verifiers_prove_what_holds(name):
    """Epsilon 1/64 above the largest V; the MIP always, branch and bound where its budget is enough."""
    found = answers(f"kept: {name}")
    assert found["mip"].status is Status.HOLDS
    split = found["branch and bound"]
    assert split.status is (Status.HOLDS if ended(split) else Status.BOUNDED)


def test_branch_and_bound_mostly_ends_within_its_budget():
    ending = [ended(answers(f"kept: {name}")["branch and bound"]) for name in problems.KEPT]
    assert sum(ending) >= 8


def test_the_battery_has_teeth():
    """It holds problems that are violated, that hold, and that only a complete verifier decides."""
    statuses = {
        key: [
            certificate.status for name in cases.CASES if (certificate := answers(name).get(key)) is not None
        ]
        for key in VERIFIERS
    }
    broken = [name for name in cases.CASES if (pair := worst_pair(name)) is not None and pair.violation > 0]
    assert len(broken) >= 60
    assert statuses["mip"].count(Status.VIOLATED) >= 50
    assert statuses["falsifier"].count(Status.VIOLATED) >= 50
    assert statuses["difference"].count(Status.HOLDS) >= 8
    for name in problems.KEPT:
        unseen = answers(f"kept: {name}")["difference"]
        assert unseen.status is not Status.HOLDS, name


CHAINED = ("flipping box, both couplings", "edge, relu, epsilon = maximum -1e-12", "sort of two, box")


@pytest.mark.parametrize(
    "verifier", ["auto", "difference", "closed_form", "falsifier", "branch_and_bound", "mip"]
)
@pytest.mark.parametrize("name", CHAINED)
def test_verifiers_by_name(verifier, name):
    problem, planted = cases.load(name), worst_pair(name)
    asked = (problem.snapshot, problem.relation, problem.coupling, planted.predict)
    certificate = certificate_of(make_verifier(verifier), *asked)
    if certificate is None:
        assert verifier in ("closed_form", "mip")
        return
    check_claims(certificate, problem, planted)
    if verifier == "auto":
        assert certificate.status is Status.VIOLATED


@pytest.mark.parametrize("name", [*list(cases.CASES)[::5], *(f"kept: {name}" for name in problems.KEPT)])
def test_the_chain_says_what_its_verifiers_say(name):
    problem, planted = cases.load(name), worst_pair(name)
    certificate = certificate_of(
        make_verifier("auto"), problem.snapshot, problem.relation, problem.coupling, planted.predict
    )
    check_claims(certificate, problem, planted)
    alone = answers(name)
    assert (certificate.status is Status.HOLDS) == (Status.HOLDS in {one.status for one in alone.values()})
    if alone["falsifier"].status is Status.VIOLATED:
        assert certificate.status is Status.VIOLATED


# --- drawn by hypothesis --------------------------------------------------------------------------

small = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "hidden": st.sampled_from([(), (3,), (4, 3)]),
        "ends": st.sampled_from(["free", "affine", "relu"]),
        "activation": st.sampled_from(["relu", "negative", "clamp"]),
        "n_latent": st.integers(1, 3),
    }
)
_DOMAIN = InputDomain([-2, 0, 0, 0, 0], [3, 4, 1, 1, 7], integer=[1], one_hot_at_most_one=[[2, 3]])


def _changes(relation, predict, seed):
    """f(x') - f(x'') of several hundred related pairs, in floats."""
    generator = np.random.default_rng(seed)
    pairs = attack.join(
        attack.random_pairs(relation, 400, generator, corners=True),
        attack.random_pairs(relation, 400, generator),
    )
    return attack.margins(predict(pairs.first)) - attack.margins(predict(pairs.second))


@given(
    options=small,
    kind=st.sampled_from(KINDS),
    coupling=st.sampled_from(["box", "shared", "auto"]),
    reads=st.booleans(),
    share=st.sampled_from([0.5, 1 - 1e-12, 1 + 1e-12, 1.5]),
)
@settings(max_examples=25)
def test_no_verifier_contradicts_pairs_or_another(options, kind, coupling, reads, share):
    """Epsilon at a share of what a deployed model shows on related pairs, up to 1e-12 of it."""
    seed = options["seed"]
    generous = mixed_relation(seed, _DOMAIN, kind, (-1e6, 1e6))
    held = np.flatnonzero(generous.equal) if reads else ()
    snapshot = random_snapshot(**options, n_features=5, domain=_DOMAIN, reads=held)
    predict = deployed(snapshot, random_backbone(snapshot) if reads else _no_backbone(snapshot))
    changes = _changes(generous, predict, seed)
    ends = {"up": changes.max(initial=0.0), "down": -changes.min(initial=0.0)}
    limited = [
        end
        for end, limit in zip(ends.values(), (generous.epsilon_upper, generous.epsilon_lower), strict=True)
        if np.isfinite(limit)
    ]
    largest = float(max(limited))
    relation = _restated(generous, share * largest)
    for certificate in _all(snapshot, relation, coupling, predict):
        if certificate.status is Status.VIOLATED:
            check_counterexample(certificate, relation, predict)
        if certificate.status is Status.HOLDS:
            assert share > 1 or largest == 0.0
        # The bound is one on every pair, of V as of f.
        assert certificate.bound >= largest - share * largest - 1e-14 * max(1.0, largest)


def _no_backbone(snapshot):
    return lambda units: np.zeros((len(units), snapshot.n_latent))


def _restated(relation, epsilon):
    ends = [
        end if np.isinf(end) else np.sign(end) * epsilon
        for end in (relation.epsilon_lower, relation.epsilon_upper)
    ]
    if not relation.covers_all_inputs and np.isfinite(ends[1]):
        ends[0] = min(ends[0], ends[1])
    return Relation(
        relation.name, relation.statement, relation.domain, relation.delta_lower, relation.delta_upper, *ends
    )


def _all(snapshot, relation, coupling, predict):
    found = {}
    for key, verifier in VERIFIERS.items():
        certificate = certificate_of(verifier, snapshot, relation, coupling, predict)
        if certificate is not None:
            found[key] = certificate
    statuses = {certificate.status for certificate in found.values()}
    assert not {Status.HOLDS, Status.VIOLATED} <= statuses
    bounds = [certificate.bound for certificate in found.values()]
    # What one shows of V, with all couplings that apply, no bound is below, but for what floats and solvers
    # add to a value. (With box alone V is larger: the closed form of a relation that both bound.)
    widest = ", ".join(applicable_couplings(snapshot, relation, coupling))
    reached = max(one.attained for one in found.values() if one.coupling == widest)
    room = 1e-6 * max(1.0, abs(reached)) if np.isfinite(reached) else 0.0
    assert all(bound >= reached - room for bound in bounds)
    return found.values()


@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(KINDS),
    ends=st.sampled_from(["width", "free"]),
    sizes=st.sampled_from([(1.0,), (1e9, 1e-9, 1.0)]),
    n_outputs=st.sampled_from([1, 3]),
)
@settings(max_examples=10)
def test_hostile_networks_of_every_node_type(seed, kind, ends, sizes, n_outputs):
    """Sorts, skips and clamps of every kind, weights of 1e9 beside 1e-9, domains of 1e-12 beside 1e9."""
    domain = mixed_domain(seed)
    relation = mixed_relation(seed, domain, kind)
    if n_outputs > 1 and relation.epsilon_lower != -relation.epsilon_upper:
        n_outputs = 1
    snapshot = mixed_snapshot(seed, domain, ends=ends, sizes=sizes, n_outputs=n_outputs)
    generator = np.random.default_rng(seed)
    pairs = attack.join(
        attack.random_pairs(relation, 200, generator, corners=True),
        attack.random_pairs(relation, 200, generator),
    )
    if not len(pairs):
        return
    values = attack.envelope(snapshot, ("box",), pairs) - relation.epsilon_upper
    largest = values.max()
    for key in ("difference", "falsifier", "branch and bound"):
        certificate = certificate_of(VERIFIERS[key], snapshot, relation, "box")
        # Rounding of V in floats is within the slack that the bound carries.
        assert certificate.bound >= largest - 1e-9 * abs(largest)
        if certificate.status is Status.HOLDS:
            assert largest <= 0
