"""Neural networks with certified relational properties, as scikit-learn estimators.

*Properties* of a *network*, obtained by *training*, shown by *verification*, delivered as *certificates*.
"""

from importlib import import_module

__version__ = "0.1.0"

# Public name -> the module that defines it. Names are imported on first use (PEP 562), so that
# `import smile_sklearn` is fast and the certificate checker never loads torch.
_MODULE_OF_NAME = {
    "SMiLERegressor": "regressor",
    "SMiLEClassifier": "classifier",
    "Monotonic": "properties",
    "Fair": "properties",
    "GloballyRobust": "properties",
    "Relational": "properties",
    "PropertySet": "properties",
    "InputDomain": "properties",
    "Certificate": "certificates",
    "Status": "certificates",
    "Counterexample": "certificates",
    "CertifiedPrediction": "certificates",
    "NetworkSnapshot": "snapshot",
}

# Reachable as attributes after a plain `import smile_sklearn`, as scikit-learn's subpackages are.
_SUBMODULES = (
    "certificates",
    "datasets",
    "exceptions",
    "inspection",
    "properties",
    "snapshot",
    "verification",
)

__all__ = [*_MODULE_OF_NAME, "__version__"]


def __getattr__(name):
    if name in _MODULE_OF_NAME:
        value = getattr(import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)
        globals()[name] = value  # the next access does not come through here
        return value
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__, *_SUBMODULES})
