"""The study: rows that survive an interruption, tables made of them, and every script with --quick."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.paper.results import Results, mean_and_spread, output_folder, study_parser

ROOT = Path(__file__).resolve().parents[1]
STUDY = ROOT / "benchmarks" / "paper"
KEYS = ("model", "epsilon", "seed")


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "new" / "raw.csv", KEYS)


def add(results, model="smile", epsilon=0.4, seed=0, **columns):
    results.add(model=model, epsilon=epsilon, seed=seed, **(columns or {"score": 0.5, "status": "HOLDS"}))


# --- rows -----------------------------------------------------------------------------------------


def test_a_second_run_finds_what_the_first_one_wrote(results):
    key = {"model": "smile", "epsilon": 0.4, "seed": 0}
    assert not results.has(**key)
    add(results)
    again = Results(results.path, KEYS)
    assert again.has(**key)
    assert again.has(**(key | {"epsilon": np.float64(0.4), "seed": np.int64(0)}))
    assert not any(
        again.has(**(key | other)) for other in ({"seed": 1}, {"epsilon": 0.5}, {"model": "paper"})
    )
    add(again, seed=1, status="VIOLATED", score=0.25)  # in another order of columns
    assert list(again.frame()["score"]) == [0.5, 0.25]
    assert list(again.frame()["status"]) == ["HOLDS", "VIOLATED"]


@pytest.mark.parametrize("value", [None, "None", "NA", "nan", "", "a, b", 'a "b"', 1e-17, "01", "1.0", True])
def test_any_word_is_a_key(results, value):
    add(results, epsilon=value)
    assert results.has(model="smile", epsilon=value, seed=0)
    assert not results.has(model="smile", epsilon="another", seed=0)
    assert list(results.frame()["epsilon"]) == [str(value)]


def test_missing_and_infinite_values_come_back(results):
    add(results, bound=np.nan, variation=np.inf)
    add(results, seed=1, bound=-1e-300, variation=0.1 + 0.2)
    frame = results.frame()
    assert np.array_equal(frame["bound"], [np.nan, -1e-300], equal_nan=True)
    assert list(frame["variation"]) == [np.inf, 0.1 + 0.2]


@pytest.mark.parametrize("columns", [{"score": 1.0}, {"score": 1.0, "status": "HOLDS", "bound": 0.0}])
def test_rows_of_other_columns_are_refused(results, columns):
    add(results)
    before = results.path.read_bytes()
    with pytest.raises(ValueError, match=r"raw\.csv.*delete the file"):
        add(results, seed=1, **columns)
    assert results.path.read_bytes() == before


def test_mean_and_spread_by_hand():
    frame = pd.DataFrame(
        {"model": list("bbba"), "score": [1.0, 2.0, 6.0, 5.0], "seconds": [1.0, 1.0, 1.0, np.nan]}
    )
    table = mean_and_spread(frame, ("model",), ("seconds", "score"))
    assert list(table) == ["model", "seconds", "seconds spread", "score", "score spread", "runs"]
    assert list(table["model"]) == ["b", "a"]  # as the rows came
    assert list(table["score"]) == [3.0, 5.0]
    # (4 + 1 + 9) / 2 = 7; one run has no spread.
    assert np.allclose(table["score spread"], [np.sqrt(7.0), np.nan], equal_nan=True)
    assert list(table["runs"]) == [3, 1]


def test_quick_numbers_stay_out_of_the_documentation(tmp_path):
    def folder(*arguments):
        return output_folder(study_parser("").parse_args(arguments))

    assert folder() == ROOT / "docs" / "study"
    assert "docs" not in folder("--quick").relative_to(ROOT).parts
    assert folder("--quick", "--output", str(tmp_path)) == tmp_path


# --- scripts --------------------------------------------------------------------------------------


@pytest.fixture
def script(monkeypatch):
    """Import scripts by name, as they import each other, and forget them again."""
    monkeypatch.syspath_prepend(STUDY)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or ".").parent == STUDY:
            del sys.modules[name]


@pytest.fixture
def ablation(script):
    return script("ablation")


def test_the_change_of_a_variant_is_taken_seed_by_seed(ablation):
    rows = [
        {"task": "t", "variant": variant, "seed": seed, "score": score, "status": status}
        for variant, scores, status in (
            ("default", (0.9, 0.5, 0.1), "HOLDS"),
            ("alpha 0", (0.8, 0.4, 0.0), "BOUNDED"),
            ("without properties", (0.9, 0.8, 0.1), np.nan),
        )
        for seed, score in enumerate(scores)
    ]
    raw = pd.DataFrame(rows).assign(**dict.fromkeys(ablation.MEASURED[1:], 1.0))
    table = ablation.summarise(raw.sample(frac=1, random_state=0)).set_index("variant")
    assert table.loc["default", ["change", "change spread"]].tolist() == [0.0, 0.0]
    # The scores spread by .4, the differences not at all.
    assert table.loc["alpha 0", "score spread"] == pytest.approx(0.4)
    assert table.loc["alpha 0", ["change", "change spread"]].tolist() == pytest.approx([-0.1, 0.0])
    assert table.loc["without properties", "change"] == pytest.approx(0.1)
    assert table["status"].to_dict() == {
        "default": "3 HOLDS",
        "alpha 0": "3 BOUNDED",
        "without properties": "",
    }


@pytest.mark.data
def test_the_traits_of_the_ablation_are_those_of_the_fitted_models(ablation, require_data):
    for task in ablation.TASKS:
        X, y = require_data(task.load)
        once = {"pretrain_iter": 0, "max_iter": 1, "batch_size": len(X), "random_state": 0}
        model = task.estimator(task.properties, **once).fit(X, y)
        shared, reads = "shared" in model.couplings_, bool(model.snapshot_.reads)
        assert ("shared" in task.traits) == shared
        assert ("reads" in task.traits) == reads
        embedded = model.network_.auxiliary.context is not None
        assert ("embedded" in task.traits) == embedded
        assert ("apart" in task.traits) == (shared and reads and not embedded)
        assert ("penalty" in task.traits) == any(relation.epsilon_upper > 0 for relation in model.relations_)


def test_the_largest_change_of_figure_2_is_that_of_every_pair(script, rng):
    figure_2 = script("figure_2")
    first, second = rng.normal(size=(2, len(figure_2.GRID)))
    related = np.abs(figure_2.GRID[:, None] - figure_2.GRID) < figure_2.DELTA + 1e-9
    truth = (first[:, None] - second)[related].max()
    assert figure_2.largest_change(first, second) == truth
    cube = figure_2.GRID**3
    assert figure_2.largest_change(cube, cube) == pytest.approx(figure_2.STEEPEST)


def scripts():
    """Every script of the study; those that read a data set that is not shipped are marked so."""
    found = [
        path for path in sorted(STUDY.glob("*.py")) if "study_parser(" in path.read_text(encoding="utf-8")
    ]
    found.remove(STUDY / "results.py")
    for path in found:
        needs_data = path.stem not in ("figure_2", "monotonicity")
        marks = (pytest.mark.slow, *([pytest.mark.data] if needs_data else []))
        yield pytest.param(path.name, marks=marks, id=path.stem)


@pytest.mark.parametrize("name", list(scripts()))
def test_quick(name, tmp_path):
    command = [sys.executable, str(STUDY / name), "--quick", "--output", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    for _ in range(2):  # the second run finds the rows of the first
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if "DatasetNotFoundError: " in done.stderr and os.environ.get("SMILE_STRICT_DATA") != "1":
            pytest.skip(done.stderr.strip().splitlines()[-1])
        assert done.returncode == 0, done.stderr
    tables = list(tmp_path.glob("*.csv"))
    assert tables
    assert list(tmp_path.glob("*.png"))
    assert all(len(pd.read_csv(table)) for table in tables)


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"score": "0.33428", "score spread": "0.0213"}, "0.334 ± 0.021"),
        ({"score": "97.8", "score spread": "0.153"}, "97.80 ± 0.15"),
        ({"score": "41234.5", "score spread": "1234"}, "41234 ± 1234"),
        ({"score": "1", "score spread": "0"}, "1.0000 ± 0.0000"),
        ({"score": "-1.25e-09", "score spread": "nan"}, "-1.25e-09"),
        ({"score": "0.123456"}, "0.1235"),
        ({"score": ""}, ""),
        ({"score": "3 HOLDS"}, "3 HOLDS"),
    ],
)
def test_cells_of_the_pages(monkeypatch, row, text):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(ROOT / "docs" / "_extensions")
    import study_table

    assert study_table._cell(row, "score").replace("\N{NO-BREAK SPACE}", " ") == text
