"""
A classifier whose decisions survive small changes, with a proof
================================================================

We tell malignant from benign tumours by thirty measurements of cell nuclei. Every measurement has an error,
so we ask that a change of up to 2 % of the range in **each** of the thirty moves the logit by at most 1, for
every tumour in the box of the data. What follows from it for a single tumour costs nothing: if its logit
is further from 0 than the proven variation, no change of that size can flip the decision.

We then attack the certified decisions, and those of the same network without the property.
"""

# %%
# Data
# ----
# One ``delta`` for all features wants one scale, so ``MinMaxScaler`` is the first step of a pipeline. With
# ``set_output(transform="pandas")`` the classifier sees the names of the features.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from smile_sklearn import GloballyRobust, SMiLEClassifier

DELTA, EPSILON = 0.02, 1.0

data = load_breast_cancer(as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(data.data, data.target, stratify=data.target, random_state=0)

# %%
# Fit
# ---


def make_model(properties):
    """Scaler and network; features lie in [0, 1] on the training rows."""
    scaler = MinMaxScaler().set_output(transform="pandas")
    return make_pipeline(scaler, SMiLEClassifier(properties, random_state=0))


models = {
    "certified network": make_model(GloballyRobust(delta=DELTA, epsilon=EPSILON)),
    "unconstrained network": make_model(None),
}
for name, model in models.items():
    model.fit(X_train, y_train)
    print(f"{name:22s} accuracy on the test rows {model.score(X_test, y_test):.3f}")

certified = models["certified network"][-1]
variation = certified.certificate_.variation
print(certified.certificate_)

# %%
# Three answers
# -------------
# ``predict_with_certificate`` belongs to the classifier, so the scaler is applied first. A user who wants
# only decisions that cannot be flipped *rejects* the others. The share of the larger class is printed beside
# it, because a constant network would be robust for every row.


def scaled(model):
    """Test rows as the network of the pipeline sees them."""
    return model[:-1].transform(X_test)


answer = certified.predict_with_certificate(scaled(models["certified network"]))
right = answer.prediction == y_test.to_numpy()
print(f"certified {answer.certified.mean():6.1%}, of which correct {right[answer.certified].mean():.1%}")
print(f"reject    {1 - answer.certified.mean():6.1%}, of which correct {right[~answer.certified].mean():.1%}")
print(f"majority  {y_test.value_counts(normalize=True).max():6.1%}")

# %%
# ``radius`` counts in multiples of delta: so many times can each measurement move by delta, and the decision
# is still the same.

values, counts = np.unique(answer.radius, return_counts=True)
print("  ".join(f"{count} rows: radius {value:.0f}" for value, count in zip(values, counts, strict=True)))

# %%
# An attack
# ---------
# From each row we walk 100 steps within delta towards the other side of the decision, by the sign of the
# gradient, and remember the worst point. Where it counts, at the end, the points are clipped to the box and
# replayed through ``decision_function``: the certificate speaks of what that returns, not of the torch module.
# A row outside the box is moved into it first, as the classifier does by itself.


def attack(classifier, rows, n_steps=100):
    """Rows within delta of the given ones with the smallest margin found, in the units of ``rows``."""
    domain = classifier.domain_
    start = domain.clip(rows.to_numpy())
    sign = np.where(classifier.decision_function(start) > 0, 1.0, -1.0)
    lower = torch.as_tensor(np.maximum(start - DELTA, domain.lower))
    upper = torch.as_tensor(np.minimum(start + DELTA, domain.upper))
    widths = torch.as_tensor(np.where(domain.scale > 0, domain.scale, 1.0))
    point = best = torch.as_tensor(start)
    smallest = torch.full((len(start),), torch.inf, dtype=torch.float64)
    for step in range(n_steps + 1):
        point = point.detach().requires_grad_(True)
        unit = (point - torch.as_tensor(domain.lower)) / widths
        margin = torch.as_tensor(sign) * classifier.network_(unit).output[:, 0]
        better = margin < smallest
        smallest = torch.where(better, margin, smallest).detach()
        best = torch.where(better[:, None], point, best).detach()
        (gradient,) = torch.autograd.grad(margin.sum(), point)
        length = DELTA * (1 - step / n_steps)  # long steps first, to get past kinks of the network
        point = torch.clamp(point - length * gradient.sign(), lower, upper)
    # Rounding once more, in the direction of the box and of delta, by numpy: what is replayed is related.
    return np.clip(best.numpy(), lower.numpy(), upper.numpy())


def flipped_rows(model):
    """Start and end of the attack, as logits."""
    classifier, rows = model[-1], scaled(model)
    attacked = rows.assign(**dict(zip(rows.columns, attack(classifier, rows).T, strict=True)))
    return classifier.decision_function(rows), classifier.decision_function(attacked)


logits = {name: flipped_rows(model) for name, model in models.items()}
flipped = {name: (before > 0) != (after > 0) for name, (before, after) in logits.items()}

print(f"certified rows flipped     {flipped['certified network'][answer.certified].sum()}")
print(f"rejected rows flipped      {flipped['certified network'][~answer.certified].sum()}")
print(f"unconstrained rows flipped {flipped['unconstrained network'].sum()}")
assert not flipped["certified network"][answer.certified].any()

before, after = logits["certified network"]
print(f"largest change of a logit  {np.abs(after - before).max():.3f}, proven: at most {variation:.3f}")
assert np.abs(after - before).max() <= variation

# %%
# In one figure
# -------------
# Each test row before and after the attack. No point can leave the shaded band. Where the band crosses the
# white quadrants only, the decision is certified; the two grey quadrants are flipped decisions.

figure, panels = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
for panel, (name, (before, after)) in zip(panels, logits.items(), strict=True):
    limit = 1.08 * max(np.abs(before).max(), np.abs(after).max())
    panel.set(xlim=(-limit, limit), ylim=(-limit, limit), title=name)
    panel.set(xlabel="logit of the row", ylabel="logit after the attack")
    panel.fill_between([-limit, 0], 0, limit, color="0.9", zorder=0)
    panel.fill_between([0, limit], -limit, 0, color="0.9", zorder=0)
    lost = flipped[name]
    if name == "certified network":
        ends = np.array([-limit, limit])
        panel.fill_between(
            ends, ends - variation, ends + variation, color="tab:blue", alpha=0.2, label="proven"
        )
        groups = {"certified": answer.certified, "rejected": ~answer.certified & ~lost}
        colours = {"certified": "tab:blue", "rejected": "tab:orange"}
    else:
        groups, colours = {"not flipped": ~lost}, {"not flipped": "tab:blue"}
    for label, group in groups.items():
        panel.scatter(before[group], after[group], s=14, color=colours[label], label=f"{label}: {group.sum()}")
    panel.scatter(before[lost], after[lost], s=28, color="tab:red", marker="x", label=f"flipped: {lost.sum()}")
    panel.legend(frameon=False, loc="upper left")
plt.show()

# %%
# Summary
# -------

print(f"test accuracy  {models['certified network'].score(X_test, y_test):.3f}")
for part in certified.certificate_.parts or (certified.certificate_,):
    print(f"{part.name:14s} {part.status}")

# %%
# What was *not* shown: that a certified decision is the right one, or that measurements beyond delta are
# harmless. See :doc:`/certificates`.
