"A seed stands for pictures: the batch size and the memory of the machine do not change them."

import pytest
import torch
from torch import nn

from genda.diffusion import ddpm as module
from genda.diffusion.cold import Cold, cold
from genda.diffusion.ddpm import ddpm, denoiser, generate
from genda.diffusion.process import GaussianDiffusion, RowsOf, noise_like
from genda.diffusion.samplers import SAMPLERS, ddim

VP = GaussianDiffusion.vp(20, "cosine")
SHAPE = (1, 4, 4)
BATCH_MEANS = ("langevin", "predictor_corrector")  # one step size for all images of a batch


class Each(nn.Module):
    "A network that works pixel by pixel: exact for every batch size. It notes the batches."

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.7))
        self.sizes = []

    def forward(self, xin, t, y=None, keep=None):
        self.sizes.append(len(xin))
        shift = 0.0 if y is None else y.float().view(-1, 1, 1, 1) / 100
        return torch.tanh(self.gain * xin) + shift


def draw(n=12, sampler=ddim, seed=3, process=VP, y=None, **options):
    net = Each()
    steps = dict(steps=5, progress=False, seed=seed) | options
    x = generate(denoiser(net, process, "x0"), process, SHAPE, y, n=n, sampler=sampler, **steps)
    return x, max(net.sizes)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 8)


SMALLER = [dict(bs=1), dict(bs=3), dict(bs=5), dict(bs=8), dict(bs=1000), dict(memory=1)]


@pytest.mark.parametrize("smaller", SMALLER, ids=str)
@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in BATCH_MEANS])
def test_a_seed_draws_the_same_in_every_batch_size(small_blocks, name, smaller):
    "20 images are two whole blocks and a part of one."
    y = torch.arange(20)
    options = dict(eta=0.5) if name == "ddim" else {}
    want, _ = draw(None, SAMPLERS[name], y=y, **options)
    got, largest = draw(None, SAMPLERS[name], y=y, **options, **smaller)
    assert torch.equal(got, want)
    assert largest <= 8
    assert draw(None, SAMPLERS[name], y=y, seed=4, **options)[0].ne(want).any()


@pytest.mark.parametrize("smaller", SMALLER, ids=str)
def test_a_cold_prior_gives_the_same_in_every_batch_size(small_blocks, smaller):
    x = torch.rand(30, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    process = Cold(lambda x, t: x * (1 - t.view(-1, 1, 1, 1) / 6), 5).fit(x, torch.arange(30) % 2)
    want, _ = draw(20, cold, process=process)
    assert torch.equal(draw(20, cold, process=process, **smaller)[0], want)


def test_little_memory_makes_small_batches_and_the_same_pictures():
    want, largest = draw(300, ddpm)
    assert largest == 250
    got, largest = draw(300, ddpm, memory=5000)
    assert 1 < largest < 50
    assert torch.equal(got, want)


def test_no_two_images_share_their_noise(small_blocks):
    x, _ = draw(20, ddpm, bs=3)
    flat = x.flatten(1)
    assert torch.pdist(flat).min() > 0.01


@pytest.mark.parametrize(("sampler", "options"), [(ddpm, {}), (ddim, dict(eta=1.0))])
def test_a_whole_block_draws_what_a_plain_generator_does(sampler, options):
    "One batch of at most 250 images gives what it has always given for its seed."
    x, _ = draw(30, sampler, seed=7, **options)
    gen = torch.Generator().manual_seed(7)
    xT = VP.prior((30, *SHAPE), generator=gen)
    denoise = denoiser(Each(), VP, "x0")
    frames = list(sampler(denoise, VP, xT, steps=5, generator=gen, **options))
    assert torch.equal(x, frames[-1].xt.clamp(-1, 1))


def test_rows_of_a_block_get_the_noise_that_the_block_gives_them():
    x = torch.zeros(8, *SHAPE)
    whole = noise_like(x, torch.Generator().manual_seed(1))
    for rows in (slice(0, 3), slice(3, 8)):
        source = RowsOf(torch.Generator().manual_seed(1), 8, rows)
        assert torch.equal(noise_like(x[rows], source), whole[rows])
        assert not torch.equal(noise_like(x[rows], source), whole[rows]), "the next step's noise"
