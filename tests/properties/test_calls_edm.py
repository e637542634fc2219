"Calls of EDM's scales, noise levels and sampler, and of zero terminal SNR."

import pytest
from batches import batch, rarely, steps
from cases import CASES, case, name_of, number, run, whole
from hypothesis import strategies as st

from genda.diffusion import edm
from genda.diffusion.ddpm import last
from genda.diffusion.process import GaussianDiffusion

MODULES = ("diffusion.edm",)
EXEMPT = {
    "diffusion.edm.Scales": "a named tuple",
    "diffusion.edm.EDMNet": "takes a network and a process",
    "diffusion.edm.EDMNet.forward": "called by `denoiser` with steps of the process",
    "diffusion.edm.Churn.raised": "called by `edm` with steps of the process",
}
before = set(CASES)

T = 10
SHAPE = 2, 1, 4, 4
VP = GaussianDiffusion.vp(T)
VE = GaussianDiffusion.ve(T)
process = st.sampled_from((VP, VE, GaussianDiffusion.flow(T)))
finite = st.sampled_from((VP, VE))
count = rarely(whole(1, T) | st.sampled_from((T + 1, 10**12)), st.integers(1, T))
churns = number(0, 30) | st.builds(edm.Churn, st.floats(0, 30), st.floats(0, 1))


def half(xt, t):
    "A denoise, of which nothing is to be learned."
    return xt / 2


def draw(process, xT, **arguments):
    "The end of a trajectory."
    return last(edm.edm(half, process, xT, **arguments))


def all_steps(b, mean, std):
    "Steps of a process, drawn."
    return edm.LogNormalSteps(VE, mean, std)(b, T)


def are_steps(result, **arguments):
    assert (result >= 1).all() and (result <= T).all()


def fall_to_one(result, process, steps, rho):
    assert (result[0], result[-1], len(result)) == (T, 0, steps + 1) or T == 1
    assert sorted(set(result), reverse=True) == result


def ends_at_zero(result, abar):
    assert result[-1] == 0 and result[0] == 1


name = "diffusion.edm."
case(name + "edm_scales", edm.edm_scales, sigma=batch(3), sigma_data=number(0.1, 2))
case(
    name + "edm_weight",
    edm.edm_weight,
    process=process,
    t=steps(T, 2),
    predict=name_of("x0"),
    sigma_data=number(0.1, 2),
)
case(
    name + "LogNormalSteps",
    all_steps,
    b=whole(0, 5),
    mean=number(-3, 3),
    std=number(0.1, 3),
    holds=are_steps,
)
case(
    name + "rho_sigmas",
    edm.rho_sigmas,
    steps=whole(1, 30),
    sigma_min=number(0.001, 1),
    sigma_max=number(1, 100),
    rho=number(0.1, 20),
    holds=lambda result, **arguments: (result.diff() <= 0).all().item(),
)
case(
    name + "rho_times",
    edm.rho_times,
    process=process,
    steps=count,
    rho=number(0.1, 20),
    holds=fall_to_one,
)
case(
    name + "Churn",
    edm.Churn,
    amount=number(0, 30),
    low=st.floats(0, 1),
    high=st.floats(0, 100),
    scale=number(0.1, 2),
    says=("churn",),
)
case(
    name + "edm",
    draw,
    process=finite,
    xT=batch(*SHAPE),
    steps=count,
    rho=st.none() | number(0.5, 20),
    order=whole(1, 2),
    churn=churns,
    examples=0.7,
)
case(
    name + "zero_terminal_snr",
    edm.zero_terminal_snr,
    abar=batch(5) | st.just(VP.abar) | st.just(VP.abar.float()),
    holds=ends_at_zero,
)

NAMES = [name for name in CASES if name not in before]
EXEMPT["diffusion.edm.LogNormalSteps.__call__"] = "tried with the class"


@pytest.mark.parametrize("name", NAMES)
def test_works_or_is_refused_by_name(name):
    run(name)
