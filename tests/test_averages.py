"Averaged weights, bit for bit against the arithmetic written out tensor by tensor."

import copy

import pytest
import torch
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastcore.basics import AttrDict
from torch import nn

from genda.training.callbacks import EMA


class AllAveraged(EMA):
    "As a GAN needs it: BatchNorm's running statistics are averaged with the weights."

    use_buffers = True


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))


def moved(net):
    "Change all weights and buffers, as a step of training does."
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn_like(p))
        net.train()(torch.randn(2, 1, 5, 5))


def lerp_by_hand(mean, net, n, decay, use_buffers):
    "The state of the average after one more step."
    d = min(decay, (1 + n) / (10 + n)) if n else 0.0
    weights = {k for k, _ in net.named_parameters()}
    for key, new in net.state_dict().items():
        averaged = key in weights or (use_buffers and new.is_floating_point())
        mean[key] = torch.lerp(mean[key], new, 1 - d) if averaged else new.clone()


@pytest.mark.parametrize("kind", [EMA, AllAveraged])
@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_average_is_the_formula_to_the_last_bit(kind, decay):
    net = network()
    ema = kind(decay)
    ema.learn = AttrDict(model=net)
    ema.before_fit()
    mean = copy.deepcopy(net.state_dict())
    for n in range(30):
        moved(net)
        ema.after_step()
        lerp_by_hand(mean, net, n, decay, use_buffers=kind is not EMA)
    state = ema.model.state_dict()
    assert all(torch.equal(state[key], mean[key]) for key in mean)
    assert int(ema.average.n_averaged) == 30


def test_a_second_fit_goes_on_with_the_average():
    x = torch.randn(8, 1, 5, 5)
    dl = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, torch.zeros(8, 1, 3, 3)), batch_size=4
    )
    ema = EMA(0.9)
    learn = Learner(DataLoaders(dl, dl), network(), loss_func=nn.MSELoss(), cbs=ema)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-3)
        learn.fit(1, 1e-3)
    assert int(ema.average.n_averaged) == 4


def test_decay_must_be_a_share():
    with pytest.raises(ValueError, match="below 1, not 1"):
        EMA(1.0)
