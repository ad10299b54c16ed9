"""What both estimators share: fit as a table of contents, and certify."""

import time
from itertools import compress
from typing import ClassVar

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from smile_sklearn._validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_given_domain,
    check_parameters,
)
from smile_sklearn.certificates import Status, combine
from smile_sklearn.exceptions import PropertyError
from smile_sklearn.network import freeze_backbone
from smile_sklearn.predictions import CertifiedPredictionMixin
from smile_sklearn.properties import InputDomain, resolve_premises, resolve_properties
from smile_sklearn.properties.relation import Relation
from smile_sklearn.reporting import backbone_utilisation, report_failure
from smile_sklearn.training import make_method
from smile_sklearn.training.net import fitting_threads
from smile_sklearn.training.prepare import Task, choose_couplings, initial_state
from smile_sklearn.verification import make_verifier
from smile_sklearn.verification.base import relation_data

FITTED = (
    "certificate_",
    "snapshot_",
    "backbone_",
    "network_",
    "properties_",
    "premises_",
    "relations_",
    "couplings_",
    "domain_",
    "history_",
    "n_iter_",
    "counterexamples_",
    "violation_bound_",
    "backbone_utilisation_",
    "phases_",
)
"""What fit creates; dropped when a fit starts, so that a failed one leaves no certificate."""


class BaseSMiLE(CertifiedPredictionMixin, BaseEstimator):
    """Common part of `SMiLERegressor` and `SMiLEClassifier`; not for direct use."""

    _parameter_constraints: ClassVar[dict] = {
        "properties": "no_validation",  # by resolve_properties, which suggests & for a list
        "method": "no_validation",  # by make_method, which knows the names and the phases
        "backbone": "no_validation",  # by build_backbone
        "hidden_layer_sizes": ["array-like"],
        "n_latent": [Interval(Integral, 1, None, closed="left")],
        "auxiliary": "no_validation",  # by build_auxiliary
        "coupling": [StrOptions({"auto", "box", "shared"})],
        "domain": [StrOptions({"auto"}), InputDomain],
        "lambda_box": [Interval(Real, 0, None, closed="left")],
        "alpha": [Interval(Real, 0, 1, closed="both")],
        "pretrain_iter": [Interval(Integral, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "posttrain_iter": [Interval(Integral, 0, None, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "solver": [StrOptions({"highs", "gurobi"})],
        "time_limit": [Interval(Real, 0, None, closed="neither")],
        "on_failure": [StrOptions({"warn", "raise"})],
        "verifier": "no_validation",  # by make_verifier
        "device": [str, torch.device],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        properties=None,
        *,
        method="smile",
        backbone=None,
        hidden_layer_sizes=(32, 32),
        n_latent=8,
        auxiliary="auto",
        coupling="auto",
        domain="auto",
        lambda_box=0.0,
        alpha=1.0,
        pretrain_iter=10,
        max_iter=60,
        posttrain_iter=100,
        learning_rate_init=1e-2,
        batch_size="auto",
        verifier="auto",
        solver="highs",
        time_limit=60.0,
        on_failure="warn",
        device="cpu",
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.properties = properties
        self.method = method
        self.backbone = backbone
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_latent = n_latent
        self.auxiliary = auxiliary
        self.coupling = coupling
        self.domain = domain
        self.lambda_box = lambda_box
        self.alpha = alpha
        self.pretrain_iter = pretrain_iter
        self.max_iter = max_iter
        self.posttrain_iter = posttrain_iter
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.verifier = verifier
        self.solver = solver
        self.time_limit = time_limit
        self.on_failure = on_failure
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y, sample_weight=None):
        """Train, verify, and freeze what was verified.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            In the units in which delta and the domain speak.
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None
            Rows of weight 0 are left out, of the domain too.

        Returns
        -------
        self : object
            With ``certificate_``, unless ``properties`` is None.

        Raises
        ------
        ValueError
            On bad parameters, data, domains or properties that cannot be stated or met.
        NotCertifiedError
            If ``on_failure="raise"`` and no proof of HOLDS was found.
        """
        self._drop_fit()
        check_parameters(self)
        X, y, weights, table = self._check_training_data(X, y, sample_weight)
        method = make_method(self.method)
        domain = self._resolve_domain(X, table)
        premises = self._premises(domain)
        state = self._prepare(method, X, y, weights, domain, premises)
        with fitting_threads(state):
            phases = tuple(phase(state) for phase in (method.pretrain, method.train, method.posttrain))
        self._freeze(state, premises, phases, X)
        self._certify_fit()
        return self

    def certify(self, properties=None, *, time_limit=None, verifier="auto", n_jobs=None):
        """Prove properties of the fitted model on its snapshot.

        Parameters
        ----------
        properties : Property or PropertySet, default=None
            None: those it was trained for. Others may be asked for as well.
        time_limit : float, default=None
            Wall seconds for the whole call; None: the estimator's ``time_limit``.
        verifier : str or Verifier, default="auto"
            "auto" (the chain), "difference", "closed_form", "falsifier", "branch_and_bound" or "mip".
        n_jobs : int, default=None
            Properties verified side by side with joblib; of one property its sides, category pairs and
            regions.

        Returns
        -------
        Certificate
            A new one; ``certificate_`` is never written.
        """
        check_is_fitted(self)
        if properties is None:
            if self.properties_ is None:
                raise PropertyError(
                    f"This {type(self).__name__} was fitted without properties. "
                    "Pass one: certify(Fair('sex', 1.0))."
                )
            relations, couplings = self.relations_, self.couplings_
            if not relations:
                raise PropertyError(
                    f"This {type(self).__name__} was trained for {self.properties_!r}, which claims nothing "
                    "of all inputs, so there is nothing to prove. Ask about rows: "
                    "predict_with_certificate(X, method='local')."
                )
        else:
            relations = self._resolve(resolve_properties, properties, self.snapshot_.domain)
            # Lemma 2 needs equal bits from equal rows, also where a property relates equal rows only.
            couplings = ("auto" if self.backbone_.repeats_bits else "box",) * len(relations)
        limit = self.time_limit if time_limit is None else time_limit
        if not (isinstance(limit, Real) and limit > 0):
            raise ValueError(f"Got time_limit={limit!r}, expected a positive number of seconds or None.")
        deadline = time.monotonic() + limit
        # Jobs go to the properties; one property has them for its own sides, parts and regions.
        several = len(relations) > 1
        prove = make_verifier(verifier, solver=self.solver, n_jobs=None if several else n_jobs).verify
        certificates = Parallel(n_jobs=n_jobs if several else None)(
            delayed(_prove)(prove, self.snapshot_, relation, coupling, deadline, self._output)
            for relation, coupling in zip(relations, couplings, strict=True)
        )
        return combine(certificates)

    def refit_snapshot(self):
        """Write the torch network out again after you edited ``network_``; drops ``certificate_``.

        Returns
        -------
        self : object
        """
        check_is_fitted(self)
        scale, shift = self._output_map
        self.certificate_ = self.violation_bound_ = None
        self.snapshot_ = self.network_.snapshot(self.domain_, output_scale=scale, output_shift=shift)
        self.backbone_ = self._frozen_backbone()
        return self

    def __sklearn_is_fitted__(self):
        return hasattr(self, "snapshot_")

    def _drop_fit(self):
        for name in FITTED:
            if hasattr(self, name):
                delattr(self, name)

    def _check_training_data(self, X, y, sample_weight):
        """Checked rows, targets and weights of mean 1; and X as given, whose dtypes say what is binary."""
        table = X
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=self._numeric_target)
        if sample_weight is None:
            weights = np.ones(len(X))
        else:
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
            kept = weights > 0
            if not kept.any():
                raise ValueError("Got sample_weight of zeros only, expected at least one positive weight.")
            X, y, weights = X[kept], y[kept], weights[kept]
            table = table[kept] if hasattr(table, "columns") else X
        targets = self._encode_target(y, weights)
        weights = weights * self._class_weights(y)
        return X, targets, weights / weights.mean(), table

    def _resolve_domain(self, X, table):
        names = getattr(self, "feature_names_in_", None)
        if isinstance(self.domain, InputDomain):
            check_given_domain(self.domain, X, names)
            return self.domain
        return InputDomain.from_data(table if hasattr(table, "dtypes") else X, feature_names=names)

    def _premises(self, domain):
        """What each property relates: with what it claims of all inputs, a Relation, or without."""
        return () if self.properties is None else self._resolve(resolve_premises, self.properties, domain)

    def _prepare(self, method, X, y, weights, domain, premises):
        """Everything a phase needs: the untrained network, the data in unit coordinates, the goals."""
        couplings = choose_couplings(self.properties, self.coupling, method)
        claimed = [isinstance(premise, Relation) for premise in premises]
        relations, couplings = (tuple(compress(each, claimed)) for each in (premises, couplings))
        local = tuple(premise for premise in premises if not isinstance(premise, Relation))
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        loss = self._loss(relations)
        task = Task(self._n_outputs, *self._output_map, keeps_mean=self._numeric_target, loss=loss)
        arrays = (domain.to_unit(X), y, weights)
        parameters = self.get_params(deep=False)
        return initial_state(method, arrays, relations, couplings, domain, task, parameters, seed, local)

    def _freeze(self, state, premises, phases, X):
        """Write out what ``predict`` and the verifiers read; the module is kept for the user only."""
        self.network_ = state.network.cpu().eval()
        self.domain_ = state.domain
        # Frozen: set_params on the user's objects changes nothing of what was proven.
        self.properties_ = None if self.properties is None else clone(self.properties)
        self.premises_ = premises
        # Not those of the goals, which a method may move while it trains: what was asked is what is judged.
        self.relations_ = tuple(premise for premise in premises if isinstance(premise, Relation))
        self.couplings_ = tuple(goal.coupling for goal in state.goals)
        self.history_ = state.history
        self.counterexamples_ = state.counterexamples
        self.phases_ = phases
        self.n_iter_ = self.max_iter
        self.certificate_ = None
        self.backbone_ = self._frozen_backbone()
        self.snapshot_ = state.snapshot()
        self.backbone_utilisation_ = backbone_utilisation(
            self.snapshot_, self.backbone_, self.domain_.to_unit(X)
        )

    def _frozen_backbone(self):
        # Under the shared coupling equal features must give equal bits, also where h reads all of them
        # (a protected feature that is constant: then Q relates equal rows only).
        architecture = self.network_.architecture
        shared = "shared" in self.couplings_ or len(architecture.reads) < architecture.n_features
        return freeze_backbone(self.network_.backbone, len(architecture.reads), row_by_row=shared)

    def _certify_fit(self):
        if not self.relations_:
            return
        try:
            certificate = self.certify(verifier=self.verifier, n_jobs=self.n_jobs)
            if isinstance(self.verifier, str) and self.verifier == "auto":
                earlier = getattr(
                    self.phases_[-1], "certificates", ()
                )  # a method of the user's may have none
                certificate = _in_time(certificate, earlier, self.relations_)
            report_failure(certificate, self.relations_, self.on_failure, self._output_map[0])
        except BaseException:
            self._drop_fit()
            raise
        self.certificate_ = certificate
        self.violation_bound_ = certificate.bound
        found = [part.counterexample for part in (certificate, *certificate.parts) if part.counterexample]
        self.counterexamples_ = [*self.counterexamples_, *found]


def _in_time(certificate, earlier, relations):
    """Proofs that training ended in, for the parts that a short ``time_limit`` left open."""
    parts = tuple(certificate)
    if len(earlier) != len(parts):
        return certificate
    return combine(_finished(*each) for each in zip(parts, earlier, relations, strict=True))


def _finished(new, old, relation):
    # A proof counts for the very relation (its numbers: the sentence is a caption) and network it is of.
    same = (old.digest, old.domain) == (new.digest, new.domain)
    same = same and old.proof.get("relation") == relation_data(relation)
    is_open = new.status in (Status.BOUNDED, Status.UNKNOWN)
    return old if same and is_open and old.status is Status.HOLDS else new


def _prove(prove, snapshot, relation, coupling, deadline, predict):
    """One property; a module-level function, so that joblib can send it to a worker."""
    left = max(0.0, deadline - time.monotonic())
    return prove(snapshot, relation, coupling=coupling, time_limit=left, predict=predict)
