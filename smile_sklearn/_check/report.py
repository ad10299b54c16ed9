"""What the checker answers: named steps, and what it had to take on trust."""

from dataclasses import dataclass


def shown(value):
    """A Fraction or infinity as text; one beyond float64 shows as an infinity."""
    try:
        return f"{float(value):.9g}"
    except OverflowError:
        return "inf" if value > 0 else "-inf"


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
        where = f"{self.part}: " if self.part else ""
        return f"{'ok  ' if self.passed else 'FAIL'} {where}{self.name}: {self.detail}"


@dataclass(frozen=True)
class CheckReport:
    """Outcome of a check.

    Parameters
    ----------
    steps : tuple of Step
        In the order taken; a step that others rest on ends the check when it fails.
    trusted : tuple of str
        What the certificate rests on and no file can show: a solver, the backbone.
    """

    steps: tuple
    trusted: tuple = ()

    @property
    def passed(self):
        """Whether every step passed."""
        return bool(self.steps) and all(step.passed for step in self.steps)

    @property
    def failures(self):
        """Steps that failed."""
        return tuple(step for step in self.steps if not step.passed)

    def __str__(self):
        lines = [*map(str, self.steps), *(f"trusted: {item}" for item in self.trusted)]
        if self.passed:
            lines.append(
                "The certificate passes." if self.trusted else "The certificate is proved again, in full."
            )
        else:
            names = ", ".join(dict.fromkeys(step.name for step in self.failures))
            lines.append(f"The certificate FAILS at: {names}.")
        return "\n".join(lines)


class Journal:
    """Collects steps; ``part`` is the property they speak of."""

    def __init__(self):
        self.steps, self.trusted, self.part = [], [], ""

    def note(self, name, passed, detail):
        """Record a step and return whether it passed."""
        self.steps.append(Step(name, bool(passed), detail, self.part))
        return bool(passed)

    def take(self, name, action, detail=""):
        """Run ``action``; record a CheckFailure as a failed step. Returns its result, or None."""
        try:
            result = action()
        except CheckFailure as failure:
            self.note(name, False, str(failure))
            return None
        self.note(name, True, detail(result) if callable(detail) else detail)
        return result

    def trust(self, what):
        """Record something that is not checked here."""
        if what not in self.trusted:
            self.trusted.append(what)

    def report(self):
        """Return the finished :class:`CheckReport`."""
        return CheckReport(tuple(self.steps), tuple(self.trusted))
