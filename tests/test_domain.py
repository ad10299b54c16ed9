"""InputDomain: which inputs a certificate speaks about, and the unit coordinates of the network."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smile_sklearn.exceptions import DomainError
from smile_sklearn.properties import InputDomain, OneHotGroup

finite = st.floats(-1e150, 1e150) | st.floats(-2, 2) | st.floats(-1e-300, 1e-300)


@pytest.fixture
def domain():
    return InputDomain(
        [0.0, 18, 0, 0, 0],
        [1.0, 90, 1, 1, 1],
        integer=["age"],
        one_hot=["race"],
        feature_names=["score", "age", "race_a", "race_b", "race_c"],
    )


class TestConstruction:
    def test_references_become_sorted_indices(self, domain):
        assert domain.integer == (1,)
        assert domain.one_hot == ((2, 3, 4),)
        assert domain.groups == (OneHotGroup((2, 3, 4), at_most_one=False),)
        assert domain.is_integer.tolist() == [False, True, False, False, False]
        assert domain.in_group.tolist() == [False, False, True, True, True]

    def test_categories_put_the_zero_row_last(self):
        assert OneHotGroup((4, 7), at_most_one=False).categories.tolist() == [[1, 0], [0, 1]]
        assert OneHotGroup((4, 7), at_most_one=True).categories.tolist() == [[1, 0], [0, 1], [0, 0]]

    def test_groups_are_stored_with_bounds_zero_and_one(self):
        domain = InputDomain([0, 0, 0.5], [0, 0.5, 1], one_hot=[[0, 1]])
        assert domain.lower.tolist() == [0, 0, 0.5]
        assert domain.upper.tolist() == [1, 1, 1]

    def test_arrays_are_read_only_copies(self):
        lower = np.zeros(2)
        domain = InputDomain(lower, [1, 1])
        lower[0] = -5
        assert domain.lower[0] == 0
        for copied in (domain, copy.deepcopy(domain), pickle.loads(pickle.dumps(domain))):
            with pytest.raises(ValueError, match="read-only"):
                copied.lower[0] = 1
        with pytest.raises(AttributeError):
            domain.lower = lower

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([0, 2], [1, 1]), r"'x1': \[2.0, 1.0\]; expected finite lower <= upper"),
            (([0, np.nan], [1, 1]), "'x1': .*nan"),
            (([0, 0], [np.inf, 1]), "'x0': .*inf"),
            (([-1.7e308], [1.7e308]), "further apart than a float can hold"),
            (([0, 0], [1]), "2 lower and 1 upper bounds"),
            (([[0]], [[1]]), "one bound per feature"),
            (([0.5], [2], [0]), "integer feature 'x0', expected whole numbers"),
            (([0, 0], [2, 1], (), [[0, 1]]), r"one-hot column 'x0', expected them within \[0, 1\]"),
            (([0, 0], [1, 1], (), [0, 1]), r"single column 0, expected groups. Write one_hot=\[\[...\]\]"),
            (([0, 0], [1, 1], (), [[0]]), "1 column"),
            (([0, 0], [1, 1], [0], [[0, 1]]), "'x0' twice"),
            (([0, 0], [1, 1], (), [[0, 1]], [[1]]), "'x1' twice"),
            (([0, 0], [1, 1], [5]), "feature index 5, expected 0 to 1"),
            (([0, 0], [1, 1], [-1]), "feature index -1"),
            (([0, 0], [1, 1], ["age"]), "features have no names"),
            (([0, 0], [1, 1], [True]), "expected a column index or name"),
            (([0, 0], [1, 1], ["ago"], (), (), ["age", "b"]), "unknown feature 'ago'. Did you mean 'age'"),
            (([0, 0], [1, 1], (), ["rase"], (), ["race_a", "race_b"]), "Did you mean .*'race'"),
            (([0, 0], [1, 1], (), (), (), ["a", "a"]), "repeated feature_names"),
            (([0, 0], [1, 1], (), (), (), ["a"]), "1 feature_names, expected 2"),
            (([0, 0], [1, 1], (), (), (), ["a", 3]), "strings only"),
        ],
    )
    def test_errors_name_the_feature(self, arguments, message):
        with pytest.raises(DomainError, match=message):
            InputDomain(*arguments)

    def test_equal_by_content(self, domain):
        same = InputDomain.from_dict(json.loads(json.dumps(domain.to_dict())))
        assert same == domain
        assert hash(same) == hash(domain)
        assert pickle.loads(pickle.dumps(domain)) == domain
        assert eval(repr(domain)) == domain
        assert domain != InputDomain(domain.lower, domain.upper)
        assert domain != "domain"

    @given(st.lists(finite, min_size=1, max_size=4))
    def test_dict_keeps_every_bit(self, values):
        lower = np.array(values)
        domain = InputDomain(lower, lower + abs(lower))
        assert InputDomain.from_dict(json.loads(json.dumps(domain.to_dict()))) == domain

    def test_str_lists_integers_and_groups(self, domain):
        assert str(domain) == (
            "a box of 5 features; integers: age; one-hot groups: race (exactly one 1 among 3 columns)"
        )


class TestRows:
    @pytest.mark.parametrize(
        ("row", "valid", "inside"),
        [
            ([0.5, 40, 1, 0, 0], True, True),
            ([1.5, 40, 1, 0, 0], True, False),
            ([0.5, 91, 1, 0, 0], True, False),
            ([0.5, 40.5, 1, 0, 0], False, False),
            ([0.5, 40, 0, 0, 0], False, False),
            ([0.5, 40, 1, 1, 0], False, False),
            ([0.5, 40, 0.5, 0.5, 0], False, False),
            ([0.5, 40, 2, -1, 0], False, False),
            ([np.nan, 40, 1, 0, 0], False, False),
            ([0.5, np.inf, 1, 0, 0], False, False),
        ],
    )
    def test_valid_and_inside(self, domain, row, valid, inside):
        assert domain.valid_rows([row]).tolist() == [valid]
        assert domain.contains([row]).tolist() == [inside]

    def test_at_most_one_allows_the_zero_row(self):
        domain = InputDomain([0, 0], [1, 1], one_hot_at_most_one=[[0, 1]])
        assert domain.valid_rows([[0, 0], [1, 0], [0, 1], [1, 1]]).tolist() == [True, True, True, False]

    def test_shape_is_checked(self, domain):
        with pytest.raises(DomainError, match=r"shape \(5,\), expected \(n, 5\)"):
            domain.contains([0.5, 40, 1, 0, 0])

    def test_training_rows_name_feature_and_row(self, domain):
        X = np.array([[0.5, 40, 1, 0, 0], [0.5, 40.5, 1, 0, 0], [0.5, 41, 1, 1, 0]])
        domain.check_training_rows(X[:1])
        with pytest.raises(
            DomainError, match=r"40.5 in row 1 of integer feature 'age'.*row 2 of one-hot group 'race'"
        ):
            domain.check_training_rows(X)


class TestUnit:
    def test_clips_numeric_features_and_leaves_groups_alone(self, domain):
        row = [[2.0, 0, 0.25, 7, 0]]
        assert domain.clip(row).tolist() == [[1, 18, 0.25, 7, 0]]
        assert domain.to_unit(row).tolist() == [[1, 0, 0.25, 7, 0]]

    def test_constant_feature_is_zero(self):
        domain = InputDomain([3, 0], [3, 2])
        assert domain.to_unit([[3, 1], [9, 2]]).tolist() == [[0, 0.5], [0, 1]]
        assert domain.from_unit([[0.7, 0.5]]).tolist() == [[3, 1]]

    def test_negative_zero_is_zero(self):
        domain = InputDomain([-0.0, 0, 0], [1, 1, 1], one_hot=[[1, 2]])
        unit = domain.to_unit([[-0.0, -0.0, 1]])
        assert not np.signbit(unit).any()
        assert not np.signbit(domain.lower).any()

    @given(finite, finite, finite, finite)
    @settings(max_examples=300)
    def test_is_monotone_and_within_the_unit_interval(self, a, b, x, y):
        domain = InputDomain([min(a, b)], [max(a, b)])
        rows = [[min(x, y)], [np.nextafter(min(x, y), np.inf)], [max(x, y)], [max(a, b)], [min(a, b)]]
        first, after, last, top, bottom = domain.to_unit(rows)[:, 0]
        assert 0 == bottom <= first <= 1
        assert first <= after
        assert first <= last <= top <= 1
        assert top == (1 if a != b else 0)

    @given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.floats(0, 1))
    def test_from_unit_stays_in_the_box_and_inverts(self, lower, width, unit):
        domain = InputDomain([lower], [lower + width])
        raw = domain.from_unit([[unit]])
        assert domain.contains(raw).all()
        assert domain.to_unit(raw)[0, 0] == pytest.approx(unit, abs=1e-15 * (abs(lower) / width + 4))


class TestFromData:
    def test_array_has_continuous_columns_only(self):
        domain = InputDomain.from_data([[0, 1.5], [1, 0.5], [0, 2.5]])
        assert domain == InputDomain([0, 0.5], [1, 2.5])

    def test_bool_and_binary_category_columns_are_integers(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(
            {
                "flag": [True, True, True],
                "code": pandas.Categorical([0, 1, 0]),
                "level": pandas.Categorical([0, 2, 1]),
                "zero_one": [0, 1, 1],
            }
        )
        domain = InputDomain.from_data(frame)
        assert domain.integer == (0, 1)
        assert domain.lower.tolist() == [0, 0, 0, 0]
        assert domain.upper.tolist() == [1, 1, 2, 1]
        assert domain.feature_names == ("flag", "code", "level", "zero_one")

    def test_bool_array_is_binary(self):
        assert InputDomain.from_data(np.ones((2, 2), dtype=bool)) == InputDomain([0, 0], [1, 1], [0, 1])

    @pytest.mark.parametrize("prefix", ["race", "cat__race"])
    @pytest.mark.parametrize("dtype", [bool, float])
    def test_finds_one_hot_groups_by_prefix(self, prefix, dtype):
        pandas = pytest.importorskip("pandas")
        race = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]], dtype=dtype)
        names = [f"{prefix}_African_a", f"{prefix}_African_b", f"{prefix}_White"]
        frame = pandas.DataFrame(race, columns=names)
        frame.insert(0, "num__age", [20.0, 30, 40])
        domain = InputDomain.from_data(frame)
        assert domain.one_hot == ((1, 2, 3),)
        assert domain.integer == ()
        assert str(domain).endswith("one-hot groups: race (exactly one 1 among 3 columns)")

    @pytest.mark.parametrize(
        ("columns", "names"),
        [
            ([[1, 0], [0, 1], [1, 1]], ["race_a", "race_b"]),  # a row sums to 2
            ([[1, 0], [0, 1], [0.5, 0.5]], ["race_a", "race_b"]),  # not in {0, 1}
            ([[1, 0], [0, 1], [1, 0]], ["race_a", "sex_b"]),  # two prefixes
            ([[1, 0], [0, 1], [1, 0]], ["racea", "raceb"]),  # no separator
            ([[1, 5, 0], [0, 6, 1], [1, 7, 0]], ["race_a", "age", "race_b"]),  # not contiguous
            ([[7, 1, 0], [8, 0, 1], [9, 0, 1]], ["x_a", "x_b", "x_c"]),  # only a part of the run
            ([[1], [1], [1]], ["race_a"]),  # one column
        ],
    )
    def test_everything_else_stays_continuous(self, columns, names):
        domain = InputDomain.from_data(columns, feature_names=names)
        assert domain.groups == ()
        assert domain.integer == ()

    def test_finds_neighbouring_groups(self):
        X = [[1, 0, 0, 1], [0, 1, 1, 0]]
        domain = InputDomain.from_data(X, feature_names=["u_a_1", "u_a_2", "u_b_1", "u_b_2"])
        assert domain.one_hot == ((0, 1), (2, 3))

    def test_declarations_win(self):
        names = ["race_a", "race_b", "age"]
        X = [[1, 0, 3], [0, 1, 7]]
        told = InputDomain.from_data(X, names, integer=["age"], one_hot_at_most_one=["race"])
        assert told.integer == (2,)
        assert told.one_hot == ()
        assert told.one_hot_at_most_one == ((0, 1),)
        assert InputDomain.from_data(X, names, integer=["race_a"]).groups == ()

    def test_rows_that_break_a_declaration_are_named(self):
        with pytest.raises(DomainError, match=r"row 1 of one-hot group 'x0 and x1'"):
            InputDomain.from_data([[1, 0], [1, 1]], one_hot=[[0, 1]])
        with pytest.raises(DomainError, match=r"0\.5 in row 0 of integer feature 'x0'"):
            InputDomain.from_data([[0.5], [1]], integer=[0])

    def test_training_rows_are_inside(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(50, 3)) * [1e-9, 1, 1e12]
        assert InputDomain.from_data(X).contains(X).all()

    @pytest.mark.parametrize(
        ("X", "message"),
        [
            ([["a"], ["b"]], "not numbers"),
            ([[np.nan], [1]], "NaN or inf in 'x0'"),
            ([1, 2], "2 dimensions"),
            (np.empty((0, 2)), "no rows"),
        ],
    )
    def test_refuses_what_is_no_table(self, X, message):
        with pytest.raises(DomainError, match=message):
            InputDomain.from_data(X)

    def test_string_categories_are_refused_by_name(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"sex": pandas.Categorical(["m", "f"])})
        with pytest.raises(DomainError, match=r"'sex'.*OneHotEncoder"):
            InputDomain.from_data(frame)


def test_no_warnings_on_wide_domains():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        InputDomain([-1e308], [5e307]).to_unit([[1e308]])
