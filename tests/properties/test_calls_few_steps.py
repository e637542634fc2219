"Calls of what tunes a network for few steps."

import pytest
import torch
from batches import batch, steps
from cases import CASES, case, number, run, whole
from hypothesis import strategies as st

from genda.diffusion import few_steps
from genda.diffusion.process import GaussianDiffusion
from genda.models.unet import CNN

MODULES = ("diffusion.few_steps",)
EXEMPT = {
    "diffusion.few_steps.FewStepsCB.denoise": "called by a method with a batch's conditions",
    "diffusion.few_steps.FewStepsCB.noise": "called by a method with images",
    "diffusion.few_steps.FewStepsCB.before_batch": "called by a Learner",
    "diffusion.few_steps.FewStepsCB.after_pred": "called by a Learner",
    "diffusion.few_steps.FewStepsCB.targets": "called by a Learner",
    "diffusion.few_steps.ConsistencyCB.targets": "called by a Learner",
    "diffusion.few_steps.ProgressiveCB.targets": "called by a Learner",
    "diffusion.few_steps.MatchingCB.targets": "called by a Learner",
    "diffusion.few_steps.MatchingCB.learn_fake": "called by a Learner",
    "diffusion.few_steps.MatchingCB.after_pred": "called by a Learner",
    "diffusion.few_steps.few_steps_learner": "hands its arguments to a Learner",
    "diffusion.few_steps.tune": "trains; the lesson and tests/test_zoo.py run it",
}
before = set(CASES)

T = 10
SHAPE = 2, 1, 4, 4
VP = GaussianDiffusion.vp(T, "cosine")
NET = CNN(1, (4,), 1, classes=3).eval()
name = "diffusion.few_steps."
several = st.lists(whole(1, T), min_size=1, max_size=3)


def half(xt, t):
    "A denoise, of which nothing is to be learned."
    return xt / 2


def target(**arguments):
    return few_steps.progressive_target(half, VP, **arguments)


def direction(**arguments):
    "With a fake network that is the real one: nothing is to be moved."
    return few_steps.matching_direction(half, half, VP, **arguments)


def one_step_is_two(result, xt, t, s):
    "DDIM's step with the target ends where two of the teacher end."
    m = (s + t) // 2
    middle = VP.step(xt, half(xt, t), t, m)
    end = VP.step(middle, half(middle, m), m, s)
    assert torch.allclose(VP.step(xt, result, t, s).float(), end.float(), atol=0.05, rtol=0.05)


def are_neighbours(result, b, T, intervals, generator):
    t, s = result
    assert len(t) == len(s) == b
    assert (s >= 0).all() and (s < t).all() and (t <= T).all()


case(
    name + "neighbours",
    few_steps.neighbours,
    b=whole(0, 5),
    T=whole(1, 50),
    intervals=whole(1, 50),
    generator=st.none(),
    holds=are_neighbours,
)
case(
    name + "progressive_target",
    target,
    xt=batch(*SHAPE, without=("thin", "empty", "far", "half", "bfloat")),
    t=steps(T, 2),
    s=steps(T, 2, 0),
    holds=one_step_is_two,
)
case(
    name + "matching_direction",
    direction,
    x0=batch(*SHAPE, without=("thin", "empty")),
    t=steps(T, 2),
    eps=batch(*SHAPE, without=("thin", "empty")),
    holds=lambda result, x0, t, eps: not result.isfinite().any() or (result == 0).any(),
)
case(
    name + "FewStepsCB",
    lambda **arguments: few_steps.FewStepsCB(VP, **arguments),
    drop=number(0, 1),
    examples=0.3,
)
case(
    name + "ConsistencyCB",
    lambda **arguments: few_steps.ConsistencyCB(VP, **arguments),
    intervals=several,
    drop=number(0, 1),
    examples=0.3,
)
case(
    name + "ProgressiveCB",
    lambda **arguments: few_steps.ProgressiveCB(VP, NET, **arguments),
    steps=whole(1, T // 2),
    drop=number(0, 1),
    examples=0.3,
)
case(
    name + "MatchingCB",
    lambda **arguments: few_steps.MatchingCB(VP, NET, **arguments),
    times=several,
    shares=st.lists(number(0, 1), min_size=1, max_size=3),
    examples=0.5,
    says=("shares", "times"),
)
case(
    name + "PseudoHuber",
    lambda c: few_steps.PseudoHuber(c)(torch.zeros(2, 3), torch.ones(2, 3)),
    c=number(0.001, 10),
    examples=0.3,
)
case(
    name + "PseudoHuber.forward",
    few_steps.PseudoHuber(),
    pred=batch(*SHAPE, without=("thin", "empty", "sample", "flat")),
    target=batch(*SHAPE, without=("thin", "empty", "sample", "flat")),
    examples=0.5,
)
NAMES = [name for name in CASES if name not in before]


@pytest.mark.parametrize("name", NAMES)
def test_works_or_is_refused_by_name(name):
    run(name)
