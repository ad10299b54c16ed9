"""The package's MIP against the paper's, on the same networks with the same solver.

Two tables. "maximum": the largest violation of V, exactly, for 12 networks that were not trained for the
property (so it is violated, and the maximum is what is asked for). "certify": models trained by
method="paper", whose property holds or nearly does; there the question is whether it holds. A run that
reaches the limit counts as the limit. The sizes of the 12 were chosen so that one of the two finishes; the
weights are those of the seed. Writes docs/mip_against_paper.csv, with all columns
docs/mip_against_paper_raw.csv, and prints markdown.

    python benchmarks/mip_against_paper.py [--repeats 5] [--limit 60] [--seeds 2] [--hard] [--quick]
        [--only NAME] [--output docs]
"""

import argparse
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from methods import QUICK, TASKS, variants
from paper_mip import paper_maximum
from sklearn.base import is_regressor
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

from smile_sklearn.exceptions import CertificationWarning
from smile_sklearn.properties.domain import InputDomain
from smile_sklearn.properties.relation import Relation
from smile_sklearn.snapshot import NetworkSnapshot
from smile_sklearn.snapshot.graph import GraphBuilder
from smile_sklearn.verification.mip import MIP

DOCS = Path(__file__).resolve().parent.parent / "docs"
SHOWN = ("case", "paper_seconds", "paper_solved", "package_seconds", "package_solved", "ratio")
"""Columns of the table in the documentation."""

CLAMPS = {"relu": (0.0, np.inf), "clamp": (-0.3, 0.5)}


@dataclass(frozen=True)
class Case:
    """A network drawn with a fixed seed, and the property asked of it.

    Parameters
    ----------
    name : str
    seed : int
    n_features : int
        Numeric and integer ones; groups come on top.
    hidden : tuple of int
    ends : {"free", "near", "width", "relu width"}
        "near": free ends as training leaves them, hi a small change of lo.
    delta : float
        Largest difference of numeric features, unit box.
    integers : int
        So many of the features are integers 0..4 with a difference of at most 1.
    group : int
        Categories of a protected one-hot group, any change of which is allowed.
    one_sided : bool
        Only x' >= x'' is related, and only the upper side limited.
    """

    name: str
    seed: int
    n_features: int
    hidden: tuple
    ends: str = "free"
    activation: str = "relu"
    n_latent: int = 4
    n_outputs: int = 1
    delta: float = 0.1
    coupling: str = "box"
    integers: int = 0
    group: int = 0
    one_sided: bool = False

    def build(self):
        """(snapshot, relation)."""
        generator = np.random.default_rng(self.seed)
        d = self.n_features + self.group
        upper = np.ones(d)
        upper[: self.integers] = 4.0
        groups = [list(range(self.n_features, d))] if self.group else []
        domain = InputDomain(np.zeros(d), upper, integer=range(self.integers), one_hot=groups)
        return self._snapshot(generator, domain), self._relation(domain)

    def _relation(self, domain):
        delta = np.full(domain.n_features, self.delta)
        delta[: self.integers] = 1.0
        delta[self.n_features :] = 1.0
        lower = np.where(domain.in_group, -1.0, 0.0) if self.one_sided else -delta
        ends = (-np.inf if self.one_sided else -1e-3, 1e-3)
        return Relation("asked", "a statement of the benchmark", domain, lower, delta, *ends)

    def _snapshot(self, generator, domain):
        builder, source, size = GraphBuilder(domain.n_features), 0, domain.n_features
        for width in self.hidden:
            weight = generator.normal(size=(width, size)) * 1.5 / np.sqrt(size)
            bias = generator.normal(size=width) * 0.5 - 0.4 * weight.sum(axis=1)
            low, high = CLAMPS[self.activation]
            source = builder.affine(weight, bias, source)
            source, size = builder.clamp(np.full(width, low), np.full(width, high), source), width
        n = self.n_latent
        weight, bias = generator.normal(size=(n, size)), generator.normal(size=n) * 0.3
        lower, width_node = builder.affine(weight, bias, source), None
        if self.ends in ("free", "near"):
            other = generator.normal(size=(n, size))
            other = weight + 0.1 * other if self.ends == "near" else other
            upper = builder.affine(other, bias + 0.2, source)
        else:
            widths = generator.normal(size=(n, domain.n_features)) * 0.1
            start = 0.2 * generator.random(n) - np.minimum(widths, 0.0).sum(axis=1)
            if self.ends == "relu width":
                start = 0.1 * generator.normal(size=n)
            width_node = builder.affine(widths, start)
            if self.ends == "relu width":
                width_node = builder.clamp(np.zeros(n), np.full(n, np.inf), width_node)
            upper = builder.sum(lower, width_node)
        head = generator.normal(size=(self.n_outputs, n))
        reads = () if self.coupling == "shared" else range(domain.n_features)
        return NetworkSnapshot(
            builder.build(), lower, upper, width_node, head, np.zeros(self.n_outputs), reads, domain
        )


CASES = (
    Case("1 feature, relu 32, free", 1, 1, (32,), delta=0.05),
    Case("4 features, relu 8+8, free", 2, 4, (8, 8), delta=0.1),
    Case("8 features, relu 16, free", 3, 8, (16,)),
    Case("12 features, clamp 10, width", 4, 12, (10,), "width", activation="clamp"),
    Case("20 features, relu 16, relu width", 5, 20, (16,), "relu width"),
    Case("30 features, relu 16, width", 6, 30, (16,), "width"),
    Case("60 features, relu 16, near", 7, 60, (16,), "near", delta=0.02),
    Case("40 features, relu 16, near, one-sided", 8, 40, (16,), "near", delta=0.05, one_sided=True),
    Case("10 features and a group of 5, relu 12, free", 9, 10, (12,), group=5, delta=0.0),
    Case(
        "12 features and a group of 4, relu 12, shared", 10, 12, (12,), coupling="shared", group=4, delta=0.0
    ),
    Case("5 features, relu 10, 3 classes, width", 11, 5, (10,), "width", n_outputs=3),
    Case(
        "10 features, 3 integers, relu 12, shared", 12, 10, (12,), coupling="shared", integers=3, delta=0.05
    ),
)
HARD = Case("40 features, relu 32, free, 8 latent", 13, 40, (32,), n_latent=8)
"""Neither finishes: shown, not counted."""


def ours(snapshot, relation, coupling, limit):
    started = time.perf_counter()
    certificate = MIP().verify(snapshot, relation, coupling=coupling, time_limit=limit)
    seconds = time.perf_counter() - started
    problems = certificate.proof["problems"]
    return {
        "seconds": seconds,
        "bound": certificate.bound,
        "nodes": sum(problem["nodes"] for problem in problems),
        "solved": not any(problem["termination"] == "time limit" for problem in problems),
    }


def papers(snapshot, relation, coupling, limit):
    answer = paper_maximum(snapshot, relation, coupling, time_limit=limit)
    return {"seconds": answer.seconds, "bound": answer.bound, "nodes": answer.nodes, "solved": answer.solved}


def measure(run, repeats, limit):
    """Median over the repeats; one run that reaches the limit is enough."""
    answers = []
    for _ in range(repeats):
        answers.append(run())
        if not answers[-1]["solved"]:
            return {**answers[-1], "seconds": limit}
    return {**answers[0], "seconds": float(np.median([answer["seconds"] for answer in answers]))}


def compare(name, kind, snapshot, relation, coupling, options):
    row = {"table": kind, "case": name}
    for who, run in (("paper", papers), ("package", ours)):
        asked = (snapshot, relation, coupling, options.limit)
        answer = measure(lambda run=run, asked=asked: run(*asked), options.repeats, options.limit)
        row |= {f"{who}_{key}": value for key, value in answer.items()}
    row["ratio"] = row["paper_seconds"] / row["package_seconds"]
    print(
        "{case}: {paper_seconds:.2f} s, {package_seconds:.2f} s, {ratio:.1f} times".format(**row),
        "bounds {paper_bound:.6g} {package_bound:.6g} nodes {paper_nodes} {package_nodes}".format(**row),
        flush=True,
    )
    return row


def trained(task, seed, quick):
    """(snapshot, relation) of a model that the paper's method trained for the property of a task."""
    X, y = task.load()
    stratify = None if is_regressor(task.estimator()) else y
    X_train, _, y_train, _ = train_test_split(X, y, random_state=seed, stratify=stratify)
    scaler = MinMaxScaler().set_output(transform="pandas") if task.scaled else FunctionTransformer()
    arguments = variants(task)["paper"] | (QUICK if quick else {})
    model = make_pipeline(scaler, task.estimator(**arguments, random_state=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CertificationWarning)  # some end with a small bound
        model.fit(X_train, y_train)
    return model[-1].snapshot_, model[-1].relations_[0]


def measured(options):
    """One row a case, in the order of the lists."""
    for case in (*CASES, *([HARD] if options.hard else [])):
        if options.only in case.name:
            table = "maximum" if case in CASES else "hard"
            yield compare(case.name, table, *case.build(), case.coupling, options)
    for task in TASKS:
        for seed in range(1 if options.quick else options.seeds):
            name = f"{task.name}, seed {seed}"
            if options.only in name:
                yield compare(name, "certify", *trained(task, seed, options.quick), "box", options)


def summary(frame):
    """Ratios of one table: geometric mean, smallest, and how many each side left unfinished."""
    return {
        "cases": len(frame),
        "geometric mean": float(np.exp(np.log(frame["ratio"]).mean())),
        "smallest": frame["ratio"].min(),
        "paper unfinished": int((~frame["paper_solved"]).sum()),
        "package unfinished": int((~frame["package_solved"]).sum()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--repeats", type=int, default=5, help="runs, of which the median counts (default: 5)"
    )
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a run (default: 60)")
    parser.add_argument("--seeds", type=int, default=2, help="trained models of each task (default: 2)")
    parser.add_argument("--hard", action="store_true", help="also the case that neither finishes")
    parser.add_argument("--quick", action="store_true", help="one repeat, 5 s, no file is written")
    parser.add_argument("--only", default="", help="cases whose name contains this; no file is written")
    parser.add_argument("--output", type=Path, default=DOCS, help="folder of the table (default: docs)")
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.limit = 1, 5.0
    papers(*CASES[0].build(), "box", options.limit)  # loads the solver; not counted
    frame = pd.DataFrame(list(measured(options)))
    print(markdown(frame))
    for table, rows in frame.groupby("table", sort=False):
        print(table, ", ".join(f"{key} {value:.3g}" for key, value in summary(rows).items()))
    if not options.quick and not options.only:
        frame.to_csv(options.output / "mip_against_paper_raw.csv", index=False)
        shown = frame[list(SHOWN)]
        shown.to_csv(options.output / "mip_against_paper.csv", index=False, float_format="%.3g")


def markdown(frame):
    lines = [
        "| case | paper, s | package, s | ratio | paper bound | package bound |",
        "|---|---|---|---|---|---|",
    ]
    for row in frame.itertuples():
        times = [
            f"{seconds:.2f}" if solved else "unfinished"
            for seconds, solved in (
                (row.paper_seconds, row.paper_solved),
                (row.package_seconds, row.package_solved),
            )
        ]
        numbers = f"{row.ratio:.1f} | {row.paper_bound:.6g} | {row.package_bound:.6g}"
        lines.append(f"| {row.case} | {times[0]} | {times[1]} | {numbers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
