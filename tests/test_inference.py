"""The rules of predict_with_certificate, on arrays alone and through the estimators."""

import itertools
import warnings
from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from support import attack
from support.networks import random_snapshot, relate, unit_box

from smile_sklearn import Fair, GloballyRobust, Monotonic, Relational, SMiLEClassifier, SMiLERegressor
from smile_sklearn.certificates import Certificate, Counterexample, Status, combine
from smile_sklearn.claims import Claim, certified_rows, premise_claims, proven_claims
from smile_sklearn.exceptions import CertificateError, CertificationWarning, PropertyError
from smile_sklearn.inference import (
    RULES,
    choose_rules,
    enclosures,
    evaluate_rows,
    hull,
    reserve,
    robustness_radius,
)
from smile_sklearn.properties import InputDomain
from smile_sklearn.snapshot import forward, network
from smile_sklearn.verification.base import relation_data
from smile_sklearn.verification.intervals import Interval

FAST = {
    "max_iter": 3,
    "pretrain_iter": 1,
    "hidden_layer_sizes": (8,),
    "verifier": "difference",
    "random_state": 0,
}


def part(name, status, variation, bound=None, relation=None):
    bound = {Status.HOLDS: -1.0, Status.BOUNDED: 1.0}.get(status, np.inf) if bound is None else bound
    found = (
        Counterexample(np.zeros(1), np.ones(1), np.zeros(1), np.ones(1), 1.0)
        if status is Status.VIOLATED
        else None
    )
    return Certificate(
        name,
        "a statement",
        status,
        bound,
        variation,
        "rounded",
        "v",
        "box",
        0.0,
        "d" * 64,
        {},
        counterexample=found,
        proof={"relation": relation_data(a_relation() if relation is None else relation)},
    )


# --- which variation counts -----------------------------------------------------------------------


def a_relation(epsilon=1.0, statement="a statement"):
    return replace(relate(unit_box(1), [0.1], epsilon), statement=statement)


def test_the_properties_with_a_proven_variation_count():
    parts = (
        part("a", Status.HOLDS, 0.5),
        part("b", Status.BOUNDED, 2.0),
        part("c", Status.UNKNOWN, np.inf),
        part("d", Status.HOLDS, np.inf),
        part("e", Status.VIOLATED, 9.0),
        part("f", Status.UNKNOWN, 7.0),
    )
    relations = [a_relation() for _ in parts]
    one_sided = a_relation((-np.inf, 0.0))
    first, second = relations[:2]
    certificate = combine(parts)
    a, b = Claim(first, 0.5, "box"), Claim(second, 2.0, "box")
    assert proven_claims(certificate, relations) == [a, b]
    assert proven_claims(certificate, relations, "a") == [a]
    # A one-sided property counts where it is asked for, or where there is no other.
    mixed = [first, one_sided, *relations[2:]]
    with_one_sided = combine([parts[0], part("b", Status.BOUNDED, 2.0, relation=one_sided), *parts[2:]])
    assert proven_claims(with_one_sided, mixed) == [a]
    assert proven_claims(with_one_sided, mixed, "b") == [Claim(one_sided, 2.0, "box")]
    all_one_sided = combine(
        part(one.name, one.status, one.variation, one.bound, relation=one_sided) for one in parts
    )
    assert [claim.variation for claim in proven_claims(all_one_sided, [one_sided] * 6)] == [0.5, 2.0]
    with pytest.raises(CertificateError, match="written by fit only"):
        proven_claims(parts[0], [a_relation(statement="another one")])
    with pytest.raises(CertificateError, match="written by fit only"):
        # The same sentence over other numbers.
        proven_claims(parts[0], [replace(first, delta_lower=[-0.2], delta_upper=[0.2])])
    for name in "cdef":
        with pytest.raises(CertificateError, match="No finite bound"):
            proven_claims(certificate, relations, name)
    with pytest.raises(CertificateError, match="expected one of"):
        proven_claims(certificate, relations, "z")
    assert proven_claims(parts[0], [first]) == [a]
    with pytest.raises(CertificateError, match="UNKNOWN"):
        proven_claims(parts[2], [first])


def test_the_local_rule_asks_for_no_proof():
    two, one = a_relation(), replace(a_relation((-np.inf, 0.0)), name="one")
    assert premise_claims([one, two]) == [Claim(two, np.inf, "")]
    assert premise_claims([one, two], "one") == [Claim(one, np.inf, "")]
    assert premise_claims([one]) == [Claim(one, np.inf, "")]
    with pytest.raises(CertificateError, match="expected one of"):
        premise_claims([one], "two")


# --- which rows are spoken of ---------------------------------------------------------------------


def test_rows_that_the_certificate_speaks_of():
    domain = InputDomain([0.0, 0, 0, 0], [1.0, 3, 1, 1], integer=[1], one_hot=[[2, 3]])
    rows = np.array(
        [
            [0.5, 1, 0, 1],
            [5.0, 9, 1, 0],  # outside the box
            [0.5, 1.5, 0, 1],  # a fractional integer
            [0.5, 1, 0, 0],  # no category
            [0.5, 1, 1, 1],  # two
            [0.5, 1, 0, 0.999999],
            [0.5, 1, 0, np.nextafter(1, 0)],
        ]
    )
    through_zero = relate(domain, ([-0.1, 0, 0, 0], [0.1, 0, 0, 0]))
    beyond_zero = relate(domain, ([0.1, 0, 0, 0], [0.2, 0, 0, 0]))
    with pytest.warns(CertificationWarning, match="5 of 7 rows"):
        assert certified_rows(rows, domain, [through_zero]).tolist() == [True, True] + [False] * 5
    with pytest.warns(CertificationWarning):
        assert certified_rows(rows, domain, [through_zero, beyond_zero]).tolist() == [True] + [False] * 6


# --- what an interval says of a class -------------------------------------------------------------

POSITIVE = st.one_of(st.floats(1e-12, 1e12), st.floats(5e-324, 1e300))


@given(POSITIVE, POSITIVE)
def test_k_steps_of_v_leave_the_class(distance, variation):
    """After the first step `distance` is left; k - 1 more may use less than that."""
    (steps,) = robustness_radius(np.array([distance]), variation)
    assert steps >= 1
    assert steps == np.floor(steps)
    exact = Fraction(distance) / Fraction(variation)
    if steps < 2**50:
        assert steps - 1 < exact
        # Never more than one step too careful.
        assert steps + 1 >= exact
    else:
        assert Fraction(float(steps)) - 1 < exact


@given(POSITIVE, st.integers(1, 10**6))
def test_a_reserve_of_exactly_k_steps_is_not_enough_for_one_more(variation, k):
    # The product is rounded: near k steps, from either side.
    (steps,) = robustness_radius(np.array([k * variation]), variation)
    assert (Fraction(float(steps)) - 1) * Fraction(variation) < Fraction(k * variation)


def test_the_radius_of_a_constant_of_no_proof_and_of_no_reserve():
    assert robustness_radius(np.array([1.0, 5e-324, 0.0]), 0.0).tolist() == [np.inf, np.inf, 0.0]
    # The global rule: margins of 0, 0.5, 1, 1.5 and 2.5 leave one step less of v = 1.
    margins = np.array([0.0, 0.5, 1.0, 1.5, 2.5])
    assert robustness_radius(margins - 1.0, 1.0).tolist() == [0, 0, 0, 1, 2]
    assert robustness_radius(np.array([-1.0, 0.0, 1e-9, 1e9]), np.inf).tolist() == [0, 0, 1, 1]
    assert robustness_radius(np.array([np.nan]), 1.0).tolist() == [0.0]


def test_an_interval_on_the_other_side_of_zero_keeps_no_class():
    values = np.array([[1.0], [1.0], [-1.0], [-1.0], [0.0], [-0.0], [np.nan]])
    low = np.array([[0.5], [-2.0], [-2.0], [0.5], [-1.0], [0.0], [0.5]])
    high = np.array([[2.0], [-0.5], [-0.5], [2.0], [0.0], [0.0], [1.0]])
    assert (reserve(values, Interval(low, high)) > 0).tolist() == [True, False, True] + [False] * 4
    # Several classes: the smallest margin decides, and a tie is a tie.
    low = np.array([[np.nan, 0.0, 5.0], [0.1, np.nan, 3.0]])
    assert reserve(low, Interval(low, low)).tolist() == [0.0, 0.1]


# --- L, U and the rules on networks drawn at random -----------------------------------------------


def evaluated(snapshot, rows, seed=0):
    generator = np.random.default_rng(seed)
    return evaluate_rows(
        snapshot, lambda inputs: generator.normal(size=(len(inputs), snapshot.n_latent)), rows
    )


@pytest.mark.parametrize("ends", ["free", "affine", "relu"])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_no_embedding_leaves_the_box_of_a_row_and_one_attains_it(n_outputs, ends):
    snapshot = random_snapshot(2, 3, (4,), 3, n_outputs, ends)
    rows = np.random.default_rng(0).random((30, 3))
    here = evaluated(snapshot, rows)
    np.testing.assert_array_equal(here.output, snapshot.forward(rows, here.embedding))
    best = here.best
    reached = np.full_like(here.values, -np.inf), np.full_like(here.values, np.inf)
    # Every corner of the box of latent units.
    for corner in itertools.product([-np.inf, np.inf], repeat=3):
        values = snapshot.forward(rows, np.tile(corner, (30, 1)))
        if best is not None:
            values = values[np.arange(30), best][:, None] - values
        reached = np.maximum(reached[0], values), np.minimum(reached[1], values)
    own = np.isnan(here.values)
    np.testing.assert_array_equal(here.ends.high[~own], reached[0][~own])
    np.testing.assert_array_equal(here.ends.low[~own], reached[1][~own])
    assert np.isnan(here.ends.high[own]).all()


def test_the_box_rule_is_for_proofs_by_box_coupling_alone():
    snapshot = random_snapshot(1, 2, (4,), 2, ends="relu", gap=2.0)
    here = evaluated(snapshot, np.random.default_rng(0).random((50, 2)))
    premise = relate(snapshot.domain, [0.1, 0.1])
    plain, box = (RULES[name].enclose(here, Claim(premise, 5.0, "box")) for name in ("global", "box"))
    assert (box.low >= plain.low).all()
    assert (box.high <= plain.high).all()
    assert (box.high - box.low < plain.high - plain.low).any()
    for coupling in ("shared", "box, shared"):
        other = RULES["box"].enclose(here, Claim(premise, 5.0, coupling))
        np.testing.assert_array_equal(other.low, plain.low)
        np.testing.assert_array_equal(other.high, plain.high)


def test_several_rules_are_intersected_and_several_properties_joined():
    snapshot = random_snapshot(1, 2, (4,), 2, ends="relu")
    here = evaluated(snapshot, np.random.default_rng(0).random((50, 2)))
    wide = Claim(relate(snapshot.domain, [0.2, 0.0]), 3.0, "box")
    thin = Claim(relate(snapshot.domain, [0.0, 0.1]), 2.0, "shared")
    each = {
        (name, claim.variation): RULES[name].enclose(here, claim) for name in RULES for claim in (wide, thin)
    }
    found = enclosures(here, [wide, thin], choose_rules(("global", "local")))
    for interval, v in zip(found, (3.0, 2.0), strict=True):
        np.testing.assert_array_equal(interval.low, np.maximum(each["global", v].low, each["local", v].low))
        np.testing.assert_array_equal(
            interval.high, np.minimum(each["global", v].high, each["local", v].high)
        )
    both = hull(found)
    np.testing.assert_array_equal(both.low, np.minimum(found[0].low, found[1].low))
    np.testing.assert_array_equal(both.high, np.maximum(found[0].high, found[1].high))


@pytest.mark.parametrize("method", ["exact", (), ("global", "exact"), [1], [["box"]], None])
def test_unknown_rules(method):
    with pytest.raises(ValueError, match="'global', 'box', 'local'"):
        choose_rules(method)


# --- through the estimators -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def binary():
    generator = np.random.default_rng(0)
    X = generator.random((150, 3))
    X[:, 2] = generator.integers(0, 2, 150)
    model = SMiLEClassifier(
        GloballyRobust({0: 0.02, 1: 0.02}, 0.5) & Fair([2], 0.2) & Monotonic([1, 0, 0]),
        **{**FAST, "pretrain_iter": 10, "max_iter": 30},
    )
    return model.fit(X, X[:, 0] + X[:, 1] > 1), X


def test_a_row_is_certified_iff_its_interval_excludes_zero(binary):
    model, X = binary
    value = model.decision_function(X)
    for name in ("globallyrobust", "fair", None):
        found = model.predict_with_certificate(X, property=name)
        names = ("globallyrobust", "fair") if name is None else (name,)  # monotonic is one-sided
        variation = max(model.certificate_[one].variation for one in names)
        assert (found.certified == (np.abs(value) > variation)).all()
        assert (found.certified == ((found.lower > 0) | (found.upper < 0))).all()
        assert (found.prediction == model.predict(X)).all()
        for low, high, here in zip(found.lower, found.upper, value, strict=True):
            assert Fraction(low) <= Fraction(here) - Fraction(variation)
            assert Fraction(high) >= Fraction(here) + Fraction(variation)
    assert np.isnan(model.predict_with_certificate(X, property="fair").radius).all()
    radius = model.predict_with_certificate(X, property="globallyrobust").radius
    variation = model.certificate_["globallyrobust"].variation
    np.testing.assert_array_equal(radius, np.maximum(0.0, np.ceil(np.abs(value) / variation) - 1.0))


def test_the_network_is_evaluated_once(binary, monkeypatch):
    model, X = binary
    calls = []
    original = forward.evaluate
    monkeypatch.setattr(network, "evaluate", lambda *args: calls.append(args[2]) or original(*args))
    for method in ("global", "box", ("global", "box")):
        calls.clear()
        model.predict_with_certificate(X, method=method)
        assert calls == [(model.snapshot_.lower, model.snapshot_.upper)]


def test_the_digest_is_checked_every_time(binary):
    model, X = binary
    model.predict_with_certificate(X, method="box")
    original = model.snapshot_
    model.snapshot_ = replace(original, head_bias=original.head_bias + 1e-9)
    try:
        for method in ("global", "box", ("local", "box")):
            with pytest.raises(CertificateError, match="certifies nothing here"):
                model.predict_with_certificate(X, method=method)
        # The local rule uses no certificate: it speaks of the network at hand.
        assert model.predict_with_certificate(X, method="local").certified.any()
    finally:
        model.snapshot_ = original


def test_a_nan_of_the_backbone_is_lo_and_what_is_certified_of_it_stands(binary):
    model, X = binary
    original = model.backbone_
    model.backbone_ = lambda inputs: np.full((len(inputs), model.n_latent), np.nan)
    try:
        found = model.predict_with_certificate(X)
        value = model.decision_function(X)
        assert np.isfinite(value).all()
        assert ((found.lower <= value) & (value <= found.upper)).all()
        assert found.certified.any()
        assert np.array_equal(found.certified, (found.lower > 0) | (found.upper < 0))
    finally:
        model.backbone_ = original


def test_a_property_without_a_claim_is_for_the_local_rule(binary):
    model, X = binary
    near = GloballyRobust({0: 0.05, 1: 0.1}, None)
    found = model.predict_with_certificate(X, property=near, method="local")
    assert set(found.radius.tolist()) == {0.0, 1.0}
    np.testing.assert_array_equal(found.radius == 1, found.certified)
    for method in ("global", "box", ("local", "global")):
        with pytest.raises(PropertyError, match="method='local'"):
            model.predict_with_certificate(X, property=near, method=method)
    with pytest.raises(PropertyError, match=r"local rule.*predict_with_certificate"):
        model.certify(near)
    assert SMiLEClassifier(near, **FAST).fit(X, X[:, 0] > 0.5).certificate_ is None
    with pytest.raises(PropertyError, match="expected the name"):
        model.predict_with_certificate(X, property=0.1, method="local")
    # A whole set, and a property with a claim: which inputs are related is all that counts.
    both = near & Fair([2], 1e-9)
    joined = model.predict_with_certificate(X, property=both, method="local")
    fair = model.predict_with_certificate(X, property="fair", method="local")
    np.testing.assert_array_equal(joined.lower, np.minimum(found.lower, fair.lower))
    np.testing.assert_array_equal(joined.certified, found.certified & fair.certified)


def test_without_properties_the_local_rule_still_speaks():
    X = np.random.default_rng(0).random((80, 2))
    model = SMiLERegressor(**FAST).fit(X, X @ [1.0, 2.0])
    with pytest.raises(CertificateError, match="method='local'"):
        model.predict_with_certificate(X, method="local")
    found = model.predict_with_certificate(X, GloballyRobust(0.01, None), "local")
    assert found.certified.all()
    assert ((found.lower <= found.prediction) & (found.prediction <= found.upper)).all()


def test_margins_of_several_classes():
    X, y = load_iris(return_X_y=True)
    model = SMiLEClassifier(GloballyRobust(0.1, 2.0), **{**FAST, "max_iter": 20}).fit(X, y)
    found = model.predict_with_certificate(X)
    output = model.decision_function(X)
    best = output.argmax(axis=1)
    variation = model.certificate_.variation
    assert (found.prediction == model.classes_[best]).all()
    for row, (low, high) in enumerate(zip(found.lower, found.upper, strict=True)):
        assert np.flatnonzero(np.isnan(low)).tolist() == [best[row]]
        assert np.flatnonzero(np.isnan(high)).tolist() == [best[row]]
        margins = np.delete(output[row, best[row]] - output[row], best[row])
        assert found.certified[row] == (margins > variation).all()
        assert found.certified[row] == (np.nanmin(low) > 0)
    assert found.certified.sum() > 0


def test_a_regressor_gives_the_proven_interval():
    X = np.random.default_rng(0).random((80, 2))
    model = SMiLERegressor(Fair([1], 0.5), **FAST).fit(X, X @ [1.0, 2.0])
    found = model.predict_with_certificate(X)
    assert found.certified.all()
    assert np.isnan(found.radius).all()
    assert (found.lower <= found.prediction - model.certificate_.variation).all()
    assert (found.upper >= found.prediction + model.certificate_.variation).all()
    with pytest.raises(CertificateError, match="expected one of"):
        model.predict_with_certificate(X, property="monotonic")


def test_rows_outside_a_domain_that_does_not_reach_them():
    X = np.random.default_rng(0).random((80, 2))
    model = SMiLERegressor(Relational({0: 0.1}, {0: 0.2}, -5.0, 5.0), **FAST).fit(X, X @ [1.0, 2.0])
    outside = np.array([[0.5, 0.5], [1.5, 0.5], [0.5, -0.1]])
    assert model.predict_with_certificate(outside).certified.tolist() == [True, False, False]
    other = SMiLERegressor(Fair([1], 0.5), **FAST).fit(X, X @ [1.0, 2.0])
    assert other.predict_with_certificate(outside).certified.all()


def test_rows_outside_and_rows_that_are_no_inputs():
    """Outside the box the neighbourhood is that of the clipped row; no input, no certificate."""
    generator = np.random.default_rng(0)
    X = np.column_stack([generator.random(90), generator.integers(0, 4, 90), np.eye(2)[np.arange(90) % 2]])
    domain = InputDomain([0, 0, 0, 0], [1, 3, 1, 1], integer=[1], one_hot=[[2, 3]])
    model = SMiLERegressor(GloballyRobust({0: 0.1, 1: 1}, 4.0), domain=domain, **FAST).fit(X, X[:, 0])
    rows = np.array([[1.7, 9, 1, 0], [1.0, 3, 1, 0], [0.5, 1.5, 1, 0], [0.5, 1, 1, 1]])
    with pytest.warns(CertificationWarning, match="2 of 4 rows"):
        found = model.predict_with_certificate(rows, method="local")
    assert found.certified.tolist() == [True, True, False, False]
    assert found.lower[0] == found.lower[1]
    assert found.upper[2:].tolist() == [np.inf, np.inf]
    with pytest.warns(CertificationWarning):
        assert not model.predict_with_certificate(rows, method="box").certified[2:].any()


# --- attacks --------------------------------------------------------------------------------------

GROUPED = InputDomain([0, 0, 0, 0, 0, 0], [1, 1, 6, 1, 1, 1], integer=[2], one_hot=[[3, 4, 5]])


def grouped_data(n_rows=160):
    generator = np.random.default_rng(3)
    X = np.column_stack(
        [
            generator.random((n_rows, 2)),
            generator.integers(0, 7, n_rows),
            np.eye(3)[generator.integers(0, 3, n_rows)],
        ]
    )
    return X, 2 * X[:, 0] - X[:, 1] + 0.2 * X[:, 2] + X[:, 3]


MODELS = {
    "box": (SMiLEClassifier, GloballyRobust({0: 0.1, 1: 0.1, 2: 1}, 1.0), {}, 2),
    "box, lipschitz": (SMiLEClassifier, GloballyRobust({0: 0.1, 1: 0.1}, 1.0), {"auxiliary": "lipschitz"}, 2),
    "box, groups": (SMiLEClassifier, GloballyRobust([0.1, 0, 1, 1, 1, 1], 1.0), {"auxiliary": "affine"}, 2),
    "box, three classes": (SMiLEClassifier, GloballyRobust({0: 0.1, 1: 0.05, 2: 1}, 1.5), {}, 3),
    "shared": (SMiLERegressor, Fair([3, 4, 5], 1.0), {}, 0),
    "shared, three classes": (SMiLEClassifier, Fair([2], 1.0), {}, 3),
    "shared, one-sided": (SMiLERegressor, Monotonic({0: 1}, tolerance=0.1), {"auxiliary": "relu"}, 0),
    "without equality": (SMiLERegressor, Relational({0: 0.1}, {0: 0.3}, -3.0, 3.0), {"coupling": "box"}, 0),
    "free ends": (
        SMiLERegressor,
        GloballyRobust({0: 0.1}, 1.0),
        {"method": "paper", "auxiliary": "relu", "max_iter": 2, "posttrain_iter": 1},
        0,
    ),
}


@cache
def trained(name):
    estimator, properties, options, n_classes = MODELS[name]
    X, y = grouped_data()
    if n_classes:
        y = np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CertificationWarning)
        model = estimator(properties, domain=GROUPED, **{**FAST, "max_iter": 8, **options}).fit(X, y)
    return model, X


def spoken_of(model, X, near):
    """f of the near rows, or their margins of the class predicted at X."""
    output = attack.outputs(model, near)
    if output.shape[1] == 1:
        return output[:, 0]
    best = attack.outputs(model, X).argmax(axis=1)
    return output[np.arange(len(X)), best][:, None] - output


def left(values, lower, upper):
    """Values outside their interval; the predicted class itself (nan) has none."""
    return ~np.isnan(lower) & ~((lower <= values) & (values <= upper))


def attacked(model, X, relation, generator):
    """Related rows: at random, at corners, and along the gradient."""
    for corners in (False, True):
        for _ in range(6):
            yield attack.partners(relation, X, generator, corners=corners)
    yield from itertools.islice(attack.gradient_partners(model, relation, X, generator, 24), 0, None, 3)


@pytest.mark.parametrize("method", ["box", "local", ("global", "box", "local")], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_no_attack_leaves_an_interval_or_flips_a_certified_row(name, method):
    model, X = trained(name)
    relation = model.relations_[0]
    found = model.predict_with_certificate(X, method=method)
    plain = model.predict_with_certificate(X, method="global")
    if method != "local":
        assert (found.lower >= plain.lower)[~np.isnan(plain.lower)].all()
        assert (found.upper <= plain.upper)[~np.isnan(plain.upper)].all()
        assert (found.certified | ~plain.certified).all()
        assert ((found.radius >= plain.radius) | np.isnan(plain.radius)).all()
    assert found.certified.any()
    for near in attacked(model, X, relation, np.random.default_rng(0)):
        # x is related to itself unless Q says otherwise.
        related = relation.covers_all_inputs | (near != X).any(axis=1)
        wrong = left(spoken_of(model, X, near), found.lower, found.upper)
        assert not wrong[related].any()
        if isinstance(model, SMiLEClassifier):
            assert (model.predict(near) == found.prediction)[found.certified].all()


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("box")])
def test_box_and_local_rules_trust_nothing_about_the_backbone(name):
    model, X = trained(name)
    relation, original = model.relations_[0], model.backbone_
    model.backbone_ = Wild(model.n_latent)
    generator = np.random.default_rng(0)
    try:
        found = [
            model.predict_with_certificate(X, method=method) for method in ("box", "local", ("box", "local"))
        ]
        # The margins are those of the class predicted then; the backbone answers anew at every call.
        best = model.classes_.searchsorted(np.stack([one.prediction for one in found]))
        for corners in (True, False):
            for _ in range(5):
                near = attack.partners(relation, X, generator, corners=corners)
                output = attack.outputs(model, near)
                for one, chosen in zip(found, best, strict=True):
                    values = output[:, 0]
                    if output.shape[1] > 1:
                        values = output[np.arange(len(X)), chosen][:, None] - output
                    assert not left(values, one.lower, one.upper).any()
                    assert (model.predict(near) == one.prediction)[one.certified].all()
    finally:
        model.backbone_ = original


class Wild:
    """An embedding that no training would produce, different at every call."""

    repeats_bits = False

    def __init__(self, n_latent):
        self.n_latent = n_latent
        self.generator = np.random.default_rng(0)

    def __call__(self, inputs):
        shape = (len(inputs), self.n_latent)
        return self.generator.choice([np.nan, np.inf, -np.inf, 1e300, 0.0, -0.5, 0.5], shape)


@pytest.mark.parametrize("method", ["box", "local"])
def test_intervals_lowered_by_a_fifth_are_left(method):
    """The attacks above have teeth: an adversarial backbone attains the bounds of affine auxiliaries."""
    model, X = trained("box, groups")
    relation, original = model.relations_[0], model.backbone_
    weight = model.snapshot_.head_weight[0]
    generator = np.random.default_rng(0)
    try:
        # At x it gives U(x) (or L(x)), elsewhere L (or U): the worst there is for the box rule.
        model.backbone_ = Fixed(np.where(weight > 0, np.inf, -np.inf))
        found = model.predict_with_certificate(X, method=method)
        half = 0.5 * (found.upper - found.lower)
        lower, upper = found.lower + 0.2 * half, found.upper - 0.2 * half
        broken = 0
        for sign in (1.0, -1.0):
            model.backbone_ = Fixed(np.where(sign * weight > 0, np.inf, -np.inf))
            for _ in range(20):
                near = attack.partners(relation, X, generator, corners=True)
                values = spoken_of(model, X, near)
                assert not left(values, found.lower, found.upper).any()
                broken += int(left(values, lower, upper).sum())
        assert broken > 0
    finally:
        model.backbone_ = original


class Fixed:
    """The same embedding for every row."""

    repeats_bits = False

    def __init__(self, embedding):
        self.embedding = embedding

    def __call__(self, inputs):
        return np.tile(self.embedding, (len(inputs), 1))


@pytest.mark.parametrize("method", ["box", ("box", "local")], ids=str)
def test_a_walk_within_the_radius_keeps_the_class(method):
    """The radius of the box rule is at least the global one, and walks of that many steps do not flip."""
    model, X = trained("box, lipschitz")
    relation = model.relations_[0]
    generator = np.random.default_rng(0)
    # Radii are whole numbers, and boxes are thin: it takes many rows to find one that gains a step.
    X = np.concatenate([attack.partners(relation, X, generator, corners=False) for _ in range(20)])
    found = model.predict_with_certificate(X, method=method)
    plain = model.predict_with_certificate(X)
    assert (found.radius >= plain.radius).all()
    assert (found.radius > plain.radius).any()
    for corners in (True, False):
        for _ in range(12):
            here = X
            for step in range(1, int(found.radius.max()) + 1):
                here = attack.partners(relation, here, generator, corners=corners)
                reached = found.radius >= step
                assert (model.predict(here) == found.prediction)[reached].all()


def test_the_local_rule_uses_the_row_s_own_embedding_where_it_is_shared():
    model, X = trained("shared")
    shared = model.predict_with_certificate(X, method="local")
    original = model.backbone_

    class Untrusted:
        repeats_bits = False

        def __call__(self, inputs):
            return original(inputs)

    model.backbone_ = Untrusted()
    try:
        alone = model.predict_with_certificate(X, method="local")
    finally:
        model.backbone_ = original
    assert (shared.upper - shared.lower < 0.9 * (alone.upper - alone.lower)).any()
    assert (shared.upper <= alone.upper).all()
