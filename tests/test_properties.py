"""Properties and the relations they resolve to, against enumeration and exact rationals."""

import itertools
import math
import pickle
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from support.networks import random_snapshot

from smile_sklearn.exceptions import CertificationWarning, PropertyError
from smile_sklearn.properties import (
    Fair,
    GloballyRobust,
    InputDomain,
    Monotonic,
    Relation,
    Relational,
    margin_to_probability,
    probability_to_margin,
)
from smile_sklearn.properties.property_set import resolve_premises
from smile_sklearn.properties.relation import Premise
from smile_sklearn.verification.difference import DifferenceBounds

NAMES = ("age", "debt", "cat__race_a", "cat__race_b", "cat__race_c", "sex")


@pytest.fixture
def domain():
    """A domain small enough to enumerate but for debt, which is continuous."""
    return InputDomain(
        [18, 0, 0, 0, 0, 0], [21, 1, 1, 1, 1, 1], ["age", "sex"], ["race"], feature_names=NAMES
    )


def rows_of(domain, debts=(0.0, 0.25, 1.0)):
    """All rows of the `domain` fixture with these debts."""
    ages, races, sexes = range(18, 22), np.eye(3), range(2)
    return np.array([[a, d, *r, s] for a, d, r, s in itertools.product(ages, debts, races, sexes)])


def pairs_of(domain):
    rows = rows_of(domain)
    first, second = np.indices((len(rows), len(rows))).reshape(2, -1)
    return rows[first], rows[second]


class TestFeatureNames:
    @pytest.mark.parametrize(
        ("protected", "columns"),
        [("sex", [5]), (5, [5]), (np.int64(5), [5]), ("race", [2, 3, 4]), ("cat__race", [2, 3, 4])]
        + [(["sex", "race"], [2, 3, 4, 5]), ([0, "sex"], [0, 5]), ((2, 3, 4), [2, 3, 4])],
    )
    def test_index_name_or_prefix_of_a_group(self, domain, protected, columns):
        relation = Fair(protected, 1).resolve(domain)
        assert np.flatnonzero(~relation.equal).tolist() == columns

    @pytest.mark.parametrize(
        ("protected", "message"),
        [
            ("sexx", "In protected: Got unknown feature 'sexx'. Did you mean 'sex'"),
            ("Sex", "Did you mean 'sex'"),
            ("rac", "Did you mean .*race"),
            ("race_a", "Did you mean 'cat__race_a'"),
            ("zzz", "The features are 'age', 'debt'"),
            (["agee", "dept"], "'agee'.*'age'.*'dept'.*'debt'"),
            (7, "feature index 7, expected 0 to 5"),
            (-1, "feature index -1"),
            ([True, False], "expected a column index or name"),
            (["sex", 5], "'sex' and 5, which are the same feature"),
            (2.5, "expected a feature or a list of features"),
            ([], "expected a feature or a list of features"),
            ("cat__race_a", "'cat__race_a' to differ while the rest of its group is held equal"),
        ],
    )
    def test_anything_else_raises(self, domain, protected, message):
        with pytest.raises(PropertyError, match=message):
            Fair(protected, 1).resolve(domain)

    def test_prefix_must_be_one_group(self):
        names = ["race_a", "race_b", "race_c"]
        ungrouped = InputDomain([0] * 3, [1] * 3, feature_names=names)
        with pytest.raises(
            PropertyError, match=r"prefix of race_a, race_b and race_c.*one_hot=\[\[0, 1, 2\]\]"
        ):
            Fair("race", 1).resolve(ungrouped)
        part = InputDomain([0] * 3, [1] * 3, one_hot=[["race_a", "race_b"]], feature_names=names)
        with pytest.raises(PropertyError, match="not one one-hot group"):
            Fair("race", 1).resolve(part)

    def test_transformer_prefix_is_a_near_match(self):
        domain = InputDomain([0], [1], feature_names=["num__age"])
        with pytest.raises(PropertyError, match="Did you mean 'num__age'"):
            Monotonic({"age": 1}).resolve(domain)

    def test_names_come_from_the_call_or_the_domain(self):
        nameless = InputDomain([0, 0], [1, 1])
        assert Fair("b", 1).resolve(nameless, feature_names=["a", "b"]).equal.tolist() == [True, False]
        with pytest.raises(PropertyError, match=r"features have no names\. Use column indices"):
            Fair("b", 1).resolve(nameless)
        named = InputDomain([0, 0], [1, 1], feature_names=["b", "a"])
        with pytest.raises(PropertyError, match="Got feature 'a' where the domain has 'b'"):
            Fair("b", 1).resolve(named, feature_names=["a", "b"])


class TestAgainstEnumeration:
    """Each property relates exactly the pairs that its definition in words relates."""

    def check(self, relation, domain, words):
        first, second = pairs_of(domain)
        expected = np.array([words(a, b) for a, b in zip(first.tolist(), second.tolist(), strict=True)])
        np.testing.assert_array_equal(relation.contains(first, second), expected)
        assert expected.any()

    def test_monotonic(self, domain):
        relation = Monotonic({"age": 1, "debt": -1}, tolerance=0.5).resolve(domain)
        self.check(relation, domain, lambda a, b: a[0] <= b[0] and a[1] >= b[1] and a[2:] == b[2:])
        assert (relation.epsilon_lower, relation.epsilon_upper) == (-np.inf, 0.5)
        assert not relation.symmetric
        assert relation.covers_all_inputs

    def test_monotonic_array_and_dict_agree(self, domain):
        by_name = Monotonic({"age": 1, 1: -1, "sex": 0}).resolve(domain)
        assert Monotonic([1, -1, 0, 0, 0, 0]).resolve(domain) == by_name

    def test_fair(self, domain):
        relation = Fair("sex", 2).resolve(domain)
        self.check(relation, domain, lambda a, b: a[:5] == b[:5])
        assert relation.symmetric
        assert (relation.epsilon_lower, relation.epsilon_upper) == (-2, 2)

    def test_fair_group_means_all_pairs(self, domain):
        relation = Fair("race", 2).resolve(domain)
        self.check(relation, domain, lambda a, b: a[:2] == b[:2] and a[5] == b[5])
        assert relation.group_pairs[0].all()

    def test_fair_two_categories(self, domain):
        relation = Fair(["cat__race_a", "cat__race_b"], 2).resolve(domain)
        a_or_b = {(1, 0, 0), (0, 1, 0)}

        def words(a, b):
            race = {tuple(a[2:5]), tuple(b[2:5])}
            return a[:2] == b[:2] and a[5] == b[5] and (len(race) == 1 or race <= a_or_b)

        self.check(relation, domain, words)

    def test_fair_with_delta(self, domain):
        relation = Fair("sex", 2, delta={"age": 1.9, "debt": 0.75}).resolve(domain)
        self.check(
            relation,
            domain,
            lambda a, b: abs(a[0] - b[0]) <= 1 and abs(a[1] - b[1]) <= 0.75 and a[2:5] == b[2:5],
        )

    def test_robust_scalar_leaves_groups_equal(self, domain):
        relation = GloballyRobust(1, 2).resolve(domain)
        self.check(relation, domain, lambda a, b: abs(a[0] - b[0]) <= 1 and a[2:5] == b[2:5])
        small = GloballyRobust(0.3, 2).resolve(domain)
        self.check(small, domain, lambda a, b: abs(a[1] - b[1]) <= 0.3 and a[2:] == b[2:] and a[0] == b[0])

    def test_robust_group_takes_any_category(self, domain):
        relation = GloballyRobust({"race": 1, "debt": 0.25}, 2).resolve(domain)
        self.check(relation, domain, lambda a, b: abs(a[1] - b[1]) <= 0.25 and a[0] == b[0] and a[5] == b[5])
        assert GloballyRobust([0, 0.25, 1, 1, 1, 0], 2).resolve(domain) == relation

    def test_relational_shift(self, domain):
        relation = Relational({"age": 0.5, "debt": -1}, {"age": 2.5, "debt": 0.25}, -1, 3).resolve(domain)
        self.check(
            relation,
            domain,
            lambda a, b: 1 <= a[0] - b[0] <= 2 and -1 <= a[1] - b[1] <= 0.25 and a[2:] == b[2:],
        )
        assert relation.delta_lower[0] == 1
        assert relation.delta_upper[0] == 2
        assert not relation.covers_all_inputs

    def test_relational_one_way_between_categories(self, domain):
        dl, du = [0, 0, -1, 0, 0, 0], [0, 0, 0, 1, 0, 0]
        relation = Relational(dl, du, -1, 1).resolve(domain)
        self.check(
            relation,
            domain,
            lambda x, y: (
                x == y or (x[2:5] == [0, 1, 0] and y[2:5] == [1, 0, 0] and x[:2] + x[5:] == y[:2] + y[5:])
            ),
        )
        assert not relation.group_pairs[0].T[relation.group_pairs[0]].all()

    def test_contains_exactly_agrees(self, domain):
        rng = np.random.default_rng(0)
        first, second = pairs_of(domain)
        some = rng.choice(len(first), 400, replace=False)
        for relation in (Fair("race", 1, delta=0.25).resolve(domain), Monotonic({"debt": 1}).resolve(domain)):
            exact = [relation.contains_exactly(a, b) for a, b in zip(first[some], second[some], strict=True)]
            assert relation.contains(first[some], second[some]).tolist() == exact

    def test_rows_outside_the_domain_are_not_related(self, domain):
        relation = Fair("sex", 1).resolve(domain)
        row = np.array([19, 0.5, 1, 0, 0, 0])
        for broken in ([19, 1.5, 1, 0, 0, 0], [19.5, 0.5, 1, 0, 0, 0], [19, 0.5, 1, 1, 0, 0]):
            assert not relation.contains([row], [broken])[0]
            assert not relation.contains_exactly(broken, broken)
        assert relation.contains_exactly(row, row)


class TestRelation:
    def test_is_cut_by_the_domain(self, domain):
        relation = Fair(["age", "debt", "sex"], 1).resolve(domain)
        np.testing.assert_array_equal(relation.delta_upper, [3, 1, 0, 0, 0, 1])
        np.testing.assert_array_equal(relation.delta_lower, [-3, -1, 0, 0, 0, -1])
        assert not np.signbit(relation.delta_upper).any()
        assert not np.signbit(relation.delta_lower[relation.equal]).any()

    @given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
    def test_cut_is_outward(self, a, b):
        assume(a != b)
        low, high = min(a, b), max(a, b)
        relation = Fair(0, 1, delta=1).resolve(InputDomain([low, 0], [high, 1]))
        exact = Fraction(high) - Fraction(low)
        assert exact <= Fraction(relation.delta_upper[0])
        assert relation.delta_upper[0] <= np.nextafter(float(exact), np.inf)
        assert relation.contains_exactly([high, 0], [low, 1])

    def test_constant_feature_is_equal(self):
        domain = InputDomain([3, 0], [3, 1])
        relation = GloballyRobust(0.5, 1).resolve(domain)
        assert relation.equal.tolist() == [True, False]
        assert relation.unit_delta()[1][0] == 0

    def test_epsilon_must_admit_equal_inputs(self, domain):
        with pytest.raises(PropertyError, match=r"equal inputs are related.*Include 0"):
            Relational(-1, 1, 0.5, 1).resolve(domain)
        assert Relational({"age": 1}, {"age": 2}, 0.5, 1).resolve(domain).epsilon_lower == 0.5

    def test_impossible_differences_raise(self, domain):
        with pytest.raises(PropertyError, match="deltas of 'age' that no pair"):
            Relational({"age": 5}, {"age": 9}, -1, 1).resolve(domain)
        with pytest.raises(PropertyError, match="deltas of 'age' that no pair"):
            Relational({"age": 0.2}, {"age": 0.8}, -1, 1).resolve(domain)
        with pytest.raises(
            PropertyError, match="'cat__race_a', 'cat__race_b' and 'cat__race_c' that no pair"
        ):
            Relational({"race": 1}, {"race": 1}, -1, 1).resolve(domain)

    def test_equal_by_content_and_pickles(self, domain):
        relation = Fair("race", 1, delta=0.5).resolve(domain)
        copied = pickle.loads(pickle.dumps(relation))
        assert copied == relation
        assert hash(copied) == hash(relation)
        assert not copied.delta_lower.flags.writeable
        assert relation != Fair("race", 2, delta=0.5).resolve(domain)

    @pytest.mark.parametrize(
        ("deltas", "epsilons", "message"),
        [
            (([0], [0, 0]), (-1, 1), r"delta_lower of shape \(1,\), expected \(2,\)"),
            (([0, np.nan], [0, 1]), (-1, 1), "NaN in delta_lower of 'x1'"),
            (([0, 2], [0, 1]), (-1, 1), "lower delta 2.0 above upper delta 1.0 for 'x1'"),
            (([0, 0], [0, 1]), (1, -1), "expected lower <= upper"),
            (([0, 0], [0, 1]), (np.nan, 1), "expected lower <= upper"),
            (([0, 0], [0, 1]), (-np.inf, np.inf), "one of them finite"),
        ],
    )
    def test_refuses_nonsense(self, deltas, epsilons, message):
        with pytest.raises(PropertyError, match=message):
            Relation("relational", "", InputDomain([0, 0], [1, 1]), *deltas, *epsilons)

    @pytest.mark.parametrize("at_most_one", [False, True])
    def test_group_pairs_match_their_definition(self, at_most_one):
        kind = "one_hot_at_most_one" if at_most_one else "one_hot"
        domain = InputDomain([0] * 3, [1] * 3, **{kind: [[0, 1, 2]]})
        categories = domain.groups[0].categories
        for lower in itertools.product((-1, 0), repeat=3):
            for upper in itertools.product((0, 1), repeat=3):
                relation = Relation("r", "", domain, lower, upper, -1, 1)
                for (i, a), (j, b) in itertools.product(enumerate(categories), repeat=2):
                    assert relation.group_pairs[0][i, j] == (
                        (lower <= a - b).all() and (a - b <= upper).all()
                    )
                    assert relation.contains([a], [b])[0] == relation.group_pairs[0][i, j]

    def test_one_column_moves_alone_where_the_zero_row_is_a_category(self):
        domain = InputDomain([0] * 2, [1] * 2, one_hot_at_most_one=[[0, 1]])
        pairs = Fair(0, 1).resolve(domain).group_pairs[0]
        np.testing.assert_array_equal(
            pairs, np.eye(3, dtype=bool) | np.eye(3, dtype=bool)[[2, 1, 0]] & [1, 0, 1]
        )


scales = st.sampled_from([1e-320, 1e-300, 1e-12, 1.0, 3.7, 1e9, 1e150, 1e300])
fractions_of_one = st.floats(0, 1)


class TestUnitDelta:
    """unit_delta contains the exact difference of the rounded unit coordinates."""

    def check(self, domain, first, second, lower, upper):
        relation = Relation("r", "", domain, [lower], [upper], -np.inf, np.inf if lower > 0 else 0)
        assume(relation.contains_exactly([first], [second]))
        low, high = relation.unit_delta()
        p, q = domain.to_unit([[first], [second]])[:, 0]
        assert Fraction(low[0]) <= Fraction(p) - Fraction(q) <= Fraction(high[0])
        assert -1 <= low[0] <= high[0] <= 1

    @given(scales, scales, fractions_of_one, fractions_of_one, st.integers(0, 3))
    @settings(max_examples=500)
    def test_tight_deltas_at_any_scale(self, offset, width, s, t, steps):
        domain = InputDomain([offset], [offset + width])
        first, second = domain.from_unit([[s], [t]])[:, 0]
        difference = first - second
        for _ in range(steps):
            difference = np.nextafter(difference, np.inf)
        # The smallest premises that relate the pair, on either side of the rounded difference.
        below, above = np.nextafter(difference, -np.inf), np.nextafter(difference, np.inf)
        lower, upper = min(below, 0.0), max(above, 0.0)
        self.check(domain, first, second, lower, upper)

    @given(scales, scales, fractions_of_one, st.booleans())
    @settings(max_examples=300)
    def test_adjacent_floats(self, offset, width, s, swap):
        domain = InputDomain([-offset], [-offset + width])
        first = domain.from_unit([[s]])[0, 0]
        second = np.nextafter(first, np.inf)
        if swap:
            first, second = second, first
        exact = first - second  # of neighbours: no rounding
        self.check(domain, first, second, min(exact, 0.0), max(exact, 0.0))

    @given(st.floats(-1e3, 1e3), st.floats(1e-6, 1e3), fractions_of_one, fractions_of_one)
    @settings(max_examples=300)
    def test_shifts_that_exclude_equal_inputs(self, offset, width, s, t):
        domain = InputDomain([offset], [offset + width])
        first, second = domain.from_unit([[s], [t]])[:, 0]
        exact = Fraction(first) - Fraction(second)
        assume(abs(exact) > 0)
        low, high = np.nextafter(float(exact), -np.inf), np.nextafter(float(exact), np.inf)
        assume(-width <= low)
        assume(high <= width)
        relation = Relation("r", "", domain, [low], [high], -1, 1)
        unit_low, unit_high = relation.unit_delta()
        p, q = domain.to_unit([[first], [second]])[:, 0]
        assert Fraction(unit_low[0]) <= Fraction(p) - Fraction(q) <= Fraction(unit_high[0])
        # The widening never loses the sign that monotone rounding keeps.
        assert unit_low[0] >= 0 if low > 0 else unit_high[0] <= 0

    def test_zero_ends_stay_zero_and_the_widening_is_tiny(self, domain):
        relation = Monotonic({"debt": 1}).resolve(domain)
        low, high = relation.unit_delta()
        np.testing.assert_array_equal(high, 0)
        np.testing.assert_array_equal(low, [0, -1, 0, 0, 0, 0])
        third = GloballyRobust({"debt": 0.25, "age": 1}, 1).resolve(domain).unit_delta()[1]
        assert 0.25 < third[1] < 0.25 + 1e-15
        assert 1 / 3 < third[0] < 1 / 3 + 1e-15

    def test_groups_are_not_widened(self, domain):
        low, high = Fair("race", 1).resolve(domain).unit_delta()
        np.testing.assert_array_equal(high, [0, 0, 1, 1, 1, 0])
        np.testing.assert_array_equal(low, -high)


class TestArguments:
    @pytest.mark.parametrize(
        ("property_", "message"),
        [
            (Fair("sex", -1), "Got epsilon=-1, expected a finite number >= 0"),
            (Fair("sex", np.nan), "Got epsilon=nan"),
            (Fair("sex", np.inf), "Got epsilon=inf"),
            (Fair("sex", "small"), "Got epsilon='small'"),
            (Fair("sex", True), "Got epsilon=True"),
            (Fair("sex", 1, delta=-0.1), "Got delta=-0.1, expected a number >= 0"),
            (Fair("sex", 1, delta={"sex": 1}), "delta for sex, which is protected"),
            (Fair("sex", 0.1, on="probability"), r"Got on='probability'.*4 atanh\(dp\).*0.401341"),
            (Monotonic({"age": 1}, tolerance=-1), "Got tolerance=-1"),
            (Monotonic({"age": 2}), r"monotonic_cst\['age'\] must be either -1, 0 or 1. Got 2"),
            (Monotonic({"age": "increasing"}), "must be either -1, 0 or 1. Got 'increasing'"),
            (Monotonic({"age": np.nan}), "must be either -1, 0 or 1. Got nan"),
            (Monotonic({"aeg": 1}), "In monotonic_cst: Got unknown feature 'aeg'. Did you mean 'age'"),
            (Monotonic([1, 0]), "monotonic_cst has shape .2,. but the input data X has 6 features"),
            (Monotonic([2, 0, 0, 0, 0, 0]), r"array-like of -1, 0 or 1. Observed values: \[2\]"),
            (Monotonic(1), "expected a dict of feature"),
            (Monotonic([[1], [2, 3]]), "expected a dict of feature"),
            (Monotonic("age"), "expected a dict of feature"),
            (Monotonic(None), "expected a dict of feature"),
            (Monotonic({"race": 1}), "Categorical features cannot have monotonic constraints"),
            (Monotonic([0, 0, 1, 0, 0, 0]), "Categorical features cannot have monotonic constraints"),
            (GloballyRobust(0.1, None), "Got epsilon=None.*local rule"),
            (GloballyRobust(-1, 1), "Got delta=-1"),
            (GloballyRobust(np.nan, 1), "Got delta=nan"),
            (GloballyRobust(None, 1), "Got delta=None, expected a number"),
            (GloballyRobust("all", 1), "Got delta='all'"),
            (GloballyRobust([1, 1], 1), r"delta of shape \(2,\), expected \(6,\)"),
            (GloballyRobust([[1], [2, 3]], 1), "expected a number, one number per feature, or a dict"),
            (GloballyRobust([0, np.nan, 0, 0, 0, 0], 1), "NaN in delta of debt"),
            (GloballyRobust([0, -1, 0, 0, 0, 0], 1), r"delta\[1\]=-1"),
            (GloballyRobust({"race": 0.5}, 1), "delta=0.5 for one-hot column 'cat__race_a', expected 0"),
            (GloballyRobust({"age": -2}, 1), r"delta\['age'\]=-2"),
            (GloballyRobust({"cat__race_a": 1}, 1), "Name the group"),
            (Relational({"age": 1}, {"debt": 1}, -1, 1), "dl=1 above du=0 for age.*0 in the other"),
            (Relational(1, -1, -1, 1), "dl=1 above du=-1"),
            (Relational(-1, 1, 1, -1), r"Got output bounds \[1.0, -1.0\]"),
            (Relational(-1, 1, np.nan, 1), "Got el=nan, expected a number"),
            (Relational(-1, 1, -np.inf, np.inf), "one of them finite"),
            (Relational({"race": -0.5}, {"race": 1}, -1, 1), "dl=-0.5 for one-hot column"),
        ],
    )
    def test_errors_say_what_was_got(self, domain, property_, message):
        with pytest.raises(PropertyError, match=message):
            property_.resolve(domain)

    def test_errors_are_value_errors(self, domain):
        with pytest.raises(ValueError, match="epsilon"):
            Fair("sex", -1).resolve(domain)

    def test_several_classes(self, domain):
        with pytest.raises(PropertyError, match="Got Monotonic with 3 classes"):
            Monotonic({"age": 1}).resolve(domain, n_outputs=3)
        with pytest.raises(PropertyError, match="el = -eu"):
            Relational(-1, 1, -1, 2).resolve(domain, n_outputs=3)
        assert Relational(-1, 1, -1, 1).resolve(domain, n_outputs=3).symmetric
        statement = Fair("sex", 1).resolve(domain, n_outputs=3).statement
        assert statement.endswith("the margins between any two classes differ by at most 1")

    @pytest.mark.parametrize(
        "property_",
        [
            GloballyRobust(0, 1),
            Monotonic({}),
            Relational(0, 0, -1, 1),
            Fair(1, 1),
            GloballyRobust({"age": 0.5}, 1),
        ],
    )
    def test_trivial_relation_warns_once(self, property_):
        domain = InputDomain([18, 0], [21, 0], integer=["age"], feature_names=["age", "constant"])
        with pytest.warns(CertificationWarning, match="relates equal inputs only") as caught:
            relation = property_.resolve(domain)
        assert len(caught) == 1
        assert relation.trivial

    def test_protected_constant_warns(self):
        domain = InputDomain([0, 1], [1, 1], feature_names=["age", "sex"])
        with pytest.warns(CertificationWarning, match="protects sex, which has one value only"):
            Fair("sex", 1, delta=0.1).resolve(domain)

    def test_other_properties_do_not_warn(self, domain):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Fair("race", 1, delta=0.1).resolve(domain)
            Monotonic({"age": 1}).resolve(domain)

    def test_infinite_delta_is_cut_by_the_domain(self, domain):
        robust, fair = GloballyRobust({"age": np.inf}, 1).resolve(domain), Fair("age", 1).resolve(domain)
        np.testing.assert_array_equal(robust.delta_upper, fair.delta_upper)


class TestStatements:
    @pytest.mark.parametrize(
        ("property_", "statement"),
        [
            (
                Fair("sex", 10),
                "for every two inputs that differ only in sex, the outputs differ by at most 10",
            ),
            (
                Fair(["race", "sex"], 0.25, delta=0.1),
                "for every two inputs that differ only in race and sex, and in debt (by at most 0.1), "
                "the outputs differ by at most 0.25",
            ),
            (
                GloballyRobust(1, 2.5),
                "for every two inputs that differ only in age, debt and sex (each by at most 1), "
                "the outputs differ by at most 2.5",
            ),
            (
                Monotonic({"age": 1, "debt": -1, "sex": -1}),
                "for every two inputs, if age stays or increases, debt and sex stay or decrease and all "
                "other features are equal, the output does not decrease",
            ),
            (
                Monotonic({1: 1}, tolerance=0.5),
                "for every two inputs, if debt stays or increases and all other features are equal, "
                "the output decreases by at most 0.5",
            ),
            (
                Relational({"race": -1, "age": 1}, {"race": 1, "age": 1}, -np.inf, 2),
                "for every two inputs whose difference (first minus second) is anything for race, 1 for "
                "age and 0 for all other features, the difference of the outputs is at most 2",
            ),
        ],
    )
    def test_can_be_quoted(self, domain, property_, statement):
        assert property_.resolve(domain).statement == statement

    def test_long_lists_are_abbreviated(self):
        domain = InputDomain(np.zeros(784), np.ones(784))
        statement = GloballyRobust(0.1, 1).resolve(domain).statement
        assert "differ only in x0, x1, ..., x783 (784 of them, each by at most 0.1)" in statement


@pytest.mark.parametrize(
    "property_",
    [
        Monotonic({"age": 1}, tolerance=0.5),
        Fair(["sex"], 1, delta={"age": 1}),
        GloballyRobust([0.1, 0.2], 1),
        Relational(-1, 1, -1, 1),
    ],
)
def test_properties_are_sklearn_objects(property_):
    copied = clone(property_)
    assert repr(copied) == repr(property_)
    assert repr(pickle.loads(pickle.dumps(property_))) == repr(property_)
    params = property_.get_params()
    assert all(getattr(property_, name) is value for name, value in params.items())
    name = next(iter(params))
    assert getattr(copied.set_params(**{name: "changed"}), name) == "changed"


class TestMargins:
    @given(st.floats(0, 30), st.floats(-20, 20))
    def test_two_classes(self, epsilon, logit):
        change = 1 / (1 + math.exp(-(logit + epsilon))) - 1 / (1 + math.exp(-logit))
        assert change <= margin_to_probability(epsilon) + 1e-15

    @given(st.floats(0, 20))
    def test_is_attained_around_zero(self, epsilon):
        change = 1 / (1 + math.exp(-epsilon / 2)) - 1 / (1 + math.exp(epsilon / 2))
        assert change == pytest.approx(margin_to_probability(epsilon))

    def test_several_classes(self):
        rng = np.random.default_rng(0)
        first, change = rng.normal(size=(2, 20000, 4)) * 2
        second = first + change
        softmax = [np.exp(f) / np.exp(f).sum(axis=1, keepdims=True) for f in (first, second)]
        epsilon = np.ptp(change, axis=1)  # the largest change of a margin
        assert (abs(softmax[0] - softmax[1]).max(axis=1) <= margin_to_probability(epsilon) + 1e-15).all()

    @given(st.floats(0, 0.999))
    def test_round_trip(self, dp):
        assert margin_to_probability(probability_to_margin(dp)) == pytest.approx(dp)

    @pytest.mark.parametrize("wrong", [-0.1, 1, np.nan])
    def test_refuses_what_is_no_difference_of_probabilities(self, wrong):
        with pytest.raises(PropertyError, match=r"differences in \[0, 1\)"):
            probability_to_margin(wrong)
        with pytest.raises(PropertyError, match=">= 0"):
            margin_to_probability(-abs(wrong))


class TestPremises:
    def test_a_property_without_epsilon_has_a_premise_and_no_relation(self, domain):
        near = GloballyRobust({"age": 2}, None)
        premise, relation = near.premise(domain), GloballyRobust({"age": 2}, 1).resolve(domain)
        assert type(premise) is Premise
        assert premise.statement == "two inputs that differ only in age (by at most 2)"
        np.testing.assert_array_equal(premise.delta_upper, relation.delta_upper)
        np.testing.assert_array_equal(premise.equal, relation.equal)
        assert premise.reversible
        assert premise.covers_all_inputs
        with pytest.raises(PropertyError, match="no claim about all inputs"):
            near.resolve(domain)

    def test_of_any_other_property_it_is_the_relation(self, domain):
        for property_ in (Fair("sex", 1), Monotonic({"age": 1}), Relational(-1, 2, -1, 1)):
            assert property_.premise(domain) == property_.resolve(domain)
        assert not Monotonic({"age": 1}).premise(domain).reversible

    def test_no_verifier_takes_it(self, domain):
        """There is nothing to prove of it, so nothing can come out as HOLDS."""
        premise = GloballyRobust({"age": 2}, None).premise(domain)
        assert not hasattr(premise, "epsilon_upper")
        snapshot = random_snapshot(0, domain.n_features, domain=domain)
        with pytest.raises((AttributeError, TypeError)):
            DifferenceBounds().verify(snapshot, premise)

    def test_it_is_not_a_relation_over_the_same_pairs(self, domain):
        premise, relation = (GloballyRobust({"age": 2}, epsilon).premise(domain) for epsilon in (None, 1.0))
        assert premise != relation
        assert relation != premise
        assert premise == GloballyRobust({"age": 2}, None).premise(domain)
        assert pickle.loads(pickle.dumps(premise)) == premise
        assert not pickle.loads(pickle.dumps(premise)).delta_lower.flags.writeable

    def test_of_a_set_they_are_named(self, domain):
        both = GloballyRobust({"age": 2}, None) & GloballyRobust({"age": 1}, 3) & Fair("sex", 1)
        names = [premise.name for premise in resolve_premises(both, domain)]
        assert names == ["globallyrobust-1", "globallyrobust-2", "fair"]
        (alone,) = resolve_premises(GloballyRobust({"age": 2}, None), domain)
        assert alone.name == "globallyrobust"
        with pytest.raises(TypeError, match="expected a property"):
            resolve_premises(0.1, domain)

    def test_one_column_of_a_group_cannot_be_named(self, domain):
        with pytest.raises(PropertyError, match="Name the group"):
            GloballyRobust({"cat__race_a": 1}, None).premise(domain)
