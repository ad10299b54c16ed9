"""Input splitting: sub-problems of branch and bound with three rules, on twenty small trained networks.

What is proven, and why the comparison is fair: the largest V of a network is taken from the MIP (its best
pair, and its proven bound), and epsilon is that bound times 1 + MARGIN, plus twice the slack. So every
property holds, no rule can end early on a counterexample, and each rule has the same proof to give: every
region's bound at most epsilon. The gap is 0: a search ends when the property is proven and for no other
reason, and the same regions are bounded by the same linear bounds whatever the rule; only the cuts differ.
One region is cut at a time, the one with the largest bound, so that no rule is charged for a batch's
worth of cuts that another would have spared. A search that reaches --max-subproblems counts as that many,
in favour of the rule that reaches it; the table says so.

Writes docs/splitting.csv, docs/splitting_raw.csv, and prints the table in markdown.

    python benchmarks/splitting.py [--margin 0.02] [--max-subproblems 5000] [--quick]
                                   [--cache benchmarks/.cache] [--output docs]
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from certify import DOCS, geometric_mean, markdown, timed
from models import CACHE, NETWORKS, obtain

from smile_sklearn.certificates import Status
from smile_sklearn.verification.branch_and_bound import BranchAndBound
from smile_sklearn.verification.mip import MIP
from smile_sklearn.verification.sides import sides

RULES = ("reciph", "width", "smear")

SHOWN = ("network", "inputs", "influence", "property", "coupling", *RULES, "reciph_over_width")
"""Columns of the table in the documentation."""

MARGIN = 0.02
"""Share of the largest V that epsilon lies above it."""


def largest_value(trained):
    """(best V that a pair has, proven bound, slack) of |f(x') - f(x'')| by the MIP."""
    relation = replace(trained.relation, epsilon_lower=0.0, epsilon_upper=0.0)
    certificate = MIP().verify(trained.snapshot, relation, coupling=trained.coupling)
    problems = certificate.proof["problems"]
    assert all(problem["termination"] == "optimal" for problem in problems)
    return max(problem["value"] for problem in problems), certificate.bound, certificate.slack


def compare(trained, options):
    """One network: sub-problems of each rule for the same epsilon."""
    value, bound, slack = largest_value(trained)
    epsilon = (1.0 + options.margin) * bound + 2.0 * slack
    relation = replace(trained.relation, epsilon_lower=-epsilon, epsilon_upper=epsilon)
    assert sides(relation) == (1,)
    row = {
        "network": trained.name,
        "inputs": trained.snapshot.n_features,
        "influence": "unequal" if trained.recipe.data_arguments["unequal"] else "equal",
        "property": trained.relation.name,
        "coupling": trained.coupling,
        "largest_V": value,
        "epsilon": epsilon,
    }
    for rule in RULES:
        verifier = BranchAndBound(
            splitting=rule, max_subproblems=options.max_subproblems, gap=0.0, batch_size=1, n_jobs=1
        )
        certificate, seconds = timed(
            partial(verifier.verify, trained.snapshot, relation, coupling=trained.coupling)
        )
        proven = certificate.status is Status.HOLDS
        row[rule] = certificate.proof["subproblems"] if proven else options.max_subproblems
        row[f"{rule}_proven"], row[f"{rule}_seconds"] = proven, seconds
    row["reciph_over_width"] = row["reciph"] / row["width"]
    row["reciph_over_smear"] = row["reciph"] / row["smear"]
    return row


def summarise(frame):
    """Geometric means of the ratios: of all networks, of those proven, of equal and unequal inputs."""
    proven = frame[[f"{rule}_proven" for rule in RULES]]
    parts = {
        "all": frame,
        "proven by some rule": frame[proven.any(axis=1)],
        "proven by every rule": frame[proven.all(axis=1)],
    }
    parts |= {f"{kind} influence": part for kind, part in frame.groupby("influence")}
    ratios = ("reciph_over_width", "reciph_over_smear")
    return pd.DataFrame(
        {"networks": name, "n": len(part), **{ratio: geometric_mean(part[ratio]) for ratio in ratios}}
        for name, part in parts.items()
        if len(part)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--margin", type=float, default=MARGIN)
    parser.add_argument("--max-subproblems", type=int, default=5_000)
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the networks are kept")
    parser.add_argument("--quick", action="store_true", help="two networks, no file is written")
    parser.add_argument("--output", type=Path, default=DOCS, help="folder of the table (default: docs)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for recipe in NETWORKS[:2] if options.quick else NETWORKS:
        rows.append(compare(obtain(recipe, options.cache), options))
        print("{network}: {reciph} {width} {smear}".format(**rows[-1]), flush=True)
    frame = pd.DataFrame(rows)
    print(markdown(frame))
    print(markdown(summarise(frame)))
    if not options.quick:
        options.output.mkdir(parents=True, exist_ok=True)
        frame.to_csv(options.output / "splitting_raw.csv", index=False, float_format="%.6g")
        frame[list(SHOWN)].to_csv(options.output / "splitting.csv", index=False, float_format="%.3g")


if __name__ == "__main__":
    main()
