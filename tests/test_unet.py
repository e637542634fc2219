"The networks refuse inputs that do not fit, and say what they take."

import pytest
import torch

from genda.models.unet import Condition, UNet, make_net

T = torch.tensor([1, 500])
X = torch.randn(2, 1, 28, 28)


def refused(says, call, *args, **kwargs):
    "The call raises TypeError or ValueError, and the message holds `says`."
    with pytest.raises((TypeError, ValueError)) as caught:
        call(*args, **kwargs)
    assert says in str(caught.value), caught.value


def test_a_condition_is_checked():
    cond = Condition(8, classes=10)
    y = torch.tensor([3, 0, 9])
    refused("labels 1 to 10, but this network knows 0 to 9", cond, torch.tensor([3, 10, 1]), 3)
    refused("y is [1], but this network takes class indices [3]", cond, y[:1], 3)
    refused("as integers", cond, y.float(), 3)
    refused("attribute vectors [2, 5]", Condition(8, attributes=5), torch.ones(2, 4), 2)
    refused("not both (given 3 and 4)", Condition, 8, classes=3, attributes=4)


def test_inputs_are_checked():
    net = UNet(1, (8, 16), 1, classes=10)
    refused("takes [b, 1, h, w]", net, torch.randn(2, 3, 28, 28), T)
    refused("one step per image", net, X, torch.tensor([1, 2, 3]))
    refused("labels 1 to 10", net, X, T, torch.tensor([1, 10]))
    refused("no condition", UNet(1, (8, 16), 1), X, T, torch.tensor([1, 2]))


def test_names_are_checked():
    refused("one of time, down, up", UNet, cond_at="middle", classes=2)
    refused("one of unet, simple, cnn, conv, resnet", make_net, "vnet")
