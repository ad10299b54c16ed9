"""From the parameters of an estimator to the state that the phases work on."""

from dataclasses import dataclass

import numpy as np
import torch

from smile_sklearn.network import plan_architecture
from smile_sklearn.properties import PropertySet
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


def initial_state(method, arrays, relations, couplings, domain, task, parameters, seed):
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

    Returns
    -------
    TrainingState
    """
    architecture = plan_architecture(
        relations, couplings, domain, n_outputs=task.n_outputs, n_latent=parameters["n_latent"]
    )
    device = parameters["device"]
    generator = torch.Generator().manual_seed(int(seed))
    hidden = tuple(parameters["hidden_layer_sizes"])
    with one_seed(generator):
        network = method.build(architecture, parameters["backbone"], hidden, parameters["auxiliary"])
    return TrainingState(
        network=network.to(device),
        data=TrainingData(*(torch.as_tensor(array, device=device) for array in arrays)),
        loss=task.loss,
        supervised=PointLoss(task.loss),
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


def _options(parameters, n_rows):
    names = ("lambda_box", "pretrain_iter", "max_iter", "posttrain_iter", "device", "solver", "time_limit")
    batch_size = parameters["batch_size"]
    if batch_size == "auto":
        batch_size = int(np.clip(n_rows // STEPS_PER_EPOCH, *BATCH_SIZES))
    return TrainingOptions(
        **{name: parameters[name] for name in names},
        learning_rate=parameters["learning_rate_init"],
        batch_size=batch_size,
        verbose=parameters["verbose"],
    )
