"Calls of flows whose images and noise are paired."

import pytest
import torch
from batches import batch, steps
from cases import CASES, case, name_of, run
from hypothesis import strategies as st

from genda.diffusion.flow import CoupledFlow, Reflow, ot_pairs

MODULES = ("diffusion.flow",)
EXEMPT = {}
before = set(CASES)

T = 10
SHAPE = 2, 2, 4, 4
ts = steps(T, 2)
prediction = name_of("velocity", "x0")
labels = st.sampled_from((None, torch.tensor([0, 1]), torch.tensor([1, 1]), torch.tensor([0])))


def pair_of(kind):
    "The method of a flow of that kind as a function."

    def call(**arguments):
        return kind.flow(T).training_pair(**arguments)

    return call


def has_the_same_noise(result, x0, eps, y):
    assert torch.equal(result.flatten().sort().values, eps.flatten().sort().values)


name = "diffusion.flow."
case(
    name + "ot_pairs",
    ot_pairs,
    x0=batch(*SHAPE),
    eps=batch(*SHAPE),
    y=labels,
    holds=has_the_same_noise,
)
for kind in (CoupledFlow, Reflow):
    case(
        f"{name}{kind.__name__}.training_pair",
        pair_of(kind),
        x0=batch(*SHAPE),
        predict=prediction,
        t=st.none() | ts,
        examples=0.7,
    )

NAMES = [name for name in CASES if name not in before]
for kind in ("CoupledFlow", "Reflow"):
    EXEMPT[f"diffusion.flow.{kind}"] = "made by `flow`, as a GaussianDiffusion is"


@pytest.mark.parametrize("name", NAMES)
def test_works_or_is_refused_by_name(name):
    run(name)
