"""How long a certificate takes: the chain against the paper's MIP, and what goes with a certificate.

Sections, on the fixed models of models.py, all in one run:

- ``mnist``: a certificate of 784-256-256 by difference bounds, milliseconds: first call and median;
- ``chain``: the chain (verifier="auto") against the paper's MIP (paper_mip.py), both with the same limit,
  a run that reaches it counting as the limit; ratio a model, geometric means over the groups;
- ``rows``: predict_with_certificate (global, box, local) over predict, 1000 rows of 784 features;
- ``check``: every certificate of the chain, and those of the other verifiers, re-proved by the checker.

Seconds depend on the machine, ratios less so. Writes docs/certify_SECTION.csv, docs/certify.csv (what the
documentation shows of section chain), and prints the tables in markdown.

    python benchmarks/certify.py [--sections chain mnist ...] [--repeats 5] [--limit 60] [--quick]
                                 [--cache benchmarks/.cache] [--output docs]
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from models import CACHE, MODELS, obtain
from paper_mip import paper_maximum

from smile_sklearn.certificates import Status
from smile_sklearn.check import check
from smile_sklearn.datasets import fetch_mnist
from smile_sklearn.exceptions import UnsupportedError
from smile_sklearn.verification import make_verifier

DOCS = Path(__file__).resolve().parent.parent / "docs"

QUICK = ("sine-monotone", "cancer-affine", "paper-cancer-robust")
"""Models of --quick; it proves that the script works, the numbers mean nothing."""

SHOWN = ("model", "group", "status", "verifier", "chain_seconds", "paper", "paper_seconds", "ratio")
"""Columns of the table in the documentation."""

MNIST = "mnist-lipschitz"

EXTRA = (
    ("cancer-affine", "closed_form"),
    ("paper-sine-monotone", "branch_and_bound"),
    ("paper-diabetes-fair", "branch_and_bound"),
    ("paper-sine-monotone", "mip"),
)
"""Certificates that are checked beside those of the chain: (model, verifier)."""


def timed(run):
    started = time.perf_counter()
    answer = run()
    return answer, time.perf_counter() - started


def markdown(frame):
    """The table as markdown."""
    cells = [[*map(str, frame.columns)]]
    cells += [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _cell(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def geometric_mean(values):
    values = np.asarray(values, dtype=float)
    return float(np.exp(np.log(values[np.isfinite(values)]).mean()))


# --- chain against the paper's MIP ----------------------------------------------------------------


def chain_section(models, options):
    rows = []
    warm = min(models, key=lambda model: model.snapshot.n_features)
    paper_maximum(
        warm.snapshot, warm.relation, warm.coupling, time_limit=1.0
    )  # loads the solver; not counted
    for model in models:
        rows.append(_compare(model, options))
        print("{model}: {ratio:.3g} times ({status}; paper {paper})".format(**rows[-1]), flush=True)
    frame = pd.DataFrame(rows)
    groups = {"all": frame, **dict(tuple(frame.groupby("group", sort=False)))}
    means = pd.DataFrame(
        {
            "models": name,
            "n": len(part),
            "geometric_mean_of_ratios": geometric_mean(part["ratio"]),
            "smallest_ratio": part["ratio"].min(),
            "geometric_mean_of_cpu_ratios": geometric_mean(part["cpu_ratio"]),
            "smallest_cpu_ratio": part["cpu_ratio"].min(),
        }
        for name, part in groups.items()
    )
    print(markdown(means))
    return frame


def _compare(model, options):
    """One model: medians of both, run in turn; a paper's run that reaches the limit is not repeated."""
    asked, outcome = (model.snapshot, model.relation), ""
    chain = partial(make_verifier("auto").verify, *asked, coupling=model.coupling, time_limit=options.limit)
    paper = partial(paper_maximum, *asked, model.coupling, time_limit=options.limit)
    ours, papers = [], []
    for _ in range(options.repeats):
        certificate, *seconds = clocked(chain, options.limit)
        ours.append(seconds)
        if outcome in ("limit", "declined"):
            continue
        try:
            answer, *seconds = clocked(paper, options.limit)
        except UnsupportedError:
            outcome, papers = "declined", [[np.nan, np.nan]]
            continue
        if not answer.solved or seconds[0] >= options.limit:
            outcome, papers = "limit", [[options.limit, seconds[1]]]
            continue
        outcome = "holds" if answer.bound <= 0 else f"{answer.bound:.3g}"
        papers.append(seconds)
    wall, cpu = np.median(ours, axis=0)
    paper_wall, paper_cpu = np.median(papers, axis=0)
    return {
        "model": model.name,
        "group": model.group,
        "coupling": model.coupling,
        "status": str(certificate.status),
        "bound": certificate.bound,
        "verifier": certificate.verifier,
        "chain_seconds": wall,
        "paper": outcome,
        "paper_seconds": paper_wall,
        "ratio": paper_wall / wall,
        "chain_cpu": cpu,
        "paper_cpu": paper_cpu,
        "cpu_ratio": paper_cpu / cpu,
    }


def clocked(run, limit):
    """(answer, wall seconds up to the limit, processor seconds): the latter do not see other processes."""
    started = time.process_time()
    answer, seconds = timed(run)
    return answer, min(seconds, limit), time.process_time() - started


# --- MNIST ----------------------------------------------------------------------------------------


def mnist_section(models, options):
    """First call of a fresh process, and medians; "difference" alone and the whole chain."""
    (model,) = (model for model in models if model.name == MNIST)
    row = {"model": model.name}
    for name in ("difference", "auto"):
        verifier = make_verifier(name)
        prove = partial(verifier.verify, model.snapshot, model.relation, coupling=model.coupling)
        answers = [timed(prove) for _ in range(1 + 4 * options.repeats)]
        milliseconds = [1e3 * seconds for _, seconds in answers]
        row |= {
            f"{name}_status": str(answers[0][0].status),
            f"{name}_first_ms": milliseconds[0],
            f"{name}_median_ms": float(np.median(milliseconds[1:])),
            f"{name}_fastest_ms": min(milliseconds),
        }
    return pd.DataFrame([row])


def rows_section(models, options):
    """Alternating calls on the same rows, so that neither finds the machine in a better state."""
    (model,) = (model for model in models if model.name == MNIST)
    estimator, images = model.estimator(), fetch_mnist().data_test[:1000]
    calls = {
        "predict": lambda: estimator.predict(images),
        "global": lambda: estimator.predict_with_certificate(images, method="global"),
        "box": lambda: estimator.predict_with_certificate(images, method="box"),
        "local": lambda: estimator.predict_with_certificate(images, method="local"),
    }
    seconds = {name: [] for name in calls}
    for _ in range(1 + 3 * options.repeats):
        for name, call in calls.items():
            seconds[name].append(timed(call)[1])
    medians = {name: float(np.median(times[1:])) for name, times in seconds.items()}
    return pd.DataFrame(
        {
            "model": model.name,
            "method": name,
            "predict_ms": 1e3 * medians["predict"],
            "certified_ms": 1e3 * medians[name],
            "ratio": medians[name] / medians["predict"],
            "certified_share": float(np.mean(calls[name]().certified)),
        }
        for name in ("global", "box", "local")
    )


# --- the checker ----------------------------------------------------------------------------------


def check_section(models, options):
    rows, known = [], {model.name: model for model in models}
    asked = [(name, "auto") for name in known] + [pair for pair in EXTRA if pair[0] in known]
    for name, verifier in asked:
        model = known[name]
        certificate = make_verifier(verifier).verify(
            model.snapshot, model.relation, coupling=model.coupling, time_limit=options.limit
        )
        report, seconds = timed(partial(check, certificate, model.snapshot))
        # An interval of every unit, a tree: something to prove again. A MIP leaves the solver's word.
        has_proof = certificate.proof.get("kind") not in (None, "mip", "falsifier")
        rows.append(
            {
                "model": name,
                "asked": verifier,
                "verifier": certificate.verifier,
                "status": str(certificate.status),
                "kind": certificate.proof.get("kind", ""),
                "passed": report.passed,
                "re_proved": bool(report.passed and has_proof and certificate.status is not Status.UNKNOWN),
                "trusted": "; ".join(report.trusted),
                "failed": "; ".join(map(str, report.failures)),
                "seconds": seconds,
            }
        )
        print("{model} ({asked}): {kind}, passed {passed}, {seconds:.2f} s".format(**rows[-1]), flush=True)
    frame = pd.DataFrame(rows)
    with_proof = frame[~frame["kind"].isin(["", "mip", "falsifier"])]
    print(
        f"{int(with_proof['re_proved'].sum())} of {len(with_proof)} certificates with proof data re-proved."
    )
    return frame


SECTIONS = {
    "mnist": mnist_section,  # first: its first call is that of a fresh process
    "chain": chain_section,
    "rows": rows_section,
    "check": check_section,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--models", nargs="+", default=None, help="names of models (default: all 12)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds of one verification")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the models are kept")
    parser.add_argument("--quick", action="store_true", help="three models, one repeat, no files are written")
    parser.add_argument("--output", type=Path, default=DOCS, help="folder of the tables (default: docs)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.quick:
        options.repeats, options.limit, options.models = 1, 5.0, options.models or QUICK
    chosen = [recipe for recipe in MODELS if options.models is None or recipe.name in options.models]
    models = [model for recipe in chosen if (model := obtain(recipe, options.cache)) is not None]
    for name, section in SECTIONS.items():
        if name not in options.sections:
            continue
        if name in ("mnist", "rows") and MNIST not in [model.name for model in models]:
            print(f"\n## {name}: left out, {MNIST} is not among the models")
            continue
        print(f"\n## {name}\n")
        frame = section(models, options)
        print(markdown(frame))
        if not options.quick:
            options.output.mkdir(parents=True, exist_ok=True)
            frame.to_csv(options.output / f"certify_{name}.csv", index=False, float_format="%.6g")
            if name == "chain":
                shown = frame[list(SHOWN)]
                shown.to_csv(options.output / "certify.csv", index=False, float_format="%.3g")


if __name__ == "__main__":
    main()
