"The metrics stream, evaluators name cards that do not fit, and missing Inception weights are said."

import weakref
from unittest.mock import patch
from urllib.error import URLError

import pytest
import torch

from genda.evaluation.evaluators import Evaluator
from genda.evaluation.metrics import (
    frechet_distance,
    inception_features,
    inception_score,
    kid,
    memorised,
    mmd2,
    moments,
    nearest,
    prdc,
)
from genda.training.checkpoints import save_weights


class Stream:
    "Batches drawn one at a time; `most` says how many were alive at once."

    def __init__(self, images, bs):
        self.images = images
        self.bs = bs
        self.alive = weakref.WeakSet()
        self.most = 0

    def __iter__(self):
        for i in range(0, len(self.images), self.bs):
            x = self.images[i : i + self.bs].clone()
            self.alive.add(x)
            self.most = max(self.most, len(self.alive))
            yield x
            del x


def flat(x):
    return x.flatten(1)


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(300, 1, 3, 3) * 2 - 1


def test_frechet_distance_streams(images):
    real = moments(images.flip(3), flat)
    stream = Stream(images, bs=50)
    assert (
        abs(frechet_distance(stream, real, flat) / frechet_distance(images, real, flat) - 1) < 1e-6
    )
    assert stream.most == 1


def test_kid_streams(images):
    stream = Stream(images, bs=50)
    whole = kid(images, images.flip(3), flat, block=100)
    assert abs(kid(stream, images.flip(3), flat, block=100) - whole) < 1e-9
    assert stream.most == 1


def test_inception_score_streams(images):
    stream = Stream(images, bs=50)
    assert abs(inception_score(stream, flat) - inception_score(images, flat)) < 1e-9
    assert stream.most == 1


def test_too_few_images_for_a_baseline(images):
    with pytest.raises(ValueError, match="as many real images"):
        frechet_distance(images, images, flat, baseline=images[:-1])
    with pytest.raises(ValueError, match="as many real images"):
        kid(images, images, flat, baseline=images[:-1], block=100)
    with pytest.raises(ValueError, match="at least 2 images"):
        kid(images[:1], images[:1], flat)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("net", "tea", "'tea': one of"),
        ("kind", "tea", "'tea': one of"),
        ("names", ["a"], "size mismatch"),
    ],
)
def test_a_card_that_does_not_fit_is_named(key, value, error, tmp_path):
    shipped = Evaluator("mnist", device="cpu")
    save_weights(shipped.net, "evaluator_odd", {**shipped.card, key: value}, tmp_path)
    with pytest.raises((ValueError, RuntimeError), match=error):
        Evaluator("odd", tmp_path)


def test_inception_without_network_or_library():
    pytest.importorskip("torch_fidelity")

    def down(*args, **kwargs):
        raise URLError("no network")

    def missing(name):
        raise ModuleNotFoundError(name)

    with (
        patch("torch.hub.load_state_dict_from_url", down),
        pytest.raises(RuntimeError, match="could not be had"),
    ):
        inception_features()
    with (
        patch("importlib.import_module", missing),
        pytest.raises(RuntimeError, match="pip install torch-fidelity"),
    ):
        inception_features()


@pytest.mark.parametrize("kind", ["tensor", "no batch", "an empty batch"])
def test_nothing_has_no_score(images, kind):
    def nothing():
        empty = torch.zeros(0, 1, 3, 3)
        return {"tensor": empty, "no batch": iter([]), "an empty batch": iter([empty])}[kind]

    for measure in (frechet_distance, kid, prdc):
        for fake, real in ((nothing(), images), (images, nothing())):
            with pytest.raises(ValueError, match="image"):
                measure(fake, real, flat)
    with pytest.raises(ValueError, match="no images"):
        inception_score(nothing(), flat)
    with pytest.raises(ValueError, match="train holds no images"):
        nearest(images, nothing())
    with pytest.raises(ValueError, match="x holds no images"):
        nearest(nothing(), images)
    for name in ("fake", "held", "train"):
        given = dict(fake=images, train=images, held=images) | {name: nothing()}
        with pytest.raises(ValueError, match=f"{name} holds no images"):
            memorised(**given)


def test_an_empty_batch_between_others_changes_nothing(images):
    stream = [images[:100], images[:0], images[100:]]
    for measure in (frechet_distance, kid, inception_score):
        more = () if measure is inception_score else (images.flip(3),)
        want = measure(iter([images[:100], images[100:]]), *more, flat)
        assert measure(iter(stream), *more, flat) == want


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_no_numbers_are_refused(images, value):
    def broken(x):
        f = flat(x).clone()
        f[-1, 2] = value
        return f

    for measure in (frechet_distance, kid, prdc):
        with pytest.raises(ValueError, match="images 0 to 299 hold NaN"):
            measure(images, images, broken)
    with pytest.raises(ValueError, match="hold NaN"):
        inception_score(images, broken)
    with pytest.raises(ValueError, match="hold NaN"):
        memorised(images, images, images, broken)


@pytest.mark.parametrize("block", [0, 1, -5, 2.5, float("nan"), None])
def test_kid_compares_blocks_of_at_least_two(images, block):
    with pytest.raises(ValueError, match="block="):
        kid(images, images, flat, block=block)


@pytest.mark.parametrize("k", [0, -1, 2.5, float("nan"), None])
def test_a_ball_reaches_to_a_neighbour(images, k):
    with pytest.raises(ValueError, match="k="):
        prdc(images, images, flat, k=k)


def test_mmd_needs_two_vectors_of_one_length():
    f = torch.randn(4, 3)
    for g in (f[:1], f[:0], f[:, :2], f[0]):
        with pytest.raises(ValueError, match="features"):
            mmd2(f, g)


def test_the_training_set_streams_once(images):
    "Read a second time, a stream is empty: then every new image was as far as its own length."
    fake, train, held = images.split(100)
    want = memorised(fake, train, held)
    got = memorised(fake, iter(train.split(30)), held)
    assert got.copies == want.copies
    assert got.ratio == want.ratio
    assert torch.equal(got.index, want.index)
    assert torch.equal(got.distance, want.distance)
    copied = memorised(train, iter(train.split(30)), held)
    assert copied.copies == 1
