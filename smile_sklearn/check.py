"""Check a certificate again, in exact rational arithmetic.

``python -m smile_sklearn.check CERTIFICATE MODEL`` reads the JSON document of
:meth:`~smile_sklearn.certificates.Certificate.to_json` and the ``.npz`` file of
:meth:`~smile_sklearn.snapshot.NetworkSnapshot.save`, and imports nothing of ``verification/``. What
it takes on trust (a solver, the backbone) it says. The field ``statement`` is a caption for people:
what is proved is ``proof.relation`` on ``domain``, and the checker puts that in words of its own.
"""

import argparse
import json
import math
import sys
from pathlib import Path

from smile_sklearn._check.claim import read_claim
from smile_sklearn._check.counterexample import check_counterexample
from smile_sklearn._check.network import ExactNetwork
from smile_sklearn._check.pairs import rebuild_pairs
from smile_sklearn._check.proofs import check_proof
from smile_sklearn._check.report import CheckFailure, CheckReport, Journal, Step, quoted, shown
from smile_sklearn.certificates import RIGOR, Status
from smile_sklearn.snapshot import NetworkSnapshot


def check(certificate, snapshot):
    """Check a certificate against the network it speaks of.

    Parameters
    ----------
    certificate : Certificate or str
        The object, or its JSON document.
    snapshot : NetworkSnapshot

    Returns
    -------
    CheckReport
        Named steps; ``passed`` says whether all went through, ``trusted`` what they rest on.

    Examples
    --------
    >>> report = check(model.certificate_, model.snapshot_)  # doctest: +SKIP
    >>> report.passed  # doctest: +SKIP
    True
    """
    text = certificate if isinstance(certificate, str) else certificate.to_json()
    return _check(lambda: read_claim(text), lambda: snapshot)


def check_files(certificate_path, model_path):
    """Check the files of a certificate and of a model; returns a :class:`CheckReport`."""
    return _check(lambda: read_claim(_text(certificate_path)), lambda: _load(model_path))


def main(arguments=None):
    """Command line: exit status 0 if the certificate passes, 1 if not."""
    parser = argparse.ArgumentParser(
        prog="python -m smile_sklearn.check",
        description="Check a certificate again, in exact arithmetic, without the code that issued it.",
        epilog="Exit status: 0 if every step passes, 1 if one fails (it is named), 2 for wrong usage.",
    )
    parser.add_argument("certificate", help="JSON document, as written from certificate_.to_json()")
    parser.add_argument("model", help=".npz file, as written by snapshot_.save()")
    options = parser.parse_args(arguments)
    report = check_files(options.certificate, options.model)
    print(report)
    return 0 if report.passed else 1


def _check(read, load):
    """The steps in order; what later steps rest on ends the check when it fails."""
    journal = Journal()
    claim = journal.take("document", read, "complete")
    if claim is None:
        return journal.report()
    snapshot = journal.take("model", load, "complete")
    network = (
        None if snapshot is None else journal.take("model", lambda: ExactNetwork(snapshot), "finite weights")
    )
    if network is not None:
        try:
            _check_claim(journal, claim, network)
        except Exception as failure:  # whatever a document makes of the checker, it must not pass
            journal.fail("proof", failure)
    return journal.report()


def _check_claim(journal, claim, network):
    """One certificate: of one property, or of a set."""
    if not _belongs(journal, claim, network):
        return
    if not claim.parts:
        _check_property(journal, claim, network)
        return
    _check_set(journal, claim)
    for part in claim.parts:
        journal.part = part.name
        _check_claim(journal, part, network)


def _belongs(journal, claim, network):
    digest, snapshot = network.digest, network.snapshot
    # As JSON: in Python true equals 1, and 2.0 equals 2.
    domain, claimed = (
        json.dumps(content, sort_keys=True) for content in (snapshot.domain.to_dict(), claim.domain)
    )
    return journal.note(
        "digest", claim.digest == digest, f"certificate {claim.digest[:12]}, model {digest[:12]}"
    ) and journal.note("domain", claimed == domain, f"the certificate's and the model's, {snapshot.domain}")


def _check_property(journal, claim, network):
    pairs = journal.take(
        "relation",
        lambda: rebuild_pairs(claim.proof.get("relation"), network.snapshot.domain),
        lambda pairs: pairs.sentence(),
    )
    if pairs is None:
        return
    journal.speak_of(claim.statement, claim.bound < math.inf or claim.status == Status.VIOLATED.name)
    _check_status(journal, claim)
    _check_attained(journal, claim)
    try:
        check_proof(journal, claim, network, pairs)
    except Exception as failure:  # as above; a violation is looked at all the same
        journal.fail("proof", failure)
    if claim.status == Status.VIOLATED.name:
        _check_violation(journal, claim, network, pairs)


def _check_status(journal, claim):
    expected = {
        "HOLDS": claim.bound <= 0,
        "BOUNDED": 0 < claim.bound < math.inf,
        "UNKNOWN": claim.bound == math.inf,
        "VIOLATED": claim.bound > 0 and claim.counterexample is not None,
    }
    alone = claim.status == "VIOLATED" or claim.counterexample is None
    journal.note(
        "status", expected[claim.status] and alone, f"{claim.status} with a bound of {shown(claim.bound)}"
    )


def _check_attained(journal, claim):
    """What a pair attains is a remark: the pair is not told. Above the bound it would be a contradiction."""
    if claim.attained > -math.inf:
        text = f"a pair was said to attain {shown(claim.attained)}, the bound is {shown(claim.bound)}"
        journal.note("attained", claim.attained <= claim.bound, text)
        of = f" by {journal.part!r}" if journal.part else ""
        journal.trust(f"attained {shown(claim.attained)}{of} is a remark, not checked")


def _check_violation(journal, claim, network, pairs):
    violation = journal.take(
        "counterexample",
        lambda: check_counterexample(claim.counterexample, network, pairs),
        lambda violation: f"a related pair breaks the property by {shown(violation)}",
    )
    journal.trust("the outputs of the counterexample are the backbone's")
    if violation is not None and violation > claim.bound:
        journal.note("bound", False, f"the counterexample breaks the claimed bound {shown(claim.bound)}")


def _check_set(journal, claim):
    """A set is as its parts are: the worst status, the largest bound, the weakest rigor, no own proof."""
    parts, rigors = claim.parts, list(RIGOR)
    joined = lambda texts: ", ".join(dict.fromkeys(texts))
    names = [part.name for part in parts]
    agrees = {
        "status": claim.status == min((part.status for part in parts), key=lambda name: Status[name]),
        "bound": claim.bound == max(part.bound for part in parts),
        "variation": claim.variation == max(part.variation for part in parts),
        "attained": claim.attained == max(part.attained for part in parts),
        "rigor": claim.rigor == max((part.rigor for part in parts), key=rigors.index),
        "slack": claim.slack == max(part.slack for part in parts),
        "coupling": claim.coupling == joined(part.coupling for part in parts),
        "verifier": claim.verifier == joined(part.verifier for part in parts),
        "proof": claim.proof == {},
        "statement": claim.statement == " And ".join(part.statement for part in parts),
        "names": len(set(names)) == len(names),
        "counterexample": claim.counterexample
        == next((part.counterexample for part in parts if part.counterexample), None),
    }
    wrong = [name for name, agreed in agrees.items() if not agreed]
    journal.note(
        "parts", not wrong, ", ".join(map(quoted, names)) + (f"; the set differs in {wrong}" if wrong else "")
    )


def _text(path):
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckFailure(f"cannot be read: {error}") from error


def _load(path):
    try:
        return NetworkSnapshot.load(path)
    except Exception as error:  # a damaged archive raises whatever its reader trips over
        raise CheckFailure(f"no complete model file: {error!r}") from error


__all__ = ["CheckReport", "Step", "check", "check_files", "main"]

if __name__ == "__main__":
    sys.exit(main())
