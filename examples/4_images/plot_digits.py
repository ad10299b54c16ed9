"""
Images: a convolutional backbone, and bounds that are convolutional themselves
==============================================================================

Two questions about handwritten digits of 8 x 8 pixels.

1. A sensor whose **last row of pixels is broken** may show anything there. How much may that move the
   decision? This is individual fairness in another dress: the pixels of that row are the protected
   features. A convolutional network reads the other seven rows, and may compute what it likes from them.
2. Every pixel carries **noise**. Which digits keep their class, whatever noise of a given size does? Here the
   network is trained around its training rows, and each row is certified by itself (the local rule).
"""

# %%
# Data
# ----
# Rows stay flat, pixel after pixel; what reads them as images reshapes them itself. The properties shall
# hold for every image, also where the training rows show one grey only: so the domain is given.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from smile_sklearn import Fair, GloballyRobust, InputDomain, SMiLEClassifier
from smile_sklearn.inspection import backbone_importance

X, y = load_digits(return_X_y=True)
X = X / 16
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
LAST_ROW = list(range(56, 64))
IMAGES = InputDomain(np.zeros(64), np.ones(64))

# %%
# A convolutional backbone
# ------------------------
# ``backbone=`` takes a module or a function that builds one. The function is told how many features
# the backbone may read: 56 where the last row is protected, so 7 rows of 8 pixels.


def convolutional_backbone(n_inputs, n_latent):
    """Two convolutions on images that are 8 pixels wide."""
    height = n_inputs // 8
    return nn.Sequential(
        nn.Unflatten(1, (1, height, 8)),
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * (height // 2) * 4, n_latent),
    )


common = {"domain": IMAGES, "random_state": 0}
reader = {**common, "backbone": convolutional_backbone, "max_iter": 20}
plain = SMiLEClassifier(**reader).fit(X_train, y_train)
sensor = SMiLEClassifier(Fair(LAST_ROW, epsilon=1.0), **reader).fit(X_train, y_train)
print(sensor.certificate_)

# %%
# What the backbone is worth
# --------------------------
# lo and hi alone carry the proof, whatever the backbone computes. Here it carries the accuracy: without
# it (h replaced by its mean) little is left.

for name, model in (("unconstrained", plain), ("broken sensor", sensor)):
    worth = backbone_importance(model, X_test, y_test)
    print(f"{name}: accuracy {worth.score:.3f}, without the backbone {worth.ablated_score:.3f}")

# %%
# A digit is certified if no content of the last row changes its class. We write 20 random rows of pixels
# into every test image, black and white ones among them, and count the digits that keep their class.


def survives(model, n_tries=20, seed=0):
    """Rows that are right, and stay so for every last row of pixels tried."""
    generator = np.random.default_rng(seed)
    right = model.predict(X_test) == y_test
    for _ in range(n_tries):
        broken = X_test[right].copy()
        broken[:, LAST_ROW] = np.round(generator.random((len(broken), 8)), generator.integers(0, 2))
        right[right] = model.predict(broken) == y_test[right]
    return right


def verified(model, **rule):
    """Rows that are right and certified."""
    found = model.predict_with_certificate(X_test, **rule)
    return (found.prediction == y_test) & found.certified


either = verified(sensor, method=("global", "local"))
print(f"unconstrained: {survives(plain).mean():.3f} survive 20 last rows of pixels")
print(f"broken sensor: {survives(sensor).mean():.3f} survive, {either.mean():.3f} certified to survive all")
assert survives(sensor)[either].all()

# %%
# Noise: trained around the rows
# ------------------------------
# ``GloballyRobust(delta, None)`` claims nothing of all images, so there is nothing to prove once and for all.
# It is trained with bounds of what the network may give near each training row, and certifies
# row by row. ``auxiliary="convolutional"`` makes the bounds lo and hi convolutional. The network without a
# property has wide boxes between lo and hi: nothing is certified, whether an attack exists or not.

noise = SMiLEClassifier(GloballyRobust(0.1, None), auxiliary="convolutional", max_iter=30, **common)
noise.fit(X_train, y_train)
print("certificate:", noise.certificate_)

deltas = np.array([0.0, 0.02, 0.05, 0.08, 0.1, 0.12])
curves = {
    "trained for noise of 0.1": noise,
    "unconstrained": plain,
}
shares = {
    name: [
        verified(model, property=GloballyRobust(float(d), None), method="local").mean() for d in deltas[1:]
    ]
    for name, model in curves.items()
}

# %%
# A certified digit beside one that is not
# ----------------------------------------
# The interval of a margin says how close any image within delta may come to another class.

found = noise.predict_with_certificate(X_test, method="local")
reserve = np.nanmin(found.lower, axis=1)
right = found.prediction == y_test
shown = [np.flatnonzero(right)[np.argmax(reserve[right])], np.flatnonzero(right)[np.argmin(reserve[right])]]

figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), width_ratios=(2.4, 1, 1), layout="constrained")
for name, model in curves.items():
    axes[0].plot(deltas, [(model.predict(X_test) == y_test).mean(), *shares[name]], marker="o", label=name)
axes[0].set(xlabel="noise of every pixel, at most", ylabel="test rows, right and certified", ylim=(0, 1))
axes[0].legend(frameon=False)
for axis, row in zip(axes[1:], shown, strict=True):
    axis.imshow(X_test[row].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
    word = "certified" if found.certified[row] else "not certified"
    axis.set_title(f"a {y_test[row]}, {word}:\nmargin at least {reserve[row]:.1f}", fontsize=10)
    axis.set_axis_off()
plt.show()
