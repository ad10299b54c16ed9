"""Fairness: quality against counterfactual variation on compas, law and crime (figures 4 and 5).

The counterfactual of a row is the row with its race exchanged; the property is
``|f(x') - f(x'')| <= epsilon`` for every such pair of the domain (logit, or crime rate). Writes
fairness_raw.csv (one row a fit), fairness.csv (means over the seeds), fairness_targets.csv,
fairness_pairs.csv and the figures fairness.png (figure 4) and fairness_pairs.png (figure 5). It stops and
resumes.

    python benchmarks/paper/fairness.py [--quick] [--seeds 3] [--tasks NAME ...] [--models NAME ...]
"""

import time
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
from certifair import FairnessPenalty
from fairness_figures import draw_pairs, draw_quality
from fairness_models import ClippedRace, WithoutRace, boosting, linear, output_of
from fairness_targets import against_targets
from fairness_tasks import RACE, TASKS, load_task, other_race
from results import Results, mean_and_spread, output_folder, study_parser

from smile_sklearn import Fair, SMiLEClassifier, SMiLERegressor, Status
from smile_sklearn.exceptions import CertificationWarning
from smile_sklearn.inspection import backbone_importance

PAPER = {"pretrain_iter": 50, "max_iter": 50, "lambda_box": 1.0}
"""Table 5 of the paper, and what the documentation recommends; relu 4 and 32-32-8 are the defaults."""

QUICK = {"pretrain_iter": 1, "max_iter": 1, "posttrain_iter": 2, "time_limit": 2.0}
"""Shows that the script runs; the numbers mean nothing."""

MODELS = (
    "agnostic",
    "smile",
    "agnostic, no race",
    "boosting",
    "boosting, no race",
    "linear",
    "boosting, race clipped",
    "linear, race clipped",
    "certifair",
    "paper",
)

KEYS = ("task", "model", "setting", "seed")

MEASURED = ("quality", "variation", "bound", "variation / setting", "without h", "seconds")

PROJECTION = ("PctIlleg", "PctPopUnderPov")
"""The two features of figure 5: not protected, and strongly related with the target."""

ONE_SEED = {"paper"}
"""A fit takes minutes on the larger tables: one seed."""

ROUNDING = 1e-9
"""What the float arithmetic of two predictions may add to a proven variation."""


def network(task, properties, seed, quick, **arguments):
    """A SMiLE estimator; without properties it is the agnostic network."""
    estimator = SMiLEClassifier if task.classifier else SMiLERegressor
    return estimator(properties, random_state=seed, **{**task.fit, **arguments, **(QUICK if quick else {})})


def plan(task, quick):
    """(model, setting) of every run of a task in three parts, the important ones first."""
    if quick:
        task = replace(task, epsilons=task.epsilons[:1], weights=task.weights[:1])
    first = [("agnostic", ""), *(("smile", epsilon) for epsilon in task.epsilons)]
    then = [("agnostic, no race", ""), ("boosting", ""), ("boosting, no race", ""), ("linear", "")]
    for epsilon in task.epsilons:
        then += [("boosting, race clipped", epsilon), ("linear, race clipped", epsilon)]
    then += [("certifair", weight) for weight in task.weights]
    return first, then, [("paper", epsilon) for epsilon in task.epsilons]


def build(task, name, setting, seed, quick, columns):
    """The unfitted model of one run."""
    if name == "agnostic":
        return network(task, None, seed, quick)
    if name == "smile":
        return network(task, Fair(RACE, setting), seed, quick)
    if name == "paper":
        arguments = {**PAPER, "batch_size": task.batch_size}
        return network(task, Fair(RACE, setting), seed, quick, method="paper", **arguments)
    if name == "certifair":
        race, epochs = columns.get_loc(RACE), 2 if quick else 50
        return FairnessPenalty(
            race, setting, task.classifier, max_iter=epochs, batch_size=task.batch_size, random_state=seed
        )
    plain = {
        "agnostic, no race": lambda: WithoutRace(network(task, None, seed, quick)),
        "boosting": lambda: boosting(task, seed),
        "boosting, no race": lambda: WithoutRace(boosting(task, seed)),
        "linear": lambda: linear(task),
        "boosting, race clipped": lambda: ClippedRace(boosting(task, seed), setting),
        "linear, race clipped": lambda: ClippedRace(linear(task), setting),
    }
    return plain[name]()


def run(task, name, setting, seed, quick):
    """Fit and measure one model; return its row, and the variation of every test pair."""
    X_train, X_test, y_train, y_test = load_task(task, seed, quick)
    model = build(task, name, setting, seed, quick, X_train.columns)
    with warnings.catch_warnings():
        # A fit that ends without a proof says so in the column status.
        warnings.simplefilter("ignore", CertificationWarning)
        started = time.process_time()
        model.fit(X_train, y_train)
        seconds = time.process_time() - started
    # Test rows may leave the domain of the training rows. The estimators clip them to it, and the certificate
    # covers the clipped rows as well: race is never clipped.
    pairs = np.abs(output_of(model, X_test) - output_of(model, other_race(X_test)))
    certificate = getattr(model, "certificate_", None)
    status = "" if certificate is None else certificate.status.name
    bound = getattr(model, "bound_", np.nan) if certificate is None else certificate.variation
    if name == "smile" and certificate.status is not Status.HOLDS:
        raise AssertionError(f"{task.name}, epsilon {setting}, seed {seed}: {certificate}")
    if np.isfinite(bound) and pairs.max() > bound + ROUNDING:
        raise AssertionError(f"{task.name}, {name} {setting}: {pairs.max()} measured, {bound} proven")
    has_backbone = isinstance(model, (SMiLEClassifier, SMiLERegressor))
    return {
        "quality": model.score(X_test, y_test),
        "variation": pairs.max(),
        "mean variation": pairs.mean(),
        "bound": bound,
        "variation / setting": pairs.max() / setting if setting and name != "certifair" else np.nan,
        "without h": backbone_importance(model, X_test, y_test).ablated_score if has_backbone else np.nan,
        "status": status,
        "seconds": seconds,
    }, pairs


def keep_pairs(folder, task, setting, seed, quick, pairs):
    """Figure 5: variation of every test pair of crime, a column an epsilon, seed 0."""
    path = folder / "fairness_pairs.csv"
    rows = load_task(task, seed, quick)[1].reset_index(drop=True)
    frame = pd.read_csv(path) if path.exists() else rows[list(PROJECTION)]
    frame[f"{setting:g}"] = pairs
    frame.to_csv(path, index=False)


def all_runs(tasks, seeds, quick):
    """(task, model, setting, seed) in the order of importance, so that an interruption costs the least."""
    for part in range(3):
        for seed in range(seeds):
            for task in tasks:
                for name, setting in plan(task, quick)[part]:
                    if seed == 0 or name not in ONE_SEED:
                        yield task, name, setting, seed


def tables(folder, frame):
    """Write the two tables and the figures from all rows so far."""
    settings = pd.to_numeric(frame["setting"], errors="coerce")
    frame = frame.assign(setting=settings.fillna(0.0))
    table = mean_and_spread(frame, ("task", "model", "setting"), MEASURED)
    worst = frame.groupby(["task", "model", "setting"], sort=False)
    table["largest variation"] = worst["variation"].max().to_numpy()
    table["largest bound"] = worst["bound"].max().to_numpy()
    table["status"] = worst["status"].agg(_statuses).to_numpy()
    table.round(5).to_csv(folder / "fairness.csv", index=False)
    against_targets(table, TASKS).round(5).to_csv(folder / "fairness_targets.csv", index=False)
    draw_quality(table, TASKS, folder / "fairness.png")
    pairs = folder / "fairness_pairs.csv"
    if pairs.exists():
        draw_pairs(pd.read_csv(pairs), PROJECTION, folder / "fairness_pairs.png")


def _statuses(values):
    return "/".join(sorted(set(values.dropna())))


def main():
    """Run what is missing, then write tables and figures."""
    parser = study_parser(__doc__)
    names = [task.name for task in TASKS]
    parser.add_argument("--tasks", nargs="*", choices=names, default=names, help="default: all")
    parser.add_argument("--models", nargs="*", choices=MODELS, default=MODELS, help="default: all")
    options = parser.parse_args()
    folder = output_folder(options)
    results = Results(folder / "fairness_raw.csv", KEYS)
    tasks = [task for task in TASKS if task.name in options.tasks]
    for task, name, setting, seed in all_runs(tasks, 1 if options.quick else options.seeds, options.quick):
        key = {"task": task.name, "model": name, "setting": setting, "seed": seed}
        if name not in options.models or results.has(**key):
            continue
        row, pairs = run(task, name, setting, seed, options.quick)
        if task.name == "crime" and name in ("agnostic", "smile") and seed == 0:
            keep_pairs(folder, task, setting or 0.0, seed, options.quick, pairs)
        results.add(**key, **row)
    tables(folder, results.frame())


if __name__ == "__main__":
    main()
