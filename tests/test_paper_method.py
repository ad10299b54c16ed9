"""method="paper": small fits that end in a proof, what they record, and that they repeat."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler
from support.networks import relate, unit_box

from smile_sklearn import Fair, GloballyRobust, Monotonic, SMiLEClassifier, SMiLERegressor, Status
from smile_sklearn.exceptions import CertificationWarning
from smile_sklearn.network import plan_architecture
from smile_sklearn.training.paper_method import PaperMethod, dual_rate, hidden_units
from smile_sklearn.training.state import Goal

SMALL = {"method": "paper", "hidden_layer_sizes": (8,), "n_latent": 2, "lambda_box": 1.0, "random_state": 0}


def make_data(n_features=3, n_samples=150):
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 10, size=(n_samples, n_features))
    return X, X[:, 0] + 3 * np.sin(X[:, 1]) + 0.1 * rng.normal(size=n_samples)


@pytest.fixture(scope="module")
def fair():
    X, y = make_data()
    return SMiLERegressor(Fair([0], 2.0), max_iter=20, **SMALL).fit(X, y)


def phase(model, name):
    return [record for record in model.history_ if record.phase == name]


def test_fit_ends_in_a_proof_that_needs_more_than_difference_bounds(fair):
    assert fair.certificate_.status is Status.HOLDS
    assert fair.certify(verifier="difference").status is Status.BOUNDED
    assert fair.certify(verifier="mip").status is Status.HOLDS
    assert fair.certificate_.coupling == "box"
    assert fair.violation_bound_ <= 0


def test_the_promise_holds_on_random_pairs(fair, rng):
    first = rng.uniform(fair.domain_.lower, fair.domain_.upper, size=(20_000, 3))
    second = first.copy()
    second[:, 0] = rng.uniform(fair.domain_.lower[0], fair.domain_.upper[0], size=len(second))
    assert np.abs(fair.predict(first) - fair.predict(second)).max() <= 2.0


def test_history_records_every_phase(fair):
    assert [len(phase(fair, name)) for name in ("pretrain", "train")] == [10, 20]
    for record in phase(fair, "pretrain"):
        assert record.violations == record.multipliers == ()
        assert record.generator_calls == 0
    for record in phase(fair, "train"):
        assert len(record.violations) == len(record.multipliers) == 1
        assert record.multipliers[0] >= 0
        assert np.isfinite([record.loss, record.box_loss, record.violations[0]]).all()
    train = phase(fair, "train")
    assert train[0].generator_calls >= 1
    assert all((record.generator_seconds > 0) == (record.generator_calls > 0) for record in train)
    assert max(record.multipliers[0] for record in train) > 0


def test_history_of_posttraining_ends_in_its_proof(fair):
    rounds = phase(fair, "posttrain")
    assert [record.epoch for record in rounds] == list(range(1, len(rounds) + 1))
    assert all(record.generator_calls == 1 for record in rounds)
    assert all(record.bounds[0] > 0 for record in rounds[:-1])
    assert rounds[-1].bounds == (0.0,)
    assert sum(record.generator_timeouts for record in fair.history_) == 0
    assert fair.phases_[-1].bounds == (0.0,)


def test_counterexamples_are_related_pairs_in_raw_units(fair):
    assert len(fair.counterexamples_) > 0
    (relation,) = fair.relations_
    for found in fair.counterexamples_:
        assert found.name == "fair"
        assert found.violation > 0
        assert relation.contains_exactly(found.first, found.second)


def test_two_fits_with_one_random_state_agree_exactly(fair):
    X, y = make_data()
    again = SMiLERegressor(Fair([0], 2.0), max_iter=20, **SMALL).fit(X, y)
    assert again.snapshot_.digest == fair.snapshot_.digest
    assert [record.violations for record in again.history_] == [record.violations for record in fair.history_]
    assert again.certificate_.bound == fair.certificate_.bound


def test_a_set_of_properties_has_one_incumbent_each():
    X, y = make_data(2)
    properties = Fair([1], 3.0) & GloballyRobust(0.5, 0.3)
    model = SMiLERegressor(properties, max_iter=10, **SMALL).fit(X, y)
    assert model.certificate_.status is Status.HOLDS
    assert all(len(record.violations) == 2 for record in phase(model, "train"))
    assert {found.name for found in model.counterexamples_} == {"fair", "globallyrobust"}


def test_several_classes():
    X, y = make_data(2)
    labels = np.digitize(y, [2.0, 6.0])
    model = SMiLEClassifier(GloballyRobust(0.5, 2.0), max_iter=10, **SMALL).fit(X, labels)
    assert model.certificate_.status is Status.HOLDS


def test_monotone_closes_its_boxes_to_the_tolerance_of_the_solver():
    x = np.linspace(-3, 3, 120)[:, None]
    y = x[:, 0] + np.sin(2 * x[:, 0])
    model = SMiLERegressor(Monotonic([1]), auxiliary="affine", max_iter=20, **SMALL)
    with warnings.catch_warnings():
        # Affine ends may close so far that difference bounds alone give 1e-15, which is no HOLDS either.
        warnings.simplefilter("ignore", CertificationWarning)
        model.fit(x, y)
    assert model.certificate_.status is Status.BOUNDED
    assert model.violation_bound_ < 1e-4 * np.ptp(y)
    # The paper does not say so, and we do: nothing is left to the backbone.
    assert model.backbone_utilisation_.mean_width < 1e-5


def test_too_short_a_posttraining_says_so_and_bounds_what_is_left():
    X, y = make_data(2)
    model = SMiLERegressor(Fair([0], 1.0), max_iter=1, posttrain_iter=1, **SMALL)
    with pytest.warns(UserWarning, match="without a proof"):
        model.fit(X, y)
    assert model.certificate_.status is not Status.HOLDS
    # One round searches and does not project: the bound is that of the network as it is left.
    (record,) = phase(model, "posttrain")
    assert np.isnan(record.loss)
    assert record.bounds[0] == pytest.approx(
        model.certify(Fair([0], 0.0), verifier="mip").bound - 1.0, rel=1e-3
    )


def test_without_properties_it_trains_unconstrained():
    X, y = make_data(2)
    model = SMiLERegressor(None, max_iter=30, **SMALL).fit(X, y)
    assert model.certificate_ is None
    assert model.score(X, y) > 0.5
    assert sum(record.generator_calls for record in model.history_) == 0


def test_shared_coupling_is_refused():
    X, y = make_data(2)
    with pytest.raises(ValueError, match="coupling='shared'"):
        SMiLERegressor(Fair([0], 1.0), coupling="shared", **SMALL).fit(X, y)


def test_unknown_auxiliary_is_refused():
    X, y = make_data(2)
    with pytest.raises(ValueError, match="'lipschitz'"):
        SMiLERegressor(Fair([0], 1.0), auxiliary="lipschitz", **SMALL).fit(X, y)


@pytest.mark.parametrize(
    ("delta", "epsilon", "hidden", "rate"),
    [
        (([-1.0, 0.0], [0.0, 0.0]), (-np.inf, 0.0), 32, 0.1),  # monotone in the first
        (([-1.0, 0.0], [1.0, 0.0]), 1.0, 4, 0.02),  # fair in the first
        (0.1, 1.0, 0, 0.01),  # robust
    ],
)
def test_auxiliary_and_dual_rate_follow_the_property(delta, epsilon, hidden, rate):
    domain = unit_box(2)
    relation = relate(domain, delta, epsilon)
    architecture = plan_architecture((relation,), ("box",), domain, n_outputs=1, n_latent=2)
    assert hidden_units("auto", architecture) == hidden
    assert hidden_units("affine", architecture) == 0
    assert hidden_units("relu", architecture) == max(hidden, 4)
    assert dual_rate(Goal(relation, "box", relation.epsilon_lower, relation.epsilon_upper)) == rate


def test_network_has_no_structure_that_proves_by_itself():
    relation = relate(unit_box(2), ([-1.0, 0.0], [0.0, 0.0]), (-np.inf, 0.0))
    architecture = plan_architecture((relation,), ("box",), unit_box(2), n_outputs=1, n_latent=2)
    assert architecture.sign_constrained
    network = PaperMethod().build(architecture, None, (4,), "auto")
    assert not network.architecture.sign_constrained
    assert network.architecture.n_free == 0
    assert network.architecture.reads == (0, 1)


@pytest.mark.slow
def test_fair_on_diabetes():
    data = load_diabetes(as_frame=True, scaled=False)
    parts = train_test_split(data.data, data.target, test_size=0.2, random_state=0)
    X_train, X_test, y_train, y_test = parts
    model = SMiLERegressor(Fair(["sex"], 10.0), method="paper", lambda_box=1.0, random_state=0)
    model.fit(X_train, y_train)
    assert model.certificate_.status is Status.HOLDS
    assert model.score(X_test, y_test) > 0.2
    other = X_test.assign(sex=3 - X_test["sex"])
    assert np.abs(model.predict(X_test) - model.predict(other)).max() <= 10.0


@pytest.mark.slow
def test_robust_on_breast_cancer():
    data = load_breast_cancer(as_frame=True)
    parts = train_test_split(data.data, data.target, test_size=0.2, random_state=0, stratify=data.target)
    X_train, X_test, y_train, y_test = parts
    scaler = MinMaxScaler().fit(X_train)
    property_ = GloballyRobust(0.02, 1.0)
    model = SMiLEClassifier(property_, method="paper", learning_rate_init=1e-2, random_state=0)
    model.fit(scaler.transform(X_train), y_train)
    assert model.certificate_.status is Status.HOLDS
    assert model.score(scaler.transform(X_test), y_test) > 0.9


@pytest.mark.slow
def test_monotone_on_the_sine_task():
    x = np.linspace(-10, 10, 500)[:, None]
    y = x[:, 0] + 2 * np.sin(0.6 * x[:, 0])
    settings = {"pretrain_iter": 100, "lambda_box": 1.0, "batch_size": 64, "random_state": 0}
    model = SMiLERegressor(Monotonic([1]), method="paper", **settings).fit(x, y)
    assert model.certificate_.status in (Status.BOUNDED, Status.HOLDS)
    assert model.violation_bound_ < 1e-4 * np.ptp(y)
    assert model.score(x, y) > 0.95
