"What DANN refuses, and that it takes any model at any layer and any number of target images."

from functools import partial

import pytest
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from torch import nn
from torchvision.models import resnet50

from genda.adaptation.dann import DANNCallback, dann_learner, digit_net, domain_head
from genda.data.domains import domain_dls
from genda.data.registry import SETS, dls, load_raw
from genda.data.splits import BatchDL, ImageData, PairData, PairDL
from genda.settings import set_seed
from genda.training.callbacks import TrainingDiverged

NAMES = SETS["mnist5k"].names


def pair_of(n_source=70, n_target=150, bs=32, **how):
    "A small pair of packaged sets."
    xs, ys = load_raw("optdigits", size=28, n=n_source)
    xt, yt = load_raw("mnist5k", n=n_target)
    set_seed(0)
    train = PairDL(PairData(ImageData(xs, ys, NAMES), xt), bs, True, **how)
    return DataLoaders(train, BatchDL(ImageData(xt, yt, NAMES), bs))


def fit(learn, lr=1e-3, **how):
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, lr, **how)


def test_a_target_smaller_than_a_batch_is_met_again_and_again():
    batches = [tuple(map(len, images)) for images, _ in pair_of(6, 3, 4).train]
    assert batches == [(4, 4), (2, 2)]
    set_seed(1)
    fit(dann_learner(pair_of(6, 3, 4, drop_last=True), digit_net("svhn", 1)))


class Remember(Callback):
    "Remember the head's weights before the first batch."

    def before_fit(self):
        self.learn.start = self.model.head[0].weight.detach().clone()


@pytest.mark.parametrize(("at", "length"), [("avgpool", 2048), ("fc", 10)])
def test_the_head_goes_on_any_layer_of_a_resnet50(at, length):
    x, y = load_raw("optdigits", size=28, n=6, channels=3)
    train = PairDL(PairData(ImageData(x, y, NAMES), x), 4, True, drop_last=True)
    loaders = DataLoaders(train, BatchDL(ImageData(x, y, NAMES), 4))
    neuron = partial(domain_head, hidden=(), out=1)
    how = dict(gamma=None, lambd=0.001, cbs=Remember())
    learn = dann_learner(loaders, resnet50(num_classes=10), at, neuron, **how)
    fit(learn)
    assert list(learn.start.shape) == [1, length]
    assert not torch.equal(learn.start, learn.model.head[0].weight)


def test_classes_that_differ_are_refused():
    with pytest.raises(ValueError, match="differ in their classes"):
        domain_dls("fashion", "mnist5k")


def test_an_unknown_layer_is_refused():
    with pytest.raises(ValueError, match="one of features"):
        dann_learner(pair_of(), digit_net("svhn", 1), "feature")


def test_batches_that_are_no_pairs_are_refused():
    with pytest.raises(ValueError, match="as domain_dls gives it"):
        dann_learner(dls("optdigits", size=28), digit_net("svhn", 1))


def test_a_callback_that_comes_too_late_is_refused():
    learn = Learner(pair_of(), digit_net("svhn", 1), loss_func=nn.CrossEntropyLoss())
    with pytest.raises(ValueError, match="not to fit"):
        fit(learn, cbs=DANNCallback("features"))


def test_a_loss_that_is_no_number_ends_the_training():
    learn = dann_learner(pair_of(), digit_net("svhn", 1))
    nn.init.constant_(learn.model.model.classifier[0].weight, float("nan"))
    with pytest.raises(TrainingDiverged, match="lower the learning rate"):
        fit(learn)
