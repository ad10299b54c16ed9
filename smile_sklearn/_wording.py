"""Certificates in words: sentences that a user could quote."""

from smile_sklearn.properties.names import common_prefix, label

_VERDICTS = {
    "HOLDS": lambda c: f"HOLDS: {c.statement}.",
    "BOUNDED": lambda c: f"BOUNDED: that {c.statement} is violated by at most {c.bound:.6g}.",
    "UNKNOWN": lambda c: f"UNKNOWN: nothing was proven of this: {c.statement}.",
    "VIOLATED": lambda c: (
        f"VIOLATED: it is not true that {c.statement}; a pair breaks it by {c.counterexample.violation:.6g}."
    ),
}


_BACKBONE = {
    True: "the backbone is trusted to give equal outputs for equal features",
    False: "the backbone may compute anything",
}


def _proven_by(certificate, rigor):
    return (
        f"Shown by {certificate.verifier} in {certificate.seconds:.3g} s "
        f"for network {certificate.digest[:12]}.",
        f"Coupling {certificate.coupling}: {_BACKBONE['shared' in certificate.coupling]}.",
        f"Rigor {certificate.rigor}: {rigor}.",
    )


def describe_domain(domain):
    """Sentence on where a certificate speaks: the box, and the integers and groups in it."""
    names = domain["feature_names"]
    n_features = len(domain["lower"])
    text = f"all inputs of {n_features} feature{'s' * (n_features > 1)} in the certified box"
    if domain["integer"]:
        text += f", whole numbers in {', '.join(label(index, names) for index in domain['integer'])}"
    for kind, rule in (("one_hot", "one category of"), ("one_hot_at_most_one", "at most one category of")):
        for columns in domain[kind]:
            labels = [label(index, names) for index in columns]
            prefix = common_prefix(labels) if len(labels) > 1 else ""
            text += f", {rule} {prefix or '/'.join(labels)}"
    return text + "."


def sentence(certificate, rigor):
    """The verdict on one property, where it holds, and what it rests on.

    Parameters
    ----------
    certificate : Certificate
        Of one property.
    rigor : str
        What the rigor of the certificate means.
    """
    verdict = _VERDICTS[certificate.status.name](certificate)
    where = f"Where: {describe_domain(certificate.domain)}"
    return "\n    ".join([verdict, where, *_proven_by(certificate, rigor)])
