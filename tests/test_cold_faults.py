"Wrong orders, steps and predictions of cold diffusion, and the contract that it shares with noise."

import pytest
import torch

from genda.diffusion.cold import Cold, average, averaging, cold, line_order
from genda.diffusion.ddpm import denoiser, last
from genda.diffusion.process import GaussianDiffusion

IMAGES = torch.linspace(-1, 1, 3 * 28 * 28).view(3, 1, 28, 28)
COLUMNS = averaging()


def test_an_unknown_order_is_named():
    with pytest.raises(ValueError, match="random, outside_in"):
        line_order(28, "left")


def test_bands_must_fill_the_image():
    steps = torch.tensor([0, 5, 28])
    with pytest.raises(ValueError, match="28 bands of 4"):
        average(IMAGES, steps, line_order(28), group=4)
    with pytest.raises(ValueError, match="columns, rows"):
        average(IMAGES, steps, line_order(28), "diagonals")


@pytest.mark.parametrize("t", [29, -1, 1.5])
def test_steps_out_of_range(t):
    with pytest.raises(ValueError, match=r"steps 0\.\.28"):
        COLUMNS.corrupt(IMAGES, t)


def test_one_image_is_no_batch():
    with pytest.raises(TypeError, match="float images"):
        COLUMNS.corrupt(IMAGES[0], 1)


def test_unknown_algorithm_and_too_many_steps():
    with pytest.raises(ValueError, match="one of 1, 2"):
        last(cold(None, COLUMNS, IMAGES, 3))
    with pytest.raises(ValueError, match="steps=5"):
        last(cold(None, COLUMNS, IMAGES, start=4, steps=5))


def test_a_prior_must_be_fitted():
    with pytest.raises(ValueError, match=r"fit\(x\)"):
        averaging().prior((1, 1, 28, 28))


def test_a_cold_process_predicts_x0_only():
    t = torch.tensor([1, 2, 3])
    for predict in ("eps", "v", "score"):
        with pytest.raises(ValueError, match="one of x0"):
            COLUMNS.to_x0(IMAGES, IMAGES, t, predict)
        with pytest.raises(ValueError, match="one of x0"):
            COLUMNS.training_pair(IMAGES, predict)


class SameImages(torch.nn.Module):
    "A network that answers what it is given."

    def forward(self, xt, t):
        return xt


@pytest.mark.parametrize("process", [COLUMNS, Cold(lambda x, t: x, 5)])
def test_the_contract_of_a_process(process):
    "What a denoise asks: the scale of its input, the clean image. Shapes as with noise."
    noisy = GaussianDiffusion.vp(5)
    t = torch.tensor([1, 2, 3])
    assert process.c_in(t).shape == noisy.c_in(t).shape
    assert torch.equal(process.c_in(t, IMAGES.double()), torch.ones(3, 1, 1, 1).double())
    xin, steps, target = process.training_pair(IMAGES, generator=torch.Generator().manual_seed(0))
    assert torch.equal(xin, process.corrupt(IMAGES, steps))
    assert torch.equal(target, IMAGES)
    assert steps.min() >= 1
    assert steps.max() <= process.T
    xin, steps, _ = process.training_pair(IMAGES, "x0", t=t)
    assert torch.equal(steps, t)
    assert torch.equal(xin, process.corrupt(IMAGES, t))
    assert torch.equal(denoiser(SameImages(), process, "x0")(IMAGES, 2), IMAGES)


def test_steps_of_a_training_pair_are_checked():
    assert COLUMNS.training_pair(IMAGES, t=28)[1].tolist() == [28, 28, 28]
    with pytest.raises(ValueError, match=r"steps 0\.\.28"):
        COLUMNS.training_pair(IMAGES, t=29)


def test_a_fitted_prior_repeats_itself():
    process = averaging().fit(torch.rand(20, 1, 28, 28, generator=torch.Generator().manual_seed(1)))
    again = [
        process.prior((2, 1, 28, 28), generator=torch.Generator().manual_seed(2)) for _ in "ab"
    ]
    assert torch.equal(*again)
    assert again[0].shape == (2, 1, 28, 28)
