"Guidance by a classifier of noisy images, and points between two noises by their keyword."

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genda.diffusion.ddpm import denoiser
from genda.diffusion.guidance import (
    CorruptBatches,
    TimeConditionalClassifier,
    cfg,
    classifier_guided,
    complete_conditions,
    log_likelihood,
)
from genda.diffusion.process import GaussianDiffusion
from genda.diffusion.samplers import lerp, slerp

PROCESS = GaussianDiffusion.vp(10, "cosine")
IMAGES = torch.rand(4, 1, 8, 8) * 2 - 1


def classifier():
    "A small classifier whose answer depends on the image."
    net = TimeConditionalClassifier(1, 3, (8, 8))
    for block in net.blocks:
        nn.init.normal_(block.conv2.weight, std=0.1)
    return net.eval()


class Grey(nn.Module):
    "A network that predicts a grey image."

    def forward(self, xt, t, y=None, keep=None):
        return 0 * xt


def guided(y):
    return classifier_guided(denoiser(Grey(), PROCESS, "x0"), classifier(), y, 1.0, PROCESS)


def corrupted(training, iteration):
    "What the callback makes of a batch."
    learn = SimpleNamespace(xb=(IMAGES,), training=training, iter=iteration)
    callback = CorruptBatches(PROCESS)
    callback.learn = learn
    callback.before_batch()
    return learn.xb


def test_an_attribute_that_is_left_open_has_no_gradient():
    open_ = torch.zeros(4, 3)
    assert log_likelihood(torch.randn(4, 3), open_).abs().sum() == 0
    assert guided(open_).gradient(IMAGES, torch.full((4,), 5)).abs().sum() == 0


def test_an_attribute_that_is_wanted_has_a_gradient():
    wanted = torch.zeros(4, 3)
    wanted[:, 1] = 1
    assert guided(wanted).gradient(IMAGES, torch.full((4,), 5)).abs().sum() > 0


def test_each_image_is_classified_for_itself():
    net = classifier()
    t = torch.tensor([1, 3, 7, 10])
    alone = torch.cat([net(IMAGES[i : i + 1], t[i : i + 1]) for i in range(4)])
    assert torch.allclose(net(IMAGES, t), alone, atol=1e-5)


def test_validation_batches_are_corrupted_alike_each_time():
    (first, t_first), (again, t_again) = corrupted(False, 3), corrupted(False, 3)
    assert torch.equal(first, again)
    assert torch.equal(t_first, t_again)
    other, _ = corrupted(False, 4)
    assert not torch.equal(first, other)


def test_training_batches_are_corrupted_anew():
    assert not torch.equal(corrupted(True, 3)[0], corrupted(True, 3)[0])


def test_completed_conditions_repeat_with_their_seed():
    labels = (torch.rand(50, 4, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    which = torch.arange(4).repeat(10)
    first = complete_conditions(labels, which)
    assert torch.equal(first, complete_conditions(labels, which, seed=0))
    assert not torch.equal(first, complete_conditions(labels, which, seed=1))


def test_the_position_between_two_noises_is_a_fraction():
    a, b = torch.randn(2, 3, 5)
    for way in (lerp, slerp):
        assert torch.allclose(way(a, b, frac=0.0), a, atol=1e-6)
        assert torch.allclose(way(a, b, frac=1.0), b, atol=1e-6)


@pytest.mark.parametrize("steps", [7, torch.tensor([1, 5, 7, 10])], ids=["one", "each its own"])
def test_guidance_brings_no_step_back_from_the_device(steps):
    "A tensor on the device meta holds no numbers: whoever reads a step from there gets an error."
    far = IMAGES.to("meta")
    attributes = torch.ones(4, 3, device="meta")
    denoise = denoiser(Grey(), PROCESS, "x0", attributes)
    by_difference = cfg(denoise, 2.0)
    by_classifier = classifier_guided(
        by_difference, classifier().to("meta"), attributes, 1.0, PROCESS
    )
    for guidance in (by_difference, by_classifier):
        assert guidance(far, steps).shape == far.shape
