"""Monotone tables: auto_mpg (test MSE) and compas (test accuracy) on their official splits.

Nothing is chosen on the test rows: the settings in ``CHOSEN`` have the best mean over repeated
cross-validation on the training rows in ``GRIDS``; ``--search`` runs that again and writes
tables_search.csv. The study itself writes tables_raw.csv (one row a fit), tables.csv and tables.png.

    python benchmarks/paper/tables.py [--quick] [--seeds 10] [--search] [--tasks NAME ...] [--output FOLDER]
"""

import json
import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from committee import CommitteeMethod
from matplotlib.figure import Figure
from results import Results, mean_and_spread, output_folder, study_parser
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, mean_squared_error
from sklearn.model_selection import KFold, ParameterGrid, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from smile_sklearn import Monotonic, SMiLEClassifier, SMiLERegressor
from smile_sklearn.datasets import DatasetNotFoundError
from smile_sklearn.datasets._loading import find_data_home
from smile_sklearn.exceptions import CertificationWarning
from smile_sklearn.inspection import without_backbone

SEEDS = 10

QUICK = {"pretrain_iter": 1, "max_iter": 1, "posttrain_iter": 2}
"""Shows that the script runs; the numbers mean nothing."""

N_SWEEP = 20
"""Values of a monotone feature between its smallest and largest training value, for each test row."""


@dataclass(frozen=True, eq=False)
class Task:
    """One table on its official split.

    Parameters
    ----------
    name : str
    train, test : tuple of (DataFrame, ndarray)
        Categorical columns one-hot, as bool.
    directions : dict of str to int
        Monotone columns, +1 or -1.
    """

    name: str
    train: tuple
    test: tuple
    directions: dict

    @property
    def monotonic_cst(self):
        """The directions as HistGradientBoosting takes them."""
        return [self.directions.get(column, 0) for column in self.train[0].columns]


def load(name):
    """Read a task from the data folder (``SMILE_DATA``, else scikit-learn's data home)."""
    folder = find_data_home() / "monotone"
    if not folder.is_dir():
        raise DatasetNotFoundError(
            f"Got no folder {folder}: set SMILE_DATA to the folder that has 'monotone'."
        )
    about = json.loads((folder / "monotonicity.json").read_text())[name]
    frames = [pd.read_csv(folder / about[part]) for part in ("train", "test")]
    targets = [frame.pop(about["target"]).to_numpy() for frame in frames]
    frames = [pd.get_dummies(frame, columns=about["categorical"], dtype=bool) for frame in frames]
    frames[1] = frames[1].reindex(columns=frames[0].columns, fill_value=False)
    return Task(name, *zip(frames, targets, strict=True), about["monotone"])


NETWORKS = {"auto_mpg": SMiLERegressor, "compas": SMiLEClassifier}
BOOSTING = {"auto_mpg": HistGradientBoostingRegressor, "compas": HistGradientBoostingClassifier}
LINEAR = {"auto_mpg": LinearRegression, "compas": LogisticRegression}
SCORES = {"auto_mpg": ("MSE", mean_squared_error), "compas": ("accuracy", accuracy_score)}

BOOSTING_GRID = {"learning_rate": [0.05, 0.1], "max_iter": [50, 100, 200], "max_leaf_nodes": [4, 8, 31]}

COMMITTEE = {"hidden_layer_sizes": [(64, 64)], "method": [CommitteeMethod(n_members=4)], "n_latent": [32]}

GRIDS = {
    ("auto_mpg", "smile"): [
        {"hidden_layer_sizes": [(32, 32), (64, 64)], "lambda_box": [0.0, 0.1]},
        {"hidden_layer_sizes": [(64, 64)], "lambda_box": [0.0], "learning_rate_init": [0.02]},
        {**COMMITTEE, "lambda_box": [0.0], "learning_rate_init": [0.01, 0.02]},
    ],
    ("compas", "smile"): {"lambda_box": [0.0], "max_iter": [30, 60], "batch_size": [256]},
    ("auto_mpg", "boosting, monotone"): BOOSTING_GRID,
    ("compas", "boosting, monotone"): BOOSTING_GRID,
}
"""What --search compares, by mean score of cross-validation on the training rows."""

FOLDS = {"auto_mpg": (KFold, 2), "compas": (StratifiedKFold, 1)}
"""Five folds, and how often they are drawn anew."""

CHOSEN = {
    ("auto_mpg", "smile"): {
        "hidden_layer_sizes": (64, 64),
        "lambda_box": 0.0,
        "learning_rate_init": 0.02,
        "method": CommitteeMethod(n_members=4),
        "n_latent": 32,
    },
    ("compas", "smile"): {"lambda_box": 0.0, "batch_size": 256},
    ("auto_mpg", "boosting, monotone"): {"learning_rate": 0.05, "max_iter": 100, "max_leaf_nodes": 31},
    ("compas", "boosting, monotone"): {"learning_rate": 0.05, "max_iter": 200, "max_leaf_nodes": 4},
}
"""The best of each grid, by ``--search``."""


def models(task):
    """Name of each model: its constructor from a seed and the arguments that --quick changes."""
    network, boosting = NETWORKS[task.name], BOOSTING[task.name]
    monotone = Monotonic(task.directions)
    chosen, tuned = (CHOSEN[task.name, name] for name in ("smile", "boosting, monotone"))
    single = {name: value for name, value in chosen.items() if name not in ("method", "n_latent")}
    signs = task.monotonic_cst
    found = {
        "smile": lambda seed, quick: network(monotone, random_state=seed, **{**chosen, **quick}),
        "smile, one network": lambda seed, quick: network(monotone, random_state=seed, **{**single, **quick}),
        "smile, defaults": lambda seed, quick: network(monotone, random_state=seed, **quick),
        "boosting, monotone": lambda seed, quick: boosting(monotonic_cst=signs, random_state=seed, **tuned),
        "boosting, monotone, defaults": lambda seed, quick: boosting(monotonic_cst=signs, random_state=seed),
        "boosting": lambda seed, quick: boosting(random_state=seed),
        "linear": lambda seed, quick: make_pipeline(StandardScaler(), LINEAR[task.name]()),
        "unconstrained network": lambda seed, quick: network(random_state=seed, **{**single, **quick}),
    }
    if single == chosen:
        del found["smile, one network"]
    return found


def run(task, constructor, seed, quick):
    """Fit one model on the training rows and return its row."""
    (X, y), (X_test, y_test) = task.train, task.test
    _, score = SCORES[task.name]
    model = constructor(seed, QUICK if quick else {})
    seconds = timed_fit(model, X, y)
    certificate = getattr(model, "certificate_", None)
    is_network = isinstance(model, NETWORKS[task.name])
    return {
        "score": score(y_test, model.predict(X_test)),
        "without h": score(y_test, without_backbone(model, X_test).predict(X_test)) if is_network else np.nan,
        "rows not monotone %": 100.0 * share_not_monotone(task, model),
        "status": "" if certificate is None else str(certificate.status),
        "bound": np.nan if certificate is None else certificate.bound,
        "rigor": "" if certificate is None else certificate.rigor,
        "fit seconds": seconds,
    }


def timed_fit(model, X, y):
    """Fit, and return the CPU seconds it took."""
    with warnings.catch_warnings():
        # A fit that ends without a proof says so in the column status.
        warnings.simplefilter("ignore", CertificationWarning)
        started = time.process_time()
        model.fit(X, y)
        return time.process_time() - started


def share_not_monotone(task, model):
    """Share of the test rows where the output moves against a direction as that one feature grows."""
    X, X_test = task.train[0], task.test[0]
    output = model.predict if task.name == "auto_mpg" else model.decision_function
    broken = np.zeros(len(X_test), dtype=bool)
    for column, direction in task.directions.items():
        values = np.linspace(X[column].min(), X[column].max(), N_SWEEP)
        rows = pd.concat([X_test.assign(**{column: value}) for value in values])
        curves = output(rows).reshape(N_SWEEP, len(X_test))
        broken |= (direction * np.diff(curves, axis=0) < 0).any(axis=0)
    return float(broken.mean())


# --- choice of the settings, on training rows alone --------------------------------------------------


def search(task, name, quick):
    """Score every setting of a grid by repeated cross-validation; one row a setting, best first."""
    X, y = task.train
    kind, n_repeats = FOLDS[task.name]
    network = name == "smile"
    estimator = NETWORKS[task.name] if network else BOOSTING[task.name]
    fixed = {"properties": Monotonic(task.directions)} if network else {"monotonic_cst": task.monotonic_cst}
    measure, score = SCORES[task.name]
    rows = []
    for setting in ParameterGrid(GRIDS[task.name, name]):
        setting = setting | (QUICK if quick and network else {})
        scores = []
        for repeat in range(1 if quick else n_repeats):
            for train, test in kind(5, shuffle=True, random_state=repeat).split(X, y):
                model = estimator(random_state=repeat, **fixed, **setting)
                timed_fit(model, X.iloc[train], y[train])
                scores.append(score(y[test], model.predict(X.iloc[test])))
        found = {"setting": str(setting), "measure": measure, "cross-validated": np.mean(scores)}
        rows.append({"task": task.name, "model": name, **found})
        print(*rows[-1].values(), flush=True)
    return pd.DataFrame(rows).sort_values("cross-validated", ascending=measure == "MSE")


# --- tables and figure -------------------------------------------------------------------------------


def summarise(raw):
    """One row a task and model: means and spreads over the seeds, statuses counted."""
    keys = ["task", "model"]
    table = mean_and_spread(raw, keys, ("score", "without h", "rows not monotone %", "fit seconds"))
    grouped = raw.fillna({"status": "", "rigor": ""}).groupby(keys, sort=False)
    table["status"] = grouped["status"].agg(counted).to_numpy()
    table["rigor"] = grouped["rigor"].agg(counted).to_numpy()
    table["measure"] = [SCORES[name][0] for name in table["task"]]
    columns = [
        *keys, "measure", "score", "score spread", "without h", "without h spread", "rows not monotone %",
        "status", "rigor", "fit seconds", "runs",
    ]  # fmt: skip
    return table[columns].sort_values("task", kind="stable", ignore_index=True)


def counted(values):
    """Write ``10 HOLDS`` or ``9 HOLDS, 1 BOUNDED``."""
    return ", ".join(f"{count} {value}" for value, count in values[values != ""].value_counts().items())


def draw(raw, path):
    """Test scores of all runs, one panel a task; filled where a model is monotone everywhere by proof."""
    tasks = list(dict.fromkeys(raw["task"]))
    figure = Figure(figsize=(5.2 * len(tasks) + 1.0, 3.2), layout="constrained")
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for panel, task in zip(panels, tasks, strict=True):
        rows = raw[raw["task"] == task]
        names = list(dict.fromkeys(rows["model"]))
        for height, name in enumerate(names):
            scores = rows.loc[rows["model"] == name, "score"]
            guaranteed = name.startswith(("smile", "boosting, monotone"))
            color = "tab:blue" if name.startswith("smile") else "0.35"
            face = color if guaranteed else "white"
            panel.plot(scores, [height] * len(scores), "o", color=color, markerfacecolor=face, alpha=0.6)
            panel.plot(scores.mean(), height, "|", color="black", markersize=18)
        panel.set_yticks(range(len(names)), names)
        panel.invert_yaxis()
        panel.locator_params(axis="x", nbins=5)
        panel.set(title=task, xlabel=f"test {SCORES[task][0]}")
        panel.grid(axis="x", color="0.93")
        panel.set_axisbelow(True)
    figure.savefig(path, dpi=120)


def main(arguments=None):
    parser = study_parser(__doc__.splitlines()[0])
    parser.set_defaults(seeds=SEEDS)
    parser.add_argument("--search", action="store_true", help="cross-validate the grids, and stop")
    parser.add_argument("--tasks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument(
        "--models", nargs="+", metavar="NAME", default=None, help="some of the table's models"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the networks are small: threads would only wait for each other
    folder = output_folder(options)
    tasks = [load(name) for name in options.tasks]
    if options.search:
        folder.mkdir(parents=True, exist_ok=True)
        found = [
            search(task, name, options.quick) for task in tasks for name in ("smile", "boosting, monotone")
        ]
        pd.concat(found).to_csv(folder / "tables_search.csv", index=False, float_format="%.5g")
        return
    results = Results(folder / "tables_raw.csv", ("task", "model", "seed"))
    for seed in range(1 if options.quick else options.seeds):
        for task in tasks:
            for name, constructor in models(task).items():
                key = {"task": task.name, "model": name, "seed": seed}
                wanted = options.models is None or name in options.models
                if wanted and (name != "linear" or seed == 0) and not results.has(**key):
                    results.add(**key, **run(task, constructor, seed, options.quick))
    raw = results.frame()
    table = summarise(raw)
    table.to_csv(folder / "tables.csv", index=False, float_format="%.4g")
    draw(raw, folder / "tables.png")
    print(table.to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
