"""The directive ``study-table``: chosen columns of a CSV file of the study, means beside their spreads.

.. code-block:: rst

   .. study-table:: robustness.csv
      :columns: method, delta, clean, verified, fit seconds
      :where: epsilon=1.0; rule=global

      Caption.

A column ``X`` for which there is ``X spread`` reads ``mean ± spread``. A file that is not there leaves a line
that says so: a build needs no measurements.
"""

import csv
import math
from pathlib import Path

from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective


class StudyTable(SphinxDirective):
    """See the module."""

    required_arguments = 1
    option_spec = {"columns": directives.unchanged_required, "where": directives.unchanged_required}  # noqa: RUF012
    has_content = True

    def run(self):
        """Return the nodes of a csv-table."""
        name = self.arguments[0]
        path = Path(self.env.doc2path(self.env.docname)).parent / name
        self.env.note_dependency(str(path))
        if not path.exists():
            return self.parsed(f"*{name} is not part of this build: run its script and build again.*")
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows, known = [row for row in reader if self._wanted(row)], reader.fieldnames
        columns = _names(self.options["columns"])
        if unknown := [column for column in columns if column not in known]:
            raise self.error(f"Got the columns {unknown} of {name}, expected some of {known}.")
        if not rows:
            return self.parsed(f"*No rows of {name} are part of this build.*")
        header = ", ".join(f'"{column}"' for column in columns)
        lines = [
            f".. csv-table:: {' '.join(self.content)} (:download:`all columns <{name}>`)",
            f"   :header: {header}",
        ]
        lines += ["", *("   " + ", ".join(f'"{_cell(row, column)}"' for column in columns) for row in rows)]
        return self.parsed("\n".join(lines))

    def parsed(self, text):
        """Return the nodes that some lines of reStructuredText make."""
        return self.parse_text_to_nodes(StringList(text.splitlines(), source=self.arguments[0]))

    def _wanted(self, row):
        conditions = (condition.split("=", 1) for condition in _names(self.options.get("where", ""), ";"))
        return all(row[column.strip()] == value.strip() for column, value in conditions)


def _names(text, separator=","):
    return [name.strip() for name in text.split(separator) if name.strip()]


def _cell(row, column):
    """The cell as text: numbers to four digits, or to the second digit of their spread."""
    value, spread = _number(row[column]), _number(row.get(f"{column} spread", ""))
    if value is None:
        return row[column].replace('"', '""')
    if spread is None or not math.isfinite(spread):
        return f"{value:.4g}"
    decimals = min(4, max(0, 1 - math.floor(math.log10(spread)))) if spread > 0 else 4
    return f"{value:.{decimals}f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{spread:.{decimals}f}"


def _number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def setup(app):
    """Register the directive."""
    app.add_directive("study-table", StudyTable)
    return {"parallel_read_safe": True}
