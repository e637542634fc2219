"Calls of training's pieces, of samplers and of the score."

from types import SimpleNamespace

import pytest
import torch
from batches import batch, good_batch, labels, rarely, steps
from cases import CASES, case, name_of, number, run, whole
from fastai.data.core import DataLoaders
from hypothesis import strategies as st

from genda.diffusion import ddpm, samplers, score
from genda.diffusion.process import GaussianDiffusion
from genda.models.unet import CNN

MODULES = "diffusion.ddpm", "diffusion.samplers", "diffusion.score"
EXEMPT = {
    "diffusion.ddpm.Frame": "a named tuple",
    "diffusion.ddpm.DiffusionCB.before_batch": "called by a Learner",
    "diffusion.ddpm.Denoise": "made by `denoiser`",
    "diffusion.ddpm.Denoise.with_y": "keeps a condition, which a call refuses",
    "diffusion.ddpm.Denoise.null": "takes nothing",
    "diffusion.score.ScoreNet": "takes a network and a process",
    "diffusion.score.ScoreNet.forward": "called by `denoiser` with steps of the process",
    "diffusion.score.score_learner": "hands its arguments to `diffusion_learner`",
}
before = set(CASES)

T = 10
SHAPE = 2, 1, 4, 4
VP = GaussianDiffusion.vp(T, "cosine")
FLOW = GaussianDiffusion.flow(T)
VE = GaussianDiffusion.ve(T)
process = st.sampled_from((VP, VE, FLOW))
count = rarely(whole(1, T) | st.sampled_from((T + 1, 10**12)), st.integers(1, T))
ratio = rarely(number(0.01, 1), st.floats(0.01, 1))
torch.manual_seed(0)
NET = CNN(1, (4,), 1, classes=3).eval()
spacing = rarely(name_of("trailing"), st.sampled_from(("trailing", "leading", "linspace")))
times = st.none() | st.sampled_from(
    (
        [10, 5, 0],
        (10, 0),
        torch.tensor([8, 3, 1]),
        [5.0, 0.0],
        [10],
        [],
        [0, 5, 10],
        [5, 5, 0],
        [11, 0],
        [5, -1],
        [2.5, 0],
        [float("nan"), 0],
        [float("inf"), 0],
        ["5", "0"],
        [None, 0],
        [[5, 0]],
        "50",
    )
)


def half(xt, t):
    "A denoise, of which nothing is to be learned."
    return xt / 2


def last_of(sampler):
    "A sampler as a function that gives the end of the trajectory."

    def draw(process, xT, **arguments):
        return ddpm.last(sampler(half, process, xT, **arguments))

    return draw


case(
    "diffusion.ddpm.DiffusionLoss",
    lambda kind: ddpm.DiffusionLoss(kind)(torch.zeros(2, 3), torch.ones(2, 3)),
    kind=name_of("mse", "l1", "huber"),
    examples=0.2,
)
case(
    "diffusion.ddpm.DiffusionLoss.forward",
    ddpm.DiffusionLoss("l1"),
    pred=batch(*SHAPE, without=("thin", "empty")),
    target=batch(*SHAPE, without=("thin", "empty")),
    weight=st.none() | batch(2),
    examples=0.5,
)
case(
    "diffusion.ddpm.min_snr",
    ddpm.min_snr,
    process=process,
    t=steps(T, 2),
    predict=name_of("x0", "eps", "v"),
    gamma=number(0.1, 20),
    examples=0.6,
)
case(
    "diffusion.ddpm.logit_normal_steps",  # b and T come from a process
    ddpm.logit_normal_steps,
    b=st.integers(0, 5),
    T=st.integers(1, 50) | st.just(10**12),
    mean=number(-2, 2),
    std=number(0.1, 3),
    holds=lambda result, b, T, mean, std: (
        result.shape == (b,) and (result >= 1).all() and (result <= T).all()
    ),
)


def loss_of_learner(loss, drop, decay):
    "What a Learner was made with."
    dls = DataLoaders([], [])
    return ddpm.diffusion_learner(dls, NET, VP, "v", loss, drop, decay=decay).loss_func


case(
    "diffusion.ddpm.DiffusionCB",
    lambda drop: ddpm.DiffusionCB(VP, "v", drop).drop,
    drop=number(0, 1) | st.just(1.5),
    examples=0.3,
)
case(
    "diffusion.ddpm.diffusion_learner",
    loss_of_learner,
    loss=name_of("mse", "l1", "huber"),
    drop=number(0, 1),
    decay=number(0, 0.99) | st.just(1.0),
    examples=0.2,
)


def predict_x0(process, xt, t, predict, y):
    return ddpm.denoiser(NET, process, predict, y)(xt, t)


def net_with(weights):
    "A denoiser of a network, one of whose tensors is replaced."
    net = CNN(1, (4,), 1)
    net.out.bias.data = weights
    return ddpm.denoiser(net, VP, "v").predict


case(
    "diffusion.ddpm.denoiser",
    net_with,
    weights=st.sampled_from((torch.zeros(1), torch.tensor([torch.nan]), torch.tensor([torch.inf]))),
    examples=0.1,
)
case(
    "diffusion.ddpm.Denoise.__call__",
    torch.no_grad()(predict_x0),
    process=process,
    xt=batch(*SHAPE, without=("thin",)),
    t=st.integers(1, T) | st.sampled_from((0, T + 1, 2.5)),  # a sampler's
    predict=name_of("eps", "x0", "v", "score", "velocity"),
    y=st.none() | labels(2, 3),
    examples=0.5,
)
frames = SimpleNamespace(xt=torch.zeros(1))
case(
    "diffusion.ddpm.last",
    ddpm.last,
    frames=st.sampled_from(([], [frames], [frames, frames])),
    examples=0.1,
)
case(
    "diffusion.ddpm.ddpm",
    last_of(ddpm.ddpm),
    process=process,
    xT=batch(*SHAPE),
    steps=st.none() | count,
    variance=name_of("posterior", "large"),
    examples=0.6,
)


def are_images(result, n, **given):
    assert result.shape == (n or 3, 1, 4, 4) and result.abs().max() <= 1


def draw(n, y, **arguments):
    denoise = ddpm.denoiser(NET, VP, "v", y)
    return ddpm.generate(denoise, VP, (1, 4, 4), y, n, steps=1, progress=False, **arguments)


case(
    "diffusion.ddpm.generate",
    draw,
    n=rarely(whole(1, 4), st.just(3)),
    y=rarely(labels(3, 3).filter(lambda y: y.ndim), st.none() | st.just(torch.tensor([0, 2, 1]))),
    bs=rarely(whole(1, 300), st.integers(1, 300)),
    seed=rarely(whole(0, 2**63 - 1) | st.just(2**63), st.integers(0, 9)),
    memory=rarely(whole(1, 10**9), st.none() | st.integers(1, 10**9)),
    holds=are_images,
    examples=0.3,
)
case(
    "diffusion.ddpm.generate: shape",
    lambda shape: ddpm.generate(
        ddpm.denoiser(NET, VP, "v"), VP, shape, n=2, steps=1, progress=False
    ),
    shape=st.sampled_from(((1, 4, 4), [1, 5, 3]))
    | st.sampled_from(((1, 2.5, 4), (1, -1, 4), (1, None, 4), (1, 4, True), (1, 0, 4))),
    examples=0.1,
)

case(
    "diffusion.samplers.step_times",
    samplers.step_times,
    process=process,
    steps=count,
    times=times,
    spacing=spacing,
)
case(
    "diffusion.samplers.ddim",
    last_of(samplers.ddim),
    process=process,
    xT=batch(*SHAPE),
    steps=count,
    eta=rarely(number(0, 1), st.floats(0, 1)),
    times=rarely(times, st.none()),
    spacing=spacing,
    examples=0.6,
)
for name in ("heun", "dpm"):
    case(
        f"diffusion.samplers.{name}",
        last_of(getattr(samplers, name)),
        process=process,
        xT=batch(*SHAPE),
        steps=count,
        examples=0.5,
    )
case(
    "diffusion.samplers.invert",
    lambda process, x0, steps, times: ddpm.last(samplers.invert(half, process, x0, steps, times)),
    process=process,
    x0=batch(*SHAPE),
    steps=count,
    times=rarely(times, st.none()),
    examples=0.5,
)
position = rarely(number(0, 1) | st.sampled_from((1.5, 1e300)), st.floats(0, 1))
case(
    "diffusion.samplers.lerp",
    samplers.lerp,
    a=batch(2, 3),
    b=batch(2, 3),
    frac=position,
    examples=0.5,
)
case("diffusion.samplers.slerp", samplers.slerp, a=batch(2, 3), b=batch(2, 3), frac=position)

case(
    "diffusion.score.sigma2",
    score.sigma2,
    process=process,
    t=st.just(torch.tensor([1, T])),  # which come from the process
    predict=name_of("score", "v"),
    examples=0.3,
)
case(
    "diffusion.score.langevin_step",
    score.langevin_step,
    xt=batch(*SHAPE),
    score=batch(*SHAPE),
    z=good_batch(*SHAPE),
    snr=ratio,
    scale=number(0.1, 1),
    examples=0.6,
)
# where x is alpha x0, as `half` has it for x = 0, the score is 0 and a step by its length is none;
# a batch of numbers [b] has to be [b, 1], and 16 bits do not reach from 0.01 to 50 squared
moving = batch(*SHAPE, without=("zero", "flat", "half"))
case(
    "diffusion.score.langevin",
    last_of(score.langevin),
    process=process,
    xT=moving,
    steps_each=rarely(whole(1, 2), st.integers(1, 2)),
    snr=ratio,
    steps=count,
    examples=0.4,
)
case(
    "diffusion.score.langevin_lag",
    score.langevin_lag,
    process=st.just(VE),
    steps_each=rarely(whole(1, 5), st.integers(1, 5)),
    snr=ratio,
    steps=count,
    examples=0.6,
)
case(
    "diffusion.score.best_snr",
    score.best_snr,
    process=st.just(VE),
    steps_each=whole(1, 3),
    steps=count,
    examples=0.5,
)
case(
    "diffusion.score.predictor_corrector",
    last_of(score.predictor_corrector),
    process=process,
    xT=moving,
    corrections=rarely(whole(0, 2), st.integers(0, 2)),
    snr=ratio,
    steps=count,
    variance=name_of("large", "posterior"),
    examples=0.5,
)
case(
    "diffusion.score.probability_flow",
    last_of(score.probability_flow),
    process=process,
    xT=batch(*SHAPE),
    steps=count,
    examples=0.5,
)
case(
    "diffusion.score.log_density",
    lambda process, x, steps: score.log_density(half, process, x, steps),
    process=process,
    x=batch(*SHAPE),
    steps=count,
    examples=0.5,
)
case(
    "diffusion.score.bits_per_dim",
    lambda process, x, steps, levels: score.bits_per_dim(half, process, x, steps, levels),
    process=process,
    x=batch(*SHAPE),
    steps=count,
    levels=rarely(whole(2, 300) | st.just(10**400), st.integers(2, 300)),
    examples=0.4,
)

NAMES = [name for name in CASES if name not in before]


@pytest.mark.parametrize("name", NAMES)
def test_works_or_is_refused_by_name(name):
    run(name)
