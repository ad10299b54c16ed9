"""HOW a property is shown: verifiers that turn a snapshot and a relation into a certificate."""

from smile_sklearn.verification.base import Verifier
from smile_sklearn.verification.chain import make_verifier
from smile_sklearn.verification.difference import DifferenceBounds

__all__ = ["DifferenceBounds", "Verifier", "make_verifier"]
