"""The phases of ``method="smile"``: what each one must leave behind."""

import numpy as np
import pytest

from smile_sklearn import Fair, GloballyRobust, Monotonic, SMiLERegressor, Status
from smile_sklearn.training.projection import head_factor, scale_head
from smile_sklearn.training.state import Goal
from smile_sklearn.verification import DifferenceBounds


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    X = generator.uniform(0, 1, (200, 4))
    return X, 4 * X[:, 0] + np.sin(6 * X[:, 1]) + 2 * X[:, 2] * X[:, 1]


def fit(data, properties, **options):
    return SMiLERegressor(properties, random_state=0, **{"max_iter": 30, **options}).fit(*data)


def test_training_alone_nearly_meets_epsilon_and_the_projection_does_the_rest(data):
    model = fit(data, Fair([0], 0.5))
    trained = [record for record in model.history_ if record.phase == "train"]
    assert trained[-1].violations[0] < 0.2  # relative to epsilon
    assert max(record.multipliers[0] for record in trained) > 0
    assert model.certificate_.variation <= 0.5


def test_projection_alone_ends_in_holds(data):
    """No epoch of dual ascent to speak of, and an epsilon far below what the task wants."""
    model = fit(data, Fair([0], 1e-3), max_iter=1, posttrain_iter=0)
    assert model.certificate_.status is Status.HOLDS


def test_projection_keeps_the_mean_of_a_regression(data):
    X, y = data
    model = fit(data, GloballyRobust(1.0, 0.01), posttrain_iter=0)
    assert model.certificate_.status is Status.HOLDS
    assert model.predict(X).mean() == pytest.approx(y.mean(), abs=0.3)


def test_head_factor_is_what_brings_the_bound_to_epsilon(data):
    model = fit(data, Fair([0], 1e9), max_iter=3)
    network, domain = model.network_, model.domain_
    relation = Fair([0], 0.2).resolve(domain)
    goal = Goal(relation, "shared", -0.2, 0.2)
    verifier = DifferenceBounds()
    before = verifier.verify(network.snapshot(domain), relation, coupling="shared")
    assert before.bound > 0
    scale_head(network, head_factor([goal], [before]) * (1 - 1e-9))
    after = verifier.verify(network.snapshot(domain), relation, coupling="shared")
    assert after.status is Status.HOLDS
    assert after.variation == pytest.approx(0.2, rel=1e-6)


def test_loss_falls_and_history_has_every_epoch(data):
    model = fit(data, Monotonic({0: 1}), pretrain_iter=5)
    phases = [record.phase for record in model.history_]
    assert phases[:5] == ["pretrain"] * 5
    assert phases[5:35] == ["train"] * 30
    assert model.history_[34].loss < 0.5 * model.history_[0].loss
    assert [result.phase for result in model.phases_] == ["pretrain", "train", "posttrain"]


def test_free_channels_let_the_backbone_through(data):
    assert fit(data, Fair([0], 0.5)).backbone_utilisation_.inactive_clip > 0.4
