"""What the properties demand of the structure."""

import numpy as np
import pytest

from smile_sklearn.network import plan_architecture
from smile_sklearn.network.architecture import column_signs
from smile_sklearn.properties import Fair, GloballyRobust, InputDomain, Monotonic, Relational

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
