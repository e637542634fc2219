"The process refuses what would go wrong silently, stays out of float64, checks its inputs once."

import pytest
import torch
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from genda.diffusion.process import GaussianDiffusion

B = 8
torch.manual_seed(0)
X0 = torch.rand(B, 1, 28, 28) * 2 - 1
EPS = torch.randn(B, 1, 28, 28)
T = torch.tensor([1, 5, 20, 100, 300, 500, 900, 1000])
PROCESS = GaussianDiffusion.vp(1000, "cosine")
XT = PROCESS.corrupt(X0, T, EPS)
FLOW = GaussianDiffusion.flow(1000)
KINDS = [PROCESS, GaussianDiffusion.ve(1000), FLOW]


def refused(says, call, *args, **kwargs):
    "The call raises TypeError or ValueError, and the message holds `says`."
    with pytest.raises((TypeError, ValueError)) as caught:
        call(*args, **kwargs)
    assert says in str(caught.value), caught.value


@pytest.mark.parametrize("steps", [0, -3, 2.5])
@pytest.mark.parametrize("kind", ["vp", "ve", "flow"])
def test_number_of_steps_is_checked(kind, steps):
    with pytest.raises(Exception):  # noqa: B017, PyTorch's own errors are as good as ours
        getattr(GaussianDiffusion, kind)(steps)


def test_schedules_and_tables_are_checked():
    names = "'linaer': one of linear, linear_rescaled, cosine, sigmoid"
    refused(names, GaussianDiffusion.vp, 1000, "linaer")
    refused("beta_T", GaussianDiffusion.vp, 1000, "cosine", beta_T=0.1)
    refused("first not so at t = 2", GaussianDiffusion.ve, 10, sigma_min=2.0, sigma_max=1.0)
    refused("is T too large", GaussianDiffusion.vp, 100_000)  # abar underflows
    refused("first not so at t = 6", GaussianDiffusion.vp, 10, beta_T=2.0)
    refused("'vpp': one of vp, ve, flow", GaussianDiffusion.from_config, dict(kind="vpp"))


def test_images_and_noise_are_checked():
    refused("uint8", PROCESS.corrupt, (X0 * 127.5 + 127.5).byte(), T, EPS)
    refused("images lie in [-1, 1]", PROCESS.corrupt, X0 * 127.5 + 127.5, T, EPS)
    refused("x[None]", PROCESS.corrupt, X0[0], 5, EPS[0])
    refused("float tensor", PROCESS.corrupt, X0, T, 0.0)
    for bad in (EPS[:1], EPS[:, :, :1], EPS.flatten(1)):
        refused("nothing is broadcast", PROCESS.corrupt, X0, T, bad)
    points = torch.tensor([3.0, -70.0])
    assert PROCESS.corrupt(points, 5, torch.zeros(2)).shape == (2,)  # points may have any size


@pytest.mark.parametrize("bad", [0, 1001, -1])
def test_steps_out_of_range_are_refused(bad):
    refused(f"t lies in 1..1000 here, not {bad}..", PROCESS.corrupt, X0, bad, EPS)
    refused("1..1000", PROCESS.snr, bad)
    refused("1..1000", PROCESS.c_in, bad)
    refused("1..1000", PROCESS.to_eps, X0, XT, bad)
    refused("1..1000", PROCESS.to_score, X0, XT, bad)
    refused("1..1000", PROCESS.training_pair, X0, "v", bad)


def test_steps_of_the_wrong_kind_are_refused():
    refused("not 0..0", PROCESS.corrupt, X0, T - T, EPS)
    refused("counts steps", PROCESS.corrupt, X0, 0.5, EPS)
    for bad in (T[:1], T[:, None], T[:-1]):
        refused("one per sample", PROCESS.corrupt, X0, bad, EPS)
    refused("one per sample", PROCESS.to_x0, EPS, XT, T[:1], "v")


def test_predictions_are_checked():
    refused("'noise': one of eps, score, x0, v, velocity", PROCESS.to_x0, EPS, XT, T, "noise")
    refused("'noise': one of eps", PROCESS.target, X0, EPS, T, "noise")
    refused("'noise': one of eps", PROCESS.training_pair, X0, "noise", T)
    refused("nothing is broadcast", PROCESS.to_eps, X0[:1], XT, T)
    refused("nothing is broadcast", PROCESS.to_score, X0[:1], XT, T)
    refused("nothing is broadcast", PROCESS.to_x0, EPS[:1], XT, T, "v")


@pytest.mark.parametrize("predict", ["eps", "score"])
def test_no_image_from_a_prediction_that_holds_none(predict):
    by_hand = GaussianDiffusion(torch.tensor([1.0, 0.5, 0.0]), torch.tensor([0.0, 0.5, 1.0]))
    for p in (FLOW, by_hand):
        refused(f"cannot give x0 at t = {p.T}", p.to_x0, EPS[:4], XT[:4], p.T, predict)
        mixed = torch.tensor([1, p.T])
        refused("'velocity' or 'x0'", p.to_x0, EPS[:2], XT[:2], mixed, predict)


def test_steps_back_are_checked():
    refused("s < t", PROCESS.step, XT, X0, 5, 5)
    refused("s lies in 0..1000", PROCESS.step, XT, X0, 5, -1)
    refused("1..1000", PROCESS.step, XT, X0, 1001, 5)
    refused("one per sample", PROCESS.step, XT, X0, T, T[:1] * 0)
    refused("'small': one of posterior, large", PROCESS.step, XT, X0, 5, 4, variance="small")
    refused("eta lies in", PROCESS.step, XT, X0, 5, 4, eta=1.5)
    refused("nothing is broadcast", PROCESS.step, XT, X0[:1], 5, 4)
    refused("z is", PROCESS.step, XT, X0, 5, 4, z=EPS[:1])
    refused("eps is", PROCESS.step, XT, X0, 5, 4, eps=EPS[:1])


@pytest.mark.parametrize("p", KINDS, ids=lambda p: p.config["kind"])
def test_a_training_pair_draws_the_steps_first_and_then_the_noise(p):
    seed = torch.Generator().manual_seed
    xin, t, target = p.training_pair(X0, "v", generator=seed(5))
    same = seed(5)
    assert torch.equal(t, torch.randint(1, p.T + 1, (B,), generator=same))
    eps = torch.randn(X0.shape, generator=same)
    assert torch.equal(xin, p.c_in(t) * p.corrupt(X0, t, eps))
    assert torch.equal(target, p.target(X0, eps, t, "v"))
    again = p.training_pair(X0, "v", 7, generator=seed(5))
    assert again[1].tolist() == [7] * B


class Sizes(TorchDispatchMode):
    "Notes the types of all tensors as large as a batch that are made."

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.numel() >= X0.numel():
            self.found.add(out.dtype)
        return out


def test_no_image_is_made_in_float64():
    with Sizes() as made:
        PROCESS.corrupt(X0, T, EPS)
        PROCESS.step(XT, X0, T, T - 1, eta=1.0)
        PROCESS.training_pair(X0, "v", T)
    assert made.found - {torch.bool} == {torch.float32}


def test_half_precision_comes_back_but_is_computed_in_float32():
    low = PROCESS.corrupt(X0.bfloat16(), T, EPS.bfloat16())
    assert low.dtype == torch.bfloat16
    assert_close(low.float(), XT, atol=0.04, rtol=0)


@pytest.mark.parametrize("p", KINDS, ids=lambda p: p.config["kind"])
def test_steps_are_checked_once_in_each_public_call(p, monkeypatch):
    from genda.diffusion import process

    counts = []
    check = process._check

    def note(self, *steps, **tensors):
        counts.append(len(steps))
        return check(self, *steps, **tensors)

    monkeypatch.setattr(process, "_check", note)
    calls = [
        (p.corrupt, (X0, T, EPS)),
        (p.target, (X0, EPS, T, "v")),
        (p.to_x0, (EPS, XT, T, "v")),
        (p.to_eps, (X0, XT, T)),
        (p.to_score, (X0, XT, T)),
        (p.training_pair, (X0, "v", T)),
        (p.training_pair, (X0, "v")),
    ]
    for call, args in calls:
        counts.clear()
        call(*args)
        assert counts == [1], call
    for call in (p.posterior, p.step):
        counts.clear()
        call(XT, X0, T, T - 1, 1.0)
        assert counts == [2], call
    counts.clear()
    p.step(XT, X0, T, T - 1, 1.0, EPS)
    assert counts == [2, 0]  # the steps, and then the noise that was given
