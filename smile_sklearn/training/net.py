"""The one private skorch net: batches, optimiser, schedule and callbacks of an epoch loop."""

import contextlib
import time

import skorch
import torch
from skorch.callbacks import Callback, LRScheduler

from smile_sklearn.training.losses import box_loss, path_losses
from smile_sklearn.training.state import EpochRecord


class TensorBatches:
    """Shuffled mini-batches of a :class:`TrainingData`, drawn from a private generator."""

    def __init__(self, dataset, batch_size, generator):
        self.data, self.batch_size, self.generator = dataset.data, batch_size, generator

    def __iter__(self):
        order = torch.randperm(len(self.data.inputs), generator=self.generator).to(self.data.inputs.device)
        for rows in order.split(batch_sizes(len(order), self.batch_size)):
            yield self.data.inputs[rows], (self.data.targets[rows], self.data.weights[rows])


def batch_sizes(n_rows, batch_size):
    """Sizes of the batches of an epoch; a single row left over joins the last one.

    Normalisation layers of a user's backbone have no variance to divide by in a batch of one.
    """
    full, rest = divmod(n_rows, batch_size)
    sizes = [batch_size] * full + [rest] * (rest > 0)
    return [*sizes[:-2], batch_size + 1] if rest == 1 and full else sizes


class _Dataset(torch.utils.data.Dataset):
    """Hands a TrainingData through skorch, which asks a data set for its length only."""

    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data.inputs)


class PhaseNet(skorch.NeuralNet):
    """Runs the epochs of one phase; the phase says what a step's loss is.

    It is created, run and dropped inside a phase: no skorch object stays on an estimator.
    """

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Loss of one batch, from the phase in ``criterion``."""
        return self.criterion_(X, y_pred, *y_true)

    def _set_training(self, training=True):
        # skorch walks all modules every step; the mode changes once a phase.
        if self.module_.training is not training:
            super()._set_training(training)

    def train_step(self, batch, **fit_params):
        """Primal step, between the phase's look for counterexamples and its dual step."""
        self.criterion_.before_step()
        self.optimizer_.zero_grad(set_to_none=True)
        step = self.train_step_single(batch, **fit_params)
        self.optimizer_.step()
        self.criterion_.after_step()
        return step

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """All batches once. Without skorch's log of every batch: an epoch's means are in ``history_``."""
        if iterator is None:  # no validation split
            return
        for batch in iterator:
            step_fn(batch, **fit_params)
            self.notify("on_batch_end", batch=batch, training=training)


class PretrainObjective(torch.nn.Module):
    """Algorithm 2: ``Ls(f) + Ls(g.lo) + Ls(g.hi) + Ls(g.h) + lambda_box * box``."""

    phase = "pretrain"

    def __init__(self, state):
        super().__init__()
        self._state = state
        self.log = StepLog()

    def forward(self, inputs, components, targets, weights):
        """Return the loss of one batch."""
        state = self._state
        accuracy = state.loss(components.output, targets, weights)
        box = box_loss(components, state.network.architecture.n_free)
        self.log.add(accuracy, box)
        paths = path_losses(state.network, components, state.loss, targets, weights)
        return accuracy + paths + state.options.lambda_box * box

    def before_step(self):
        """Nothing to look for yet."""

    def after_step(self):
        """No multipliers yet."""

    def record(self):
        """Violations and multipliers now; generator calls, their seconds and time-outs so far."""
        return (), (), 0, 0.0, 0


class TrainObjective(torch.nn.Module):
    """Algorithm 3: ``Ls(f) + lambda_box * box + sum_p mu_p max(0, v_p)``, then dual ascent."""

    phase = "train"

    def __init__(self, state, measure, multipliers):
        super().__init__()
        self._state, self.measure, self.multipliers = state, measure, multipliers
        self.log = StepLog()
        self._violations = None
        self._n_steps, self._steps_done = n_steps(state, state.options.max_iter), 0

    def forward(self, inputs, components, targets, weights):
        """Return the loss of one batch; remembers the violations for the dual step."""
        state = self._state
        progress = self._steps_done / self._n_steps
        accuracy = state.supervised(state.network, inputs, components, targets, weights, progress)
        box = box_loss(components, state.network.architecture.n_free)
        self.log.add(accuracy, box)
        self._violations = self.measure.violations(state.network, components.box)
        multipliers = self.multipliers.values.to(self._violations.device)
        penalty = (multipliers * torch.relu(self._violations)).sum()
        return accuracy + state.options.lambda_box * box + penalty

    def before_step(self):
        """Let the measure look for counterexamples."""
        self.measure.before_step(self._state.network)

    def after_step(self):
        """Ascend on the multipliers with the violations of this step's forward pass."""
        self.multipliers.step(self._violations.detach().cpu())
        self._steps_done += 1

    def record(self):
        """Violations and multipliers now; generator calls, their seconds and time-outs so far."""
        violations = () if self._violations is None else tuple(self._violations.tolist())
        measure = self.measure
        return (
            violations,
            tuple(self.multipliers.values.tolist()),
            measure.calls,
            measure.seconds,
            measure.timeouts,
        )


class StepLog:
    """Means of the two data terms over an epoch."""

    def __init__(self):
        self.reset()

    def reset(self):
        """Start an epoch."""
        self.terms = []

    def add(self, loss, box):
        """Note one step (detached, still on the device: no synchronisation a step)."""
        self.terms.append(torch.stack([loss.detach(), box.detach()]))

    def means(self):
        """Mean loss and box loss of the epoch."""
        return torch.stack(self.terms).mean(dim=0).tolist()


class Recorder(Callback):
    """Writes one :class:`EpochRecord` an epoch into the state's history."""

    def __init__(self, history):
        self.history = history

    def on_epoch_begin(self, net, **kwargs):
        """Start the clock and the means."""
        self.started = time.perf_counter()
        self.before = net.criterion_.record()[2:]
        net.criterion_.log.reset()

    def on_epoch_end(self, net, **kwargs):
        """Write the record."""
        loss, box = net.criterion_.log.means()
        violations, multipliers, calls, seconds, timeouts = net.criterion_.record()
        phase = net.criterion_.phase
        net.history.record(f"{phase} loss", loss)  # what ``verbose`` prints
        self.history.append(
            EpochRecord(
                phase=phase,
                epoch=sum(record.phase == phase for record in self.history) + 1,
                loss=loss,
                box_loss=box,
                violations=violations,
                multipliers=multipliers,
                generator_calls=calls - self.before[0],
                generator_seconds=seconds - self.before[1],
                seconds=time.perf_counter() - self.started,
                generator_timeouts=timeouts - self.before[2],
            )
        )


def run_epochs(state, objective, n_epochs, *, optimizer, schedule):
    """Train the network of the state for some epochs under an objective.

    Parameters
    ----------
    state : TrainingState
    objective : PretrainObjective or TrainObjective
    n_epochs : int
    optimizer : type
        A torch optimiser class.
    schedule : callable
        ``schedule(n_steps) -> (policy class, options)`` of the learning rate, step a batch.
    """
    if n_epochs == 0:
        return
    options, data = state.options, state.data
    policy, policy_options = schedule(n_steps(state, n_epochs))
    net = PhaseNet(
        module=state.network,
        criterion=objective,
        optimizer=optimizer,
        lr=options.learning_rate,
        max_epochs=n_epochs,
        batch_size=options.batch_size,
        iterator_train=TensorBatches,
        iterator_train__generator=state.generator,
        train_split=None,
        device=options.device,
        verbose=options.verbose,
        callbacks=[
            ("schedule", LRScheduler(policy, step_every="batch", event_name=None, **policy_options)),
            ("recorder", Recorder(state.history)),
        ],
    )
    silent = ("train_loss", "valid_loss") if options.verbose else ("train_loss", "valid_loss", "print_log")
    net.set_params(**{f"callbacks__{name}": None for name in silent})
    with one_seed(state.generator):
        net.initialize()
        state.network.train()  # all of it: a backbone comes in eval mode from the check of its shape
        net.partial_fit(_Dataset(data), None)
        state.network.eval()  # what follows looks at the network as predict will: no dropout


def n_steps(state, n_epochs):
    """Batches in so many epochs."""
    return n_epochs * len(batch_sizes(len(state.data.inputs), state.options.batch_size))


SMALL_STEP = 10_000_000
"""Parameters times rows of a batch below which a second thread costs more than it computes."""


@contextlib.contextmanager
def fitting_threads(state):
    """Train small networks on one thread, then give the user's thread count back.

    Their steps are many and tiny: threads spend them waiting for each other, and a matrix product
    may round differently with their number, so that one seed would not mean one model.
    """
    threads = torch.get_num_threads()
    n_parameters = sum(parameter.numel() for parameter in state.network.parameters())
    small = n_parameters * state.options.batch_size < SMALL_STEP
    try:
        if small:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def one_seed(generator):
    """Give torch's global generator a private seed (dropout, initialisation) and restore it."""
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
    cuda = list(range(torch.cuda.device_count()))  # torch.manual_seed seeds these as well
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        yield
