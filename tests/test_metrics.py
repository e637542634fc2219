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
    moments,
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
