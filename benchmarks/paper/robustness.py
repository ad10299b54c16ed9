"""MNIST zero against the rest: what is verified at each delta, by a global proof and by local ones.

The 15 (delta, epsilon) of the paper for method="smile" by the global rule, its five deltas for the local
rule, for a CROWN-IBP network, for a network without any property, and for method="paper" at epsilon 1, one
seed. Training uses the 60 000 training images, all numbers are of the first 1000 test images. Writes
robustness_raw.csv (one row a fit and delta), robustness.csv and robustness.png.

    python benchmarks/paper/robustness.py [--quick] [--seeds 3] [--only GROUP ...] [--output docs/study]

Two processes with different ``--only`` may fill one file.
"""

import time
import warnings
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from crown_ibp import CrownIBP
from matplotlib.figure import Figure
from pgd import Attack, smile_logit, surviving_rows
from results import Results, mean_and_spread, output_folder, study_parser
from robust_recipes import GLOBAL, LOCAL, PAPER, with_shifted_copies

from smile_sklearn import GloballyRobust, InputDomain, SMiLEClassifier
from smile_sklearn.datasets import fetch_mnist
from smile_sklearn.exceptions import CertificationWarning
from smile_sklearn.inspection import without_backbone

DELTAS = (0.010, 0.025, 0.050, 0.075, 0.100)

N_ROWS = {"train": (60_000, 2000), "test": (1000, 200)}
"""In the study, and with --quick."""

QUICK = {"max_iter": 1, "pretrain_iter": 0, "posttrain_iter": 1, "time_limit": 5.0}
"""Shows that the script runs; the numbers mean nothing."""

DOMAIN = InputDomain(np.zeros(784), np.ones(784))
"""All images: the box of the training rows would leave out test images with ink in a corner."""

KEYS = ("method", "rule", "delta", "epsilon", "seed")

MEASURED = (
    "clean", "pgd", "verified", "balanced verified", "rejected", "majority",
    "without h", "verified without h", "fit seconds", "predict seconds", "certify seconds", "ratio",
)  # fmt: skip

REPEATS = 5
"""Timings of prediction are the least of so many."""


@dataclass(frozen=True)
class Entrant:
    """A trained model and what is asked of it.

    Parameters
    ----------
    model : object with predict
        Classes in {0, 1}.
    certify : callable
        From rows to their classes, and whether each is certain within delta.
    logit : callable
        Its float32 torch copy, for attacks.
    seconds : float
        Of the fit, CPU time.
    status, bound : str, float
        Of the certificate; "" and nan where a method has none.
    ablated : callable or None
        As certify, with h replaced by its mean.
    """

    model: object
    certify: object
    logit: object
    seconds: float
    status: str = ""
    bound: float = np.nan
    ablated: object = None


@cache
def load(part, quick):
    """First rows of ``"train"`` or ``"test"``, and whether each shows a zero."""
    mnist = fetch_mnist()
    n_rows = N_ROWS[part][quick]
    rows, digits = mnist[f"data_{part}"][:n_rows], mnist[f"target_{part}"][:n_rows]
    return rows.copy(), (digits == 0).astype(int)


# --- methods --------------------------------------------------------------------------------------


def fit_smile(recipe, rule, delta, epsilon, seed, quick, copies=None):
    """Fit a SMiLEClassifier, on copies of the rows if any; the local rule asks for no global claim."""
    named = GloballyRobust(delta, epsilon if rule == "global" else None)
    model = SMiLEClassifier(named, domain=DOMAIN, random_state=seed, **recipe[delta])
    if quick:
        model.set_params(**QUICK)
    rows, labels = load("train", quick)
    if copies is not None:
        rows, labels = copies(rows, labels)
    started = time.process_time()
    with warnings.catch_warnings():
        # A fit that ends without a proof says so in the column status.
        warnings.simplefilter("ignore", CertificationWarning)
        model.fit(rows, labels)
    seconds = time.process_time() - started
    asked = {"property": named if rule == "local" else None, "method": rule}
    certificate = model.certificate_
    return Entrant(
        model=model,
        certify=partial(smile_certify, model, asked),
        logit=smile_logit(model),
        seconds=seconds,
        status="" if certificate is None else str(certificate.status),
        bound=np.nan if certificate is None else certificate.bound,
        ablated=lambda rows: smile_certify(without_backbone(model, rows), asked, rows),
    )


def smile_certify(model, asked, rows):
    """Classes of rows, and which are certain: none where the global rule has no proof to stand on."""
    if asked["method"] == "global" and not np.isfinite(model.certificate_.variation):
        return model.predict(rows), np.zeros(len(rows), dtype=bool)
    answer = model.predict_with_certificate(rows, **asked)
    return answer.prediction, answer.certified


def fit_crown_ibp(delta, epsilon, seed, quick):
    """Train a network for this delta."""
    return certified_within(delta, *train_network(delta, seed, quick))


def fit_agnostic(delta, epsilon, seed, quick):
    """Train the same network without any property, once for all deltas."""
    return certified_within(delta, *train_network(0.0, seed, quick))


def certified_within(delta, net, seconds):
    """Ask a network for rows that IBP or CROWN certifies."""
    return Entrant(net, partial(CrownIBP(delta).verify, net), net, seconds)


@cache
def train_network(delta, seed, quick):
    """Return the network and the CPU seconds of its training."""
    trainer = CrownIBP(delta, seed=seed, epochs=1) if quick else CrownIBP(delta, seed=seed)
    return trainer.fit(*load("train", quick))


FITS = {
    ("smile", "global"): partial(fit_smile, GLOBAL, "global"),
    ("smile", "local"): partial(fit_smile, LOCAL, "local", copies=with_shifted_copies),
    ("paper", "global"): partial(fit_smile, PAPER, "global"),
    ("crown-ibp", "local"): fit_crown_ibp,
    ("agnostic", "local"): fit_agnostic,
}
"""From delta, epsilon, seed and --quick to an `Entrant`."""

GROUPS = {
    "smile-global": ("smile", "global", (1.0,), None, 100),
    "smile-local": ("smile", "local", ("none",), None, 220),
    "agnostic": ("agnostic", "local", ("none",), None, 60),
    "crown-ibp": ("crown-ibp", "local", ("none",), None, 80),
    "paper": ("paper", "global", (1.0,), 1, 300),
    "smile-epsilons": ("smile", "global", (0.75, 1.25), None, 100),
}
"""Method, rule, epsilons, seeds (None: as asked) and rough CPU seconds a row, in the order of the runs."""


def planned(options):
    """All keys of the groups asked for, those of a whole seed first."""
    for name in options.only:
        method, rule, epsilons, n_seeds, _ = GROUPS[name]
        for seed in range(1 if options.quick else min(n_seeds or options.seeds, options.seeds)):
            for epsilon in epsilons[:1] if options.quick else epsilons:
                for delta in DELTAS[-1:] if options.quick else DELTAS:
                    yield name, dict(zip(KEYS, (method, rule, delta, epsilon, seed), strict=True))


# --- numbers --------------------------------------------------------------------------------------


def measure(entrant, rows, labels, attack):
    """All columns of one row, in percent where they are shares.

    Raises
    ------
    AssertionError
        If an attack breaks a certified row.
    """
    prediction, certified = entrant.certify(rows)
    right = prediction == labels
    verified = right & certified
    survives = surviving_rows(entrant.model, entrant.logit, rows, labels, certified, attack)
    assert not (verified & ~survives).any(), "an attack broke a certified row: the proof is wrong"
    ablated = ablated_verified = np.nan
    if entrant.ablated is not None:
        classes, certain = entrant.ablated(rows)
        ablated, ablated_verified = (classes == labels).mean(), ((classes == labels) & certain).mean()
    predict = least_seconds(entrant.model.predict, rows)
    certify = least_seconds(entrant.certify, rows)
    shares = {
        "clean": right.mean(),
        "pgd": survives.mean(),
        "verified": verified.mean(),
        "balanced verified": np.mean([verified[labels == label].mean() for label in (0, 1)]),
        "rejected": 1.0 - certified.mean(),
        "majority": max(labels.mean(), 1.0 - labels.mean()),
        "without h": ablated,
        "verified without h": ablated_verified,
    }
    return {
        **{name: 100.0 * share for name, share in shares.items()},
        "fit seconds": entrant.seconds,
        "predict seconds": predict,
        "certify seconds": certify,
        "ratio": certify / predict,
        "status": entrant.status,
        "bound": entrant.bound,
    }


def least_seconds(function, rows):
    """CPU seconds of one call, the least of `REPEATS`."""
    found = []
    for _ in range(REPEATS):
        started = time.process_time()
        function(rows)
        found.append(time.process_time() - started)
    return min(found)


def summarise(raw):
    """One row a method, rule, delta and epsilon: means over the seeds, statuses counted."""
    keys = [*KEYS[:4]]
    table = mean_and_spread(raw, keys, MEASURED)
    statuses = raw.astype({"status": object}).fillna({"status": ""}).groupby(keys, sort=False)["status"]
    table["status"] = statuses.agg(lambda values: ", ".join(sorted(set(values)))).to_numpy()
    kept = [*keys]
    for name in MEASURED:
        kept += [name, f"{name} spread"] if name in MEASURED[:4] else [name]
    return table[[*kept, "status", "runs"]]


def draw(table, path):
    """Verified accuracy against delta, a line a method, whole and from 97 %; dotted: a constant answer."""
    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    panels = figure.subplots(1, 2)
    shown = table[table["epsilon"].isin(["1.0", "none"])]
    for (method, rule), rows in shown.groupby(["method", "rule"], sort=False):
        label = method if method in ("agnostic", "crown-ibp") else f"{method}, {rule}"
        spread = rows["verified spread"].fillna(0.0)
        for panel in panels:
            panel.errorbar(rows["delta"].astype(float), rows["verified"], spread, marker="o", label=label)
    for panel, least in zip(panels, (0, 97), strict=True):
        panel.axhline(table["majority"].max(), color="0.5", linestyle=":", label="always not zero")
        panel.set(xlabel="delta", ylabel="verified %", ylim=(least, 100))
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


# --- the runs -------------------------------------------------------------------------------------


def main(arguments=None):
    parser = study_parser(__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), help=f"of {[*GROUPS]}")
    parser.add_argument(
        "--deltas", nargs="+", type=float, choices=DELTAS, default=DELTAS, help="default: all"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    folder = output_folder(options)
    results = Results(folder / "robustness_raw.csv", KEYS)
    wanted = [(name, key) for name, key in planned(options) if key["delta"] in options.deltas]
    missing = [(name, key) for name, key in wanted if not results.has(**key)]
    if not options.quick:
        seconds = sum(GROUPS[name][-1] for name, _ in missing)
        print(f"{len(missing)} runs to do, about {seconds / 60:.0f} CPU minutes")
    for _, key in missing:
        fit = FITS[key["method"], key["rule"]]
        entrant = fit(key["delta"], key["epsilon"], key["seed"], options.quick)
        attack = Attack(key["delta"], steps=5 if options.quick else 100)
        results.add(**key, **measure(entrant, *load("test", options.quick), attack))
    table = summarise(results.frame())
    table.to_csv(folder / "robustness.csv", index=False, float_format="%.5g")
    draw(table, folder / "robustness.png")
    print(table.to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
