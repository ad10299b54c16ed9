"""Configuration of Sphinx: ``tox -e docs`` builds the pages into ``docs/_build/html``."""

import csv
import re
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # document this tree, installed or not
sys.path.insert(0, str(HERE / "_extensions"))

import smile_sklearn  # noqa: E402
from smile_sklearn.datasets import DatasetNotFoundError, fetch_compas  # noqa: E402

project = "smile_sklearn"
author = "The smile_sklearn developers"
copyright = author
version = release = smile_sklearn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "study_table",
]
MATHJAX_COPY = "sphinx-mathjax-offline"  # the import name too
if find_spec(MATHJAX_COPY):
    # MathJax beside the pages; without that package the reader's browser fetches it from its usual address.
    extensions.append(MATHJAX_COPY)

exclude_patterns = ["_build", "_extensions", "_templates", "auto_examples/**/*.ipynb", "**/README.txt"]
templates_path = ["_templates"]
default_role = "py:obj"
rst_prolog = ".. currentmodule:: smile_sklearn"  # so that `Fair` in single backticks is a link

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False  # the class template lists them
numpydoc_xref_param_type = False

NEEDS_DATA = {"compas": fetch_compas}


def missing_examples():
    """Examples whose data set is not on this machine (none is downloaded: it has no OpenML copy)."""
    missing = []
    for example, fetch in NEEDS_DATA.items():
        try:
            fetch()
        except DatasetNotFoundError:
            missing.append(example)
    return missing


# The scripts run at build time. Those without their data are shown and not run: they end with SystemExit,
# which would end the build as well, without a word.
skipped = "|".join(missing_examples())
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": rf"[\\/]plot_(?!{skipped})" if skipped else r"[\\/]plot_",
    "within_subsection_order": "FileNameSortKey",
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "min_reported_time": 1,
}

html_theme = "pydata_sphinx_theme"
html_title = "smile_sklearn"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "navbar_persistent": [],
    "navbar_end": ["search-button", "theme-switcher"],
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
PAGES_WITHOUT_SIDEBAR = ("index", "getting_started", "certificates", "when_to_use", "mathematics", "training")
html_sidebars = {page: [] for page in (*PAGES_WITHOUT_SIDEBAR, "verifiers", "tutorials/*", "study/*")}


METHODS_TABLE = """
Measured by ``benchmarks/methods.py``: the same properties on the same splits, mean and spread over the seeds.
The score is R2 or accuracy on test rows; the bound is the largest violation left possible (output units).
:download:`All columns <methods.csv>`.

.. csv-table::
   :header: task, model, score, status, bound, MIP calls, MIP s, fit s

"""

MISSING_TABLE = """
Measurements are not part of this build: run ``python benchmarks/methods.py`` and build again.
"""


def methods_table():
    """Directive with the readable part of ``methods.csv``, or a line that says how to get it."""
    path = HERE / "methods.csv"
    if not path.exists():
        return MISSING_TABLE
    with path.open(newline="", encoding="utf-8") as file:
        rows = [methods_row(row) for row in csv.DictReader(file)]
    return METHODS_TABLE + "\n".join("   " + ", ".join(f'"{cell}"' for cell in row) for row in rows)


def methods_row(row):
    """Cells of one row of the table."""

    def shown(name, digits):
        return format(float(row[name]), digits) if row[name] else ""

    spread = shown("score_spread", ".3f")
    return (
        row["task"],
        row["model"],
        shown("score_mean", ".3f") + (f" ± {spread}" if spread else ""),
        row["status"],
        shown("largest_bound", ".2g"),
        shown("mip_calls", ".0f"),
        shown("mip_seconds", ".1f"),
        shown("seconds_mean", ".1f"),
    )


def include_methods(app, docname, source):
    """Put the measurements in the page on training."""
    if docname == "training":
        source[0] = source[0].replace("|methods table|", methods_table())


def drop_foreign_labels(app, what, name, obj, options, lines):
    """Turn references of inherited scikit-learn docstrings to pages of its own user guide into plain text."""
    if getattr(obj, "__module__", "").startswith("sklearn."):
        lines[:] = [re.sub(r":ref:`([^`<]+?) *<[^`]+>`", r"\1", line) for line in lines]


def setup(app):
    """Register the hooks above."""
    app.connect("source-read", include_methods)
    app.connect("autodoc-process-docstring", drop_foreign_labels)
