"""SMiLERegressor."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from smile_sklearn.base import BaseSMiLE
from smile_sklearn.inference import hull
from smile_sklearn.training.losses import squared_error


class SMiLERegressor(RegressorMixin, BaseSMiLE):
    r"""Neural network regressor whose relational properties come with a proof.

    Parameters
    ----------
    properties : Property or PropertySet, default=None
        What must hold: `Monotonic`, `Fair`, `GloballyRobust`, `Relational`, or several joined with ``&``.
        delta is in the units of the X passed to fit, epsilon in those of y.
        None trains the same network without a constraint and without a certificate.
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
        Proven upper bound on the violation of the worst property, in units of y; at most 0 where
        the properties hold. Only with properties.
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
    SMiLEClassifier : The same for classification.
    sklearn.ensemble.HistGradientBoostingRegressor : Trees with exact monotonicity and no other property.

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

    y is standardised inside the estimator.
    Inputs are scaled from the domain and clipped to it inside the estimator. Rows outside the domain get a
    prediction; whether the certificate covers them is told by `predict_with_certificate`.

    References
    ----------
    M. Francobaldi, M. Lombardi, A. Lodi. "SMiLE: Provably Enforcing Global Relational Properties in Neural
    Networks." AAAI 2026.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from smile_sklearn import Fair, Monotonic, SMiLERegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    >>> properties = Monotonic({"bmi": 1, "bp": 1}) & Fair("sex", epsilon=10.0)
    >>> model = SMiLERegressor(properties, max_iter=5, random_state=0).fit(X, y)
    >>> print(model.certificate_["fair"].statement)
    for every two inputs that differ only in sex, the outputs differ by at most 10
    >>> print(model.certificate_.status)
    HOLDS
    """

    _numeric_target = True
    _n_outputs = 1

    def predict(self, X):
        """Predict the target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            In the units of y; computed from the certified snapshot, each row alike in any batch.
        """
        check_is_fitted(self)
        return self._decide(self._output(self._check_rows(X)))

    def _encode_target(self, y, weights):
        """Standardise y; what is learned is folded back into the head after fit."""
        y = y.astype(np.float64)
        shift = float(np.average(y, weights=weights))
        scale = float(np.sqrt(np.average((y - shift) ** 2, weights=weights)))
        self._output_map = (scale if scale > 0 else 1.0, shift)
        return (y - shift) / self._output_map[0]

    def _loss(self, relations):
        return squared_error

    def _class_weights(self, y):
        return 1.0

    @staticmethod
    def _decide(output):
        return output[:, 0]

    @staticmethod
    def _judge(values, claims, enclosures, trusted):
        """Rows whose interval is proven and says something; there is no class that could change."""
        bounded = np.isfinite(hull(enclosures)).all(axis=(0, 2))
        return trusted & bounded, np.full(len(values), np.nan)
