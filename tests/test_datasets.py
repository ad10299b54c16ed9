"""Data sets: rows, columns and splits as documented; where files are looked for; what a missing one says."""

from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from smile_sklearn import datasets
from smile_sklearn.datasets import _loading, _mnist, _specs, _tabular

FETCHERS = [
    datasets.fetch_compas,
    datasets.fetch_law,
    datasets.fetch_law_admission,
    datasets.fetch_crime,
    datasets.fetch_adult,
    datasets.fetch_auto_mpg,
    datasets.fetch_mnist,
]
TWO_RACES = ("African-American", "Caucasian")

# fetcher, options, rows, features
DOCUMENTED_SHAPES = [
    (datasets.fetch_compas, {}, 6172, 8),
    (datasets.fetch_compas, {"races": TWO_RACES}, 5278, 8),
    (datasets.fetch_law, {}, 20798, 11),
    (datasets.fetch_law_admission, {}, 55819, 7),
    (datasets.fetch_crime, {}, 1994, 96),
    (datasets.fetch_crime, {"drop_race_proxies": False}, 1994, 100),
    (datasets.fetch_adult, {}, 45222, 13),
    (datasets.fetch_auto_mpg, {}, 392, 7),
]


@pytest.fixture
def no_network(monkeypatch):
    """Make every download fail, as on a machine without network."""

    def refuse(**_):
        raise URLError("no network")

    monkeypatch.setattr(_loading, "fetch_openml", refuse)


# --- the documented data, where it is at hand ---------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize(("fetch", "options", "n_rows", "n_features"), DOCUMENTED_SHAPES)
def test_rows_and_features_are_as_documented(require_data, fetch, options, n_rows, n_features):
    bunch = require_data(fetch, **options)
    assert bunch.data.shape == (n_rows, n_features)
    assert bunch.target.shape == (n_rows,)
    assert list(bunch.frame.columns) == [*bunch.feature_names, *bunch.target_names]
    assert list(bunch.frame.index) == list(range(n_rows))
    assert not bunch.frame.isna().any(axis=None)


@pytest.mark.data
@pytest.mark.parametrize(("fetch", "options", "n_rows", "n_features"), DOCUMENTED_SHAPES)
def test_column_roles_are_consistent(require_data, fetch, options, n_rows, n_features):
    bunch = require_data(fetch, **options)
    features = set(bunch.feature_names)
    text = set(bunch.data.select_dtypes(exclude="number").columns)
    assert features.isdisjoint(bunch.target_names)
    assert set(bunch.protected) <= set(bunch.categorical_features) <= features
    assert text <= set(bunch.categorical_features)  # what is left is numeric
    assert set(bunch.monotonic_cst) <= features - set(bunch.categorical_features)


@pytest.mark.data
@pytest.mark.parametrize(
    ("fetch", "spec"),
    [
        (datasets.fetch_compas, _specs.COMPAS),
        (datasets.fetch_law, _specs.LAW),
        (datasets.fetch_law_admission, _specs.LAW_ADMISSION),
        (datasets.fetch_crime, _specs.CRIME),
        (datasets.fetch_adult, _specs.ADULT),
    ],
)
def test_no_excluded_column_is_a_feature_and_the_protected_ones_are(require_data, fetch, spec):
    bunch = require_data(fetch)
    assert set(bunch.feature_names).isdisjoint(spec.not_features)
    assert bunch.protected == list(spec.protected)
    for column in (*spec.not_features, spec.licence, spec.citation):
        assert column in bunch.DESCR


@pytest.mark.data
def test_compas_features_and_races(require_data):
    bunch = require_data(datasets.fetch_compas, races=TWO_RACES)
    assert set(bunch.feature_names) == {
        *("sex", "age", "race", "priors_count", "c_charge_degree"),
        *("juv_fel_count", "juv_misd_count", "juv_other_count"),
    }
    assert set(bunch.data["race"]) == set(TWO_RACES)


@pytest.mark.data
def test_compas_names_the_races_it_knows(require_data):
    with pytest.raises(ValueError, match=r"Got races=.*expected a sequence of some of .*Caucasian"):
        require_data(datasets.fetch_compas, races=("Klingon",))
    with pytest.raises(ValueError, match="expected a sequence"):
        require_data(datasets.fetch_compas, races="Caucasian")


@pytest.mark.data
def test_law_admission_race_is_binary_unless_told(require_data):
    assert set(require_data(datasets.fetch_law_admission).data["race"]) == {"White", "Non-White"}
    races = set(require_data(datasets.fetch_law_admission, binary_race=False).data["race"])
    assert races == {"White", "Asian", "Black", "Hispanic"}


@pytest.mark.data
def test_crime_drops_race_shares_unless_told(require_data):
    assert set(_tabular.RACE_SHARES).isdisjoint(require_data(datasets.fetch_crime).feature_names)
    kept = require_data(datasets.fetch_crime, drop_race_proxies=False)
    assert set(_tabular.RACE_SHARES) <= set(kept.feature_names)
    black = kept.data["racepctblack"] >= _tabular.BLACK_COMMUNITY_THRESHOLD
    assert ((kept.data["race"] == "Black") == black).all()


@pytest.mark.data
@pytest.mark.parametrize(
    ("fetch", "n_train", "n_test"), [(datasets.fetch_adult, 30162, 15060), (datasets.fetch_auto_mpg, 314, 78)]
)
def test_official_splits(require_data, fetch, n_train, n_test):
    split = require_data(fetch).split
    assert ((split == "train").sum(), (split == "test").sum()) == (n_train, n_test)


@pytest.mark.data
def test_classification_targets_are_zero_and_one(require_data):
    for fetch in FETCHERS[:3] + [datasets.fetch_adult]:
        assert set(require_data(fetch).target) == {0, 1}


@pytest.mark.data
def test_return_X_y(require_data):
    X, y = require_data(datasets.fetch_auto_mpg, return_X_y=True)
    assert X.shape == (392, 7)
    assert y.name == "mpg"


@pytest.mark.data
def test_mnist_is_flat_scaled_and_in_official_order(require_data):
    bunch = require_data(datasets.fetch_mnist, dtype=np.float32)
    assert bunch.data_train.shape == (60_000, 784)
    assert bunch.data_test.shape == (10_000, 784)
    assert bunch.data.dtype == np.float32
    assert (bunch.data.min(), bunch.data.max()) == (0, 1)
    assert np.shares_memory(bunch.data, bunch.data_test)
    assert (bunch.target_test[:1000] == 0).sum() == 85
    assert (bunch.split == "test").sum() == 10_000


# --- where files are looked for -----------------------------------------------------------------


def test_data_home_is_argument_then_variable_then_scikit_learn(monkeypatch, tmp_path):
    monkeypatch.setenv("SMILE_DATA", str(tmp_path / "variable"))
    assert _loading.find_data_home(tmp_path) == tmp_path
    assert _loading.find_data_home() == tmp_path / "variable"
    monkeypatch.setenv("SMILE_DATA", "")
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "sklearn"))
    assert _loading.find_data_home() == tmp_path / "sklearn"


@pytest.mark.parametrize("fetch", FETCHERS)
@pytest.mark.usefixtures("no_network")
def test_a_missing_file_is_named_with_its_folder_and_the_way_out(fetch, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        fetch(data_home=tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "csv.gz" in message or "npz" in message
    assert "SMILE_DATA" in message


def test_download_if_missing_false_does_not_download(monkeypatch, tmp_path):
    monkeypatch.setattr(_loading, "fetch_openml", lambda **_: pytest.fail("tried to download"))
    for fetch in (datasets.fetch_crime, datasets.fetch_adult, datasets.fetch_mnist):
        with pytest.raises(datasets.DatasetNotFoundError, match="download_if_missing=False"):
            fetch(data_home=tmp_path, download_if_missing=False)


def test_without_pandas_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match=r"smile-sklearn\[data\]"):
        _loading.import_pandas()


# --- OpenML copies, imitated: another version of the data must not pass for the known one ---------


@pytest.mark.parametrize("fetch", [datasets.fetch_crime, datasets.fetch_adult])
def test_an_unexpected_openml_table_is_refused(monkeypatch, tmp_path, fetch):
    pandas = pytest.importorskip("pandas")
    other = pandas.DataFrame({"fnlwgt": [1, 2], "racepctblack": [0.0, 1.0]})
    monkeypatch.setattr(_loading, "fetch_openml", lambda **_: SimpleNamespace(frame=other))
    with pytest.raises(datasets.DatasetNotFoundError, match="not the expected copy"):
        fetch(data_home=tmp_path)


def test_unexpected_openml_pixels_are_refused(monkeypatch, tmp_path):
    copy = SimpleNamespace(data=np.zeros((3, 784)), target=np.array(["0", "1", "2"]))
    monkeypatch.setattr(_loading, "fetch_openml", lambda **_: copy)
    with pytest.raises(datasets.DatasetNotFoundError, match="not the expected copy"):
        datasets.fetch_mnist(data_home=tmp_path)


def test_openml_mnist_is_scaled_and_labelled_with_integers(monkeypatch, tmp_path):
    monkeypatch.setattr(_mnist, "N_TRAIN", 3)
    monkeypatch.setattr(_mnist, "N_TEST", 1)
    copy = SimpleNamespace(data=np.full((4, 784), 51.0), target=np.array(list("0123"), dtype=object))
    monkeypatch.setattr(_loading, "fetch_openml", lambda **_: copy)
    bunch = datasets.fetch_mnist(data_home=tmp_path)
    assert (bunch.data == 0.2).all()
    assert bunch.target.tolist() == [0, 1, 2, 3]
    assert bunch.split.tolist() == ["train", "train", "train", "test"]


@pytest.mark.data
def test_openml_adult_gives_the_same_bunch_as_the_file(require_data, monkeypatch, tmp_path):
    pandas = pytest.importorskip("pandas")
    expected = require_data(datasets.fetch_adult)
    raw, _ = _loading.read_tables(_loading.find_files(_specs.ADULT))
    train_first = raw["split"] == "train"
    copy = pandas.concat([raw[~train_first], raw[train_first]], ignore_index=True).drop(columns="split")
    copy = copy.rename(columns=lambda name: "class" if name == "income" else name.replace("_", "-"))
    copy = copy.astype({"workclass": "category", "class": "category", "age": float})
    monkeypatch.setattr(_loading, "fetch_openml", lambda **_: SimpleNamespace(frame=copy))
    bunch = datasets.fetch_adult(data_home=tmp_path)
    pandas.testing.assert_frame_equal(bunch.frame, expected.frame, check_dtype=False)
    assert (bunch.split == expected.split).all()


@pytest.mark.data
def test_openml_crime_gives_the_same_bunch_as_the_file(require_data, monkeypatch, tmp_path):
    pandas = pytest.importorskip("pandas")
    expected = require_data(datasets.fetch_crime)
    raw, _ = _loading.read_tables(_loading.find_files(_specs.CRIME))
    copy = SimpleNamespace(frame=raw.drop(columns="race").copy())
    monkeypatch.setattr(_loading, "fetch_openml", lambda **_: copy)
    bunch = datasets.fetch_crime(data_home=tmp_path)
    pandas.testing.assert_frame_equal(bunch.frame, expected.frame, check_dtype=False)


# --- make_sine ------------------------------------------------------------------------------------


def test_make_sine_is_the_stated_function():
    X, y = datasets.make_sine(alpha=3, omega=0.4, n_samples=50, random_state=0)
    assert X.shape == (50, 1)
    np.testing.assert_array_equal(y, X[:, 0] + 3 * np.sin(0.4 * X[:, 0]))
    assert -10 <= X.min() < X.max() <= 10


def test_make_sine_repeats_with_the_same_seed_and_adds_noise_when_told():
    X, y = datasets.make_sine(n_samples=2000, noise=0.5, random_state=3)
    X_again, y_again = datasets.make_sine(n_samples=2000, noise=0.5, random_state=3)
    np.testing.assert_array_equal(X, X_again)
    np.testing.assert_array_equal(y, y_again)
    _, y_clean = datasets.make_sine(n_samples=2000, random_state=3)
    assert np.std(y - y_clean) == pytest.approx(0.5, rel=0.1)


def test_make_sine_tasks_get_harder_for_a_monotone_model_with_alpha():
    def best_monotone_r2(alpha, omega):
        X, y = datasets.make_sine(alpha, omega, n_samples=3000, random_state=0)
        return IsotonicRegression().fit(X, y).score(X, y)

    r2 = np.array([[best_monotone_r2(alpha, omega) for omega in (0.4, 0.6, 0.8)] for alpha in (2, 3, 4)])
    assert (np.diff(r2, axis=0) < 1e-9).all()


@pytest.mark.parametrize("interval", [(1.0, 1.0), (2.0, 1.0), (0.0, np.inf)])
def test_make_sine_rejects_an_empty_or_infinite_interval(interval):
    with pytest.raises(ValueError, match="Got interval="):
        datasets.make_sine(interval=interval)


def test_make_sine_rejects_negative_noise():
    with pytest.raises(ValueError, match="Got noise=-1"):
        datasets.make_sine(noise=-1)
