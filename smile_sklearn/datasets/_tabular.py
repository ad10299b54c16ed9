"""The tabular data sets: preprocessing as in the paper, leaking columns left out."""

import numpy as np

from smile_sklearn.datasets import _specs as specs
from smile_sklearn.datasets._loading import (
    check_openml_copy,
    fetch_from_openml,
    find_files,
    make_bunch,
    read_tables,
)

# The municipal race shares of the crime data, of which its binary `race` is a function.
RACE_SHARES = ("racepctblack", "racePctWhite", "racePctAsian", "racePctHisp")

# Le Quy et al. 2022: a community counts as Black from this value of racepctblack (normalised scale) on.
BLACK_COMMUNITY_THRESHOLD = 0.06


def _read_or_raise(spec, data_home):
    """Return the raw table of a data set that only a file can provide."""
    paths = find_files(spec, data_home)
    if paths is None:
        fetch_from_openml(spec, data_home)  # says what is missing, where, and what to do
    return read_tables(paths)


def fetch_compas(*, races=None, data_home=None, return_X_y=False):
    """Load the COMPAS two-year recidivism data (classification).

    ProPublica's filter is applied; the features are sex, age, race, the three juvenile counts, priors_count
    and c_charge_degree. Scores of the audited tool and columns that contain the target are left out.

    Parameters
    ----------
    races : sequence of str or None, default=None
        Keep the rows of these races only; None keeps all six (6172 rows).
        ``("African-American", "Caucasian")``, as CertiFair does, gives 5278.
    data_home : path-like or None, default=None
        Folder with ``compas.csv.gz``; None: the environment variable ``SMILE_DATA``,
        else scikit-learn's data home.
    return_X_y : bool, default=False
        Return ``(data, target)``.

    Returns
    -------
    bunch : Bunch or tuple of (DataFrame, Series)
        - frame : DataFrame of shape (n_samples, n_features + 1), data and target
        - data : DataFrame of shape (n_samples, n_features), raw values (not scaled, not one-hot encoded)
        - target : Series of shape (n_samples,), 0 or 1
        - feature_names, target_names : list of str
        - protected : list of str, names of the protected features
        - categorical_features : list of str, names of the features to encode one-hot
        - monotonic_cst : dict of str to {-1, 1}, directions imposed by published work, for ``Monotonic``
        - split : ndarray of shape (n_samples,) with "train" and "test", or None without an official split
        - DESCR : str, with source, licence and citation

    Raises
    ------
    DatasetNotFoundError
        If the file is not there; no OpenML copy has the columns that the filter needs.
    ValueError
        If a race does not occur.
    """
    table, _ = _read_or_raise(specs.COMPAS, data_home)
    table = table[
        table["days_b_screening_arrest"].between(-30, 30)  # False where missing
        & (table["is_recid"] != -1)
        & table["c_charge_degree"].isin(["F", "M"])
        & table["score_text"].notna()
    ]
    if races is not None:
        table = table[table["race"].isin(_check_races(races, table["race"].unique()))]
    return make_bunch(specs.COMPAS, _without_excluded(specs.COMPAS, table), return_X_y=return_X_y)


def _check_races(races, known):
    unknown = sorted({races} if isinstance(races, str) else set(races) - set(known))
    if unknown:
        raise ValueError(f"Got races={races!r}, but expected a sequence of some of {sorted(known)}.")
    return list(races)


def fetch_law(*, data_home=None, return_X_y=False):
    """Load the LSAC bar passage data (classification, 20798 rows, 11 features).

    Parameters
    ----------
    data_home : path-like or None, default=None
        Folder with ``law.csv.gz``; None: the environment variable ``SMILE_DATA``,
        else scikit-learn's data home.
    return_X_y : bool, default=False
        Return ``(data, target)``.

    Returns
    -------
    bunch : Bunch or tuple of (DataFrame, Series)
        As for :func:`fetch_compas`.

    Raises
    ------
    DatasetNotFoundError
        If the file is not there; OpenML has no copy with these columns.
    """
    table, _ = _read_or_raise(specs.LAW, data_home)
    return make_bunch(specs.LAW, table, return_X_y=return_X_y)


def fetch_law_admission(*, binary_race=True, data_home=None, return_X_y=False):
    """Load the SEAPHE law school admissions (classification, 55819 rows, 7 features).

    ``enroll`` gives the target away and is dropped, then the rows with missing values are.

    Parameters
    ----------
    binary_race : bool, default=True
        Merge Asian, Black and Hispanic into Non-White, as CertiFair does.
    data_home : path-like or None, default=None
        Folder with ``law_admission.csv.gz``; None: the environment variable ``SMILE_DATA``,
        else scikit-learn's data home.
    return_X_y : bool, default=False
        Return ``(data, target)``.

    Returns
    -------
    bunch : Bunch or tuple of (DataFrame, Series)
        As for :func:`fetch_compas`.

    Raises
    ------
    DatasetNotFoundError
        If the file is not there; OpenML has no copy with these columns.
    """
    table, _ = _read_or_raise(specs.LAW_ADMISSION, data_home)
    frame = _without_excluded(specs.LAW_ADMISSION, table)
    # They were read as floats only because values were missing.
    whole_numbers = ["lsat", "gender", "resident", "year", "admit"]
    whole_numbers = [name for name in whole_numbers if (frame[name] % 1 == 0).all()]
    frame = frame.astype(dict.fromkeys(whole_numbers, np.int64))
    if binary_race:
        frame["race"] = frame["race"].where(frame["race"] == "White", "Non-White")
    return make_bunch(specs.LAW_ADMISSION, frame, return_X_y=return_X_y)


def fetch_crime(*, drop_race_proxies=True, data_home=None, download_if_missing=True, return_X_y=False):
    """Load Communities and Crime (regression, 1994 rows, target in [0, 1]).

    Parameters
    ----------
    drop_race_proxies : bool, default=True
        Drop the four ``racepct*`` columns (95 numeric features and race are left, else 99 and race). ``race``
        is a function of ``racepctblack``: with it among the features, fairness in ``race`` says little.
    data_home : path-like or None, default=None
        Folder with ``crime.csv.gz``; None: the environment variable ``SMILE_DATA``,
        else scikit-learn's data home.
    download_if_missing : bool, default=True
        If the file is missing, download OpenML's ``us_crime`` and check its columns.
    return_X_y : bool, default=False
        Return ``(data, target)``.

    Returns
    -------
    bunch : Bunch or tuple of (DataFrame, Series)
        As for :func:`fetch_compas`.

    Raises
    ------
    DatasetNotFoundError
        If the data set can neither be found nor downloaded.
    """
    paths = find_files(specs.CRIME, data_home)
    if paths is None:
        table = _crime_from_openml(data_home, download_if_missing)
    else:
        table, _ = read_tables(paths)
    table = table.drop(columns=list(specs.CRIME.not_features)).dropna(axis=1)
    if drop_race_proxies:
        table = table.drop(columns=list(RACE_SHARES))
    return make_bunch(specs.CRIME, table, return_X_y=return_X_y)


def _crime_from_openml(data_home, download_if_missing):
    table = fetch_from_openml(specs.CRIME, data_home, download_if_missing=download_if_missing).frame
    expected = {*specs.CRIME.not_features, *RACE_SHARES, specs.CRIME.target}
    check_openml_copy(
        specs.CRIME,
        table.shape == (1994, 128) and expected <= set(table.columns),
        f"1994 rows and UCI's 128 column names, got shape {table.shape}",
    )
    black = table["racepctblack"].astype(float) >= BLACK_COMMUNITY_THRESHOLD
    return table.assign(race=np.where(black, "Black", "Other"))[["race", *table.columns]]


def fetch_adult(*, data_home=None, download_if_missing=True, return_X_y=False):
    """Load Adult (classification, 45222 rows without missing values, 13 features, official split).

    Parameters
    ----------
    data_home : path-like or None, default=None
        Folder with ``adult.csv.gz``; None: the environment variable ``SMILE_DATA``,
        else scikit-learn's data home.
    download_if_missing : bool, default=True
        If the file is missing, download OpenML's ``adult`` and check that its rows are in the known order,
        since the official split is known from the order only.
    return_X_y : bool, default=False
        Return ``(data, target)``.

    Returns
    -------
    bunch : Bunch or tuple of (DataFrame, Series)
        As for :func:`fetch_compas`; the target is 1 for more than 50K.

    Raises
    ------
    DatasetNotFoundError
        If the data set can neither be found nor downloaded.
    """
    paths = find_files(specs.ADULT, data_home)
    if paths is None:
        table = _adult_from_openml(data_home, download_if_missing)
    else:
        table, _ = read_tables(paths)
    frame = _without_excluded(specs.ADULT, table)
    frame["income"] = (frame["income"] == ">50K").astype(np.int64)
    split = frame.pop("split").to_numpy(dtype=str)
    return make_bunch(specs.ADULT, frame, split=split, return_X_y=return_X_y)


def _adult_from_openml(data_home, download_if_missing):
    table = fetch_from_openml(specs.ADULT, data_home, download_if_missing=download_if_missing).frame
    table = table.rename(columns=lambda name: "income" if name == "class" else name.replace("-", "_"))
    # OpenML stores the test file first; fnlwgt tells the first row of either file.
    n_test, n_train = 16281, 32561
    check_openml_copy(
        specs.ADULT,
        len(table) == n_test + n_train
        and {*specs.ADULT.categorical, "fnlwgt", "income"} <= set(table.columns)
        and tuple(table["fnlwgt"].iloc[[0, n_test]]) == (226802, 77516),
        "the 16281 test rows followed by the 32561 training rows",
    )
    text = dict.fromkeys((*specs.ADULT.categorical, "income"), object)
    numbers = {name: np.int64 for name in table.columns if name not in text}
    table = table.astype(text | numbers)
    table.insert(0, "split", np.repeat(["test", "train"], [n_test, n_train]))
    # Train rows first, as in the file.
    return table.iloc[np.r_[n_test : n_test + n_train, :n_test]]


def fetch_auto_mpg(*, data_home=None, return_X_y=False):
    """Load Auto MPG in the split of COMET (regression, 314 train and 78 test rows, 7 features).

    Parameters
    ----------
    data_home : path-like or None, default=None
        Folder with ``monotone/auto_mpg_train.csv.gz`` and ``monotone/auto_mpg_test.csv.gz``;
        None: the environment variable ``SMILE_DATA``, else scikit-learn's data home.
    return_X_y : bool, default=False
        Return ``(data, target)``.

    Returns
    -------
    bunch : Bunch or tuple of (DataFrame, Series)
        As for :func:`fetch_compas`.

    Raises
    ------
    DatasetNotFoundError
        If a file is not there; OpenML has the rows, but not the split.
    """
    table, n_rows = _read_or_raise(specs.AUTO_MPG, data_home)
    return make_bunch(
        specs.AUTO_MPG, table, split=np.repeat(["train", "test"], n_rows), return_X_y=return_X_y
    )


def _without_excluded(spec, table):
    """Return the table without the columns that must not be features, then without incomplete rows."""
    return table.drop(columns=list(spec.not_features)).dropna().reset_index(drop=True)
