"""The counterexample pool: V of its pairs is the verifiers' V, and it keeps the worst."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.base import clone

from smile_sklearn import Fair, GloballyRobust, InputDomain, Monotonic, Relational, SMiLERegressor
from smile_sklearn.network import SMiLENetwork, build_auxiliary, build_backbone, plan_architecture
from smile_sklearn.training import SMiLEMethod
from smile_sklearn.training.bounds import DifferenceMeasure
from smile_sklearn.training.envelope import EnvelopeMeasure, Pairs
from smile_sklearn.training.pool import PairPool
from smile_sklearn.training.state import Goal
from smile_sklearn.verification.formulations.value import pair_envelope
from smile_sklearn.verification.replay import sample_pairs
from smile_sklearn.verification.sides import epsilon_of, sides

DOMAIN = InputDomain([0.0, -5.0, 0, 0, 0], [2.0, 5.0, 3, 1, 1], integer=[2], one_hot=[[3, 4]])
CASES = {
    "fair": (Fair([2], 0.05, delta={0: 0.2}), "shared", 1),
    "robust": (GloballyRobust({0: 0.5, 1: 1.0}, 0.05), "box", 3),
    "one-sided": (Relational({0: 0.0}, {0: 1.0}, -0.01, 0.3), "shared", 1),
    "monotone": (Monotonic({0: 1, 1: -1}, tolerance=0.1), "box", 1),
    "group": (Fair([3, 4], 0.1), "shared", 3),
}


def build(name, seed=0):
    """A network with random weights of some size, and the goal."""
    properties, coupling, n_outputs = CASES[name]
    relation = properties.resolve(DOMAIN, n_outputs=n_outputs)
    torch.manual_seed(seed)
    architecture = plan_architecture((relation,), (coupling,), DOMAIN, n_outputs=n_outputs, n_latent=6)
    backbone = build_backbone(None, len(architecture.reads), (4,), 6)
    network = SMiLENetwork(architecture, backbone, build_auxiliary("relu", architecture))
    with torch.no_grad():
        for parameter in network.certified_parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, dtype=torch.float64))
    return network, Goal(relation, coupling, relation.epsilon_lower, relation.epsilon_upper)


def values_by_pair(network, goal, first, second):
    """``V - epsilon`` pair by pair, from the numpy V that verification is tested with."""
    snapshot = network.snapshot(DOMAIN)
    margins = snapshot.margins()
    columns = [
        pair_envelope(snapshot, (goal.coupling,), sign * row, first, second).value
        - epsilon_of(goal.relation, sign)
        for sign in sides(goal.relation)
        for row in margins
    ]
    return np.max(columns, axis=0)


@pytest.mark.parametrize("name", CASES)
def test_v_in_torch_is_v_of_the_verifiers(name):
    network, goal = build(name)
    first, second = (DOMAIN.to_unit(rows) for rows in sample_pairs(goal.relation, n_pairs=200))
    pairs = Pairs(torch.as_tensor(first), torch.as_tensor(second))
    with torch.no_grad():
        measured = EnvelopeMeasure(goal).violations(network, network.auxiliary_graph(), pairs).numpy()
    np.testing.assert_allclose(measured, values_by_pair(network, goal, first, second), atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_the_pool_lies_between_random_pairs_and_the_bound(name):
    network, goal = build(name)
    pool = PairPool(goal, 8)
    for _ in range(4):
        pool.refresh(network, network.snapshot(DOMAIN))
    first, second = (DOMAIN.to_unit(rows) for rows in sample_pairs(goal.relation, n_pairs=300, seed=1))
    with torch.no_grad():
        found = float(pool.violation(network, network.auxiliary_graph())) * goal.scale
        upper, lower = DifferenceMeasure(goal.relation, goal.coupling).bounds(network)
    ends = [(upper, goal.epsilon_upper), (lower, -goal.epsilon_lower)]
    bound = max(float(value) - epsilon for value, epsilon in ends if epsilon < np.inf)
    assert values_by_pair(network, goal, first, second).max() - 1e-12 <= found <= bound + 1e-9


def test_the_pool_keeps_the_worst_once():
    network, goal = build("robust")
    pool = PairPool(goal, 8)
    values = []
    for _ in range(3):
        pool.refresh(network, network.snapshot(DOMAIN))
        with torch.no_grad():
            values.append(pool.measure.violations(network, network.auxiliary_graph(), pool.pairs))
    rows = torch.cat(pool.pairs, dim=1)
    assert len(rows) == 8
    assert len(torch.unique(rows, dim=0)) == 8
    # The network stands still: nothing that was kept is lost to anything better.
    for before, after in itertools.pairwise(values):
        assert (after >= before - 1e-12).all()


def test_its_gradient_lowers_the_worst_pair():
    network, goal = build("fair")
    pool = PairPool(goal, 8)
    pool.refresh(network, network.snapshot(DOMAIN))
    before = pool.violation(network, network.auxiliary_graph())
    before.backward()
    with torch.no_grad():
        for parameter in network.certified_parameters():
            if parameter.grad is not None:
                parameter.sub_(1e-6 * parameter.grad)
        assert pool.violation(network, network.auxiliary_graph()) < before


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    X = generator.uniform(0, 1, (200, 3))
    return X, 4 * X[:, 0] + np.sin(6 * X[:, 1]) + 2 * X[:, 2] * X[:, 1]


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_counterexamples_are_related_and_fits_repeat(data, alpha):
    model = SMiLERegressor(Fair([0], 0.2), alpha=alpha, max_iter=8, posttrain_iter=5, random_state=0).fit(
        *data
    )
    searches = sum(record.generator_calls for record in model.history_)
    assert searches > 0
    assert model.counterexamples_
    for found in model.counterexamples_:
        assert found.violation > 0
        assert model.relations_[0].contains_exactly(found.first, found.second)
    again = clone(model).fit(*data)
    assert again.snapshot_.digest == model.snapshot_.digest


@pytest.mark.parametrize("options", [{"alpha": 1.0}, {"alpha": 0.0, "method": SMiLEMethod(pool_size=0)}])
def test_without_a_pool_nothing_is_searched(data, options):
    model = SMiLERegressor(Fair([0], 0.2), max_iter=2, random_state=0, **options).fit(*data)
    assert not any(record.generator_calls for record in model.history_)
    assert model.counterexamples_ == []
    plain = SMiLERegressor(Fair([0], 0.2), max_iter=2, random_state=0, alpha=1.0).fit(*data)
    assert plain.history_[-1].violations == model.history_[-1].violations


@pytest.mark.parametrize("alpha", [-0.1, 1.1, "half"])
def test_alpha_is_checked(data, alpha):
    with pytest.raises(ValueError, match="alpha"):
        SMiLERegressor(Fair([0], 0.2), alpha=alpha).fit(*data)


def test_few_coordinates_are_not_scaled_away(data):
    """V within epsilon, difference bounds above it: branch and bound proves it, and the head stays."""
    X, y = data
    options = {"alpha": 0.0, "max_iter": 40, "random_state": 0}
    kept = SMiLERegressor(GloballyRobust(0.05, 0.5), **options).fit(X[:, :2], y)
    assert kept.certificate_.status.name == "HOLDS"
    assert kept.certify(verifier="difference").bound > 0.01
