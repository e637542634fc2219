"The speedrun: its optimiser, its count of work, and its page against results/."

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from genda.models.unet import UNet

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
import speedrun  # noqa: E402


def test_work_of_muon_is_that_of_its_products():
    params = [torch.nn.Parameter(torch.randn(16, 8, 3, 3)), torch.nn.Parameter(torch.randn(20, 6))]
    for p in params:
        p.grad = torch.randn_like(p)
    with FlopCounterMode(display=False) as counter:
        speedrun.Muon([dict(params=params)]).step()
    assert counter.get_total_flops() == speedrun.muon_flops(params)


def test_backward_pass_counts_as_two_forward_passes():
    "Exact but for the first layer, whose input needs no gradient."
    net = UNet(1, (16, 64), 1, classes=10, fold=2)
    forward = speedrun.forward_flops(net)
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 1, 28, 28), torch.ones(1).long(), torch.zeros(1).long()).sum().backward()
    assert math.isclose(counter.get_total_flops(), 3 * forward, rel_tol=0.01)


def test_average_with_power_weights():
    "After n steps the weight of step k is in proportion to k^gamma, nearly."
    p = torch.nn.Linear(1, 1, bias=False)
    average = speedrun.PowerAverage(p, gamma=2)
    n = 400
    for k in range(1, n + 1):
        torch.nn.init.constant_(p.weight, float(k))
        average.update(p)
    k = torch.arange(1, n + 1).double()
    expected = (k * k**2).sum() / (k**2).sum()
    assert math.isclose(average.weights[0].item(), expected, rel_tol=0.01)


def test_learning_rate_rises_and_falls_to_zero():
    rates = [speedrun.rate(k, 100) for k in range(100)]
    assert max(rates) == rates[4] and rates[0] < rates[3] and rates[-1] < 0.02


def test_a_training_spends_the_work_that_was_given():
    images = torch.randint(256, (64, 1, 28, 28), dtype=torch.uint8)
    labels = torch.arange(64) % 10
    recipe = speedrun.FAST._replace(channels=(8, 16), emb=32, bs=8)
    net, _, about = speedrun.train(recipe, images, labels, work=0.002, seed=0)
    again, _, _ = speedrun.train(recipe, images, labels, work=0.002, seed=0)
    assert 0.0015 < about["work_tflop"] <= 0.002
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters()))
    assert all(p.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("name", speedrun.RECIPES)
def test_every_recipe_gives_a_loss(name):
    recipe = speedrun.RECIPES[name]
    net = UNet(1, (8, 16), 1, classes=10, fold=2, emb=32)
    process = speedrun.GaussianDiffusion.vp(1000, "cosine")
    loss = speedrun.one_loss(net, process, recipe, torch.zeros(8, 1, 28, 28), torch.arange(8))
    loss.backward()
    optimiser, _ = recipe.optimiser(net)
    optimiser.step()
    assert loss.isfinite()


def test_page_shows_what_is_stored():
    command = [sys.executable, str(ROOT / "bench/table.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
