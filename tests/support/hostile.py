"""Problems built to break verifiers: weights far apart, margins of 1e-12, switches on the boundary, domains
of any size, cancelling and deep layers, subnormal and overflowing numbers.

Where rounding is not negligible the truth is that of the floats the network computes: ``low`` is what a
related pair shows, ``high`` what exact arithmetic plus a bound on rounding allows.
"""

from fractions import Fraction
from functools import partial

import numpy as np
from support.affine_problems import affine_box
from support.cases import SEEDS, about, case, separable
from support.networks import relu, unit_box
from support.problems import closed, hinges

from smile_sklearn.properties import Fair, GloballyRobust, InputDomain, Monotonic, Relational
from smile_sklearn.snapshot.graph import GraphBuilder

TINY = 5e-324
"""The smallest subnormal float."""


# --- sizes far apart ------------------------------------------------------------------------------


@case("weights 1e9 beside 1e-9, affine")
def _():
    # Units 1e9 p and 1e-9 q, heads 1e-9 and 1e9: each counts 1.
    snapshot = affine_box([[1e9, 0.0], [0.0, 1e-9]], head=[[1e-9, 1e9]])
    relation = GloballyRobust(0.5, 0.75).resolve(snapshot.domain)
    return snapshot, relation, "box", about(separable(snapshot, relation))


@case("weights 1e9 beside 1e-9, a kink")
def _():
    # 1e9 relu(1e-9 p - 5e-10) + 1e-9 relu(1e9 q): 1/2 of p above its middle, 1 of q.
    snapshot = hinges([[1e-9, 0.0], [0.0, 1e9]], [-5e-10, 0.0], [1e9, 1e-9])
    return snapshot, Fair([0, 1], 1.25).resolve(snapshot.domain), "shared", about(0.25, 1e-9)


@case("a small unit beside a large one that cannot move")
def _():
    # 1e9 q is held equal; what Q allows is 1e-9 p.
    snapshot = affine_box([[1e-9, 1e9]])
    # The float 1e9 q + 1e-9 p does not see p but for its last bit, 1.2e-7.
    return snapshot, Fair([0], 5e-10).resolve(snapshot.domain), "shared", (5e-10 - 1e-24, 1.3e-7)


# --- epsilon on the edge --------------------------------------------------------------------------


def _edge(build, shift, coupling):
    """Epsilon is the true maximum plus ``shift``; all numbers of the network are dyadic."""
    snapshot, property = build(shift)
    uncertainty = 2.0**-52 if shift < 0 else 1e-15
    return snapshot, property.resolve(snapshot.domain), coupling, about(-shift, uncertainty)


def _edge_affine(shift):
    return affine_box([1.0, -0.5], width=0.25), GloballyRobust(0.5, 1.0 + shift)  # 1/2 + 1/4 + 1/4


def _edge_relu(shift):
    return hinges([[1.0], [1.0]], [0.0, -0.5], [0.25, 1.5]), Fair([0], 1.0 + shift)  # 1/4 + 3/4


def _edge_monotone(shift):
    # -relu(p - 1/2) falls by 1/2.
    return hinges([[1.0]], [-0.5], [-1.0]), Monotonic([1], 0.5 + shift)


for _name, _build, _coupling in (
    ("affine", _edge_affine, "box"),
    ("relu", _edge_relu, "box"),
    ("relu, shared", _edge_relu, "shared"),
    ("monotonic", _edge_monotone, "shared"),
):
    for _shift in (1e-12, -1e-12, 1e-7, -1e-7):
        case(f"edge, {_name}, epsilon = maximum {_shift:+.0e}")(partial(_edge, _build, _shift, _coupling))


@case("monotonic but for one unit in the last place")
def _():
    # f = p (1 - 1) - 2^-52 p: tolerance 0, the output falls by 2^-52.
    snapshot = affine_box([[1.0], [1.0 + 2.0**-52]], head=[[1.0, -1.0]])
    return snapshot, Monotonic([1]).resolve(snapshot.domain), "shared", (2.0**-52, 1.0 + 2.0**-52)


# --- switches on the boundary ---------------------------------------------------------------------


@case("units that switch exactly on the boundary")
def _():
    # relu(-p), relu(p - 1), relu(p + q - 2): 0 on all of X whatever their weights; relu(p) = p counts 1/4.
    snapshot = hinges([[-1, 0], [1, 0], [1, 1], [1, 0]], [0, -1, -2, 0], [1e6, -1e6, 1e6, 0.25])
    # What rounding of p + q - 2 adds is multiplied by 1e6.
    return snapshot, Fair([0, 1], 0.125).resolve(snapshot.domain), "box", about(0.125, 1e-8)


@case("units that switch one float inside the boundary")
def _():
    # 1e12 relu(p - (1 - 2^-53)) is 1e12 2^-53 = 1.1e-4 at p = 1 alone, 0 at every other float.
    snapshot = hinges([[1.0]], [-(1.0 - 2.0**-53)], [1e12])
    high = 1e12 * 2.0**-53
    return snapshot, Monotonic([-1], 1e-5).resolve(snapshot.domain), "shared", about(high - 1e-5, 1e-15)


SEEDS["units that switch one float inside the boundary"] = [[[1.0], [0.5]]]


@case("clamps without width, without ends, and with ends on the boundary")
def _():
    # clamp(p; 1/4, 1/4) = 1/4, clamp(p; -inf, inf) = p, clamp(p; 0, 1) = p: 2 p moves by 2.
    builder = GraphBuilder(1)
    pre = builder.affine(np.ones((3, 1)), np.zeros(3))
    node = builder.clamp(np.array([0.25, -np.inf, 0.0]), np.array([0.25, np.inf, 1.0]), pre)
    lower = builder.affine(np.array([[100.0, 1.0, 1.0]]), np.zeros(1), node)
    snapshot = closed(builder, lower)
    return snapshot, Fair([0], 1.0).resolve(snapshot.domain), "box", about(1.0)


# --- domains --------------------------------------------------------------------------------------


def _scaled(lower, width, coupling):
    """A spike of half-width 1/8 of the domain around its middle; delta is half of the domain."""
    domain = InputDomain([lower], [lower + width])
    snapshot = hinges([[1.0]] * 3, [-0.375, -0.5, -0.625], [8.0, -16.0, 8.0], domain=domain)
    return snapshot, GloballyRobust(width / 2, 0.5).resolve(domain), coupling, about(0.5, 1e-13)


for _lower, _width in ((0.0, 2.0**40), (-(2.0**39), 2.0**40), (2.0**10, 2.0**-40), (0.0, 2.0**-40)):
    _name = f"domain of width {_width:.0e} at {_lower:.0e}"
    case(_name)(partial(_scaled, _lower, _width, "box"))
    SEEDS[_name] = [[[_lower + _width / 2], [_lower + _width]]]


@case("delta of 1e-300 on the unit box")
def _():
    # Floats near 0 differ by that much; the unit map is exact there. f moves by 1e9 1e-300, and rounding
    # of the bound may see four units in the last place of 1.
    snapshot = affine_box([1e9])
    relation = GloballyRobust(1e-300, 1e-292).resolve(snapshot.domain)
    return snapshot, relation, "box", (9e-292, 1e-5)


@case("a constant feature with a large weight")
def _():
    domain = InputDomain([7.0, 0.0], [7.0, 1.0])
    snapshot = affine_box([1e12, 0.5], domain=domain)
    return snapshot, GloballyRobust(1.0, 0.25).resolve(domain), "box", about(0.25)


@case("an integer of 2^40 values")
def _():
    domain = InputDomain([0.0], [2.0**40], integer=[0])
    snapshot = affine_box([2.0**40], domain=domain)
    return snapshot, GloballyRobust(3.0, 2.0).resolve(domain), "box", about(1.0, 1e-3)


# --- structure ------------------------------------------------------------------------------------


@case("a head of zeros")
def _():
    builder = GraphBuilder(2)
    hidden = relu(builder, builder.affine(np.eye(2) * 1e9, np.zeros(2)), 2)
    lower = builder.affine(np.array([[1.0, -1.0]]), np.zeros(1), hidden)
    snapshot = closed(builder, lower, head=0.0, n_features=2, width=5.0)
    return snapshot, GloballyRobust(1.0, 0.0).resolve(snapshot.domain), "box", (0.0, 0.0)


@case("layers that cancel, 1e8 - 1e8")
def _():
    # relu((1e8 + 1) p) - relu(1e8 p) = p.
    snapshot = hinges([[1e8 + 1.0], [1e8]], [0.0, 0.0], [1.0, -1.0])
    return snapshot, Fair([0], 0.75).resolve(snapshot.domain), "shared", about(0.25, 1e-7)


@case("layers that cancel twice")
def _():
    # As above, and the result once more: relu(1e8 t + t) - relu(1e8 t), t in [0, 1].
    builder, node = GraphBuilder(1), 0
    for _ in range(2):
        hidden = relu(builder, builder.affine(np.array([[1e8 + 1.0], [1e8]]), np.zeros(2), node), 2)
        node = builder.affine(np.array([[1.0, -1.0]]), np.zeros(1), hidden)
    snapshot = closed(builder, node)
    # The second difference is that of two floats near 1e8, each off by up to 1e-8, and t errs by 1e-8.
    return snapshot, Monotonic([-1], 0.75).resolve(snapshot.domain), "shared", about(0.25, 1e-7)


def _chain(depth, factor):
    """p through ``depth`` relus, each weighted by the factor, and back by one large or small head."""
    builder, node = GraphBuilder(1), 0
    for _ in range(depth):
        node = relu(builder, builder.affine(np.array([[factor]]), np.zeros(1), node), 1)
    return closed(builder, node, head=factor**-depth)


for _depth, _factor in ((12, 2.0**-20), (12, 2.0**20), (30, 1.0)):
    case(f"a chain of {_depth} relus, factor {_factor:.0e}")(
        lambda depth=_depth, factor=_factor: (
            _chain(depth, factor),
            Fair([0], 0.5).resolve(unit_box(1)),
            "box",
            about(0.5),
        )
    )


@case("a chain of 8 sums that doubles")
def _():
    # x + relu(x), eight times: 256 p, head 1/256.
    builder, node = GraphBuilder(1), 0
    for _ in range(8):
        node = builder.sum(node, relu(builder, builder.affine(np.eye(1), np.zeros(1), node), 1))
    snapshot = closed(builder, node, head=1 / 256)
    return snapshot, Fair([0], 0.5).resolve(snapshot.domain), "shared", about(0.5)


# --- the ends of the floats -----------------------------------------------------------------------


@case("a subnormal slope, epsilon 0")
def _():
    # f = TINY p: 0 below p = 1/2, TINY above.
    snapshot = affine_box([TINY])
    return snapshot, GloballyRobust(1.0, 0.0).resolve(snapshot.domain), "box", (TINY, 2 * TINY)


def _underflow(head, epsilon):
    """TINY p rounds to 0 or TINY, and 1e300 and the head make that large: a step, not a line."""
    builder = GraphBuilder(1)
    node = relu(builder, builder.affine(np.array([[TINY]]), np.zeros(1)), 1)
    node = builder.affine(np.array([[1e300]]), np.zeros(1), node)
    snapshot = closed(builder, node, head=head)
    # Real arithmetic: |dp| <= 1/4 gives 1/4 of the step, half of epsilon. The floats take all of it.
    step = Fraction(TINY) * Fraction(1e300) * Fraction(head)
    truth = step - Fraction(epsilon)
    uncertainty = float(step) * 1e-9
    return snapshot, GloballyRobust(0.25, epsilon).resolve(unit_box(1)), "box", about(truth, uncertainty)


# Of 4.94e-17, and of 4.94e-1 (where the product of the weights overflows, though no unit does).
for _name, _head, _epsilon in (("", 1e7, 2.5e-17), (", large", 1e23, 0.25)):
    case(f"underflow makes a step of a line{_name}")(partial(_underflow, _head, _epsilon))
    SEEDS[f"underflow makes a step of a line{_name}"] = [[[0.625], [0.375]]]


@case("a forward pass that overflows")
def _():
    # 1e308 p + 1e308 p is infinite at p = 1, and inf - inf is nothing: no bound is right.
    builder = GraphBuilder(1)
    node = relu(builder, builder.affine(np.full((2, 1), 1e308), np.zeros(2)), 2)
    lower = builder.affine(np.array([[1.0, 1.0]]), np.zeros(1), node)
    snapshot = closed(builder, lower)
    return snapshot, GloballyRobust(0.1, 1e307).resolve(snapshot.domain), "box", (np.finfo(float).max, np.inf)


@case("an epsilon of 1e300")
def _():
    snapshot = affine_box([1.0])
    return snapshot, GloballyRobust(1.0, 1e300).resolve(snapshot.domain), "box", about(-1e300, 1e285)


@case("outputs of 1e200")
def _():
    snapshot = affine_box([[1.0, -1.0]], head=[[1e200]])
    relation = Relational({0: -0.5, 1: 0.0}, {0: 0.5, 1: 0.25}, -1e199, np.inf).resolve(snapshot.domain)
    # -(f' - f'') = 1e200 (-dp + dq) <= 1e200 3/4.
    return snapshot, relation, "box", about(0.65e200, 1e186)


ROUNDING_DECIDES = (
    "a small unit beside a large one that cannot move",
    "monotonic but for one unit in the last place",
    "delta of 1e-300 on the unit box",
    "an integer of 2^40 values",
    "underflow makes a step of a line",
    "underflow makes a step of a line, large",
    "a forward pass that overflows",
    "a subnormal slope, epsilon 0",
)
"""Problems in which the floats and real arithmetic part: only soundness is asked there."""

OVERFLOWS = ("underflow makes a step of a line, large", "a forward pass that overflows")
"""Problems in which numpy warns of infinities, as it should."""
