"""Verifiers of one V: none contradicts another, and the complete ones are the tightest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import deployed, random_snapshot, relate, related_pairs

from smile_sklearn.certificates import Status
from smile_sklearn.exceptions import CertificationWarning, SolverError
from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.verification.chain import Chain
from smile_sklearn.verification.difference import DifferenceBounds
from smile_sklearn.verification.generator import generate
from smile_sklearn.verification.mip import MIP

networks = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "hidden": st.sampled_from([(), (4,), (3, 3)]),
        "ends": st.sampled_from(["free", "affine", "relu"]),
        "activation": st.sampled_from(["relu", "clamp"]),
    }
)


def mixed_relation(epsilon):
    domain = InputDomain([-2, 0, 0, 0], [3, 4, 1, 1], integer=[1], one_hot=[[2, 3]])
    return domain, relate(domain, np.array([0.5, 1, 1, 1]), epsilon)


@given(options=networks, coupling=st.sampled_from(["box", "shared", "auto"]))
@settings(max_examples=12)
def test_difference_bounds_are_at_least_the_optimum(options, coupling):
    domain, relation = mixed_relation((-0.7, 0.4))
    snapshot = random_snapshot(**options, n_features=4, n_latent=3, domain=domain, reads=())
    bounds = DifferenceBounds().verify(snapshot, relation, coupling=coupling)
    optimum = MIP().verify(snapshot, relation, coupling=coupling)
    slack = optimum.slack
    assert bounds.variation >= optimum.variation - slack - 1e-6
    assert bounds.bound >= optimum.bound - slack - 1e-6
    # What one proves the other must not refute, and a HOLDS of the loose one is one of the tight one
    # unless slack stands between them.
    if bounds.status is Status.HOLDS and bounds.bound < -slack - 1e-6:
        assert optimum.status is Status.HOLDS


@given(options=networks)
@settings(max_examples=8)
def test_no_proof_survives_a_counterexample(options):
    """Epsilon set just below what the deployed model shows on related pairs: nobody may say HOLDS."""
    domain, generous = mixed_relation(1e3)
    snapshot = random_snapshot(**options, n_features=4, n_latent=3, domain=domain)
    predict = deployed(snapshot)
    first, second = related_pairs(generous, 2000, options["seed"])
    shown = float(np.abs(predict(first) - predict(second)).max())
    _, planted = mixed_relation(shown * (1 - 1e-12))
    for verifier in (DifferenceBounds(), MIP()):
        assert verifier.verify(snapshot, planted, predict=predict).status is not Status.HOLDS


@pytest.mark.parametrize("coupling", ["box", "shared"])
def test_generator_and_verifier_read_the_same_bound(coupling):
    domain, relation = mixed_relation(0.3)
    snapshot = random_snapshot(4, 4, (4,), 3, domain=domain, reads=())
    certificate = MIP().verify(snapshot, relation, coupling=coupling)
    result = generate(snapshot, relation, coupling=coupling, node_limit=4096)
    assert result.optimal
    # The verifier may go by parts and add less slack, the generator solves one model.
    assert result.bound == pytest.approx(certificate.bound, abs=2 * certificate.slack + 1e-4)
    assert max(result.violation, certificate.attained) <= min(result.bound, certificate.bound)
    assert result.value <= certificate.variation


class _Fails:
    name = "fails"

    def verify(self, *_, **__):
        raise SolverError("no licence today")


def test_a_solver_that_fails_takes_nothing_from_an_earlier_proof():
    domain, relation = mixed_relation(1e-9)
    snapshot = random_snapshot(0, 4, (4,), 3, domain=domain)
    with pytest.warns(CertificationWarning, match="no licence today"):
        certificate = Chain([DifferenceBounds(), _Fails()]).verify(snapshot, relation)
    assert certificate.status is Status.BOUNDED
    assert certificate.verifier == "difference bounds"
    for verifiers in ([_Fails()], [_Fails(), DifferenceBounds()]):
        with pytest.raises(SolverError, match="no licence today"):
            Chain(verifiers).verify(snapshot, relation)
