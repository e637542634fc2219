"Dropped memory is used again, and a batch is no larger than what is free."

import subprocess
import sys

import pytest
import torch
from torch import nn

from genda.diffusion.ddpm import denoiser, generate
from genda.diffusion.process import GaussianDiffusion
from genda.models.unet import UNet
from genda.training.callbacks import ByteCount

PAGES = """
import resource

import torch

from genda.training.callbacks import keep_memory


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def pages(n=5, size=2**26):
    start = faults()
    for _ in range(n):
        torch.zeros(size // 4).add_(1)
    return faults() - start


kept = KEPT and keep_memory()
pages()  # the heap may still grow here, so the second count is the one that tells
print(int(kept), pages())
"""


def pages(kept):
    "Whether memory is kept, and pages brought in for five tensors of 64 MB."
    # a process of its own, as what other tests left would count too
    done = subprocess.run(
        [sys.executable, "-c", PAGES.replace("KEPT", str(kept))],
        capture_output=True,
        text=True,
        check=True,
    )
    return map(int, done.stdout.split())


def test_dropped_tensors_leave_their_pages():
    pytest.importorskip("resource")
    kept, few = pages(True)
    _, many = pages(False)
    if not kept:
        pytest.skip("this C library has no mallopt")
    assert few < 5 * 2**26 / 4096 / 4
    assert few < many, "pages brought in with and without kept memory"


class Tenth(nn.Module):
    "Paint each image in a tenth of its label, and note the sizes of the batches."

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, xin, t, y=None):
        self.sizes.append(len(xin))
        return y[:, None, None, None] * torch.ones_like(xin) / 10


@pytest.mark.parametrize(
    ("options", "sizes"),
    [(dict(bs=3), [3, 3, 3, 3, 3, 3, 1, 1]), (dict(memory=1), [1] * 20)],
    ids=["three at a time", "memory for one"],
)
def test_batches_are_as_large_as_asked_and_as_memory_holds(options, sizes):
    "Ten images in two steps, after the one image whose bytes are counted."
    net = Tenth()
    process = GaussianDiffusion.vp(10, "cosine")
    options |= dict(y=torch.arange(10), steps=2, progress=False)
    x = generate(denoiser(net, process, "x0"), process, (1, 4, 4), **options)
    torch.testing.assert_close(x[:, 0, 0, 0], torch.arange(10) / 10)
    assert net.sizes == [1, *sizes]


def test_the_bytes_of_a_network_are_counted_at_least_as_handed_from_layer_to_layer():
    net = UNet(1, (16, 32), 1, fold=2)
    handed = []
    for layer in net.modules():
        if not list(layer.children()) and not isinstance(layer, nn.Identity):
            layer.register_forward_hook(lambda _, __, output: handed.append(output.numel() * 4))
    with torch.no_grad(), ByteCount() as count:
        net(torch.zeros(1, 1, 28, 28), torch.ones(1))
    assert sum(handed) < count.n < 5 * sum(handed)


def test_the_bytes_of_two_operations_are_counted():
    "Each makes four maps of 8x8 floats; PyTorch may rearrange the weights."
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.SiLU())
    with torch.no_grad(), ByteCount() as count:
        net(torch.zeros(1, 1, 8, 8))
    assert 2 * 4 * 8 * 8 * 4 <= count.n < 4 * 4 * 8 * 8 * 4
