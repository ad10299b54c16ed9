"""The phases of ``method="smile"``: what each one must leave behind."""

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from smile_sklearn import Fair, GloballyRobust, Monotonic, SMiLERegressor, Status
from smile_sklearn.exceptions import CertificationWarning
from smile_sklearn.training import SMiLEMethod
from smile_sklearn.training.net import batch_sizes
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


def test_what_is_judged_is_what_was_asked_whatever_a_method_does_to_its_goals(data):
    class Curriculum(SMiLEMethod):
        def train(self, state):
            state.goals = tuple(loosened(goal, 500.0) for goal in state.goals)
            return super().train(state)

    asked = GloballyRobust(0.3, 1e-3)
    with pytest.warns(CertificationWarning, match="without a proof"):
        model = fit(data, asked, method=Curriculum(), max_iter=3)
    assert model.certificate_.status is not Status.HOLDS
    assert model.certificate_.proof["relation"] == model.certify(asked).proof["relation"]


def test_a_proof_of_another_relation_under_the_same_sentence_is_not_taken_over(data):
    def finish(state):
        return tuple(
            DifferenceBounds().verify(state.snapshot(), loosened(goal, 1e9).relation, coupling=goal.coupling)
            for goal in state.goals
        )

    with pytest.warns(CertificationWarning, match="without a proof"):
        model = fit(
            data,
            GloballyRobust(0.3, 1e-3),
            method=SMiLEMethod(finish=finish),
            max_iter=3,
            posttrain_iter=0,
            time_limit=1e-6,
        )
    assert model.certificate_.status is not Status.HOLDS


def loosened(goal, factor):
    """The goal with both ends of R moved, under the sentence that it had."""
    ends = {"epsilon_lower": factor * goal.epsilon_lower, "epsilon_upper": factor * goal.epsilon_upper}
    own = goal.relation
    moved = replace(own, epsilon_lower=factor * own.epsilon_lower, epsilon_upper=factor * own.epsilon_upper)
    assert moved.statement == own.statement
    return replace(goal, relation=moved, **ends)


def test_a_method_whose_last_phase_says_nothing(data):
    class Silent(SMiLEMethod):
        def posttrain(self, state):
            super().posttrain(state)

    assert fit(data, Fair([0], 0.5), method=Silent(), max_iter=3).certificate_.status is Status.HOLDS


@pytest.mark.parametrize(
    ("n_rows", "sizes"),
    [(1, [1]), (31, [31]), (32, [32]), (33, [33]), (96, [32, 32, 32]), (97, [32, 32, 33])],
)
def test_no_batch_of_one_row_where_there_are_others(n_rows, sizes):
    assert batch_sizes(n_rows, 32) == sizes


def test_backbone_with_batch_norm_trains_on_any_number_of_rows(data):
    X, y = data
    backbone = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 8))
    model = fit((X[:97], y[:97]), Fair([0], 0.5), backbone=backbone, max_iter=2, batch_size=32)
    assert model.network_.backbone[1].num_batches_tracked > 0
    assert model.certificate_.status is Status.HOLDS
