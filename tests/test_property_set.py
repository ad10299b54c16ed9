"""PropertySet: names as make_pipeline makes them, parameters as scikit-learn reaches them."""

import pickle

import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV, ParameterGrid

from smile_sklearn.exceptions import PropertyError
from smile_sklearn.properties import (
    Fair,
    GloballyRobust,
    InputDomain,
    Monotonic,
    PropertySet,
    Relational,
    resolve_properties,
)


@pytest.fixture
def domain():
    return InputDomain([18, 0], [90, 1], integer=["age", "sex"], feature_names=["age", "sex"])


@pytest.fixture
def repeated():
    return Fair("sex", 1) & Monotonic({"age": 1}) & Fair("age", 2)


class Model(BaseEstimator):
    """The least that a grid search needs."""

    def __init__(self, properties=None):
        self.properties = properties

    def fit(self, X, y):
        return self

    def score(self, X, y):
        return -self.properties["fair"].epsilon


class TestNames:
    def test_are_short_names(self):
        properties = Monotonic({}) & Fair(0, 1) & GloballyRobust(1, 1) & Relational(0, 0, 0, 0)
        assert properties.names == ("monotonic", "fair", "globallyrobust", "relational")

    def test_repeats_are_numbered(self, repeated):
        assert repeated.names == ("fair-1", "monotonic", "fair-2")

    def test_iteration_gives_names_and_properties(self, repeated):
        assert [(name, type(member)) for name, member in repeated] == [
            ("fair-1", Fair),
            ("monotonic", Monotonic),
            ("fair-2", Fair),
        ]
        assert len(repeated) == 3
        assert repeated["fair-2"].epsilon == 2


class TestAnd:
    def test_is_flat(self):
        a, b, c, d = Fair(0, 1), Fair(1, 2), Fair(2, 3), Fair(3, 4)
        for combined in ((a & b) & (c & d), a & (b & (c & d)), ((a & b) & c) & d):
            assert isinstance(combined, PropertySet)
            assert combined.properties == (a, b, c, d)

    @pytest.mark.parametrize("other", [[Fair(0, 1)], (Fair(0, 1),), None, "fair"])
    def test_lists_raise_and_suggest_and(self, other):
        for property_ in (Fair(0, 1), Fair(0, 1) & Fair(1, 1)):
            with pytest.raises(TypeError, match="Combine properties with &"):
                property_ & other
            with pytest.raises(TypeError, match="Combine properties with &"):
                other & property_


class TestParameters:
    def test_get_params(self, repeated):
        params = repeated.get_params()
        assert params["properties"] is repeated.properties
        assert params["fair-2"] is repeated.properties[2]
        assert params["fair-1__epsilon"] == 1
        assert params["fair-2__epsilon"] == 2
        assert params["monotonic__tolerance"] == 0
        assert list(repeated.get_params(deep=False)) == ["properties"]

    def test_set_params(self, repeated):
        assert repeated.set_params(**{"fair-2__epsilon": 7, "monotonic__tolerance": 0.5}) is repeated
        assert repeated["fair-2"].epsilon == 7
        assert repeated["fair-1"].epsilon == 1
        assert repeated["monotonic"].tolerance == 0.5

    def test_set_params_replaces_a_property_then_its_parameters(self, repeated):
        repeated.set_params(**{"fair-2": Fair("sex", 3), "fair-2__delta": 4})
        assert (repeated["fair-2"].protected, repeated["fair-2"].delta) == ("sex", 4)
        repeated.set_params(properties=(Fair("age", 1),), fair__epsilon=9)
        assert repeated.names == ("fair",)
        assert repeated["fair"].epsilon == 9

    def test_unknown_parameter_raises(self, repeated):
        with pytest.raises(ValueError, match="Invalid parameter 'fair'"):
            repeated.set_params(fair__epsilon=1)

    def test_clone_is_deep(self, repeated):
        copied = clone(repeated)
        assert repr(copied) == repr(repeated)
        copied.set_params(**{"fair-1__epsilon": 100})
        assert repeated["fair-1"].epsilon == 1

    def test_pickle(self, repeated):
        copied = pickle.loads(pickle.dumps(repeated))
        assert repr(copied) == repr(repeated)
        assert copied.names == repeated.names

    def test_inside_an_estimator(self, repeated):
        model = Model(repeated)
        assert model.get_params()["properties__fair-1__epsilon"] == 1
        model.set_params(**{"properties__fair-1__epsilon": 6})
        assert clone(model).properties["fair-1"].epsilon == 6
        single = Model(Fair("sex", 1)).set_params(properties__epsilon=3)
        assert single.properties.epsilon == 3

    def test_grid_search(self):
        properties = Fair("sex", 1) & Monotonic({"age": 1})
        grid = {"properties__fair__epsilon": [3, 1, 2], "properties__monotonic__tolerance": [0, 0.1]}
        search = GridSearchCV(Model(properties), grid, cv=2).fit([[0]] * 4, [0, 1, 0, 1])
        assert search.best_params_["properties__fair__epsilon"] == 1
        assert len(search.cv_results_["params"]) == len(ParameterGrid(grid))
        assert properties["fair"].epsilon == 1


class TestResolve:
    def test_relations_carry_the_names_of_the_set(self, domain, repeated):
        relations = resolve_properties(repeated, domain)
        assert [relation.name for relation in relations] == ["fair-1", "monotonic", "fair-2"]
        assert [relation.epsilon_upper for relation in relations] == [1, 0, 2]

    def test_one_property_gives_one_relation(self, domain):
        (relation,) = resolve_properties(Fair("sex", 1), domain)
        assert relation.name == "fair"
        assert relation == Fair("sex", 1).resolve(domain)

    def test_feature_names_and_outputs_are_passed_on(self, repeated):
        nameless = InputDomain([18, 0], [90, 1])
        assert len(resolve_properties(repeated, nameless, feature_names=["age", "sex"])) == 3
        with pytest.raises(PropertyError, match="3 classes"):
            resolve_properties(repeated, nameless, feature_names=["age", "sex"], n_outputs=3)

    @pytest.mark.parametrize("wrong", [[Fair("sex", 1)], None, Fair, "fair"])
    def test_anything_else_raises(self, domain, wrong):
        with pytest.raises(TypeError, match="expected a property or a PropertySet"):
            resolve_properties(wrong, domain)

    @pytest.mark.parametrize("members", [[Fair("sex", 1)], (), ("fair",), (Fair("sex", 1) & Fair("age", 1),)])
    def test_malformed_sets_raise(self, domain, members):
        with pytest.raises(TypeError, match="expected a tuple of properties"):
            PropertySet(members).resolve(domain)
