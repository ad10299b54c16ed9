"""The data of the fairness study: four data sets, five tasks, one binary protected column."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from smile_sklearn.datasets import fetch_compas, fetch_crime, fetch_law, fetch_law_admission

RACE = "race"

CLASSIFIER_EPSILONS = (1.0, 2.0, 3.0, 4.0, 5.0)
CRIME_EPSILONS = (0.02, 0.04, 0.06, 0.08, 0.10)
LOGIT_WEIGHTS = (0.025, 0.050, 0.075, 0.100, 0.125)
CRIME_WEIGHTS = (0.08, 0.09, 0.10, 0.11, 0.12)


@dataclass(frozen=True)
class Task:
    """One data set as the study sees it.

    Parameters
    ----------
    name : str
    load : callable
        Returns the bunch of one of the ``fetch_`` functions.
    reference : str
        The race that becomes 1 in the column ``race``; all others are 0.
    classifier : bool
    epsilons, weights : tuple of float
        The paper's epsilons, and its lambdas of CertiFair.
    batch_size : int
        The paper's (table 5), for CertiFair and for ``method="paper"``.
    fit : dict
        Arguments of ``method="smile"`` and of the agnostic network, chosen on training rows.
    """

    name: str
    load: object
    reference: str
    classifier: bool
    epsilons: tuple
    weights: tuple
    batch_size: int
    fit: dict

    @property
    def quality(self):
        """Name of the score."""
        return "accuracy" if self.classifier else "R2"


TASKS = (
    Task(
        "compas",
        lambda: fetch_compas(races=("African-American", "Caucasian")),
        "Caucasian",
        True,
        (0.2, 0.4, 0.6, 0.8, 1.0),
        LOGIT_WEIGHTS,
        256,
        {"max_iter": 30, "lambda_box": 0.0},
    ),
    Task(
        "law_admission",
        fetch_law_admission,
        "White",
        True,
        CLASSIFIER_EPSILONS,
        LOGIT_WEIGHTS,
        1024,
        {"max_iter": 40, "lambda_box": 0.0},
    ),
    Task(
        "law",
        fetch_law,
        "White",
        True,
        CLASSIFIER_EPSILONS,
        LOGIT_WEIGHTS,
        1024,
        {"max_iter": 20, "lambda_box": 0.0},
    ),
    Task(
        "crime",
        fetch_crime,
        "Black",
        False,
        CRIME_EPSILONS,
        CRIME_WEIGHTS,
        128,
        {"max_iter": 30, "lambda_box": 0.0},
    ),
    Task(
        "crime, racepct",
        lambda: fetch_crime(drop_race_proxies=False),
        "Black",
        False,
        CRIME_EPSILONS,
        CRIME_WEIGHTS,
        128,
        {"max_iter": 30, "lambda_box": 0.0},
    ),
)


def load_task(task, seed, quick=False):
    """Rows of a task, split: ``(X_train, X_test, y_train, y_test)``.

    Race is one column of 0 and 1, boolean so that the domain knows it for binary; other columns of two
    words become one column as well, those of more are one-hot encoded; numbers are scaled to [0, 1] on the
    training rows, as in the paper.
    """
    bunch = task.load()
    rows = bunch.data.copy()
    rows[RACE] = rows[RACE] == task.reference
    words = [name for name in bunch.categorical_features if name != RACE]
    pairs = [name for name in words if rows[name].nunique() == 2]
    for name in pairs:
        rows[name] = rows[name] == rows[name].max()
    rows = pd.get_dummies(rows, columns=[name for name in words if name not in pairs])
    target = bunch.target.astype(float)
    if quick:
        rows, target = rows[:400], target[:400]
    numbers = [name for name in rows.columns if name != RACE]
    rows = rows.astype(dict.fromkeys(numbers, float))
    X_train, X_test, y_train, y_test = train_test_split(rows, target, test_size=0.2, random_state=seed)
    low, span = X_train[numbers].min(), np.ptp(X_train[numbers], axis=0)
    span = np.where(span > 0, span, 1.0)
    scaled = [part.assign(**((part[numbers] - low) / span)) for part in (X_train, X_test)]
    return *scaled, y_train.to_numpy(), y_test.to_numpy()


def other_race(rows):
    """The counterfactual of every row: race exchanged, all else equal."""
    return rows.assign(**{RACE: ~rows[RACE]})
