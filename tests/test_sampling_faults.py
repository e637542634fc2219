"Wrong numbers and conditions of samplers and guidance; a training that follows a clock."

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genda.diffusion.cold import Cold, cold
from genda.diffusion.ddpm import ddpm, denoiser, generate, min_snr
from genda.diffusion.edm import edm
from genda.diffusion.guidance import (
    cfg,
    classifier_guided,
    complete_conditions,
    log_likelihood,
    to_w,
)
from genda.diffusion.process import GaussianDiffusion
from genda.diffusion.samplers import SAMPLERS, ddim, dpm, heun, invert, lerp, slerp
from genda.diffusion.score import (
    best_snr,
    bits_per_dim,
    langevin,
    langevin_lag,
    langevin_step,
    predictor_corrector,
    probability_flow,
)
from genda.models.unet import UNet
from genda.training import callbacks
from genda.training.callbacks import TimeBudget

PROCESS = GaussianDiffusion.vp(10, "cosine")
IMAGES = torch.zeros(2, 1, 4, 4)


class Same(nn.Module):
    "A network that gives its input back."

    def forward(self, xt, t, y=None, keep=None):
        return xt


def test_guidance_needs_a_condition():
    with pytest.raises(ValueError, match="with_y"):
        cfg(denoiser(Same(), PROCESS, "v"), 1)(IMAGES, 5)


def test_classifier_free_guidance_does_not_go_around_guidance():
    inner = cfg(denoiser(Same(), PROCESS, "v", torch.zeros(2).long()), 1)
    with pytest.raises(TypeError, match="goes around it"):
        cfg(inner, 1)


def test_an_unknown_convention_is_named():
    with pytest.raises(ValueError, match="w, scale, pipeline"):
        to_w(1, "gamma")


def test_a_condition_must_fit_the_classifier():
    with pytest.raises(ValueError, match=r"\[1, 4\]"):
        log_likelihood(torch.zeros(1, 3), torch.zeros(1, 4))


def test_minus_one_is_no_class():
    net = UNet(1, (8, 16), 1, classes=10)
    two = torch.ones(2).long()
    with pytest.raises(ValueError, match="no condition is"):
        net.embed(two, -two, None, 2)


def test_an_attribute_that_the_data_lack_is_refused():
    with pytest.raises(ValueError, match="attribute 3"):
        complete_conditions(torch.zeros(5, 6), torch.tensor([3]))


def test_a_training_needs_time():
    with pytest.raises(ValueError, match="more than 0"):
        TimeBudget(0, 1e-3)


def test_a_time_budget_follows_the_clock():
    "A clock that moves a tenth of a second per look: twenty batches in two seconds."
    now = [0.0]

    def tick():
        now[0] += 0.1
        return now[0]

    rates = []
    opt = SimpleNamespace(set_hyper=lambda name, value: rates.append(value))
    budget = TimeBudget(2.05, 1e-3, clock=tick)
    budget.learn = SimpleNamespace(training=True, opt=opt)
    budget.before_fit()
    with pytest.raises(callbacks.CancelFitException):
        for _ in range(100):
            budget.before_batch()
    assert budget.batches == len(rates) == 20
    assert max(rates) <= 1e-3
    highest = rates.index(max(rates))
    assert rates[highest:] == sorted(rates[highest:], reverse=True)
    assert rates[-1] < 0.1 * max(rates)
    budget.learn.training = False
    budget.before_batch()
    assert budget.batches == 20, "validation does not look at the clock"


def test_looks_are_not_counted_as_training():
    "The same clock: each look takes seven seconds, and twenty batches still fit."
    now = [0.0]

    def tick():
        now[0] += 0.1
        return now[0]

    def look():
        now[0] += 7
        return 7

    budget = TimeBudget(2.05, clock=tick, look=look)
    budget.learn = SimpleNamespace(training=True)
    budget.before_fit()
    with pytest.raises(callbacks.CancelFitException):
        for _ in range(100):
            budget.before_batch()
    assert budget.batches == 20
    assert budget.seen == [7] * 4
    assert budget.seconds <= budget.last < budget.seconds + 0.2
    assert now[0] > budget.last + sum(budget.seen)


def test_more_langevin_steps_lag_less_and_need_smaller_ones():
    process = GaussianDiffusion.ve(1000, 0.02, 30.0)
    sizes = [best_snr(process, k) for k in (1, 2, 5, 10)]
    assert sizes == sorted(sizes, reverse=True)
    lags = [langevin_lag(process, k, 0.16) for k in (1, 2, 5, 10)]
    assert lags == sorted(lags, reverse=True)
    assert lags[0] > 100
    assert langevin_lag(process, 10, sizes[-1]) < 1.2


NAN, INF = float("nan"), float("inf")
GREY = torch.zeros(2, 1, 4, 4)
VE = GaussianDiffusion.ve(10)


def same(xt, t):
    "A denoise that gives its input back."
    return xt


# sampler -> numbers that it must refuse, each by its name
REFUSED = {
    ddpm: dict(steps=(0, 11, 2.5, NAN, "3", True)),
    ddim: dict(steps=(0, 11, 2.5, NAN, "3", True), eta=(-0.1, 7, NAN, "1")),
    heun: dict(steps=(0, 11, 2.5, NAN, "3", True)),
    dpm: dict(steps=(0, 11, 2.5, NAN, "3", True)),
    invert: dict(steps=(0, 11, 2.5, NAN, "3", True)),
    probability_flow: dict(steps=(0, 11, 2.5, NAN, "3", True)),
    edm: dict(
        steps=(0, 11, 2.5, NAN, "3", True),
        rho=(0, -7, NAN, INF),
        order=(0, 3, NAN),
        churn=(-1, NAN, INF),
    ),
    langevin: dict(steps=(0, 2.5, NAN), steps_each=(0, 1.5, NAN), snr=(0, -0.1, NAN, INF)),
    predictor_corrector: dict(
        steps=(0, 2.5, NAN), corrections=(-1, 0.5, NAN), snr=(0, -0.1, NAN, INF)
    ),
    cold: dict(steps=(0, 11, 2.5, NAN, True), start=(0, 11, 2.5, NAN), algorithm=(3, NAN)),
}


@pytest.mark.parametrize(
    ("sampler", "name", "value"),
    [(f, name, v) for f, each in REFUSED.items() for name, values in each.items() for v in values],
)
def test_a_sampler_refuses_a_wrong_number_by_its_name(sampler, name, value):
    "One step is enough: a check that only a second step makes would be none."
    process = Cold(lambda x, t: x, 10) if sampler is cold else VE
    options = {"steps": 1, name: value}
    with pytest.raises(ValueError, match=name):
        list(sampler(same, process, GREY, **options))


def test_every_sampler_stands_in_the_table_of_wrong_numbers():
    assert set(SAMPLERS.values()) <= set(REFUSED)


@pytest.mark.parametrize("w", [NAN, INF, -INF, "2", None])
def test_a_guidance_weight_is_a_number(w):
    with pytest.raises(ValueError, match="w="):
        cfg(denoiser(Same(), PROCESS, "v"), w)
    with pytest.raises(ValueError, match="scale="):
        classifier_guided(denoiser(Same(), PROCESS, "v"), None, None, w, PROCESS)
    with pytest.raises(ValueError, match="value="):
        to_w(w)


@pytest.mark.parametrize("snr", [0, -0.16, NAN, INF])
def test_a_langevin_step_has_a_size_above_0(snr):
    with pytest.raises(ValueError, match="snr"):
        langevin_step(GREY, GREY + 1, GREY + 1, snr)
    with pytest.raises(ValueError, match="snr"):
        langevin_lag(VE, 2, snr)


@pytest.mark.parametrize("of", ["score", "z"])
@pytest.mark.parametrize("wrong", [torch.ones(1, 1, 4, 4), torch.ones(2, 1, 4, 4).long()])
def test_a_langevin_step_broadcasts_nothing_and_takes_floats(of, wrong):
    given = dict(xt=GREY, score=GREY + 1, z=GREY + 1)
    given[of] = wrong
    with pytest.raises((ValueError, TypeError), match=f"{of} "):
        langevin_step(**given)


@pytest.mark.parametrize("between", [slerp, lerp])
def test_between_whole_numbers_lies_nothing(between):
    a = torch.tensor([[3, 4], [1, 0]])
    with pytest.raises(TypeError, match="float"):
        between(a, a.flip(1), 0.5)
    with pytest.raises(ValueError, match="frac"):
        between(a.float(), a.flip(1).float(), NAN)


def fitted():
    "A cold process with a Gaussian for each of two classes."
    x = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Cold(lambda x, t: x, 5).fit(x, torch.arange(20) % 2)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (dict(y=torch.tensor([0, -1])), "-1 to 0"),
        (dict(y=torch.tensor([0, 2])), "0 to 2"),
        (dict(y=torch.tensor([0, 1, 1])), "labels"),
        (dict(y=torch.tensor([0.0, 1.0])), "labels"),
        (dict(noise=-1), "noise"),
        (dict(noise=NAN), "noise"),
    ],
)
def test_a_cold_prior_knows_its_classes(options, named):
    with pytest.raises((ValueError, TypeError), match=named):
        fitted().prior((2, 1, 4, 4), **options)


def test_a_cold_prior_takes_labels_of_any_whole_type():
    y = torch.tensor([0, 1])
    priors = [
        fitted().prior((2, 1, 4, 4), y.to(dtype), generator=torch.Generator().manual_seed(0))
        for dtype in (torch.uint8, torch.int32, torch.int64)
    ]
    assert torch.equal(priors[0], priors[2])
    assert torch.equal(priors[1], priors[2])


@pytest.mark.parametrize(
    ("name", "value"), [("n", 0), ("n", -2), ("n", 2.5), ("bs", 0), ("bs", 2.5), ("seed", NAN)]
)
def test_generate_refuses_a_wrong_number_by_its_name(name, value):
    options = {"n": 2, "progress": False, name: value}
    with pytest.raises(ValueError, match=f"{name}="):
        generate(denoiser(Same(), PROCESS, "v"), PROCESS, (1, 4, 4), **options)


@pytest.mark.parametrize(("name", "value"), [("steps", 2.5), ("steps", NAN), ("levels", 1)])
def test_bits_refuse_a_wrong_number_by_its_name(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        bits_per_dim(lambda x, t: x, VE, GREY, **{name: value})


@pytest.mark.parametrize("gamma", [0, -1, NAN])
def test_min_snr_refuses_a_cap_that_is_none(gamma):
    with pytest.raises(ValueError, match="gamma"):
        min_snr(PROCESS, torch.tensor([1, 2]), "v", gamma)


def test_min_snr_is_a_number_where_nothing_of_the_image_is_left():
    flow = GaussianDiffusion.flow(10)
    for predict in ("eps", "x0", "v"):
        assert min_snr(flow, torch.arange(1, 11), predict).isfinite().all()
    assert min_snr(flow, torch.tensor([9, 10]), "eps").tolist() == [1, 1]
