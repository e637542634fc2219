"Looking at a network in the middle of its training leaves no trace in it."

import pytest
import torch
from torch import nn

from genda.adaptation.dann import accuracy, digit_net, features
from genda.gan import Generator, draw_images

X = torch.zeros(4, 1, 28, 28)


def modes(net):
    return {name: layer.training for name, layer in net.named_modules()}


def look_for_accuracy(net):
    return accuracy(net, X, torch.zeros(4).long())


def look_at_features(net):
    return features(net, X, "features")


@pytest.mark.parametrize("look", [look_for_accuracy, look_at_features])
def test_frozen_layers_stay_frozen(look):
    net = digit_net("usps", 1)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    before = modes(net)
    assert set(before.values()) == {True, False}
    look(net)
    assert modes(net) == before
    net.eval()
    look(net)
    assert not any(modes(net).values())


def test_a_generator_that_draws_keeps_its_modes():
    generator = Generator(1, 28, z=4, base=2)
    generator.body[1].eval()
    before = modes(generator)
    assert set(before.values()) == {True, False}
    draw_images(generator, n=2)
    assert modes(generator) == before


def test_a_look_that_fails_puts_the_modes_back():
    net = digit_net("usps", 1)
    with pytest.raises(RuntimeError):
        features(net, torch.zeros(4, 3, 28, 28), "features")
    assert all(modes(net).values())
