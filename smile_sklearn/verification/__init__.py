"""HOW a property is shown: verifiers that turn a snapshot and a relation into a certificate."""

from smile_sklearn.verification.base import Verifier
from smile_sklearn.verification.branch_and_bound import BranchAndBound
from smile_sklearn.verification.chain import make_verifier
from smile_sklearn.verification.closed_form import ClosedForm
from smile_sklearn.verification.difference import DifferenceBounds
from smile_sklearn.verification.falsifier import Falsifier
from smile_sklearn.verification.mip import MIP

__all__ = [
    "MIP",
    "BranchAndBound",
    "ClosedForm",
    "DifferenceBounds",
    "Falsifier",
    "Verifier",
    "make_verifier",
]
