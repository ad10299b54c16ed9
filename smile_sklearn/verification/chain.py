"""Verifiers by name, and the chain that tries the cheapest first."""

import time
import warnings
from dataclasses import replace

import numpy as np

from smile_sklearn.certificates import Status
from smile_sklearn.exceptions import (
    CertificationWarning,
    ContradictionError,
    SolverError,
    UnsupportedError,
)
from smile_sklearn.verification.base import applicable_couplings
from smile_sklearn.verification.branch_and_bound import BranchAndBound
from smile_sklearn.verification.closed_form import ClosedForm
from smile_sklearn.verification.difference import DifferenceBounds
from smile_sklearn.verification.falsifier import Falsifier
from smile_sklearn.verification.mip import MIP

RELATIVE_GAP = 1e-4
"""Share of a violation that no user misses: a bound so little above what is attained is not tightened, and
one so little below another does not replace it. Branch and bound ends there too."""

FEW_COORDINATES = 6
"""Free coordinates of a pair up to which branch and bound runs in the chain. Measured on networks of 8 and of
8-8 units: with 2,000 subproblems it came within 1e-4 of the largest V up to 5 of them (at 6 it left 10 % in
one of two), and proved what holds by a tenth 2 to 20 times faster than the MIP, without trust in a solver."""

CHAIN_SUBPROBLEMS = 2_000
"""Subproblems a side that branch and bound gets in the chain, before it leaves the time to the MIP."""


class Chain:
    """Runs verifiers in order; the answer is the best bound, the best pair and any counterexample.

    It ends at HOLDS, at VIOLATED, when the time is spent, and when the best bound cannot fall further
    (then only verifiers that search f itself, given ``predict``, are still asked). That is so where,
    with the couplings at hand, some related pair has a V (the certificate's ``attained``) so large that
    no verifier can prove much less: where ``bound - attained`` is at most

        2 * slack + 1e-4 * max(0, attained)

    The slack is what the bound includes for rounding, on top of V; V in floats may lie below V by as
    much. The second term counts only where V > epsilon for some pair: then HOLDS is out of reach with this
    coupling, and a violation of at most 0.30003 tells a user what one of at most 0.3 does. A larger
    gap is worth closing there too: the complete verifiers go on until it is closed or the time is spent.

    Parameters
    ----------
    verifiers : sequence of Verifier
        Cheapest first. One that declines the network is passed over, unless all decline.
    """

    name = "auto"

    def __init__(self, verifiers):
        self.verifiers = tuple(verifiers)

    def verify(self, snapshot, relation, *, coupling="auto", time_limit=None, predict=None):
        """Return the certificate of all verifiers together; arguments as in :meth:`Verifier.verify`.

        ``bound``, ``rigor``, ``verifier`` and ``proof`` are those of the smallest bound (of two within 1e-4
        of each other, the earlier), also where another verifier found the counterexample; ``attained`` is
        the largest of those that speak of all the couplings used; ``seconds`` are those of the chain.
        A solver that fails takes nothing from what an earlier verifier has proven: that is
        returned, with a CertificationWarning.

        Raises
        ------
        UnsupportedError
            If every verifier declines.
        SolverError
            If a solver fails before anything is proven.
        ContradictionError
            If a pair breaks the property by more than was proven.
        """
        started = time.perf_counter()
        deadline = None if time_limit is None else time.monotonic() + time_limit
        widest = ", ".join(applicable_couplings(snapshot, relation, coupling))
        best, refusals = None, []
        for verifier in self.verifiers:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if best is not None and (left == 0.0 or _is_decided(best)):
                break
            if best is not None and _is_closed(best) and (predict is None or not verifier.refutes):
                continue  # V is known; what f itself does is still worth a look
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
            best = _joined(best, certificate, widest)
        if best is None:
            raise refusals[0]
        return replace(best, seconds=time.perf_counter() - started)


def _joined(best, certificate, widest):
    """The smaller bound with its proof, the larger attained value, the counterexample of either."""
    if certificate.coupling != widest:
        # V of fewer couplings is larger: a pair that has it says nothing of the V of all of them.
        certificate = replace(certificate, attained=-np.inf)
    if best is None:
        best = certificate
    proof = certificate if _is_better(certificate, best) else best
    attained = min(max(best.attained, certificate.attained), proof.bound)
    counterexample = best.counterexample or certificate.counterexample
    if counterexample is None:
        return replace(proof, attained=attained)
    tightest = min(best, certificate, key=lambda proven: proven.bound)
    if counterexample.violation > tightest.bound:
        raise ContradictionError(
            f"A related pair breaks {proof.name!r} by {counterexample.violation!r}, but "
            f"{tightest.verifier!r} has proven that none breaks it by more than {tightest.bound!r}. Either "
            "``predict`` is not the network of the snapshot, or a verifier is wrong: trust neither result."
        )
    return replace(proof, attained=attained, counterexample=counterexample, status=Status.VIOLATED)


def _is_better(newer, older):
    """Whether a proof replaces an earlier one, whose verifier was cheaper and mostly more rigorous."""
    if newer.status is Status.HOLDS or np.isinf(older.bound):
        return newer.bound < older.bound
    return older.bound - newer.bound > RELATIVE_GAP * abs(newer.bound)


def _is_decided(certificate):
    return certificate.status in (Status.HOLDS, Status.VIOLATED)


def _is_closed(certificate):
    """Whether no verifier with the same couplings can prove a noticeably smaller bound."""
    if not np.isfinite(certificate.bound):
        return False
    gap = certificate.bound - certificate.attained
    return gap <= 2.0 * certificate.slack + RELATIVE_GAP * max(0.0, certificate.attained)


class FewCoordinates:
    """A verifier that is used only where pairs have few free coordinates, for half of the time left.

    Counted are the features and groups that may take more than one value, once for x'', and once more
    if Q lets x' differ there. Splitting regions takes a number of them that grows exponentially
    with this count, whatever the network.

    Parameters
    ----------
    verifier : Verifier
    at_most : int
    """

    def __init__(self, verifier, at_most):
        self.verifier = verifier
        self.at_most = at_most
        self.name, self.refutes = verifier.name, verifier.refutes

    def verify(self, snapshot, relation, *, coupling="auto", time_limit=None, predict=None):
        """As :meth:`Verifier.verify`; UnsupportedError where there are more free coordinates."""
        n_free = free_coordinates(relation)
        if n_free > self.at_most:
            raise UnsupportedError(
                f"The verifier {self.name!r} is used in the chain up to {self.at_most} free coordinates of a "
                f"pair; {relation.name!r} leaves {n_free}. Ask for it by name to use it all the same."
            )
        half = None if time_limit is None else 0.5 * time_limit
        return self.verifier.verify(snapshot, relation, coupling=coupling, time_limit=half, predict=predict)


def free_coordinates(relation):
    """Number of coordinates of a pair that are not fixed: of x'', and of x' where it may differ."""
    domain = relation.domain
    numeric = ~domain.in_group & (domain.scale > 0)
    moving = numeric & ~relation.equal
    groups = [list(group.columns) for group in domain.groups if len(group.categories) > 1]
    moving_groups = [columns for columns in groups if not relation.equal[columns].all()]
    return int(numeric.sum() + moving.sum()) + len(groups) + len(moving_groups)


_MAKERS = {
    "difference": lambda solver, n_jobs: DifferenceBounds(),
    "closed_form": lambda solver, n_jobs: ClosedForm(),
    "falsifier": lambda solver, n_jobs: Falsifier(),
    "branch_and_bound": lambda solver, n_jobs: BranchAndBound(n_jobs=n_jobs),
    "mip": lambda solver, n_jobs: MIP(solver=solver, n_jobs=n_jobs),
}

NAMES = ("auto", *_MAKERS)
"""Verifiers that may be asked for by name."""


def make_verifier(verifier="auto", *, solver="highs", n_jobs=None):
    """Return the verifier asked for by name, or the instance itself.

    Parameters
    ----------
    verifier : {"auto", "difference", "closed_form", "falsifier", "branch_and_bound", "mip"} or object
        "auto" is the :class:`Chain` of all of them; an object needs a ``verify`` method.
    solver : {"highs", "gurobi"}
        For the MIP.
    n_jobs : int or None
        Regions, sides and category pairs of one property that are searched side by side (joblib); an
        object has settings of its own.
    """
    if isinstance(verifier, str) and verifier == "auto":
        branching = BranchAndBound(max_subproblems=CHAIN_SUBPROBLEMS, n_jobs=n_jobs)
        splitter = FewCoordinates(branching, FEW_COORDINATES)
        mip = MIP(solver=solver, n_jobs=n_jobs)
        return Chain((DifferenceBounds(), ClosedForm(), Falsifier(), splitter, mip))
    if isinstance(verifier, str) and verifier in _MAKERS:
        return _MAKERS[verifier](solver, n_jobs)
    if hasattr(verifier, "verify"):
        return verifier
    raise ValueError(f"Got verifier={verifier!r}, expected one of {list(NAMES)} or a Verifier instance.")
