"Calls of networks and of their parts."

import pytest
import torch
from batches import batch, labels, rarely, steps
from cases import CASES, case, name_of, number, run, whole
from hypothesis import strategies as st

from genda.models import layers, unet

MODULES = "models.layers", "models.unet"
EXEMPT = {
    "models.unet.GroupNorm": "PyTorch's own constructor",
    "models.unet.GroupNorm.forward": "the values are those of PyTorch's",
    "models.layers.evaluating": "takes a network",
    "models.unet.Attention.forward": "inside of a network",
    "models.unet.Condition.forward": "inside of a network, tried by that of `UNet`",
    "models.unet.Condition.check": "inside of a network, tried by that of `UNet`",
    "models.unet.Level": "inside of `UNet`, which is tried",
    "models.unet.Level.forward": "inside of a network",
    "models.unet.Net": "the base of `UNet` and `CNN`, which are tried",
    "models.unet.Net.embed": "inside of a network, tried by that of `UNet`",
    "models.unet.ResBlock.forward": "inside of a network",
    "models.unet.UNet.body": "inside of a network",
    "models.unet.Stage": "inside of `SimpleUNet`, which is tried",
    "models.unet.Stage.forward": "inside of a network",
    "models.unet.SimpleUNet.body": "inside of a network",
    "models.unet.CNN.body": "inside of a network",
}
before = set(CASES)

SHAPE = 2, 1, 4, 4
torch.manual_seed(0)
BY_CLASS = unet.UNet(1, (8, 8), 1, classes=3).eval()
BY_ATTRIBUTES = unet.CNN(1, (4,), 1, attributes=3).eval()
sizes = rarely(whole(1, 8) | st.just(10**12), st.integers(1, 8))
eights = rarely(sizes, st.sampled_from((8, 16)))
one_or_two = rarely(whole(1, 2), st.sampled_from((1, 2)))


@torch.no_grad()
def convolved(ci, co, **given):
    return layers.conv_block(ci, co, **given).eval()(torch.zeros(1, ci, 9, 9))


case(
    "models.layers.conv_block",
    convolved,
    ci=sizes,
    co=sizes,
    k=rarely(whole(1, 5), st.sampled_from((1, 3))),
    norm=rarely(name_of("batch"), st.sampled_from(("batch", "spectral", "none"))),
    drop=rarely(number(0, 0.9) | st.just(1.5), st.floats(0, 0.9)),
    examples=0.6,
)
case(
    "models.unet.time_embedding",
    unet.time_embedding,
    t=steps(10, 2).filter(torch.is_tensor),
    dim=st.sampled_from((2, 8)) | whole(2, 9),
    period=number(1, 1e4),
    examples=0.5,
)
case(
    "models.unet.ResBlock",
    lambda ci, co, emb, groups: unet.ResBlock(ci, co, emb, groups)(
        torch.zeros(1, ci, 4, 4), torch.zeros(1, emb)
    ),
    ci=eights,
    co=eights,
    emb=sizes,
    groups=rarely(whole(1, 4), st.sampled_from((1, 2, 4))),
    examples=0.6,
)
case(
    "models.unet.Attention",
    lambda channels, heads, groups: unet.Attention(channels, heads, groups)(
        torch.zeros(1, channels, 4, 4)
    ),
    channels=eights,
    heads=one_or_two,
    groups=one_or_two,
    examples=0.6,
)
case(
    "models.unet.Condition",
    lambda emb, classes, attributes: unet.Condition(emb, classes, attributes)(None, 2),
    emb=sizes,
    classes=rarely(whole(0, 4), st.integers(0, 4)),
    attributes=rarely(whole(0, 4), st.just(0)),
    examples=0.5,
)


def answer_of(make):
    "A class of networks, as a function that gives the answer of one."

    def give(in_channels, **given):
        return make(in_channels, **given)(torch.zeros(1, in_channels, 8, 8), torch.tensor(1))

    return torch.no_grad()(give)


widths = rarely(
    st.sampled_from(((), (7,), (0, 8), (-8,), ("8",), (8.0, 8), (None,), None, "8")),
    st.sampled_from(((8,), (8, 16), [16, 8])),
)
stages = rarely(widths, st.sampled_from(((8,), (8, 4, 8))))
options = dict(
    classes=rarely(whole(0, 4), st.sampled_from((0, 3))),
    cond_at=rarely(name_of("time"), st.sampled_from(("time", "down", "up"))),
)
case(
    "models.unet.UNet",
    answer_of(unet.UNet),
    in_channels=sizes,
    channels=widths,
    layers=rarely(whole(1, 2) | st.sampled_from(([1, 2], [1], [])), st.just(1)),
    fold=one_or_two,
    mid=rarely(whole(0, 2), st.sampled_from((0, 1))),
    emb=st.none() | sizes,
    groups=rarely(whole(1, 4), st.sampled_from((1, 4))),
    **options,
    examples=0.5,
)
case(
    "models.unet.SimpleUNet",
    answer_of(unet.SimpleUNet),
    in_channels=sizes,
    channels=stages,
    emb=sizes,
    **options,
    examples=0.5,
)
case(
    "models.unet.CNN",
    answer_of(unet.CNN),
    in_channels=sizes,
    channels=widths,
    kernel=rarely(whole(1, 3), st.sampled_from((1, 3))),
    emb=sizes,
    **options,
    examples=0.5,
)
case(
    "models.unet.make_net",
    lambda name, in_channels: unet.make_net(name, in_channels, channels=(8,), emb=4).in_channels,
    name=name_of("unet", "simple", "conv", "cnn"),
    in_channels=sizes,
    examples=0.2,
)
case(
    "models.unet.cost",
    lambda shape: unet.cost(BY_ATTRIBUTES, shape),
    shape=st.sampled_from(((1, 4, 4), [1, 5, 3], (1, -1, 4), (1, 2.5, 4), ())),
    examples=0.1,
)
case(
    "models.unet.Net.forward",
    torch.no_grad()(lambda xt, t, y: BY_CLASS(xt, t, y)),
    xt=batch(*SHAPE, without=("thin",)),
    t=steps(10, 2).filter(torch.is_tensor),
    y=st.none() | labels(2, 3),
    examples=0.5,
)
case(
    "models.unet.Net.forward: attributes",
    torch.no_grad()(lambda xt, t, y: BY_ATTRIBUTES(xt, t, y)),
    xt=batch(*SHAPE, without=("thin",)),
    t=st.just(torch.ones(2).long()),
    y=st.none() | batch(2, 3),
    examples=0.5,
)

NAMES = [name for name in CASES if name not in before]


@pytest.mark.parametrize("name", NAMES)
def test_works_or_is_refused_by_name(name):
    run(name)
