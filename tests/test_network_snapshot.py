"""NetworkSnapshot: read-only, covered by its digest to the last bit, saved and loaded without loss."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.networks import crossing, hand_drawn, unit_box
from support.random_networks import mixed_domain, mixed_snapshot

from smile_sklearn import GloballyRobust, SMiLERegressor
from smile_sklearn.exceptions import CertificateError, DomainError
from smile_sklearn.properties import InputDomain
from smile_sklearn.snapshot import Affine, Clamp, Graph, GraphBuilder, NetworkSnapshot


def snapshot(seed=0, **options):
    return mixed_snapshot(seed, mixed_domain(seed), reads=(0, 3), **options)


def arrays_of(snap):
    for index, node in enumerate(snap.graph.nodes):
        for name in {Affine: ("weight", "bias"), Clamp: ("lower", "upper")}.get(type(node), ()):
            yield index, name
    yield None, "head_weight"
    yield None, "head_bias"


def with_array(snap, index, name, array):
    if index is None:
        return replace(snap, **{name: array})
    nodes = list(snap.graph.nodes)
    nodes[index] = replace(nodes[index], **{name: array})
    return replace(snap, graph=Graph(tuple(nodes)))


def read(snap, index, name):
    return getattr(snap if index is None else snap.graph.nodes[index], name)


def test_every_bit_of_every_array_is_in_the_digest():
    snap = snapshot(n_outputs=2)
    seen = {snap.digest}
    for index, name in arrays_of(snap):
        for place in (0, -1):
            array = np.array(read(snap, index, name))
            # Away from the other end of a clamp, or in from infinity.
            outwards = -np.inf if name == "lower" else np.inf
            array.flat[place] = np.nextafter(
                array.flat[place], outwards if np.isfinite(array.flat[place]) else 0.0
            )
            seen.add(with_array(snap, index, name, array).digest)
    assert len(seen) == 1 + 2 * len(list(arrays_of(snap)))


def test_structure_is_in_the_digest():
    snap = hand_drawn()
    other_width = InputDomain([0.0], [np.nextafter(1.0, 2.0)])
    variants = [
        replace(snap, reads=()),
        replace(snap, domain=other_width),
        replace(snap, domain=InputDomain([0.0], [1.0], integer=[0])),
        replace(snap, domain=InputDomain([0.0], [1.0], feature_names=["a"])),
        replace(snap, width=None),
        replace(snap, width=None, upper=snap.lower),
        replace(snap, lower=snap.width, width=None),
    ]
    assert len({snap.digest, *(one.digest for one in variants)}) == 8
    # Two graphs with the same arrays in another arrangement.
    sorts = []
    for group in (2, 4):
        builder = GraphBuilder(4)
        node = builder.group_sort(group, 0)
        sorts.append(
            NetworkSnapshot(builder.build(), node, node, None, np.eye(4), np.zeros(4), (), unit_box(4)).digest
        )
    assert len(set(sorts)) == 2


def test_equal_content_has_an_equal_digest():
    assert snapshot(3).digest == snapshot(3).digest
    snap = snapshot(3)
    again = pickle.loads(pickle.dumps(snap))
    assert again.digest == snap.digest


def test_the_digest_is_recomputed_when_an_array_is_tampered_with():
    snap = hand_drawn()
    before = snap.digest
    with pytest.raises(ValueError, match="read-only"):
        snap.head_weight[0, 0] = 5.0
    with pytest.raises(AttributeError):
        snap.head_weight = np.eye(1)
    snap.head_weight.setflags(write=True)
    snap.head_weight[0, 0] = 5.0
    assert snap.digest != before


def test_the_arrays_are_copies():
    weight = np.array([[1.0]])
    builder = GraphBuilder(1)
    node = builder.affine(weight, np.zeros(1))
    snap = NetworkSnapshot(builder.build(), node, node, None, weight, np.zeros(1), (), unit_box(1))
    weight[0, 0] = 9.0
    assert snap.head_weight[0, 0] == 1.0
    assert snap.graph.nodes[node].weight[0, 0] == 1.0


@pytest.mark.parametrize("ends", ["width", "free"])
def test_a_saved_snapshot_is_the_same_to_the_last_bit(tmp_path, ends):
    snap = snapshot(1, ends=ends, n_outputs=3)
    path = tmp_path / "model.npz"
    snap.save(path)
    again = NetworkSnapshot.load(path)
    assert again.digest == snap.digest
    assert again.domain == snap.domain
    assert (again.lower, again.upper, again.width, again.reads) == (
        snap.lower,
        snap.upper,
        snap.width,
        snap.reads,
    )
    rows = np.random.default_rng(0).random((20, snap.n_features))
    embedding = np.random.default_rng(1).normal(size=(20, snap.n_latent))
    assert (again.forward(rows, embedding) == snap.forward(rows, embedding)).all()


def test_what_is_no_snapshot_is_refused(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, something=np.zeros(3))
    with pytest.raises(CertificateError, match="header"):
        NetworkSnapshot.load(path)
    np.savez(path, header=np.array(json.dumps({"format": "smile_sklearn.snapshot/99"})))
    with pytest.raises(CertificateError, match="format"):
        NetworkSnapshot.load(path)


def rewritten(path, change):
    """The file with its header and arrays changed in place."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(str(arrays.pop("header")))
    change(header, arrays)
    np.savez(path, header=np.array(json.dumps(header)), **arrays)


@pytest.mark.parametrize(
    "change",
    [
        lambda header, arrays: header["nodes"][0][1].update(size=2.0),
        lambda header, arrays: header["nodes"][0][1].update(size=True),
        lambda header, arrays: header["nodes"][1][1].update(source=False),
        lambda header, arrays: header["nodes"][1][1].update(source="0"),
        lambda header, arrays: header.update(lower=float(header["lower"])),
        lambda header, arrays: header.update(width=float(header["width"])),
        lambda header, arrays: header.update(reads=[0.0, 3]),
        lambda header, arrays: header.update(reads=[False, 3]),
        lambda header, arrays: header.update(reads=header["reads"][::-1]),
        lambda header, arrays: header.update(n_arrays=float(header["n_arrays"])),
        lambda header, arrays: header.update(note="of no meaning"),
        lambda header, arrays: header["domain"].update(
            integer=[float(j) for j in header["domain"]["integer"]]
        ),
        lambda header, arrays: arrays.update(array_0=arrays["array_0"].astype(np.float32)),
        lambda header, arrays: arrays.update(array_0=arrays["array_0"] + 5j),
        lambda header, arrays: arrays.update(array_1=(arrays["array_1"] * 0).astype(int)),
        lambda header, arrays: arrays.update(array_1=arrays["array_1"].astype(str)),
        lambda header, arrays: arrays.update(array_99=np.zeros(3)),
    ],
)
def test_a_file_holds_what_save_writes_and_nothing_else(tmp_path, change):
    path = tmp_path / "model.npz"
    snapshot(1).save(path)
    rewritten(path, lambda header, arrays: None)
    assert NetworkSnapshot.load(path).digest == snapshot(1).digest
    rewritten(path, change)
    with pytest.raises((CertificateError, DomainError)):
        NetworkSnapshot.load(path)


@pytest.mark.parametrize("ends", [(5.0, 1.0), (np.inf, 1.0), (0.0, -np.inf), (np.nan, 1.0), (0.0, np.nan)])
def test_a_clamp_whose_ends_cross_is_refused(ends):
    builder = GraphBuilder(1)
    node = builder.clamp(
        np.array([0.0, ends[0]]), np.array([0.0, ends[1]]), builder.affine(np.ones((2, 1)), np.zeros(2))
    )
    with pytest.raises(ValueError, match="lower <= upper"):
        NetworkSnapshot(builder.build(), node, node, None, np.ones((1, 2)), np.zeros(1), (), unit_box(1))


def test_shapes_that_do_not_fit_are_refused():
    snap = hand_drawn()
    for wrong in (
        {"domain": unit_box(2)},
        {"head_weight": np.ones((1, 2))},
        {"head_bias": np.zeros(2)},
        {"upper": snap.lower},  # with a width, hi must be lo + width
        {"width": snap.lower},
    ):
        with pytest.raises(ValueError):
            replace(snap, **wrong)
    # Sum(width, lower) is not Sum(lower, width): the proof reads the order.
    builder = GraphBuilder(1)
    low = builder.affine(np.eye(1), np.zeros(1))
    gap = builder.affine(np.zeros((1, 1)), np.ones(1))
    upper = builder.sum(gap, low)
    with pytest.raises(ValueError, match="Sum"):
        NetworkSnapshot(builder.build(), low, upper, gap, np.eye(1), np.zeros(1), (), unit_box(1))


def test_margins_are_rows_of_differences():
    one = crossing()
    assert one.margins() is one.head_weight
    three = snapshot(2, n_outputs=3)
    head = three.head_weight
    expected = np.array([head[0] - head[1], head[0] - head[2], head[1] - head[2]])
    assert (three.margins() == expected).all()
    assert [pair.tolist() for pair in three.margin_pairs()] == [[0, 0, 1], [1, 2, 2]]


# --- the digest, where it counts ------------------------------------------------------------------


@pytest.fixture
def fitted(rng):
    X = rng.random((80, 3))
    model = SMiLERegressor(
        GloballyRobust(0.1, 1.0), max_iter=2, pretrain_iter=1, verifier="difference", random_state=0
    )
    return model.fit(X, X.sum(axis=1)), X


def test_a_tampered_network_has_no_certificate(fitted):
    model, X = fitted
    model.predict_with_certificate(X)
    node = next(node for node in model.snapshot_.graph.nodes if isinstance(node, Affine))
    node.weight.setflags(write=True)
    node.weight[0, 0] += 1e-9
    with pytest.raises(CertificateError, match="call certify"):
        model.predict_with_certificate(X)


def test_a_replaced_array_or_snapshot_has_no_certificate(fitted):
    model, X = fitted
    object.__setattr__(model.snapshot_, "head_weight", 2.0 * model.snapshot_.head_weight)
    with pytest.raises(CertificateError, match="call certify"):
        model.predict_with_certificate(X)
    # Proven anew it is another certificate; certificate_ stays what fit left.
    assert model.certify(verifier="difference").digest == model.snapshot_.digest
    with pytest.raises(CertificateError):
        model.predict_with_certificate(X)


def test_predictions_read_the_domain_that_the_digest_covers(fitted):
    model, X = fitted
    before = model.predict(X)
    model.domain_ = InputDomain(np.zeros(3), np.full(3, 1e-3))
    assert (model.predict(X) == before).all()
    model.snapshot_ = replace(model.snapshot_, domain=model.domain_)
    with pytest.raises(CertificateError):
        model.predict_with_certificate(X)


def test_editing_the_torch_module_changes_nothing(fitted):
    model, X = fitted
    before = model.predict(X)
    with torch.no_grad():
        for parameter in model.network_.parameters():
            parameter.mul_(3.0)
    assert (model.predict(X) == before).all()
    model.predict_with_certificate(X)
    model.refit_snapshot()
    assert (model.predict(X) != before).any()
    with pytest.raises(CertificateError, match="no certificate"):
        model.predict_with_certificate(X)


def test_a_pickled_model_keeps_its_certificate_and_its_bits(fitted):
    model, X = fitted
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict(X) == model.predict(X)).all()
    assert again.predict_with_certificate(X).certified.all()
