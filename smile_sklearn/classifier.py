"""SMiLEClassifier."""

from typing import ClassVar

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from smile_sklearn._validation import StrOptions
from smile_sklearn.base import BaseSMiLE
from smile_sklearn.inference import chained_radius, hull, reserve
from smile_sklearn.training.losses import MarginLoss, cross_entropy, logistic_loss


class SMiLEClassifier(ClassifierMixin, BaseSMiLE):
    r"""Neural network classifier whose relational properties come with a proof.

    Parameters
    ----------
    properties : Property or PropertySet, default=None
        What must hold: `Monotonic`, `Fair`, `GloballyRobust`, `Relational`, or several joined with ``&``.
        delta is in the units of the X passed to fit, epsilon in those of the logit.
        None trains the same network without a constraint and without a certificate.
    loss : {"log_loss", "margin"} or MarginLoss, default="log_loss"
        What training minimises beside the violation. ``"log_loss"`` is for accuracy and probabilities.
        ``"margin"`` is for *verified* accuracy, the share of rows predicted right whose class no related
        input can change: a hinge on the margin in units of epsilon, `MarginLoss` with its default multiple
        (`smile_sklearn.training.losses`).
        It needs a `GloballyRobust` or `Fair` with an epsilon; probabilities are then not calibrated.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, ``{label: weight}``, multiplied with the sample weights; ``"balanced"``:
        inversely proportional to their frequency in y.
    method : {"smile", "paper"} or object, default="smile"
        How the properties are trained. ``"smile"`` lowers a proven upper bound and needs no solver;
        ``"paper"`` is the published algorithm, with a MIP that looks for counterexamples. An object with
        the phases ``build``, ``pretrain``, ``train`` and ``posttrain`` is taken as it is.
    backbone : torch.nn.Module or callable, default=None
        The network h. A module must map (n, k) to (n, n_latent), k the number of features that it may
        read (see Notes); a callable is given ``(k, n_latent)`` and returns the module. None: a relu network
        of ``hidden_layer_sizes``.
    hidden_layer_sizes : array-like of int, default=(32, 32)
        Hidden units of each layer of the built-in backbone.
    n_latent : int, default=8
        Units between the backbone and the linear head.
    auxiliary : str or callable, default="auto"
        Family of the bounds lo and hi, which carry the proof: ``"affine"``, ``"relu"``, ``"monotone"``,
        ``"lipschitz"``, ``"convolutional"`` (images, see `ConvolutionalAuxiliary`), a function of the
        architecture that builds one, or ``"auto"``: monotone where a property fixes a direction,
        lipschitz where boxes must be thin (`GloballyRobust`) over many features, else relu. With
        ``method="paper"``: affine or relu, ``"auto"`` as in table 3 of the paper.
    coupling : {"auto", "box", "shared"}, default="auto"
        How two outputs are bounded together. ``"box"`` trusts nothing about the backbone, and every box
        must be thin; ``"shared"`` keeps from the backbone the features that may differ, and boxes may be
        wide. ``"auto"``: shared for `Monotonic`, `Fair` and `Relational`, box for `GloballyRobust`.
    domain : InputDomain or "auto", default="auto"
        Where the properties must hold. ``"auto"``: the box of the training rows, with one-hot groups found
        by their common column prefix.
    lambda_box : float, default=0.0
        Weight of the loss term that keeps the backbone between lo and hi (the paper's). The boxes of
        ``method="smile"`` start wide enough to do without; ``method="paper"`` wants about 1.
    pretrain_iter : int, default=10
        Epochs before the properties are looked at.
    max_iter : int, default=60
        Epochs of training with the properties.
    posttrain_iter : int, default=100
        Most steps of posttraining, which looks at no data and removes what violation is left.
    learning_rate_init : float, default=0.01
        Largest step size of the optimiser (AdamW; Adam for ``method="paper"``).
    batch_size : int or "auto", default="auto"
        Rows a step. ``"auto"``: a fiftieth of the rows, within [32, 1024].
    verifier : str or Verifier, default="auto"
        What proves the properties after training: ``"difference"``, ``"closed_form"``, ``"falsifier"``
        (refutes only), ``"branch_and_bound"``, ``"mip"``, or ``"auto"``: these in turn, the cheapest first,
        until one decides.
    solver : {"highs", "gurobi"}, default="highs"
        For the MIP.
    time_limit : float, default=60.0
        Wall seconds for all proofs after training together.
    on_failure : {"warn", "raise"}, default="warn"
        What to do if training ends without a proof.
    device : str or torch.device, default="cpu"
        Where the network is trained. Predictions and proofs are computed by numpy, on the CPU.
    n_jobs : int, default=None
        Properties proven side by side, with joblib; of one property its sides and regions.
    random_state : int, RandomState instance or None, default=None
        Two fits with one int agree exactly. The global seeds are not touched.
    verbose : int, default=0
        Above 0: one line an epoch.

    Attributes
    ----------
    certificate_ : Certificate or None
        What was proven, as a sentence (``str``) and as data; one part a property. None without properties,
        or where none claims anything of all inputs (``GloballyRobust(delta, None)``).
    violation_bound_ : float
        Proven upper bound on the violation of the worst property, in logits; at most 0 where
        the properties hold. Only with properties.
    classes_ : ndarray of shape (n_classes,)
        Class labels, sorted.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X is a DataFrame whose column names are all strings.
    domain_ : InputDomain
        The box, integer features and one-hot groups that the certificate speaks of, in the units of X.
    properties_ : Property, PropertySet or None
        The properties it was trained for.
    premises_ : tuple of Premise
        Which inputs each property relates; a `Relation` where it also claims something of them.
    relations_ : tuple of Relation
        Those with a claim, over the known features: delta and epsilon as arrays, in raw units.
    couplings_ : tuple of {"box", "shared"}
        How each was bounded.
    snapshot_ : NetworkSnapshot
        The certified weights as plain arrays: what predictions and proofs read.
    backbone_ : callable
        The frozen backbone: (n, k) rows in unit coordinates to (n, n_latent).
    network_ : torch.nn.Module
        The trained module, on the CPU. Changing it changes nothing until `refit_snapshot`.
    backbone_utilisation_ : BackboneUtilisation
        Share of rows and units where the clip lets the backbone through (in all, and in free channels), and
        the mean width of the boxes; units weighted by the head.
    history_ : list of EpochRecord
        Losses, multipliers, violations, generator calls and seconds of every epoch.
    n_iter_ : int
        Epochs of the training phase.
    phases_ : tuple of PhaseResult
        How pretraining, training and posttraining ended.
    counterexamples_ : list
        Related pairs that broke a property, in the units of X.

    See Also
    --------
    SMiLERegressor : The same for regression.
    sklearn.ensemble.HistGradientBoostingClassifier : Trees with exact monotonicity and no other property.

    Notes
    -----
    The network is (paper, eq. 3-4)

    .. math:: f(x) = g(\mathrm{clip}(h(x_S);\, lo(x), hi(x))), \quad
              \mathrm{clip}(z; l, u) = \max(l, \min(u, z)), \quad g(z) = W z + b

    and a property is a statement about every pair of inputs of the domain (paper, eq. 2):

    .. math:: dl \le x' - x'' \le du \quad\Rightarrow\quad el \le f(x') - f(x'') \le eu

    Whatever h computes, f stays between the bounds that lo, hi and g imply, so that only these small
    networks have to be understood to prove the property. S are the features that every property with the
    shared coupling holds equal, all features if there is none.

    f is the logit of the second class (`decision_function`). With more than two classes there is one logit
    a class, and a property speaks of every difference :math:`f_j - f_k`; `Monotonic` is not defined there.
    If f differs by at most epsilon, the probability differs by at most :math:`\tanh(\epsilon / 4)`.
    Inputs are scaled from the domain and clipped to it inside the estimator. Rows outside the domain get a
    prediction; whether the certificate covers them is told by `predict_with_certificate`.

    References
    ----------
    M. Francobaldi, M. Lombardi, A. Lodi. "SMiLE: Provably Enforcing Global Relational Properties in Neural
    Networks." AAAI 2026.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import minmax_scale
    >>> from smile_sklearn import GloballyRobust, SMiLEClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X = minmax_scale(X)  # one delta for all features wants one scale
    >>> model = SMiLEClassifier(GloballyRobust(delta=0.02, epsilon=1.0), max_iter=5, random_state=0).fit(X, y)
    >>> print(model.certificate_.status)
    HOLDS
    >>> model.predict_with_certificate(X[:3]).certified.shape  # rows that no change within delta can flip
    (3,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseSMiLE._parameter_constraints,
        "loss": [StrOptions({"log_loss", "margin"}), MarginLoss],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    _numeric_target = False
    _output_map = (1.0, 0.0)

    def __init__(
        self,
        properties=None,
        *,
        loss="log_loss",
        class_weight=None,
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
        super().__init__(
            properties,
            method=method,
            backbone=backbone,
            hidden_layer_sizes=hidden_layer_sizes,
            n_latent=n_latent,
            auxiliary=auxiliary,
            coupling=coupling,
            domain=domain,
            lambda_box=lambda_box,
            alpha=alpha,
            pretrain_iter=pretrain_iter,
            max_iter=max_iter,
            posttrain_iter=posttrain_iter,
            learning_rate_init=learning_rate_init,
            batch_size=batch_size,
            verifier=verifier,
            solver=solver,
            time_limit=time_limit,
            on_failure=on_failure,
            device=device,
            n_jobs=n_jobs,
            random_state=random_state,
            verbose=verbose,
        )
        self.loss = loss
        self.class_weight = class_weight

    @property
    def _n_outputs(self):
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    def decision_function(self, X):
        """Logit of the second class, or one logit a class: what the certificate speaks of.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        check_is_fitted(self)
        output = self._output(self._check_rows(X))
        return output[:, 0] if self._n_outputs == 1 else output

    def predict(self, X):
        """Predict the class of each row; a logit of exactly 0 goes to the first class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        return self._decide(self._output(self._check_rows(X)))

    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Two classes: ``[1 - expit(f), expit(f)]``.
        """
        logits = self.decision_function(X)
        if logits.ndim == 1:
            second = expit(logits)
            return np.column_stack([1.0 - second, second])
        return softmax(logits, axis=1)

    def _encode_target(self, y, weights):
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"Got y with one class ({self.classes_[0]!r}), "
                f"but {type(self).__name__} needs at least 2 classes."
            )
        return codes.astype(np.float64)

    def _loss(self, relations):
        if isinstance(self.loss, MarginLoss):
            return self.loss.for_relations(relations)
        if self.loss == "margin":
            return MarginLoss().for_relations(relations)
        return logistic_loss if self._n_outputs == 1 else cross_entropy

    def _class_weights(self, y):
        weights = compute_sample_weight(self.class_weight, y)
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise ValueError(
                f"Got class_weight={self.class_weight!r}, expected finite weights that are not negative, "
                "and one that is positive."
            )
        return weights

    def _decide(self, output):
        codes = (output[:, 0] > 0).astype(int) if self._n_outputs == 1 else output.argmax(axis=1)
        return self.classes_[codes]

    @staticmethod
    def _judge(values, claims, enclosures, trusted):
        """Rows whose class no related input changes, and their radius."""
        certified = trusted & (reserve(values, hull(enclosures)) > 0)
        return certified, np.where(trusted, chained_radius(values, claims, enclosures), np.nan)
