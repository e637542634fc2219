"Calls of the Gaussian process."

import pytest
import torch
from batches import batch, good_batch, rarely, steps
from cases import CASES, case, name_of, number, run, whole
from hypothesis import strategies as st

from genda.diffusion.process import (
    GaussianDiffusion,
    RowsOf,
    check_eta,
    noise_like,
    predictions,
    uniform_steps,
)

MODULES = ("diffusion.process",)
EXEMPT = {}
before = set(CASES)

T = 10
SHAPE = 2, 1, 4, 4
VP = GaussianDiffusion.vp(T, "cosine")
FLOW = GaussianDiffusion.flow(T)  # alpha is 0 at T
VE = GaussianDiffusion.ve(T)
process = st.sampled_from((VP, VE, FLOW))
ts = steps(T, 2)
prediction = name_of(*predictions)
lengths = whole(1, 50) | st.just(10**12)


def tables(alpha, sigma):
    made = GaussianDiffusion(alpha, sigma)
    return made.alpha, made.sigma


def of_process(make):
    "A maker of processes, as one that gives its tables."

    def give(**arguments):
        made = make(**arguments)
        return made.alpha, made.sigma, made.prior_std

    return give


def method(name):
    "A method of a process as a function."

    def call(process, **arguments):
        return getattr(process, name)(**arguments)

    return call


def is_like(name):
    "That a result has shape and type of the argument called `name`."

    def holds(result, **given):
        assert result.shape == given[name].shape and result.dtype == given[name].dtype

    return holds


def are_steps(result, b, T):
    assert result.shape == (b,) and ((result >= 1) & (result <= T)).all()


name = "diffusion.process."
a_table = st.sampled_from(
    (
        torch.tensor([1.0, 0.8, 0.5]),
        torch.tensor([1.0, 0.8, 0.0]),
        torch.tensor([1.0, 0.8]),
        torch.tensor([1.0]),
        torch.tensor([0.8, 1.0, 1.0]),
        torch.tensor([1.0, torch.nan, 0.5]),
        torch.tensor([1, 1, 0]),
        torch.tensor([[1.0, 0.8, 0.5]]),
        torch.tensor(1.0),
        torch.zeros(0),
        [1.0, 0.8, 0.5],
    )
)
rising = st.sampled_from(
    (
        torch.tensor([0.0, 0.6, 0.9]),
        torch.tensor([0.0, 0.6]),
        torch.tensor([0.0, 0.9, 0.3]),
        torch.tensor([0.0, 0.6, torch.inf]),
        torch.tensor([0.0, torch.nan, 0.5]),
        torch.tensor([[0.0, 0.6, 0.9]]),
        [0.0, 0.6, 0.9],
    )
)
case(name + "uniform_steps", uniform_steps, b=whole(0, 5), T=lengths, holds=are_steps)
case(name + "GaussianDiffusion", tables, alpha=a_table, sigma=rising)
case(
    name + "GaussianDiffusion.vp",
    of_process(GaussianDiffusion.vp),
    T=lengths,
    schedule=name_of("linear", "linear_rescaled", "linear_zero", "cosine", "sigmoid"),
)
case(
    name + "GaussianDiffusion.vp: linear",
    of_process(GaussianDiffusion.vp),
    T=st.just(10),
    beta_1=number(1e-4, 0.01),
    beta_T=number(0.01, 0.1),
    examples=0.5,
)
case(
    name + "GaussianDiffusion.vp: cosine",
    of_process(GaussianDiffusion.vp),
    schedule=st.just("cosine"),
    T=st.just(10),
    offset=number(0, 0.1),
    examples=0.5,
)
case(
    name + "GaussianDiffusion.vp: sigmoid",
    of_process(GaussianDiffusion.vp),
    schedule=st.just("sigmoid"),
    T=st.just(10),
    tau=number(0.5, 2),
    examples=0.5,
)
case(
    name + "GaussianDiffusion.ve",
    of_process(GaussianDiffusion.ve),
    T=lengths,
    sigma_min=number(0.01, 1),
    sigma_max=number(2, 50) | st.just(1e300),
)
case(name + "GaussianDiffusion.flow", of_process(GaussianDiffusion.flow), T=lengths)
case(
    name + "GaussianDiffusion.from_config",
    lambda kind, T: of_process(GaussianDiffusion.from_config)(config=dict(kind=kind, T=T)),
    kind=name_of("vp", "ve", "flow"),
    T=lengths,
)
case(
    name + "GaussianDiffusion.corrupt",
    method("corrupt"),
    process=process,
    x0=batch(*SHAPE),
    t=ts,
    eps=batch(*SHAPE),
    holds=is_like("x0"),
)
case(name + "GaussianDiffusion.snr", method("snr"), process=process, t=ts)
case(
    name + "GaussianDiffusion.target",
    method("target"),
    process=process,
    x0=batch(*SHAPE),
    eps=batch(*SHAPE),
    t=ts,
    predict=prediction,
    holds=is_like("x0"),
)
case(
    name + "GaussianDiffusion.to_x0",
    method("to_x0"),
    process=process,
    pred=batch(*SHAPE),
    xt=batch(*SHAPE),
    t=ts,
    predict=prediction,
    holds=is_like("xt"),
    examples=0.7,
)
for inverse in ("to_eps", "to_score"):
    case(
        name + f"GaussianDiffusion.{inverse}",
        method(inverse),
        process=process,
        x0=batch(*SHAPE),
        xt=batch(*SHAPE),
        t=ts,
        holds=is_like("xt"),
    )
case(name + "check_eta", check_eta, eta=number(0, 1) | st.just(torch.tensor(0.5)))
case(
    name + "GaussianDiffusion.posterior",
    method("posterior"),
    process=process,
    xt=batch(*SHAPE),
    x0=good_batch(*SHAPE),
    t=rarely(ts, st.integers(5, T)),
    s=rarely(steps(T, 2, 0), st.integers(0, 6)),
    eta=rarely(number(0, 1), st.floats(0, 1)),
    eps=st.none() | batch(*SHAPE),
    variance=rarely(name_of("large"), st.sampled_from(("posterior", "large"))),
    examples=0.7,
)
case(
    name + "GaussianDiffusion.step",
    method("step"),
    process=process,
    xt=batch(*SHAPE),
    x0=good_batch(*SHAPE),
    t=rarely(ts, st.integers(5, T)),
    s=rarely(steps(T, 2, 0), st.integers(0, 6)),
    eta=rarely(number(0, 1), st.floats(0, 1)),
    z=st.none() | batch(*SHAPE),
    holds=is_like("xt"),
)
case(
    name + "GaussianDiffusion.prior",
    method("prior"),
    process=process,
    shape=st.sampled_from(
        ((2, 1, 4, 4), (0, 1, 4, 4), [2, 3], (2.5, 1), (-1, 1), (None,), "32", (True, 2))
    ),
    examples=0.5,
)
case(
    name + "RowsOf",
    lambda n, rows: RowsOf(torch.Generator(), n, rows).draw((2, 1, 4, 4)),
    n=whole(1, 5),
    rows=st.sampled_from((slice(0, 2), slice(1, 3))),
    examples=0.5,
)
case(name + "noise_like", noise_like, x=batch(*SHAPE))
case(
    name + "GaussianDiffusion.c_in",
    method("c_in"),
    process=process,
    t=ts,
    x=st.none() | batch(*SHAPE),
    examples=0.6,
)
case(
    name + "GaussianDiffusion.training_pair",
    method("training_pair"),
    process=process,
    x0=batch(*SHAPE),
    predict=prediction,
    t=st.none() | ts,
    examples=0.7,
)

NAMES = [name for name in CASES if name not in before]
EXEMPT["diffusion.process.RowsOf.draw"] = "called by `RowsOf`'s case, its shape by `noise_like`"


@pytest.mark.parametrize("name", NAMES)
def test_works_or_is_refused_by_name(name):
    run(name)
