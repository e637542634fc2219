"Calls of cold diffusion."

from functools import partial

import pytest
import torch
from batches import batch, good_batch, labels, rarely, steps
from cases import CASES, case, name_of, number, run, whole
from hypothesis import strategies as st

from genda.diffusion import cold
from genda.diffusion.ddpm import last

MODULES = ("diffusion.cold",)
EXEMPT = {"diffusion.cold.train_denoiser": "trains: what it takes goes to `diffusion_learner`"}
before = set(CASES)

SHAPE = 2, 1, 8, 8
AVERAGING = cold.averaging(size=8)
BLUR = cold.Cold(cold.blur, 8)
PIXELS = cold.Cold(cold.pixelate, 8)
MASK = cold.Cold(cold.mask, 8)
FADE = cold.Cold(partial(cold.fade, T=8), 8)
T = 8
process = st.sampled_from((AVERAGING, BLUR, PIXELS, MASK, FADE))
sides = whole(1, 16) | st.just(10**12)
# degradations are called by `Cold.corrupt`, whose case tries other images and steps
images = batch(
    *SHAPE,
    without=("sample", "flat", "nested", "whole", "bytes", "bool", "fewer", "one", "empty", "thin"),
)
all_steps = st.sampled_from(
    (torch.tensor([0, T]), torch.tensor([3, 1]), torch.tensor([1, 2]).byte())
)
torch.manual_seed(0)
FITTED = cold.averaging(size=8).fit(torch.rand(12, 1, 8, 8), torch.arange(12) % 3)


def method(name):
    "A method of a process as a function."

    def call(process, **arguments):
        return getattr(process, name)(**arguments)

    return call


def of_process(make):
    "A maker of processes, as one that gives what its process makes of an image."

    def give(**arguments):
        process = make(**arguments)
        size = arguments.get("size", 8)
        return process.corrupt(torch.zeros(1, 1, size, size), process.T)

    return give


def of_each(size):
    "What each process makes of an image."
    processes = cold.degradations(size).values()
    x = torch.zeros(1, 1, size, size)
    return [process.corrupt(x, process.T) for process in processes]


case(
    "diffusion.cold.line_order",
    cold.line_order,
    n=sides,
    kind=name_of("random", "outside_in", "inside_out"),
    seed=whole(0, 9) | st.just(2**70),
    holds=lambda result, n, kind, seed: sorted(result.tolist()) == list(range(n)),
)
case(
    "diffusion.cold.average",
    cold.average,
    x=images,
    t=all_steps,
    order=st.sampled_from((torch.arange(8), torch.arange(4), torch.arange(3), torch.arange(0))),
    lines=name_of("columns", "rows"),
    group=rarely(whole(1, 3), st.sampled_from((1, 2))),
    examples=0.5,
)
case(
    "diffusion.cold.Cold",
    lambda T: cold.Cold(cold.mask, T).corrupt(torch.zeros(1, 1, 4, 4), 1),
    T=whole(1, 20) | st.just(10**12),
)
case(
    "diffusion.cold.Cold.corrupt",
    method("corrupt"),
    process=process,
    x0=batch(*SHAPE),
    t=steps(T, 2, 0),
    examples=0.7,
)
case(
    "diffusion.cold.Cold.training_pair",
    method("training_pair"),
    process=process,
    x0=batch(*SHAPE),
    predict=name_of("x0"),
    t=st.none() | steps(T, 2, 0),
)
case(
    "diffusion.cold.Cold.c_in",
    method("c_in"),
    process=process,
    t=st.integers(0, T) | st.sampled_from((torch.arange(2), torch.tensor(3))),  # the answer is 1
    x=st.none() | batch(*SHAPE),
    examples=0.5,
)
case(
    "diffusion.cold.Cold.to_x0",
    method("to_x0"),
    process=process,
    pred=good_batch(*SHAPE),
    xt=good_batch(*SHAPE),
    t=st.just(1),
    predict=name_of("x0"),
    examples=0.2,
)
case(
    "diffusion.cold.averaging",
    of_process(cold.averaging),
    lines=rarely(name_of("columns"), st.sampled_from(("columns", "rows"))),
    order=rarely(name_of("random"), st.sampled_from(("random", "outside_in", "inside_out"))),
    group=rarely(whole(1, 5), st.sampled_from((1, 2, 4))),
    size=rarely(sides, st.sampled_from((8, 16))),
)
case("diffusion.cold.blur", cold.blur, x=images, t=all_steps, sigma=number(0, 2), examples=0.5)
case("diffusion.cold.pixelate", cold.pixelate, x=images, t=all_steps, examples=0.3)
case("diffusion.cold.mask", cold.mask, x=images, t=all_steps, radius=number(0, 2), examples=0.5)
case(
    "diffusion.cold.fade",
    cold.fade,
    x=images,
    t=all_steps,
    T=whole(1, 20) | st.just(10**12),
    to=number(-1, 1),
    examples=0.4,
)
case(
    "diffusion.cold.degradations",
    of_each,
    size=rarely(sides, st.sampled_from((4, 8, 12))),
    examples=0.2,
)
case(
    "diffusion.cold.cold",
    lambda process, xT, **given: last(cold.cold(lambda xt, t: xt / 2, process, xT, **given)),
    process=process,
    xT=batch(*SHAPE),
    algorithm=rarely(name_of(1) | st.sampled_from((0, 2.5, float("nan"))), st.sampled_from((1, 2))),
    start=rarely(whole(1, T), st.sampled_from((None, T, 5))),
    steps=rarely(whole(1, T), st.sampled_from((None, 1, 5))),
    examples=0.5,
)
case(
    "diffusion.cold.Cold.fit",
    lambda x, y: cold.averaging(size=8).fit(x, y).gaussians,
    x=batch(6, 1, 8, 8),
    y=st.none() | labels(6, 2) | st.just(torch.tensor([0, 0, 0, 1, 1, 1])),
    examples=0.5,
)
case(
    "diffusion.cold.Cold.prior",
    FITTED.prior,
    shape=st.sampled_from(((2, 1, 8, 8), [2, 1, 8, 8], (0, 1, 8, 8)))
    | st.sampled_from(((2, 1, 4, 4), (2.5, 1, 8, 8), (-1, 1, 8, 8), (2,), (), (None, 1, 8, 8))),
    y=st.none() | labels(2, 3),
    noise=number(0, 1),
    examples=0.5,
)

NAMES = [name for name in CASES if name not in before]


@pytest.mark.parametrize("name", NAMES)
def test_works_or_is_refused_by_name(name):
    run(name)
