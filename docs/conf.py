"""Sphinx configuration: ``tox -e docs``, or ``sphinx-build -W --keep-going -b html docs docs/_build/html``."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # document this tree, installed or not

import smile_sklearn  # noqa: E402

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
]
if find_spec("sphinx_mathjax_offline"):
    # A copy of MathJax beside the pages; otherwise the reader's browser fetches it from its usual address.
    extensions.append("sphinx-mathjax-offline")

exclude_patterns = ["_build", "_templates", "auto_examples/**/*.ipynb", "**/README.txt"]
templates_path = ["_templates"]
default_role = "py:obj"

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False  # the class template lists them
numpydoc_xref_param_type = False

# The scripts run at build time. What needs a data set that is not at hand says so and ends well;
# thumbnails come from the first figure.
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"[\\/]plot_",
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
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "getting_started": [], "when_to_use": []}


METHODS_TABLE = """
.. csv-table:: Both methods with the same properties on the same rows
   :file: {file}
   :header-rows: 1
   :class: table-sm
"""

MISSING_TABLE = """
The measurements are not part of this build: run ``python benchmarks/methods.py`` and build again.
"""


def include_methods(app, docname, source):
    """Put the measurements of ``benchmarks/methods.py`` in the page on training, if they were taken."""
    if docname == "training":
        table = METHODS_TABLE.format(file="methods.csv") if (HERE / "methods.csv").exists() else MISSING_TABLE
        source[0] = source[0].replace("|methods table|", table)


def drop_foreign_labels(app, what, name, obj, options, lines):
    """Turn references of inherited scikit-learn docstrings to pages of its own user guide into plain text."""
    if getattr(obj, "__module__", "").startswith("sklearn."):
        lines[:] = [re.sub(r":ref:`([^`<]+?) *<[^`]+>`", r"\1", line) for line in lines]


def setup(app):
    """Register the hooks above."""
    app.connect("source-read", include_methods)
    app.connect("autodoc-process-docstring", drop_foreign_labels)
