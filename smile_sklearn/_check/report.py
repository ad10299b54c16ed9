"""What the checker answers: named steps, and what it had to take on trust."""

import re
from dataclasses import dataclass


def shown(value):
    """A Fraction or infinity as text; one beyond float64 shows as an infinity."""
    try:
        return f"{float(value):.9g}"
    except OverflowError:
        return "inf" if value > 0 else "-inf"


def exactly(value):
    """A Fraction with all digits of its float64."""
    try:
        return repr(float(value))
    except OverflowError:
        return str(value)


def plain(text):
    """Text that a terminal can only show: whatever is not printable ASCII is escaped.

    Names come from files. A line break in one, or a sequence that hides text, would let it write lines of
    the report; a lone surrogate could not be written at all.
    """
    return re.sub(r"[^ -~]", lambda found: found.group().encode("unicode_escape").decode("ascii"), text)


class CheckFailure(Exception):
    """A step did not go through; the message says why."""


@dataclass(frozen=True)
class Step:
    """One step of a check.

    Parameters
    ----------
    name : str
        "document", "model", "digest", "domain", "relation", "status", "attained", "parts", "coupling",
        "tree", "interval", "solver", "bound", "variation", "rigor", "counterexample" or "proof".
    passed : bool
    detail : str
        What was compared, or why it failed.
    part : str
        Name of the property, for a certificate of several.
    """

    name: str
    passed: bool
    detail: str
    part: str = ""

    def __str__(self):
        where = f"{quoted(self.part)}: " if self.part else ""
        return plain(f"{'ok  ' if self.passed else 'FAIL'} {where}{self.name}: {self.detail}")


@dataclass(frozen=True)
class Property:
    """A property that a certificate speaks of.

    Parameters
    ----------
    caption : str
        Its statement, for people: nothing compares it with what is proved.
    claims : bool
        Whether a bound or a violation is claimed.
    part : str
        Its name, for a certificate of several.
    """

    caption: str
    claims: bool
    part: str = ""

    def __str__(self):
        where = f"{quoted(self.part)}: " if self.part else ""
        return plain(f"caption (not checked): {where}{self.caption}")


@dataclass(frozen=True)
class CheckReport:
    """Outcome of a check.

    Parameters
    ----------
    steps : tuple of Step
        In the order taken; a step that others rest on ends the check when it fails.
    trusted : tuple of str
        What the certificate rests on and no file can show: a solver, the backbone.
    properties : tuple of Property
        Those whose relation could be read.
    """

    steps: tuple
    trusted: tuple = ()
    properties: tuple = ()

    @property
    def passed(self):
        """Whether every step passed."""
        return bool(self.steps) and all(step.passed for step in self.steps)

    @property
    def failures(self):
        """Steps that failed."""
        return tuple(step for step in self.steps if not step.passed)

    def __str__(self):
        trusted = (plain(f"trusted: {item}") for item in self.trusted)
        return "\n".join([*map(str, self.steps), *map(str, self.properties), *trusted, self._verdict()])

    def _verdict(self):
        if not self.passed:
            names = ", ".join(dict.fromkeys(step.name for step in self.failures))
            return f"The certificate FAILS at: {names}."
        silent = [quoted(item.part) for item in self.properties if not item.claims]
        if len(silent) == len(self.properties):
            return "The certificate claims nothing; nothing is proved."
        if silent:
            return plain(f"The certificate passes; it claims nothing of {', '.join(silent)}.")
        return "The certificate passes." if self.trusted else "The certificate is proved again, in full."


EXTRA = 4096
"""Splits of our own that are made for one certificate, besides as many as its trees have leaves."""


class Effort:
    """Splits that may still be made: a false claim must not keep the checker busy for long."""

    def __init__(self, splits=EXTRA):
        self.splits = splits


class Journal:
    """Collects steps; ``part`` is the property they speak of.

    All of them share what may be spent: ``effort`` on proofs, ``curiosity`` on what is trusted anyway.
    """

    def __init__(self):
        self.effort, self.curiosity = Effort(), Effort()
        self.steps, self.trusted, self.properties, self.part = [], [], [], ""

    def note(self, name, passed, detail):
        """Record a step and return whether it passed."""
        self.steps.append(Step(name, bool(passed), detail, self.part))
        return bool(passed)

    def take(self, name, action, detail=""):
        """Run ``action``; record its failure as a failed step. Returns its result, or None."""
        try:
            result = action()
            text = detail(result) if callable(detail) else detail
        except Exception as failure:
            self.fail(name, failure)
            return None
        self.note(name, True, text)
        return result

    def fail(self, name, failure):
        """Record an exception as a failed step: a document that trips the checker has not passed."""
        kind = "" if isinstance(failure, CheckFailure) else f"{type(failure).__name__}: "
        self.note(name, False, f"{kind}{failure}")

    def trust(self, what):
        """Record something that is not checked here."""
        if what not in self.trusted:
            self.trusted.append(what)

    def speak_of(self, caption, claims):
        """Record a property."""
        self.properties.append(Property(caption, claims, self.part))

    def report(self):
        """Return the finished :class:`CheckReport`."""
        return CheckReport(tuple(self.steps), tuple(self.trusted), tuple(self.properties))


def quoted(name):
    """A name from a file: as it is if it is one word, else in quotes, so that it cannot imitate a line."""
    return name if re.fullmatch(r"[\w-]+", name) else repr(name)
