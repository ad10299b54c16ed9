"""The auxiliary families by name, and how one is chosen."""

from smile_sklearn.network.convolutional import ConvolutionalAuxiliary
from smile_sklearn.network.dense import AffineAuxiliary, ReluAuxiliary
from smile_sklearn.network.lipschitz import LipschitzAuxiliary
from smile_sklearn.network.monotone import MonotoneAuxiliary

MANY_FEATURES = 100
"""Above this a robust model gets lipschitz rows: the l1 norm of a relu row grows with the features,
and a penalty on it then costs more accuracy than a projection (below, relu is cheaper and as good)."""

FAMILIES = {
    "affine": AffineAuxiliary,
    "relu": ReluAuxiliary,
    "monotone": MonotoneAuxiliary,
    "lipschitz": LipschitzAuxiliary,
    "convolutional": ConvolutionalAuxiliary,
}
"""Width-coupled families by the name that ``auxiliary=`` takes."""


def build_auxiliary(auxiliary, architecture):
    """Return the auxiliary asked for: a name of `FAMILIES`, ``"auto"``, or a factory.

    ``"auto"`` is monotone where a sign is required, lipschitz where boxes must be thin
    (robustness) over many features, and relu elsewhere.
    """
    if auxiliary == "auto":
        auxiliary = _family_for(architecture)
    if isinstance(auxiliary, str):
        if auxiliary not in FAMILIES:
            raise ValueError(f"Got auxiliary={auxiliary!r}, expected 'auto' or one of {sorted(FAMILIES)}.")
        return FAMILIES[auxiliary](architecture)
    if callable(auxiliary):
        return auxiliary(architecture)
    raise ValueError(
        f"Got auxiliary={auxiliary!r}, expected a family name or a function of the Architecture."
    )


def _family_for(architecture):
    if architecture.sign_constrained:
        return "monotone"
    if architecture.thin_boxes and architecture.n_features > MANY_FEATURES:
        return "lipschitz"
    return "relu"
