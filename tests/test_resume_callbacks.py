"A training that was stopped and resumed remembers all that an uninterrupted one does, or refuses."

import random

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from fastai.callback.data import CollectDataCallback
from fastai.callback.hook import ActivationStats
from fastai.callback.progress import CSVLogger
from fastai.callback.tracker import EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback
from fastai.callback.training import GradientAccumulation
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.metrics import Precision, ValueMetric, accuracy
from torch import nn

from genda.adaptation.dann import dann_learner
from genda.adaptation.domain_gap import Watch
from genda.data.splits import BatchDL, ImageData, PairData, PairDL
from genda.settings import set_seed
from genda.training.callbacks import TimeBudget
from genda.training.resume import Resume, random_state, set_random_state

LOSSES = [5.0, 1.0, 3.0, 4.0, 2.0, 6.0]  # of the epochs: the second is the best


class Stopped(Exception):
    "The power fails."


class StopAt(Callback):
    "Stop before a training batch."

    order = 3000

    def __init__(self, batch):
        self.at = batch  # under another name: it is no setting that a checkpoint compares

    def before_batch(self):
        if self.training and self.train_iter == self.at:
            raise Stopped("no power")


def images(n=24, seed=0):
    "Random grey images of two classes."
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (n, 1, 8, 8), generator=g, dtype=torch.uint8)
    return ImageData(x, torch.arange(n) % 2, ["a", "b"])


def loaders(seed=0):
    "Three batches of 8 images, and a validation set."
    return DataLoaders(BatchDL(images(24, seed), 8, True), BatchDL(images(8, 1), 8), device="cpu")


def learner(folder, seed=0):
    "A Learner whose monitored figure follows LOSSES."
    set_seed(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    learn = Learner(loaders(seed), net, loss_func=nn.CrossEntropyLoss(), path=folder)
    learn.metrics = [ValueMetric(lambda: LOSSES[learn.epoch], "error")]
    return learn


def fit(learn, cbs, folder=None, stop=None):
    "Six epochs; stopped before a batch where one is named."
    cbs = [*cbs, *([Resume(folder)] if folder else []), *([StopAt(stop)] if stop else [])]
    with learn.no_bar(), learn.no_logging():
        try:
            learn.fit(6, 0.1, cbs=cbs)
        except Stopped:
            return learn
    return learn


def weights(learn):
    "All weights as one vector."
    return torch.cat([p.detach().flatten() for p in learn.model.parameters()])


@pytest.mark.parametrize("stop", [11, 13])
@pytest.mark.parametrize(
    "make",
    [
        lambda: SaveModelCallback("error", fname="best"),
        lambda: EarlyStoppingCallback("error", patience=3),
        lambda: ReduceLROnPlateau("error", patience=2),
    ],
    ids=["save", "early", "plateau"],
)
def test_trackers_go_on_as_if_nothing_had_happened(tmp_path, make, stop):
    whole = fit(learner(tmp_path / "whole"), [make()], tmp_path / "whole/run")
    fit(learner(tmp_path / "cut"), [make()], tmp_path / "cut/run", stop)
    cut = fit(learner(tmp_path / "cut"), [make()], tmp_path / "cut/run")
    assert torch.equal(weights(cut), weights(whole))
    assert cut.opt.hypers[0]["lr"] == whole.opt.hypers[0]["lr"]
    assert repr(cut.recorder.values) == repr(whole.recorder.values)
    best = [f / "models/best.pth" for f in (tmp_path / "cut", tmp_path / "whole")]
    assert best[0].exists() == best[1].exists()
    if best[0].exists():
        a, b = (torch.load(path) for path in best)
        assert all(torch.equal(a[name], b[name]) for name in b), "the best network was overwritten"


@pytest.mark.parametrize("stop", [11, 13])
def test_metrics_of_training_count_the_whole_epoch(tmp_path, stop):
    rows = []
    for name, stops in (("whole", [None]), ("cut", [stop, None])):
        for at in stops:
            learn = learner(tmp_path)
            learn.metrics = [accuracy, Precision()]
            learn.recorder.train_metrics = True
            fit(learn, [], tmp_path / name, at)
        rows.append(repr(learn.recorder.values))
    assert rows[0] == rows[1]


def adapted(folder, stop=None):
    "A DANN training: the log, the watched values and the table of epochs."
    set_seed(1)
    g = torch.Generator().manual_seed(2)
    xt = torch.randint(0, 256, (24, 1, 8, 8), generator=g, dtype=torch.uint8)
    pairs = DataLoaders(
        PairDL(PairData(images(), xt), 8, True), BatchDL(images(8, 1), 8), device="cpu"
    )
    features = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU())
    net = nn.Sequential()
    net.add_module("features", features)
    net.add_module("classifier", nn.Linear(8, 2))
    watch = Watch(lambda learn: float(learn.loss), 4)
    learn = dann_learner(pairs, net, "features", path=folder)
    fit(learn, [watch], folder, stop)
    return learn.dann.log, watch.kept, [list(row) for row in learn.recorder.values]


@pytest.mark.parametrize("stop", [7, 17])
def test_dann_keeps_its_log_and_what_was_watched(tmp_path, stop):
    whole = adapted(tmp_path / "whole")
    adapted(tmp_path / "cut", stop)
    cut = adapted(tmp_path / "cut")
    assert repr(cut) == repr(whole)
    assert not np.isnan(np.array(cut[2])).any()


@pytest.mark.parametrize(
    "cb",
    [
        CSVLogger(),
        GradientAccumulation(16),
        TimeBudget(9),
        ActivationStats(),
        CollectDataCallback(),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(tmp_path, cb):
    with pytest.raises(ValueError, match=f"the callback '{cb.name}' cannot go on"):
        fit(learner(tmp_path), [cb], tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Tally(Callback):
    "Remembers, and says so nowhere."

    def before_fit(self):
        self.seen = 0

    def after_batch(self):
        self.seen += 1


class Forgetful(Tally):
    keeps = ()


class Both(EarlyStoppingCallback):
    "Its parent says what it keeps itself, and not what this class adds."

    def before_fit(self):
        super().before_fit()
        self.seen = 0

    def after_batch(self):
        self.seen += 1


class Teacher(Callback):
    "A network of its own."

    def before_fit(self):
        self.teacher = nn.Linear(2, 2)
        self.student = self.learn.model  # is stored anyhow

    def after_batch(self):
        nn.init.constant_(self.teacher.weight, self.train_iter)


class Noisy(Callback):
    "A random generator of its own."

    def __init__(self, generator, draw):
        self.generator = generator
        self.draw = draw

    def after_batch(self):
        self.draw(self.generator)


class Long(Callback):
    "A tensor whose middle changes, which its text leaves out."

    def before_fit(self):
        self.counts = torch.zeros(5000)

    def after_batch(self):
        self.counts[2500] += 1


def torch_draw(generator):
    torch.rand(1, generator=generator)


REMEMBER = [
    lambda: Both("error", patience=9),
    Teacher,
    lambda: Noisy(torch.Generator(), torch_draw),
    lambda: Noisy(np.random.RandomState(1), np.random.RandomState.rand),
    lambda: Noisy(np.random.default_rng(1), np.random.Generator.random),
    lambda: Noisy(random.Random(1), random.Random.random),
    Long,
]


@pytest.mark.parametrize("make", REMEMBER)
def test_whatever_a_callback_remembers_is_noticed(tmp_path, make):
    cb = make()
    with pytest.raises(ValueError, match=f"the callback '{cb.name}' remembers"):
        fit(learner(tmp_path), [cb], tmp_path / "run")


class Transient(Callback):
    "Sets what it needs within a batch, and remembers nothing."

    def __init__(self):
        self.factor = 2

    def before_batch(self):
        self.n = self.iter


def test_a_callback_that_remembers_unsaid_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"'tally' remembers 'seen'.*keeps = \('seen',\)"):
        fit(learner(tmp_path), [Tally()], tmp_path / "a")
    for cb in (Forgetful(), Transient()):
        fit(learner(tmp_path), [cb], tmp_path / cb.name)
        assert (tmp_path / cb.name / "checkpoint.safetensors").is_file()


def test_other_images_are_noticed(tmp_path):
    fit(learner(tmp_path), [], tmp_path / "run", 7)
    with pytest.raises(ValueError, match="a training on other images"):
        fit(learner(tmp_path, seed=5), [], tmp_path / "run")
    fit(learner(tmp_path), [], tmp_path / "run")


def test_a_checkpoint_of_a_machine_with_more_gpus(monkeypatch):
    put = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    def set_rng_state(state, device="cuda"):
        assert device < 2, "no such GPU"
        put[device] = state

    monkeypatch.setattr(torch.cuda, "set_rng_state", set_rng_state)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [])
    state = random_state() | dict(cuda=[torch.full((4,), i) for i in range(8)])
    set_random_state(state)
    assert {gpu: int(of_gpu[0]) for gpu, of_gpu in put.items()} == {0: 0, 1: 1}
