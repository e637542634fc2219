"Labels and images of other number types: each kind works as int64 and float32 do, or is refused."

import pytest
import torch
import torch.nn.functional as F

from genda.adaptation.dann import accuracy, features
from genda.adaptation.domain_gap import a_distance, nn_domain_accuracy
from genda.data.splits import BatchDL, ImageData
from genda.diffusion.cold import Cold, blur
from genda.diffusion.ddpm import denoiser
from genda.diffusion.guidance import log_likelihood
from genda.diffusion.process import GaussianDiffusion
from genda.evaluation.evaluators import Evaluator, top_k
from genda.gan import Discriminator, encode_labels
from genda.models.unet import Condition, UNet

NAN = float("nan")
WHOLE = (torch.uint8, torch.int16, torch.int32)
Y = torch.tensor([1, 0, 2])
X = torch.zeros(3, 1, 28, 28)


@pytest.fixture(scope="module")
def evaluator():
    return Evaluator("mnist", device="cpu")


@pytest.mark.parametrize("dtype", WHOLE)
def test_labels_of_any_whole_type_are_labels(dtype, evaluator):
    y = Y.to(dtype)
    cond = Condition(8, classes=10)
    assert torch.equal(cond(y, 3), cond(Y, 3))
    logits = torch.randn(3, 10, generator=torch.Generator().manual_seed(0))
    assert torch.equal(log_likelihood(logits, y), log_likelihood(logits, Y))
    assert torch.equal(encode_labels(y, 3), encode_labels(Y, 3))
    assert evaluator.accuracy(X, y) == evaluator.accuracy(X, Y)


@pytest.mark.parametrize("dtype", WHOLE)
def test_labels_in_a_loader_stay_labels(dtype):
    "A loader turns bytes into floats in [-1, 1]: of the images, never of the labels."
    data = ImageData((X * 0).byte(), Y.to(dtype), ["a", "b", "c"])
    x, y = BatchDL(data, 3).one_batch()
    assert x.dtype == torch.float32
    assert torch.equal(y, Y)
    assert F.cross_entropy(torch.zeros(3, 3), y) > 1


def test_a_loader_needs_a_label_for_each_image():
    with pytest.raises(ValueError, match="3 images and y 2 labels"):
        ImageData(X.byte(), Y[:2], ["a", "b", "c"])


@pytest.mark.parametrize(
    "y", [Y - 1, Y + 8, Y.float(), Y > 0, Y[:2], Y[:, None]], ids=lambda y: str(y.tolist())
)
def test_labels_that_are_none_are_refused_everywhere(y, evaluator):
    refused = pytest.raises((TypeError, ValueError), match=r"y is|y holds|labels")
    logits = torch.zeros(3, 10)
    with refused:
        Condition(8, classes=10)(y, 3)
    with refused:
        evaluator.accuracy(X, y)
    with refused:
        accuracy(evaluator.net, X, y)
    with pytest.raises((TypeError, ValueError), match=r"y is|y holds|condition"):
        log_likelihood(logits, y)
    if y.shape != Y[:2].shape:
        with refused:
            encode_labels(y, 10)


def test_attributes_and_objects_that_are_none_are_refused():
    faces = Evaluator("faces", device="cpu")
    x = torch.zeros(2, 3, 32, 32)
    y = torch.ones(2, 12)
    assert 0 <= faces.accuracy(x, y) <= 1
    assert faces.accuracy(x, y > 0) == faces.accuracy(x, y)
    assert faces.accuracy(x, 2 * y - 1) == faces.accuracy(x, y)
    for wrong in (y * NAN, 7 * y, y / 2, -9 * y.long(), y[:1]):
        with pytest.raises(ValueError, match="of 0 and 1, or of -1 and 1"):
            faces.accuracy(x, wrong)
    with pytest.raises(TypeError, match="y must be a tensor"):
        faces.accuracy(x, y.tolist())
    with pytest.raises(ValueError, match="0 and 1"):
        top_k(torch.zeros(2, 3), torch.tensor([[-1, 1, 1], [1, -1, -1]]))
    with pytest.raises(ValueError, match="0 and 1"):
        top_k(torch.zeros(2, 3), torch.tensor([[1.0, 1, 0], [NAN, 1, 0]]))


def test_nothing_has_no_accuracy(evaluator):
    with pytest.raises(ValueError, match="no images"):
        evaluator.accuracy(X[:0], Y[:0])
    with pytest.raises(ValueError, match="no images"):
        accuracy(evaluator.net, X[:0], Y[:0])
    with pytest.raises(ValueError, match="no images"):
        features(evaluator.net, X[:0], "fc1")


@pytest.mark.parametrize("measure", [a_distance, nn_domain_accuracy])
def test_nothing_and_nan_have_no_domain_gap(measure):
    f = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="points"):
        measure(f[:0], f[:0])
    with pytest.raises(ValueError, match="NaN"):
        measure(f, f * NAN)


def test_images_of_half_precision_are_images(evaluator):
    x = (torch.arange(3 * 784).view(3, 1, 28, 28) / 1176 - 1).half()
    y = torch.tensor([1, 2, 3])
    assert evaluator.logits(x).dtype == torch.float32
    net = UNet(1, (8, 16), 1, classes=10).eval()
    process = GaussianDiffusion.vp(10)
    assert net(x, y, y).isfinite().all()
    assert denoiser(net, process, "v", y)(x, 5).dtype == torch.float16
    full = blur(x.float(), torch.full((3,), 4))
    assert (blur(x, torch.full((3,), 4)).float() - full).abs().max() < 1e-2
    assert Discriminator(1, 28, k=10)(x, y)[0].isfinite().all()
    assert accuracy(evaluator.net, x, y) == accuracy(evaluator.net, x.float(), y)
    assert torch.equal(features(evaluator.net, x, "fc1"), features(evaluator.net, x.float(), "fc1"))


@pytest.mark.parametrize("x", [X.byte(), X.long()])
def test_whole_numbers_are_no_images(x, evaluator):
    "Bytes that nobody turned into [-1, 1] are the commonest slip."
    process = GaussianDiffusion.vp(10)
    net = UNet(1, (8, 16), 1, classes=10).eval()
    for call in (
        lambda: evaluator.logits(x),
        lambda: accuracy(evaluator.net, x, Y),
        lambda: features(evaluator.net, x, "fc1"),
        lambda: net(x, Y + 1, Y),
        lambda: denoiser(net, process, "v", Y)(x, 5),
        lambda: process.corrupt(x, 5, X),
        lambda: Cold(blur, 5).corrupt(x, 5),
        lambda: Discriminator(1, 28, k=10)(x, Y),
    ):
        with pytest.raises(TypeError, match="float"):
            call()
