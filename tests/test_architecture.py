"""What the properties demand of the structure."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from smile_sklearn import SMiLERegressor, Status
from smile_sklearn.inspection import backbone_importance
from smile_sklearn.network import build_auxiliary, build_backbone, plan_architecture
from smile_sklearn.network.architecture import column_signs
from smile_sklearn.network.evaluate import evaluate
from smile_sklearn.network.families import FAMILIES
from smile_sklearn.properties import Fair, GloballyRobust, InputDomain, Monotonic, Relational
from smile_sklearn.snapshot import GraphBuilder

DOMAIN = InputDomain(
    [0, 0, 0, 0, 0],
    [10, 10, 1, 1, 1],
    one_hot=[(3, 4)],
    integer=(2,),
    feature_names=["age", "debt", "sex", "race_a", "race_b"],
)


def plan(*pairs):
    relations = [member.resolve(DOMAIN) for member, _ in pairs]
    return plan_architecture(relations, [coupling for _, coupling in pairs], DOMAIN, n_outputs=1, n_latent=8)


def test_backbone_reads_what_every_shared_property_holds_equal():
    assert plan((Fair("sex", 1.0), "shared")).reads == (0, 1, 3, 4)
    assert plan((Fair("race", 1.0), "shared"), (Monotonic({"age": 1}), "shared")).reads == (1, 2)
    assert plan((Fair("sex", 1.0), "box")).reads == (0, 1, 2, 3, 4)
    assert plan((GloballyRobust(0.1, 1.0), "box"), (Fair("sex", 1.0), "shared")).reads == (0, 1, 3, 4)
    assert plan().reads == (0, 1, 2, 3, 4)


def test_free_channels_only_where_no_box_must_be_thin():
    assert plan((Fair("sex", 1.0), "shared")).n_free == 4
    assert plan((GloballyRobust(0.1, 1.0), "box")).n_free == 0
    assert plan((GloballyRobust(0.1, 1.0), "box"), (Fair("sex", 1.0), "shared")).n_free == 0


def test_epsilon_zero_under_box_coupling_leaves_no_width():
    assert plan((Monotonic({"age": 1}), "box")).zero_width
    assert not plan((Monotonic({"age": 1}), "shared")).zero_width
    assert not plan((Fair("sex", 1.0), "box")).zero_width


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ([Monotonic({"age": 1, "debt": -1})], [1, -1, np.nan, np.nan, np.nan]),
        ([Monotonic({"age": 1}, tolerance=0.1)], [np.nan] * 5),
        ([Fair("sex", 0.0)], [np.nan, np.nan, 0, np.nan, np.nan]),
        ([Fair("race", 0.0)], [np.nan, np.nan, np.nan, 0, 0]),
        ([Monotonic({"age": 1}), Monotonic({"age": -1})], [0, np.nan, np.nan, np.nan, np.nan]),
        ([Monotonic({"age": 1}), Fair("sex", 0.0)], [1, np.nan, 0, np.nan, np.nan]),
        # 0 <= f(x') - f(x'') <= 6 where x' >= x'' in age: only the lower side asks for a sign.
        ([Relational({"age": 0.0}, {"age": 2.0}, 0.0, 6.0)], [1, np.nan, np.nan, np.nan, np.nan]),
    ],
)
def test_signs_that_a_zero_side_asks_for(properties, expected):
    relations = [member.resolve(DOMAIN) for member in properties]
    np.testing.assert_array_equal(column_signs(relations, DOMAIN), expected)


def test_reach_is_the_largest_unit_difference_allowed():
    architecture = plan((GloballyRobust({"age": 2.0}, 1.0), "box"), (Fair("sex", 1.0), "shared"))
    np.testing.assert_allclose(architecture.reach, [0.2, 0, 1, 0, 0], rtol=1e-12)


def test_auxiliaries_read_an_embedding_of_what_is_held_equal_in_monotone_models_only():
    assert plan((Monotonic({"age": 1}), "shared")).shared_embedding
    assert plan((Monotonic({"age": 1}), "shared"), (Fair("sex", 1.0), "shared")).shared_embedding
    assert not plan((Fair("sex", 1.0), "shared")).shared_embedding
    assert not plan((Monotonic({"age": 1}, tolerance=0.1), "shared")).shared_embedding
    assert not plan().shared_embedding


def test_embeddings_reach_over_the_boxes_where_the_clip_alone_joins_them():
    fair = plan((Fair("sex", 1.0), "shared"))
    assert fair.backbone_spread > 1
    assert replace(fair, shared_embedding=True).backbone_spread == 1
    assert plan((GloballyRobust(0.1, 1.0), "box")).backbone_spread == 1
    torch.manual_seed(0)
    narrow = build_backbone(None, 4, (16,), 8)
    torch.manual_seed(0)
    wide = build_backbone(None, 4, (16,), 8, fair.backbone_spread)
    assert torch.equal(wide.layers[-1].weight, narrow.layers[-1].weight * fair.backbone_spread)
    assert torch.equal(wide.layers[0].weight, narrow.layers[0].weight)


def ends(architecture, family, rows):
    """lo and hi of a fresh auxiliary at rows (n, 5)."""
    builder = GraphBuilder(architecture.n_features)
    nodes = build_auxiliary(family, architecture).append_to(builder)
    with torch.no_grad():
        return evaluate(builder.build(), torch.tensor(rows), (nodes.lower, nodes.upper))


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"convolutional"}))  # that one reads images
def test_without_shared_embedding_the_bounds_depend_on_what_may_differ_only(family):
    generator = np.random.default_rng(0)
    rows, changed = generator.random((2, 20, 5))
    changed[:, 2] = rows[:, 2]  # sex, the protected feature
    planned = plan((Fair("sex", 1.0), "shared"))
    for shared_embedding in (False, True):
        architecture = replace(planned, shared_embedding=shared_embedding)
        torch.manual_seed(0)
        before = ends(architecture, family, rows)
        torch.manual_seed(0)
        after = ends(architecture, family, changed)
        same = all(torch.equal(*pair) for pair in zip(before, after, strict=True))
        assert same != shared_embedding
        assert not torch.equal(before[0][0], before[0][1])


def test_fair_boxes_start_around_zero_where_embeddings_do():
    torch.manual_seed(0)
    architecture = plan((Fair("sex", 1.0), "shared"))
    lower, upper = ends(architecture, "affine", np.full((1, 5), 0.0))
    np.testing.assert_allclose((lower + upper).numpy(), 0.0, atol=1e-12)


def test_the_clip_alone_learns_an_interaction_and_the_backbone_carries_it():
    """The effect of s changes sign with a: no additive model has it, and without h nothing is left."""
    generator = np.random.default_rng(0)
    X = generator.random((600, 3))
    X[:, 0] = X[:, 0] < 0.5
    y = X[:, 2] + (2 * X[:, 0] - 1) * np.sin(5 * X[:, 1])
    additive = 1 - np.var((2 * X[:, 0] - 1) * np.sin(5 * X[:, 1])) / np.var(y)
    settings = {"lambda_box": 0.0, "batch_size": 60, "max_iter": 40, "random_state": 0}
    model = SMiLERegressor(Fair(0, 3.0), **settings).fit(X, y)
    importance = backbone_importance(model, X, y)
    assert model.certificate_.status is Status.HOLDS
    assert importance.score > additive + 0.3
    assert importance.ablated_score < 0.2
