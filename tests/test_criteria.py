"Losses and figures of adaptation beside those of skada and pytorch-adapt, where these are here."

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from genda.adaptation.criteria import (
    certainty_weights,
    coral,
    dev_score,
    entropy_score,
    mixval_score,
    mmd,
)
from genda.adaptation.recipe import class_confusion

CLOSE = dict(rel=1e-4, abs=1e-6)


def cloud(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_losses_of_skada():
    losses = pytest.importorskip("skada.deep.losses")
    z, fs, ft = 3 * cloud(50, 5), cloud(50, 6), 2 * cloud(50, 6, seed=1) + 1
    for temperature in (1.0, 2.5):
        theirs = losses.mcc_loss(z, T=temperature).item()
        assert class_confusion(z, temperature).item() == pytest.approx(theirs, **CLOSE)
    assert coral(fs, ft).item() == pytest.approx(losses.deepcoral_loss(fs, ft).item(), **CLOSE)


def test_losses_of_pytorch_adapt():
    layers = pytest.importorskip("pytorch_adapt.layers")
    z, fs, ft = 3 * cloud(50, 5), cloud(50, 6), 2 * cloud(50, 6, seed=1) + 1
    theirs = layers.MCCLoss(T=2.5)(z).item()
    assert class_confusion(z, 2.5).item() == pytest.approx(theirs, **CLOSE)
    assert coral(fs, ft).item() == pytest.approx(layers.CORALLoss()(fs, ft).item(), **CLOSE)
    weights = 50 * layers.EntropyWeights()(z)  # theirs add up to 1
    assert torch.allclose(certainty_weights(z.softmax(1)), weights, atol=1e-5)
    # theirs leaves each point's similarity to itself out: the unbiased estimate of one sum
    f = torch.cat([fs, ft])
    scale = torch.cdist(f, f).square().mean()
    widths = torch.tensor([0.25, 0.5, 1.0, 2.0, 4.0])
    unbiased = layers.MMDLoss(1 / widths, "quadratic", bandwidth=scale)(fs, ft).item()
    k = sum((-torch.cdist(f, f).square() / (w * scale)).exp() for w in widths) / 5
    own = sum((part.sum() - 50) / (50 * 49) - part.mean() for part in (k[:50, :50], k[50:, 50:]))
    assert mmd(fs, ft).item() + own.item() == pytest.approx(unbiased, **CLOSE)


@pytest.fixture
def fitted():
    "A classifier of three classes on the source, and points of both domains as skada wants them."
    x = np.concatenate([cloud(200, 4).numpy(), cloud(150, 4, seed=1).numpy() + 0.5])
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)
    domain = np.repeat([1, -2], [200, 150])
    model = make_pipeline(FunctionTransformer(), LogisticRegression(C=0.1))
    return model.fit(x[:200], y[:200]), x, y, domain


class WithDomains:
    "A pipeline that takes and ignores skada's `sample_domain`."

    def __init__(self, model):
        self.model = model
        self.classes_ = model.classes_

    def predict_proba(self, x, **_):
        return self.model.predict_proba(x)

    def predict(self, x, **_):
        return self.model.predict(x)

    def score(self, x, y, **_):
        return self.model.score(x, y)

    def fit(self, x, y):
        return self


def test_entropy_of_skada(fitted):
    metrics = pytest.importorskip("skada.metrics")
    model, x, y, domain = fitted
    theirs = metrics.PredictionEntropyScorer()._score(None, WithDomains(model), x, y, domain)
    p = torch.tensor(model.predict_proba(x[200:]))
    assert entropy_score(p) / 3 == pytest.approx(theirs, **CLOSE)  # theirs is a mean over classes


def test_mixval_of_skada(fitted):
    metrics = pytest.importorskip("skada.metrics")
    model, x, y, domain = fitted
    scorer = metrics.MixValScorer(random_state=0)
    theirs = scorer._score(None, WithDomains(model), x, y, domain)

    def answer(v):
        return torch.tensor(model.predict_proba(v.numpy()))

    ours = [mixval_score(answer, torch.tensor(x[200:]), seed=seed) for seed in range(8)]
    assert np.mean(ours) == pytest.approx(theirs, abs=3 * np.std(ours))  # other partners are drawn


def test_dev_of_skada(fitted, monkeypatch):
    metrics = pytest.importorskip("skada.metrics")
    model, x, y, domain = fitted

    def split(*arrays, **_):
        return [part for a in arrays for part in (a[:120], a[120:])]

    monkeypatch.setattr(metrics, "train_test_split", split)
    monkeypatch.setattr(metrics, "check_X_y_domain", lambda *args, **_: args)

    def column(y, p):  # of losses: its own default is a row, which it multiplies by a column
        return -np.log(p[np.arange(len(y)), y])[:, None]

    deep = WithDomains(model)
    deep.module_ = SimpleNamespace(layer_name="any")
    deep.predict_features = np.asarray
    scorer = metrics.DeepEmbeddedValidation(loss_func=column)
    theirs = scorer._score(None, deep, x, y, domain)
    p = model.predict_proba(x[120:200])
    loss = torch.tensor(column(y[120:200], p)[:, 0])
    parts = [torch.tensor(part) for part in (x[:120], x[120:200], x[200:])]
    assert dev_score(*parts, loss, LogisticRegression()) == pytest.approx(theirs, **CLOSE)
