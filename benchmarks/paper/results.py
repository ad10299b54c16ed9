"""What the scripts of the study share: rows that survive an interruption, and tables made of them."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

DOCS = Path(__file__).resolve().parents[2] / "docs" / "study"
QUICK = Path(__file__).resolve().parents[1] / ".cache" / "quick"
"""Where --quick writes: it shows that a script runs, and its numbers must not reach the documentation."""


class Results:
    """Rows of one CSV file, each written as soon as it is known; a second run skips what is there.

    Parameters
    ----------
    path : Path
    keys : tuple of str
        Columns that tell one run from another.
    """

    def __init__(self, path, keys):
        self.path, self.keys = Path(path), tuple(keys)
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def frame(self):
        """All rows so far."""
        if not self.path.exists():
            return pd.DataFrame(columns=list(self.keys))
        frame = pd.read_csv(self.path)
        # Read apart: elsewhere an empty cell, None and NA are missing values, but a key may be any word.
        keys = pd.read_csv(self.path, usecols=list(self.keys), dtype=str, keep_default_na=False)
        return frame.assign(**keys)

    def has(self, **key):
        """Whether the run with these keys is there."""
        frame = self.frame()
        same = np.logical_and.reduce([frame[name] == str(key[name]) for name in self.keys])
        return bool(np.any(same))

    def add(self, **row):
        """Append one run; every run of a file must have the same columns."""
        row = {name: str(value) if name in self.keys else value for name, value in row.items()}
        frame = self.frame()
        if len(frame) and set(frame.columns) != set(row):
            raise ValueError(
                f"Got a row with {sorted(row)} for {self.path.name}, which has {sorted(frame.columns)}: "
                "delete the file to start again."
            )
        line = pd.DataFrame([row])
        line = line if not len(frame) else line[list(frame.columns)]
        line.to_csv(self.path, mode="a", header=not len(frame), index=False)
        print(" ".join(f"{name}={_short(value)}" for name, value in row.items()), flush=True)


def study_parser(description):
    """Arguments that every script of the study takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small and short: shows that the script runs")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: 3)")
    parser.add_argument("--output", type=Path, default=None, help="where tables go (default: docs/study)")
    return parser


def output_folder(options):
    """Where this call writes."""
    return options.output or (QUICK if options.quick else DOCS)


def mean_and_spread(frame, by, columns):
    """Mean and standard deviation (n - 1) over the runs, columns ``NAME`` and ``NAME spread``."""
    grouped = frame.groupby(list(by), sort=False)[list(columns)]
    mean, spread = grouped.mean(), grouped.std(ddof=1)
    table = mean.join(spread.add_suffix(" spread"))
    ordered = [name for column in columns for name in (column, f"{column} spread")]
    return table[ordered].assign(runs=grouped.size()).reset_index()


def _short(value):
    return f"{value:.5g}" if isinstance(value, float) else str(value)
