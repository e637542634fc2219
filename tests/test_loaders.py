"Loaders whose batches would train nothing, or end the training, are refused or mended."

import pytest
import torch
from torch import nn

from genda.adaptation.dann import SourceOnly, adaptation_learner, digit_net
from genda.data.domains import domain_dls
from genda.data.registry import dls


def pair(n, bs, **options):
    how = dict(size=28, n=n, n_valid=10, device="cpu")
    return domain_dls("mnist5k", "optdigits", bs=bs, **how, **options)


def one(n, bs, **options):
    return dls("mnist5k", bs=bs, n=n, n_valid=10, device="cpu", **options)


@pytest.mark.parametrize("load", [one, pair])
def test_a_loader_without_a_batch_is_refused(load):
    with pytest.raises(ValueError, match=r"30 images do not fill a batch of bs=64.*bs=30 would do"):
        load(30, 64, drop_last=True)
    assert len(load(30, 30, drop_last=True).train) == 1
    assert len(load(30, 64).train) == 1


@pytest.mark.parametrize("bs", [0, -1, 2.5, None, "8", float("nan")])
@pytest.mark.parametrize("load", [one, pair])
def test_a_batch_holds_a_whole_number_of_images(load, bs):
    with pytest.raises(ValueError, match="bs="):
        load(30, bs)


@pytest.mark.parametrize("load", [one, pair])
def test_a_last_batch_of_one_is_left_out(load):
    loader = load(33, 16).train
    sizes = [len(y) for _, y in loader]
    assert sizes == [16, 16]
    assert len(loader) == 2
    seen = {tuple(y.tolist()) for _ in range(4) for _, y in loader}
    assert len(seen) > 2, "another image is left out each time"
    assert [len(y) for _, y in load(34, 16).train] == [16, 16, 2]
    assert [len(y) for _, y in load(2, 1).train] == [1, 1]
    assert [len(y) for _, y in load(1, 16).train] == [1]


def test_a_baseline_trains_where_one_image_is_left_over():
    "BatchNorm1d ends a training by an error where a batch holds one image."
    learn = adaptation_learner(pair(17, 16), digit_net("svhn", 1), SourceOnly())
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-3)
    assert all(p.isfinite().all() for p in learn.model.parameters())
    with pytest.raises(ValueError, match="more than 1 value"):
        nn.BatchNorm1d(3)(torch.zeros(1, 3))
