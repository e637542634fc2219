"Calls of what edits images with a trained network."

import pytest
import torch
from batches import batch, rarely
from cases import CASES, case, number, run, whole
from hypothesis import strategies as st

from genda.diffusion import editing
from genda.diffusion.ddpm import denoiser, last
from genda.diffusion.process import GaussianDiffusion
from genda.models.unet import CNN

MODULES = ("diffusion.editing",)
EXEMPT = {
    "diffusion.editing.Consistent": "made by `ddnm`",
    "diffusion.editing.Consistent.x0_prediction": "called by `ddnm`'s case",
    "diffusion.editing.PosteriorGuidance": "made by `dps`",
    "diffusion.editing.PosteriorGuidance.factor": "called by `dps`'s case",
    "diffusion.editing.PosteriorGuidance.x0_prediction": "called by `dps`'s case",
    "diffusion.editing.Composed": "made by `compose`",
    "diffusion.editing.Composed.x0_prediction": "called by `compose`'s case",
}
before = set(CASES)

T = 10
SHAPE = 2, 1, 4, 4
VP = GaussianDiffusion.vp(T, "cosine")
FLOW = GaussianDiffusion.flow(T)
process = st.sampled_from((VP, FLOW))
torch.manual_seed(0)
NET = CNN(1, (4,), 1, classes=3).eval().requires_grad_(False)
XT = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))
count = rarely(whole(1, T) | st.sampled_from((T + 1, 10**12)), st.integers(1, T))
few = rarely(whole(1, 3), st.integers(1, 3))
images = batch(*SHAPE, without=("half", "bfloat", "thin"))
holes = st.sampled_from(
    (torch.ones(4, 4) > 0, torch.eye(4) > 0, torch.rand(2, 1, 4, 4) > 0.5, torch.ones(4) > 0)
) | st.sampled_from(
    (torch.ones(4, 4), torch.ones(3, 3) > 0, torch.tensor(True), None, torch.ones(5, 1, 4, 4) > 0)
)


def halves(x):
    "What is left of images by a degradation that averages pairs of rows."
    return (x + x.flip(2)) / 2


def half(xt, t):
    "A denoise, of which nothing is to be learned."
    return xt / 2


def painted(process, known, hole, xT, steps, resample, jump):
    paste = editing.replacement(process, known, hole)
    return last(editing.repaint(half, process, xT, paste, steps, resample, jump))


def keeps_the_known(result, known, hole, **given):
    outside = ~hole.expand_as(result)
    assert torch.equal(result[outside], known.to(result).expand_as(result)[outside])


def fits_what_was_observed(result, observed):
    if observed.abs().max() <= 1:
        want = observed.to(result).expand_as(result)
        assert (halves(result) - halves(want)).abs().max() < 2


case(
    "diffusion.editing.resampled",
    editing.resampled,
    times=st.sampled_from(([10, 5, 0], (10, 0), [4, 3, 2, 1, 0])) | st.sampled_from(([], [5])),
    resample=whole(1, 4) | st.just(10**12),
    jump=whole(1, 4) | st.just(10**12),
    holds=lambda result, times, resample, jump: (
        result[0] == times[0] and result[-1] == times[-1] and set(result) == set(times)
    ),
)
case(
    "diffusion.editing.replacement",
    lambda process, known, hole: editing.replacement(process, known, hole)(XT, 5),
    process=process,
    known=images,
    hole=holes,
    says=("x0",),  # which is what known images become
    examples=0.6,
)
case(
    "diffusion.editing.repaint",
    painted,
    process=process,
    known=rarely(images, st.just(XT)),
    hole=rarely(holes, st.just(torch.eye(4) > 0)),
    xT=rarely(images.filter(lambda x: x.shape == SHAPE), st.just(XT)),
    steps=count,
    resample=few,
    jump=few,
    holds=keeps_the_known,
    examples=0.6,
)


@torch.no_grad()
def consistent(observed):
    return editing.ddnm(denoiser(NET, VP, "x0"), halves, observed)(XT, 5)


@torch.no_grad()
def filled(known, hole):
    return editing.inpaint(denoiser(NET, VP, "x0"), known, hole)(XT, 5)


@torch.no_grad()
def guided(process, observed, t, scale, spread):
    denoise = denoiser(NET, process, "x0")
    return editing.dps(denoise, process, halves, observed, scale, spread)(XT, t)


@torch.no_grad()
def composed(conditions, weights):
    return editing.compose(denoiser(NET, VP, "x0"), conditions, weights)(XT, 5)


case(
    "diffusion.editing.ddnm",
    consistent,
    observed=images,
    holds=fits_what_was_observed,
    examples=0.6,
)
case(
    "diffusion.editing.inpaint", filled, known=images, hole=holes, says=("observed",), examples=0.6
)
case(
    "diffusion.editing.dps",
    guided,
    process=process,
    observed=rarely(images, st.just(XT)),
    t=st.integers(1, T) | st.sampled_from((0, T + 1)),
    scale=rarely(number(0, 10), st.floats(0, 10)),
    spread=rarely(number(0.1, 2), st.floats(0.1, 2)),
    examples=0.6,
)
case(
    "diffusion.editing.pseudo_inverse",
    lambda shape, rtol: editing.pseudo_inverse(halves, shape, rtol)(XT),
    shape=st.sampled_from(((1, 4, 4), [1, 4, 4]))
    | st.sampled_from(((1, 2.5, 4), (1, -1, 4), (1, None, 4), (1, 400, 400))),
    rtol=rarely(number(0, 1), st.floats(0.001, 0.5)),
    examples=0.3,
)
case(
    "diffusion.editing.sdedit",
    lambda process, x0, strength, steps, eta: last(
        editing.sdedit(half, process, x0, strength, steps, eta)
    ),
    process=process,
    x0=images,
    strength=rarely(number(0.01, 1) | st.just(1.5), st.floats(0.01, 1)),
    steps=count,
    eta=rarely(number(0, 1), st.floats(0, 1)),
    examples=0.6,
)
case(
    "diffusion.editing.compose",
    composed,
    conditions=st.sampled_from(([0], [1], [2])) | st.sampled_from(([0, 1], [], [7])),
    weights=st.sampled_from(([1.0], [2], [-1.0])) | st.sampled_from(([1, 2], [], [None], ["1"])),
    says=("y",),
    examples=0.4,
)

NAMES = [name for name in CASES if name not in before]


@pytest.mark.parametrize("name", NAMES)
def test_works_or_is_refused_by_name(name):
    run(name)
