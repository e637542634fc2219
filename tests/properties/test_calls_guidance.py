"Calls of guidance."

from types import SimpleNamespace

import pytest
import torch
from batches import batch, labels, rarely
from cases import CASES, case, name_of, number, run, whole
from hypothesis import strategies as st

from genda.diffusion import guidance
from genda.diffusion.ddpm import denoiser
from genda.diffusion.process import GaussianDiffusion
from genda.models.unet import CNN

MODULES = ("diffusion.guidance",)
EXEMPT = {
    "diffusion.guidance.Guided": "the base of what `cfg` and `classifier_guided` make",
    "diffusion.guidance.Guided.__call__": "called by their cases",
    "diffusion.guidance.Guided.with_y": "keeps a condition, which a call refuses",
    "diffusion.guidance.Guided.null": "takes nothing",
    "diffusion.guidance.ClassifierFreeGuidance": "made by `cfg`",
    "diffusion.guidance.ClassifierFreeGuidance.x0_prediction": "called by `cfg`'s case",
    "diffusion.guidance.ClassifierGuidance": "made by `classifier_guided`",
    "diffusion.guidance.ClassifierGuidance.with_y": "keeps a condition, which a call refuses",
    "diffusion.guidance.ClassifierGuidance.gradient": "called by `classifier_guided`'s case",
    "diffusion.guidance.ClassifierGuidance.x0_prediction": "called by `classifier_guided`'s case",
    "diffusion.guidance.LimitedGuidance": "made by `limited`",
    "diffusion.guidance.LimitedGuidance.x0_prediction": "called by `limited`'s case",
    "diffusion.guidance.AutoGuidance": "made by `autoguidance`",
    "diffusion.guidance.AutoGuidance.with_y": "keeps a condition, which a call refuses",
    "diffusion.guidance.AutoGuidance.x0_prediction": "called by `autoguidance`'s case",
    "diffusion.guidance.CorruptBatches": "takes a process",
    "diffusion.guidance.CorruptBatches.before_batch": "called by a Learner",
}
before = set(CASES)

T = 10
SHAPE = 2, 1, 4, 4
VP = GaussianDiffusion.vp(T, "cosine")
FLOW = GaussianDiffusion.flow(T)
process = st.sampled_from((VP, FLOW))
torch.manual_seed(0)
NET = CNN(1, (4,), 1, classes=3).eval()
WEAK = CNN(1, (4,), 1, classes=3).eval()
CLASSIFIER = guidance.TimeConditionalClassifier(1, 3, (8, 8), 1).eval()
of_a_sampler = st.integers(1, T) | st.sampled_from((0, T + 1, 2.5))


@torch.no_grad()
def free(xt, t, y, w):
    return guidance.cfg(denoiser(NET, VP, "x0", y), w)(xt, t)


@torch.no_grad()
def between(xt, t, y, low, high):
    return guidance.limited(guidance.cfg(denoiser(NET, VP, "x0", y), 1.0), low, high)(xt, t)


@torch.no_grad()
def from_weaker(xt, t, y, w):
    weak = denoiser(WEAK, VP, "x0", y)
    return guidance.autoguidance(denoiser(NET, VP, "x0", y), weak, w)(xt, t)


@torch.no_grad()
def by_classifier(process, xt, t, y, scale):
    denoise = denoiser(NET, process, "x0")
    return guidance.classifier_guided(denoise, CLASSIFIER, y, scale, process)(xt, t)


case(
    "diffusion.guidance.cfg",
    free,
    xt=batch(*SHAPE, without=("half", "thin")),  # 16 bits hold no product of a weight like -1e30
    t=of_a_sampler,
    y=st.none() | labels(2, 3),
    w=number(-2, 10),
    examples=0.5,
)
case(
    "diffusion.guidance.limited",
    between,
    xt=batch(*SHAPE, without=("half", "thin")),
    t=of_a_sampler,
    y=labels(2, 3),
    low=whole(0, 5),
    high=whole(5, T),
    examples=0.5,
)
case(
    "diffusion.guidance.autoguidance",
    from_weaker,
    xt=batch(*SHAPE, without=("half", "thin")),
    t=of_a_sampler,
    y=st.none() | labels(2, 3),
    w=number(-2, 10),
    examples=0.5,
)
case(
    "diffusion.guidance.to_w",
    guidance.to_w,
    value=number(0, 10),
    convention=name_of("w", "scale", "pipeline"),
)
case(
    "diffusion.guidance.log_likelihood",
    guidance.log_likelihood,
    logits=batch(4, 3),
    y=labels(4, 3) | batch(4, 3, without=("bool",)),  # an attribute is -1, 0 or 1
    examples=0.7,
)
case(
    "diffusion.guidance.classifier_guided",
    by_classifier,
    process=process,
    xt=batch(*SHAPE, without=("half", "thin")),
    t=of_a_sampler,
    y=st.none() | labels(2, 3),
    scale=number(0, 10),
    examples=0.5,
)


sizes = whole(1, 3).filter(lambda size: not isinstance(size, list))  # where lists will do, too


@torch.no_grad()
def classifier_of(in_channels, outputs, channels, fold):
    net = guidance.TimeConditionalClassifier(in_channels, outputs, channels, fold)
    return net(torch.zeros(2, in_channels, 8, 8), torch.ones(2).long())


case(
    "diffusion.guidance.TimeConditionalClassifier",
    classifier_of,
    in_channels=rarely(sizes, st.integers(1, 3)),
    outputs=rarely(sizes, st.integers(1, 5)),
    channels=rarely(
        st.sampled_from(((), (0, 8), (-8,), ("8",), (8.0,), None)),
        st.sampled_from(((8,), (8, 16), [8, 8])),
    ),
    fold=rarely(sizes, st.sampled_from((1, 2))),
    examples=0.5,
)
case(
    "diffusion.guidance.TimeConditionalClassifier.forward",
    torch.no_grad()(CLASSIFIER),
    xt=batch(*SHAPE, without=("thin",)),
    t=st.just(torch.tensor(3)),  # a sampler's
    examples=0.5,
)
case(
    "diffusion.guidance.complete_conditions",
    guidance.complete_conditions,
    labels=st.sampled_from(
        (torch.eye(3), torch.eye(3).long(), torch.ones(4, 3), torch.ones(4, 3).bool())
    )
    | st.sampled_from(
        (torch.zeros(0, 3), torch.zeros(4, 3), torch.ones(3), torch.full((2, 3), torch.nan))
    ),
    which=labels(4, 3),
    seed=whole(0, 9) | st.just(2**70),
)
EVALUATOR = SimpleNamespace(channels=1, size=4, accuracy=lambda x, y: float(len(x)))
NET_OF_DIGITS = CNN(1, (4,), 1, classes=10).eval()


def accuracy(**arguments):
    return guidance.conditional_accuracy(EVALUATOR, VP, **arguments)(NET_OF_DIGITS)


case(
    "diffusion.guidance.conditional_accuracy",
    accuracy,
    predict=name_of("v", "x0"),
    w=rarely(number(0, 3), st.floats(-1, 3)),
    n=rarely(whole(1, 12), st.integers(1, 12)),
    steps=rarely(whole(1, T), st.integers(1, T)),
    seed=rarely(whole(0, 9), st.integers(0, 9)),
    examples=0.3,
)

NAMES = [name for name in CASES if name not in before]


@pytest.mark.parametrize("name", NAMES)
def test_works_or_is_refused_by_name(name):
    run(name)
