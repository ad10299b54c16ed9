"""From the parameters of an estimator to the state that the phases work on."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from smile_sklearn.network import plan_architecture
from smile_sklearn.properties import PropertySet
from smile_sklearn.training.local_loss import LocalLoss, worst_logit, worst_logits, worst_prediction
from smile_sklearn.training.losses import PointLoss
from smile_sklearn.training.net import one_seed
from smile_sklearn.training.state import Goal, TrainingData, TrainingOptions, TrainingState

STEPS_PER_EPOCH = 50
"""What ``batch_size="auto"`` aims at, whatever the number of rows."""

BATCH_SIZES = (32, 1024)
"""Smallest and largest automatic batch."""


@dataclass(frozen=True)
class Task:
    """What kind of estimator asks.

    Parameters
    ----------
    n_outputs : int
    output_scale, output_shift : float
        ``y = output_scale * network output + output_shift``.
    keeps_mean : bool
        See `TrainingState`.
    loss : callable
        See `TrainingState`.
    """

    n_outputs: int
    output_scale: float
    output_shift: float
    keeps_mean: bool
    loss: object


def choose_couplings(properties, coupling, method):
    """Coupling of each property in training: as asked, the method's own, or the property's own."""
    if properties is None:
        return ()
    members = properties.properties if isinstance(properties, PropertySet) else (properties,)
    fixed = coupling if coupling != "auto" else method.default_coupling
    return tuple(fixed or member.default_coupling for member in members)


def initial_state(method, arrays, relations, couplings, domain, task, parameters, seed, local=()):
    """Build the untrained network and put it beside the data and the goals.

    Parameters
    ----------
    method : SMiLEMethod, PaperMethod or an object like them
    arrays : tuple of ndarray
        Rows in unit coordinates (n, d), network targets (n,), weights (n,).
    relations, couplings : sequences of equal length
    domain : InputDomain
    task : Task
    parameters : dict
        Constructor arguments of the estimator.
    seed : int
    local : sequence of Premise
        Of properties that claim nothing of all inputs: trained around the rows.

    Returns
    -------
    TrainingState
    """
    architecture = plan_architecture(
        relations, couplings, domain, n_outputs=task.n_outputs, n_latent=parameters["n_latent"]
    )
    if local:
        architecture = _for_local_training(architecture, local)
    device = parameters["device"]
    generator = torch.Generator().manual_seed(int(seed))
    hidden = tuple(parameters["hidden_layer_sizes"])
    with one_seed(generator):
        network = method.build(architecture, parameters["backbone"], hidden, parameters["auxiliary"])
    return TrainingState(
        network=network.to(device),
        data=TrainingData(*(torch.as_tensor(array, device=device) for array in arrays)),
        loss=task.loss,
        supervised=_supervised(method, task, local, device),
        goals=tuple(
            Goal(
                relation,
                coupling,
                relation.epsilon_lower / task.output_scale,
                relation.epsilon_upper / task.output_scale,
            )
            for relation, coupling in zip(relations, couplings, strict=True)
        ),
        domain=domain,
        output_scale=task.output_scale,
        output_shift=task.output_shift,
        keeps_mean=task.keeps_mean,
        options=_options(parameters, len(arrays[0])),
        generator=generator,
    )


def _for_local_training(architecture, premises):
    """Boxes around a row are bounded for any backbone, so their widths count (box coupling)."""
    reach = [np.maximum(*np.abs(premise.unit_delta())) for premise in premises]
    reach = np.maximum.reduce([architecture.reach, *reach])
    return replace(architecture, thin_boxes=True, n_free=0, reach=reach)


def _supervised(method, task, local, device):
    """What the training phase minimises beside the global properties."""
    if not local:
        return PointLoss(task.loss)
    if not hasattr(method, "local"):
        raise ValueError(
            f"Got method={method!r}, which trains no property without a global claim "
            f"({', '.join(premise.name for premise in local)}). Use method='smile', or give an epsilon."
        )
    worst = worst_prediction if task.keeps_mean else (worst_logit if task.n_outputs == 1 else worst_logits)
    return LocalLoss(task.loss, local, method.local, worst, device)


def _options(parameters, n_rows):
    names = ("lambda_box", "alpha", "pretrain_iter", "max_iter", "posttrain_iter")
    names += ("device", "solver", "time_limit", "verbose", "verifier")
    batch_size = parameters["batch_size"]
    if batch_size == "auto":
        batch_size = int(np.clip(n_rows // STEPS_PER_EPOCH, *BATCH_SIZES))
    return TrainingOptions(
        **{name: parameters[name] for name in names},
        learning_rate=parameters["learning_rate_init"],
        batch_size=batch_size,
    )
