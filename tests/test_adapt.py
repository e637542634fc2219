"A domain head behind each of the three layers of a ResNet-50."

from functools import partial

import pytest
import torch
from fastai.data.core import DataLoaders
from torch import nn

from genda.adaptation.dann import dann_learner, domain_head
from genda.adaptation.recipe import resnet
from genda.data.registry import SETS, load_raw
from genda.data.splits import BatchDL, ImageData, PairData, PairDL
from genda.settings import set_seed


def few():
    "Loaders of a handful of digits of two packaged sets."
    names = SETS["mnist"].names
    xs, ys = load_raw("optdigits", size=28, n=2)
    xt, yt = load_raw("mnist5k", n=11)
    train = PairDL(PairData(ImageData(xs, ys, names), xt), 8, True)
    return DataLoaders(train, BatchDL(ImageData(xt, yt, names), 8))


@pytest.mark.parametrize(("at", "length"), [("backbone", 2048), ("dense", 128), ("label", 10)])
def test_a_one_neuron_head_learns_at_each_layer(at, length):
    set_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 1), resnet(deep=True))
    neuron = partial(domain_head, hidden=(), out=1)
    learn = dann_learner(few(), net, f"1.{at}", neuron, gamma=None, lambd=0.001)
    start = learn.model.head[0].weight.detach().clone()
    assert list(start.shape) == [1, length]
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-3)
    assert not torch.equal(start, learn.model.head[0].weight)
