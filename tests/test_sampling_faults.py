"Wrong conditions, weights and conventions of guidance; a training that follows a clock."

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genda.diffusion.ddpm import denoiser
from genda.diffusion.guidance import cfg, complete_conditions, log_likelihood, to_w
from genda.diffusion.process import GaussianDiffusion
from genda.diffusion.score import best_snr, langevin_lag
from genda.models.unet import UNet
from genda.training import callbacks
from genda.training.callbacks import TimeBudget

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


def test_a_time_budget_follows_the_clock():
    "A clock that moves a tenth of a second per look: twenty batches in two seconds."
    now = [0.0]

    def tick():
        now[0] += 0.1
        return now[0]

    rates = []
    opt = SimpleNamespace(set_hyper=lambda name, value: rates.append(value))
    budget = TimeBudget(2.05, 1e-3, clock=tick)
    budget.learn = SimpleNamespace(training=True, opt=opt)
    budget.before_fit()
    with pytest.raises(callbacks.CancelFitException):
        for _ in range(100):
            budget.before_batch()
    assert budget.batches == len(rates) == 20
    assert max(rates) <= 1e-3
    highest = rates.index(max(rates))
    assert rates[highest:] == sorted(rates[highest:], reverse=True)
    assert rates[-1] < 0.1 * max(rates)
    budget.learn.training = False
    budget.before_batch()
    assert budget.batches == 20, "validation does not look at the clock"


def test_more_langevin_steps_lag_less_and_need_smaller_ones():
    process = GaussianDiffusion.ve(1000, 0.02, 30.0)
    sizes = [best_snr(process, k) for k in (1, 2, 5, 10)]
    assert sizes == sorted(sizes, reverse=True)
    lags = [langevin_lag(process, k, 0.16) for k in (1, 2, 5, 10)]
    assert lags == sorted(lags, reverse=True)
    assert lags[0] > 100
    assert langevin_lag(process, 10, sizes[-1]) < 1.2
