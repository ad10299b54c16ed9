"""Training methods by name."""

from smile_sklearn.training.paper_method import PaperMethod
from smile_sklearn.training.smile_method import SMiLEMethod

METHODS = {"smile": SMiLEMethod, "paper": PaperMethod}
"""What ``method=`` accepts by name; an object with the same phases is taken as it is."""

PARTS = ("default_coupling", "build", "pretrain", "train", "posttrain")
"""What an object must have to serve as a method: see `SMiLEMethod` for their meaning."""


def make_method(method):
    """Return the method asked for.

    Raises
    ------
    ValueError
        If the name is unknown, or the object lacks a phase.
    """
    if isinstance(method, str) and method in METHODS:
        return METHODS[method]()
    if isinstance(method, type):
        raise ValueError(f"Got method={method!r}, a class, expected an object: {method.__name__}().")
    missing = [name for name in PARTS if not hasattr(method, name)]
    if missing:
        raise ValueError(
            f"Got method={method!r}, expected one of {sorted(METHODS)} or an object with {', '.join(PARTS)} "
            f"(missing: {', '.join(missing)})."
        )
    return method
