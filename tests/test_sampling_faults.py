"Wrong conditions, weights and conventions of guidance; a training that follows a clock."

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genda import contest
from genda.diffusion.guidance import complete_conditions
from genda.training.callbacks import TimeBudget
from genda.diffusion.ddpm import denoiser
from genda.diffusion.guidance import cfg, log_likelihood, to_w
from genda.diffusion.process import GaussianDiffusion
from genda.models.unet import UNet

PROCESS = GaussianDiffusion.vp(10, "cosine")
IMAGES = torch.zeros(2, 1, 4, 4)


class Same(nn.Module):
    "A network that gives its input back."

    def forward(self, xt, t, y=None, keep=None):
        return xt


def test_guidance_needs_a_condition():
    with pytest.raises(ValueError, match="with_y"):
        cfg(denoiser(Same(), PROCESS, "v"), 1)(IMAGES, 5)


def test_classifier_free_guidance_does_not_go_around_guidance():
    inner = cfg(denoiser(Same(), PROCESS, "v", torch.zeros(2).long()), 1)
    with pytest.raises(TypeError, match="goes around it"):
        cfg(inner, 1)


def test_an_unknown_convention_is_named():
    with pytest.raises(ValueError, match="w, scale, pipeline"):
        to_w(1, "gamma")


def test_a_condition_must_fit_the_classifier():
    with pytest.raises(ValueError, match=r"\[1, 4\]"):
        log_likelihood(torch.zeros(1, 3), torch.zeros(1, 4))


def test_minus_one_is_no_class():
    net = UNet(1, (8, 16), 1, classes=10)
    two = torch.ones(2).long()
    with pytest.raises(ValueError, match="no condition is"):
        net.embed(two, -two, None, 2)


def test_an_attribute_that_the_data_lack_is_refused():
    with pytest.raises(ValueError, match="attribute 3"):
        complete_conditions(torch.zeros(5, 6), torch.tensor([3]))


def test_a_training_needs_time():
    with pytest.raises(ValueError, match="more than 0"):
        TimeBudget(0, 1e-3)


def test_within_follows_the_clock(monkeypatch):
    "A clock that moves a tenth of a second per look: twenty batches in two seconds."
    now = [0.0]

    def tick():
        now[0] += 0.1
        return now[0]

    monkeypatch.setattr(contest, "time", SimpleNamespace(perf_counter=tick))
    rates = []
    opt = SimpleNamespace(set_hyper=lambda name, value: rates.append(value))
    within = TimeBudget(2.05, 1e-3)
    within.learn = SimpleNamespace(training=True, opt=opt)
    within.before_fit()
    with pytest.raises(contest.CancelFitException):
        for _ in range(100):
            within.before_batch()
    assert within.batches == len(rates) == 20
    assert max(rates) <= 1e-3
    highest = rates.index(max(rates))
    assert rates[highest:] == sorted(rates[highest:], reverse=True)
    assert rates[-1] < 0.1 * max(rates)
    within.learn.training = False
    within.before_batch()
    assert within.batches == 20, "validation does not look at the clock"
