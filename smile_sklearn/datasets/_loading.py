"""Where the files are: data home, then OpenML; and the Bunch every fetcher returns."""

import os
from pathlib import Path
from urllib.error import URLError

from sklearn.datasets import fetch_openml, get_data_home
from sklearn.utils import Bunch

from smile_sklearn.exceptions import SMiLEError

ENVIRONMENT_VARIABLE = "SMILE_DATA"


class DatasetNotFoundError(SMiLEError, FileNotFoundError):
    """A data set is neither in the data home nor obtainable from OpenML."""


def find_data_home(data_home=None):
    """Return the folder to look in.

    Parameters
    ----------
    data_home : path-like or None
        What the caller of a fetcher passed.

    Returns
    -------
    path : pathlib.Path
        ``data_home``, else the environment variable ``SMILE_DATA``, else scikit-learn's data home.
    """
    if data_home is None:
        # An empty variable is an unset one: Path("") would silently mean the current folder.
        data_home = os.environ.get(ENVIRONMENT_VARIABLE) or get_data_home()
    return Path(data_home).expanduser()


def find_files(spec, data_home=None):
    """Return the paths of the files of a data set, or None if one of them is missing.

    Parameters
    ----------
    spec : DatasetSpec
        The data set.
    data_home : path-like or None
        See :func:`find_data_home`.

    Returns
    -------
    paths : tuple of pathlib.Path or None
        In the order of ``spec.files``.
    """
    folder = find_data_home(data_home)
    paths = tuple(folder / name for name in spec.files)
    return paths if all(path.is_file() for path in paths) else None


def fetch_from_openml(spec, data_home=None, *, download_if_missing=True, as_frame=True):
    """Download the OpenML copy of a data set whose file is missing.

    Parameters
    ----------
    spec : DatasetSpec
        The data set.
    data_home : path-like or None
        Where the file was looked for; if given, OpenML's cache goes there, too, else to scikit-learn's data
        home (``SMILE_DATA`` may be read-only).
    download_if_missing : bool
        False: raise instead.
    as_frame : bool
        As in scikit-learn's ``fetch_openml``.

    Returns
    -------
    bunch : Bunch
        As ``fetch_openml`` returns it.

    Raises
    ------
    DatasetNotFoundError
        If there is no OpenML copy, it must not be downloaded, or the download fails.
    """
    looked_for = f"Did not find {' and '.join(spec.files)} in {find_data_home(data_home)}"
    advice = (
        f"Put the file there, or name its folder with data_home=... or the environment variable "
        f"{ENVIRONMENT_VARIABLE} (source: {spec.source})."
    )
    if spec.openml_id is None:
        raise DatasetNotFoundError(
            f"{looked_for}. There is no OpenML copy to use: {spec.openml_note}. {advice}"
        )
    if not download_if_missing:
        raise DatasetNotFoundError(f"{looked_for}, and download_if_missing=False. {advice}")
    try:
        return fetch_openml(
            data_id=spec.openml_id,
            data_home=data_home,
            as_frame=as_frame,
            # The only parser that needs no pandas; it is asked for where no frame is wanted.
            parser="auto" if as_frame else "liac-arff",
        )
    except (URLError, TimeoutError, ConnectionError) as error:
        raise DatasetNotFoundError(
            f"{looked_for}, and OpenML data set {spec.openml_id} could not be downloaded ({error}). {advice}"
        ) from error


def check_openml_copy(spec, holds, expectation):
    """Raise if an OpenML copy is not the data set it is taken for: ids are reused for new versions."""
    if not holds:
        raise DatasetNotFoundError(
            f"OpenML data set {spec.openml_id} is not the expected copy of {spec.name}: "
            f"expected {expectation}. Provide {' and '.join(spec.files)} instead (source: {spec.source})."
        )


def import_pandas():
    """Return pandas, an optional dependency, or raise ImportError with the way out."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "The tabular data sets need pandas. Install it with `pip install smile-sklearn[data]`."
        ) from error
    return pandas


def read_tables(paths):
    """Return the tables at the given paths, one below the other, and the number of rows of each."""
    pandas = import_pandas()
    tables = [pandas.read_csv(path) for path in paths]
    return pandas.concat(tables, ignore_index=True), [len(table) for table in tables]


def describe(spec):
    """Return the description of a data set, as text."""
    excluded = "\n".join(f"- {name}: {reason}" for name, reason in spec.not_features.items())
    sections = {
        "Target": spec.target,
        "Protected": ", ".join(spec.protected) or "none",
        "Preprocessing": spec.preprocessing,
        "Not used as features": excluded or "-",
        "Source": spec.source,
        "Licence": spec.licence,
        "Citation": spec.citation,
    }
    body = "\n\n".join(f"{heading}\n{'-' * len(heading)}\n{text}" for heading, text in sections.items())
    return f"{spec.title}\n{'=' * len(spec.title)}\n\n{body}\n"


def make_bunch(spec, frame, *, split=None, return_X_y=False):
    """Return what a tabular fetcher returns.

    Parameters
    ----------
    spec : DatasetSpec
        The data set.
    frame : DataFrame of shape (n_samples, n_features + 1)
        Features and target only.
    split : ndarray of shape (n_samples,) or None
        "train" or "test" a row, where the data set has an official split.
    return_X_y : bool
        Return ``(data, target)`` only.

    Returns
    -------
    bunch : Bunch or tuple of (DataFrame, Series)
        The fields are documented in :func:`smile_sklearn.datasets.fetch_compas`.
    """
    data, target = frame.drop(columns=spec.target), frame[spec.target]
    if return_X_y:
        return data, target
    features = list(data.columns)
    return Bunch(
        frame=frame,
        data=data,
        target=target,
        target_names=[spec.target],
        feature_names=features,
        protected=[name for name in spec.protected if name in features],
        categorical_features=[name for name in spec.categorical if name in features],
        monotonic_cst={name: sign for name, sign in spec.monotonic_cst.items() if name in features},
        split=split,
        DESCR=describe(spec),
    )
