"Additions by a newcomer, each in one place: the snippets of CONTRIBUTING.md on tiny data."

import importlib.util
import re
from collections import OrderedDict

import pytest
import torch
from conftest import ROOT, read
from fastai.callback.core import Callback
from torch import nn

from genda.adaptation.dann import DANNCallback, SourceOnly, adaptation_learner, dann_learner
from genda.data.domains import domain_dls
from genda.data.registry import SETS, catalog, dls, load
from genda.diffusion.cold import cold, train_denoiser
from genda.diffusion.ddpm import denoiser, generate, last
from genda.diffusion.process import GaussianDiffusion
from genda.diffusion.samplers import SAMPLERS
from genda.evaluation.evaluators import Evaluator
from genda.models.unet import make_net

ADDITIONS = read(ROOT / "CONTRIBUTING.md").split("\n## Additions\n")[1].split("\n## ")[0]
SNIPPETS = dict(re.findall(r"^### (.+?)\n.*?^```python\n(.*?)^```", ADDITIONS, re.S | re.M))


def test_each_addition_is_shown():
    assert list(SNIPPETS) == [
        "A degradation",
        "A data set",
        "A sampler",
        "A metric",
        "A method of adaptation with a domain head",
        "A method of adaptation without one",
    ]


@pytest.fixture
def scratch(tmp_path):
    "Write a snippet to a file of its own and import that file."

    def module(title):
        path = tmp_path / "scratch.py"
        path.write_text(SNIPPETS[title], encoding="utf-8")
        spec = importlib.util.spec_from_file_location("scratch", path)
        found = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
        return found

    return module


def test_a_degradation(scratch):
    process = scratch("A degradation").process
    x = load("mnist5k", "test", n=10)[0]
    assert torch.equal(process.corrupt(x, 0), x)
    assert torch.equal(process.corrupt(x, 3)[:, :, 3:], x[:, :, :-3])
    small = dls("mnist5k", bs=10, n=20, n_valid=10)
    learn = train_denoiser(small, make_net("cnn", channels=(4, 4)), process, images=20)
    assert learn.recorder.values[-1][-1] > 0
    restore = denoiser(learn.ema.model, process, "x0")
    assert last(cold(restore, process, process.corrupt(x, 4), start=4)).isfinite().all()
    perfect = last(cold(lambda xt, t: x, process, process.corrupt(x, 28)))
    assert torch.allclose(perfect, x, atol=1e-5)


def test_a_data_set(scratch, monkeypatch):
    monkeypatch.setitem(SETS, "stripes", None)  # afterwards it is unknown again
    scratch("A data set")
    x, y = load("stripes", "test", n=20, size=8)
    assert x.shape == (20, 1, 8, 8)
    assert y.bincount().tolist() == [10, 10]
    assert "stripes" in set(catalog()["name"])
    images, labels = dls("stripes", bs=10).one_batch()
    assert images.shape == (10, 1, 16, 16)
    across = images[labels == 0]
    assert torch.equal(across, across[..., :1].expand_as(across))


class Knows(nn.Module):
    "A network whose answer is always the same image."

    def __init__(self, image):
        super().__init__()
        self.image = nn.Parameter(image)

    def forward(self, xt, t, y=None):
        return self.image.expand_as(xt)


def test_a_sampler(scratch, monkeypatch):
    monkeypatch.setitem(SAMPLERS, "renoise", None)
    scratch("A sampler")
    image = load("mnist5k", "test", n=10)[0][:1]
    process = GaussianDiffusion.vp(20, "cosine")
    denoise = denoiser(Knows(image), process, "x0")
    kwargs = dict(sampler=SAMPLERS["renoise"], steps=5, progress=False)
    x = generate(denoise, process, (1, 28, 28), n=3, **kwargs)
    assert torch.allclose(x, image.expand(3, -1, -1, -1), atol=1e-5)
    frames = list(SAMPLERS["renoise"](denoise, process, process.prior((2, 1, 28, 28)), steps=5))
    assert [frame.t for frame in frames] == [20, 16, 12, 8, 4, 0]


def test_a_metric(scratch):
    energy_distance = scratch("A metric").energy_distance
    evaluator = Evaluator("mnist")
    x = load("mnist5k", "test", n=100)[0]
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert abs(energy_distance(x, x, evaluator)) < 1e-4
    halves = energy_distance(x[:50], x[50:], evaluator)
    assert halves < energy_distance(noise, x, evaluator)
    assert "energy distance" in repr(halves)
    assert halves.figures()["n"] == 50


def two_domains():
    return domain_dls("optdigits", "mnist5k", bs=20, size=8, n=40, n_valid=20)


def tiny_net():
    torch.manual_seed(0)
    features = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU())
    return nn.Sequential(OrderedDict(features=features, classifier=nn.Linear(16, 10)))


class Extras(Callback):
    "Remember what a method adds to the loss of each batch."

    def __init__(self, method):
        self.method = method
        self.values = []

    def after_loss(self):
        if self.training:
            self.values.append(self.method.extra())


def trained(learn, method):
    "A Learner after an epoch, and what its method added to each loss."
    extras = Extras(method)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-2, cbs=extras)
    return extras.values


def test_a_method_with_a_domain_head(scratch):
    method = scratch("A method of adaptation with a domain head").Confident
    learn = dann_learner(two_domains(), tiny_net(), "features", method=method)
    callback = next(cb for cb in learn.cbs if isinstance(cb, method))
    values = trained(learn, callback)
    assert len(values) == len(callback.log) == 2
    assert all(0 < value <= 0.1 * torch.tensor(10.0).log() + 1e-5 for value in values)
    assert 0 <= callback.log[-1]["domain_accuracy"] <= 1


class AlikeMeans(DANNCallback):
    "DANN that also asks for alike means of the features, which `extra` sees where `at` is set."

    def __init__(self, at, head, lambd=1.0):
        super().__init__(at, head, lambd)
        self.at = f"model.{at}"

    def extra(self):
        apart = self.source_features.mean(0) - self.target_features.mean(0)
        return apart.square().sum()


def test_a_method_with_a_domain_head_that_sees_features():
    learn = dann_learner(two_domains(), tiny_net(), "features", method=AlikeMeans)
    callback = next(cb for cb in learn.cbs if isinstance(cb, AlikeMeans))
    values = trained(learn, callback)
    assert len(values) == 2 and all(value > 0 and value.requires_grad for value in values)


def test_a_method_without_a_domain_head(scratch):
    coral = scratch("A method of adaptation without one").CORAL("features")
    learn = adaptation_learner(two_domains(), tiny_net(), coral)
    values = trained(learn, coral)
    assert len(values) == 2
    assert all(value > 0 for value in values)
    alone = adaptation_learner(two_domains(), tiny_net(), SourceOnly())
    trained(alone, alone.source_only)
    ours, theirs = (m.model.features[1].weight for m in (learn, alone))
    assert not torch.equal(ours, theirs)
