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
import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from smile_sklearn import GloballyRobust, SMiLEClassifier

DELTA, EPSILON = 0.02, 1.0

data = load_breast_cancer(as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(
    data.data, data.target, stratify=data.target, random_state=0
)

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

for steps in (1, 2, 4, 8):
    share = np.mean(answer.radius >= steps)
    print(f"the decision stands up to {steps} x {DELTA:.0%} of the range: {share:6.1%} of the rows")

# %%
# An attack
# ---------
# From each row we walk 100 steps within delta towards the other side of the decision, by the sign of the
# gradient, and keep the worst point. The gradient comes from the torch module, which takes coordinates
# within [0, 1]. What counts is the replay at the end: the points are clipped to the box and given to
# ``decision_function``, for it is what this returns that the certificate speaks of.


def attack(classifier, rows, n_steps=100):
    """Related rows with the smallest margin found."""
    domain, network = classifier.domain_, classifier.network_
    side = torch.as_tensor(np.where(classifier.decision_function(rows) > 0, 1.0, -1.0))
    reach = DELTA * (1 - 1e-9)  # a hair inside, so that rounding takes no pair out of the relation
    lower = torch.as_tensor(domain.to_unit(rows - reach))  # to_unit clips to the box, too
    upper = torch.as_tensor(domain.to_unit(rows + reach))
    point = best = torch.as_tensor(domain.to_unit(rows))
    smallest = torch.full((len(rows),), torch.inf, dtype=torch.float64)
    for step in range(n_steps + 1):
        point = point.detach().requires_grad_(True)
        margin = side * network(point).output[:, 0]
        best = torch.where((margin < smallest)[:, None], point, best).detach()
        smallest = torch.minimum(margin, smallest).detach()
        (gradient,) = torch.autograd.grad(margin.sum(), point)
        length = (1 - step / n_steps) * (upper - lower) / 2  # long steps first, to get past the kinks
        point = torch.clamp(point - length * gradient.sign(), lower, upper)
    return pd.DataFrame(domain.from_unit(best.numpy()), rows.index, rows.columns)


def replayed_attack(model):
    """Logits of the test rows before and after the attack."""
    classifier, rows = model[-1], scaled(model)
    # A row outside the box is moved into it first, as the classifier does by itself.
    rows = rows.clip(classifier.domain_.lower, classifier.domain_.upper, axis=1)
    attacked = attack(classifier, rows)
    assert np.abs(attacked - rows).to_numpy().max() <= DELTA
    return classifier.decision_function(rows), classifier.decision_function(attacked)


logits = {name: replayed_attack(model) for name, model in models.items()}
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
# Each test row before and after the attack; in the grey quadrants the decision is another one. No point can
# leave the blue band, and a row is certified where the band does not reach the grey.

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
        groups = {"certified": answer.certified, "rejected, not flipped": ~answer.certified & ~lost}
        colours = {"certified": "tab:blue", "rejected, not flipped": "tab:orange"}
    else:
        groups, colours = {"not flipped": ~lost}, {"not flipped": "tab:blue"}
    for label, group in groups.items():
        panel.scatter(
            before[group], after[group], s=14, color=colours[label], label=f"{label}: {group.sum()}"
        )
    panel.scatter(
        before[lost], after[lost], s=28, color="tab:red", marker="x", label=f"flipped: {lost.sum()}"
    )
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
