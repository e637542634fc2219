"Trainings that fail in the middle of a batch, and trainings that end by the clock."

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from genda.models.layers import evaluating
from genda.settings import set_seed
from genda.training.callbacks import Precision, TimeBudget, warm_linear


def small_learner(*cbs):
    "A network of one convolution that learns the mean of small images."
    set_seed(0)
    x = torch.randn(64, 3, 8, 8)
    y = x.mean((1, 2, 3))[:, None]
    dl = DataLoader(TensorDataset(x, y), batch_size=32)
    net = nn.Sequential(nn.Conv2d(3, 1, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    loaders = DataLoaders(dl, dl, device="cpu")
    return Learner(loaders, net, loss_func=nn.MSELoss(), cbs=list(cbs))


def fit(learn, epochs):
    with learn.no_bar(), learn.no_logging():
        learn.fit(epochs, 1e-2)


class FailAfterPred(Callback):
    def after_pred(self):
        raise RuntimeError("in the middle of a batch")


def test_a_failure_in_a_batch_leaves_no_autocast_behind():
    learn = small_learner(Precision(torch.bfloat16), FailAfterPred())
    with pytest.raises(RuntimeError, match="in the middle of a batch"):
        fit(learn, 1)
    assert not torch.is_autocast_enabled("cpu")
    assert "forward" not in vars(learn.model)
    assert learn.model(torch.randn(2, 3, 8, 8)).dtype == torch.float32


def test_a_failure_while_looking_puts_the_modes_back():
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout())
    net[0].eval()
    with pytest.raises(KeyError), evaluating(net):
        assert not any(layer.training for layer in net.modules())
        raise KeyError("in between")
    assert [layer.training for layer in net.modules()] == [True, False, True]


class NoteRates(Callback):
    "Note the share of the training that is done and the learning rate of each training batch."

    order = 70

    def before_fit(self):
        self.noted = []

    def before_batch(self):
        if self.training:
            self.noted.append((self.pct_train, self.opt.hypers[0]["lr"]))


class Clock:
    "A clock that moves a tenth of a second with each look at it, and stops when it is told to."

    def __init__(self):
        self.ticks = 0

    def __call__(self):
        self.ticks += 1
        return self.ticks / 10

    def rest(self):
        "Let a hundred seconds go by; what a `TimeBudget` keeps of it."
        self.ticks += 1000
        return "rested"


RATES = [0, 0.05, 1], [0.004, 0.1, 0]  # of warm_linear(0.1), where they bend


@pytest.mark.parametrize("lr", [0.1, None], ids=["its own schedule", "another one"])
def test_every_schedule_follows_the_clock(lr):
    counted = TimeBudget(2.05, lr=lr, clock=Clock())
    rates = NoteRates()
    schedules = [] if lr else [warm_linear(0.1)]
    fit(small_learner(counted, *schedules, rates), 1000)
    assert counted.batches == 20 and counted.seen == []
    done, lrs = np.array(rates.noted, float).T
    assert np.allclose(done, np.arange(1, 21) / 20.5)
    assert np.allclose(lrs, np.interp(done, *RATES), atol=1e-6)


def test_looks_are_taken_in_time_and_cost_none():
    clock = Clock()
    timed = TimeBudget(2.05, clock=clock, look=clock.rest, validate=False)
    rates = NoteRates()
    fit(small_learner(timed, rates), 1000)
    assert timed.seen == ["rested"] * 4
    assert timed.last >= 2.05
    assert timed.batches == len(rates.noted) == 20
    assert clock.ticks > 4000
