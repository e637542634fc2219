"Calls of what tunes a trained network."

import pytest
import torch
from cases import CASES, case, made, number, run, whole
from hypothesis import strategies as st
from torch import nn

from genda.diffusion.fine_tuning import (
    LowRank,
    RowUpdate,
    add_low_rank,
    grow_labels,
    join_labels,
    merged,
)
from genda.models.unet import UNet

MODULES = ("diffusion.fine_tuning",)
EXEMPT = {}
before = set(CASES)


def small(**condition):
    "A tiny network."
    return UNet(1, (8, 16), 1, **condition)


def with_classes():
    return small(classes=3)


def with_attributes():
    return small(attributes=3)


def adapted():
    return add_low_rank(with_classes(), 1)


def linear():
    return nn.Linear(3, 2)


def convolution():
    return nn.Conv2d(2, 4, 3, padding=1)


def grouped():
    return nn.Conv2d(2, 4, 3, groups=2)


def table():
    return nn.Embedding(3, 2)


def has_the_old_rows(result, net, classes, seed):
    assert torch.equal(result.cond.table.weight[:3], net.cond.table.weight)
    assert len(result.cond.table.weight) == classes == result.cond.classes


def computes_the_same(result, net, **_):
    xt, t = torch.ones(2, 1, 8, 8), torch.tensor([1, 5])
    assert torch.allclose(result(xt, t), net(xt, t), atol=1e-5)


def has_no_update(result, **_):
    assert not result.update.any()


def names_all(result, old, new):
    labels, names = result
    assert [names[label] for label in labels] == new


name = "diffusion.fine_tuning."
nets = made(with_classes, small, with_attributes)
case(
    name + "grow_labels",
    grow_labels,
    net=nets,
    classes=whole(3, 5),
    seed=whole(0, 9),
    holds=has_the_old_rows,
    examples=0.3,
)
case(
    name + "LowRank",
    LowRank,
    layer=made(linear, convolution, grouped, table),
    rank=whole(1, 3),
    alpha=number(0.5, 9),
    holds=has_no_update,
)
case(name + "RowUpdate", RowUpdate, layer=made(table, linear), holds=has_no_update)
case(
    name + "add_low_rank",
    add_low_rank,
    net=made(with_classes, small, adapted),
    rank=whole(1, 3),
    alpha=number(0.5, 9),
    holds=computes_the_same,
    examples=0.3,
)
case(
    name + "merged",
    merged,
    net=made(with_classes, adapted),
    share=number(0, 1),
    holds=computes_the_same,
    examples=0.3,
)
names = st.lists(st.sampled_from("abc"), unique=True)
case(name + "join_labels", join_labels, old=names, new=names, holds=names_all)

NAMES = [name for name in CASES if name not in before]
for method in ("LowRank.forward", "RowUpdate.forward"):
    EXEMPT[name + method] = "called by its network, as a layer"
EXEMPT[name + "NewLabels"] = "a callback; tests/test_cli_tuning.py trains with it"
EXEMPT[name + "NewLabels.before_batch"] = EXEMPT[name + "NewLabels"]


@pytest.mark.parametrize("name", NAMES)
def test_works_or_is_refused_by_name(name):
    run(name)
