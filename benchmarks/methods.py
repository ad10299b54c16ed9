"""The two training methods side by side: accuracy, status, MIP calls and seconds.

Three tasks, one for each property of the paper; both methods and, beside them, the network without a
property, on the same random splits. Writes docs/methods.csv (mean and spread over the seeds) and
docs/methods_raw.csv (one row a fit), and prints the table. Seconds depend on the machine; fits repeat
exactly.

    python benchmarks/methods.py [--seeds 3] [--quick] [--output docs]
"""

import argparse
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.base import is_regressor
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

from smile_sklearn import Fair, GloballyRobust, Monotonic, SMiLEClassifier, SMiLERegressor
from smile_sklearn.datasets import make_sine
from smile_sklearn.exceptions import CertificationWarning

DOCS = Path(__file__).resolve().parent.parent / "docs"

PAPER = {"lambda_box": 1.0, "max_iter": 150, "batch_size": 64, "learning_rate_init": 1e-2}
"""What the docstring of PaperMethod recommends for all tasks; ``pretrain_iter`` depends on the task."""

QUICK = {"pretrain_iter": 2, "max_iter": 3, "posttrain_iter": 3}
"""Proves that the script works; the numbers mean nothing."""


@dataclass(frozen=True)
class Task:
    """A data set with the property asked of it.

    Parameters
    ----------
    name : str
    load : callable
        Returns (X, y).
    estimator : type
    properties : Property
    scaled : bool
        Whether MinMaxScaler comes first (one delta for all features).
    pretrain_iter : int
        For method="paper".
    """

    name: str
    load: object
    estimator: type
    properties: object
    scaled: bool
    pretrain_iter: int


TASKS = (
    Task(
        "diabetes, fair",
        lambda: load_diabetes(return_X_y=True, as_frame=True, scaled=False),
        SMiLERegressor,
        Fair(["sex"], epsilon=10),
        scaled=False,
        pretrain_iter=40,
    ),
    Task(
        "breast cancer, robust",
        lambda: load_breast_cancer(return_X_y=True, as_frame=True),
        SMiLEClassifier,
        GloballyRobust(delta=0.02, epsilon=1.0),
        scaled=True,
        pretrain_iter=15,
    ),
    Task(
        "sine, monotone",
        lambda: make_sine(alpha=2.0, omega=0.6, random_state=0),
        SMiLERegressor,
        Monotonic({0: 1}),
        scaled=False,
        pretrain_iter=100,
    ),
)


def variants(task):
    """Name of each model of a task: the arguments of its estimator."""
    paper = {"method": "paper", "pretrain_iter": task.pretrain_iter, **PAPER}
    return {
        "smile": {"properties": task.properties},
        "paper": {"properties": task.properties, **paper},
        "unconstrained": {"properties": None},
        "unconstrained, paper": {"properties": None, **paper},
    }


def run(task, model_name, seed, quick):
    """Fit one model on one split and return a row of the raw table."""
    X, y = task.load()
    stratify = None if is_regressor(task.estimator()) else y
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=seed, stratify=stratify)
    arguments = variants(task)[model_name] | (QUICK if quick else {})
    scaler = MinMaxScaler().set_output(transform="pandas") if task.scaled else FunctionTransformer()
    model = make_pipeline(scaler, task.estimator(**arguments, random_state=seed))
    with warnings.catch_warnings():
        # A fit that ends without a proof says so in the status column.
        warnings.simplefilter("ignore", CertificationWarning)
        started = time.perf_counter()
        model.fit(X_train, y_train)
        seconds = time.perf_counter() - started
    network = model[-1]
    certificate = network.certificate_
    return {
        "task": task.name,
        "model": model_name,
        "seed": seed,
        "score": model.score(X_test, y_test),
        "status": "" if certificate is None else str(certificate.status),
        "bound": np.nan if certificate is None else certificate.bound,
        "bound_relative": np.nan if certificate is None else certificate.bound / scale(y_train, task),
        "rigor": "" if certificate is None else certificate.rigor,
        "backbone_used": network.backbone_utilisation_.inactive_clip,
        "mip_calls": sum(record.generator_calls for record in network.history_),
        "mip_seconds": sum(record.generator_seconds for record in network.history_),
        "mip_timeouts": sum(record.generator_timeouts for record in network.history_),
        "seconds": seconds,
    }


def scale(y, task):
    """Range of y, in which a bound is small or large; 1 for logits."""
    return np.ptp(np.asarray(y)) if is_regressor(task.estimator()) else 1.0


def summarise(raw):
    """One row a task and model: means, spreads (sample standard deviation), statuses counted."""

    def counted(values):
        return ", ".join(f"{count} {value}" for value, count in values[values != ""].value_counts().items())

    return raw.groupby(["task", "model"], sort=False).agg(
        score_mean=("score", "mean"),
        score_spread=("score", "std"),
        status=("status", counted),
        largest_bound=("bound", "max"),
        largest_bound_relative=("bound_relative", "max"),
        rigor=("rigor", counted),
        backbone_used=("backbone_used", "mean"),
        mip_calls=("mip_calls", "mean"),
        mip_timeouts=("mip_timeouts", "sum"),
        mip_seconds=("mip_seconds", "mean"),
        seconds_mean=("seconds", "mean"),
        seconds_spread=("seconds", "std"),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="splits and initial weights (default: 3)")
    parser.add_argument("--quick", action="store_true", help="a few epochs, one seed, no files are written")
    parser.add_argument("--output", type=Path, default=DOCS, help="folder of the two tables (default: docs)")
    options = parser.parse_args()
    torch.set_num_threads(1)  # the networks are small: threads would only wait for each other
    if not options.quick:
        options.output.mkdir(parents=True, exist_ok=True)
    run(TASKS[0], "paper", 0, quick=True)  # loads the solver and torch's kernels; not counted
    rows = []
    for task in TASKS:
        for model_name in variants(task):
            for seed in range(1 if options.quick else options.seeds):
                rows.append(run(task, model_name, seed, options.quick))
                print("{task}: {model}, seed {seed}: {score:.3f} {status} {seconds:.1f} s".format(**rows[-1]))
                if not options.quick:  # after every fit, so that an interrupted run leaves what it has
                    pd.DataFrame(rows).to_csv(options.output / "methods_raw.csv", index=False)
    table = summarise(pd.DataFrame(rows))
    print(table.to_string(float_format="{:.4g}".format))
    if not options.quick:
        table.to_csv(options.output / "methods.csv", float_format="%.6g")


if __name__ == "__main__":
    main()
