"""Verifiers by name, and the chain that tries the cheapest first."""

import time
import warnings

from smile_sklearn.certificates import Status
from smile_sklearn.exceptions import CertificationWarning, SolverError, UnsupportedError
from smile_sklearn.verification.difference import DifferenceBounds
from smile_sklearn.verification.mip import MIP

NAMES = ("auto", "difference", "mip")
"""Verifiers that may be asked for by name."""


class Chain:
    """Runs verifiers in order and stops at the first HOLDS or VIOLATED.

    Parameters
    ----------
    verifiers : sequence of Verifier
        Cheapest first. One that declines the network is passed over, unless all decline.
    """

    name = "auto"

    def __init__(self, verifiers):
        self.verifiers = tuple(verifiers)

    def verify(self, snapshot, relation, *, coupling="auto", time_limit=None, predict=None):
        """Return the best certificate found; arguments as in :meth:`Verifier.verify`.

        A solver that fails takes nothing from what an earlier verifier has proven: that is
        returned, with a CertificationWarning. Without an earlier certificate SolverError is raised.
        """
        deadline = None if time_limit is None else time.monotonic() + time_limit
        best, refusals = None, []
        for verifier in self.verifiers:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                certificate = verifier.verify(
                    snapshot, relation, coupling=coupling, time_limit=left, predict=predict
                )
            except UnsupportedError as refusal:
                refusals.append(refusal)
                continue
            except SolverError as error:
                if best is None:
                    raise
                warnings.warn(
                    f"The verifier {verifier.name!r} failed ({error}); the certificate of "
                    f"{relation.name!r} is that of {best.verifier!r}.",
                    CertificationWarning,
                    stacklevel=2,
                )
                continue
            if best is None or _rank(certificate) > _rank(best):
                best = certificate
            if best.status in (Status.HOLDS, Status.VIOLATED):
                return best
        if best is None:
            raise refusals[0]
        return best


def _rank(certificate):
    """A decided status first, then the smaller proven bound."""
    decided = certificate.status in (Status.HOLDS, Status.VIOLATED)
    return (decided, -certificate.bound)


def make_verifier(verifier="auto", *, solver="highs"):
    """Return the verifier asked for by name, or the instance itself.

    Parameters
    ----------
    verifier : {"auto", "difference", "mip"} or object with a ``verify`` method
    solver : {"highs", "gurobi"}
        For the MIP.
    """
    if verifier == "auto":
        return Chain((DifferenceBounds(), MIP(solver=solver)))
    if verifier == "difference":
        return DifferenceBounds()
    if verifier == "mip":
        return MIP(solver=solver)
    if hasattr(verifier, "verify"):
        return verifier
    raise ValueError(f"Got verifier={verifier!r}, expected one of {list(NAMES)} or a Verifier instance.")
