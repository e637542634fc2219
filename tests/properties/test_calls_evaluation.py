"Metrics and evaluators, called with good and hostile arguments."

import pytest
import torch
from cases import CASES, case, name_of, number, run, whole
from hostile import above, fastai_calls, floats, images, labels, mostly, noise, rarely
from hypothesis import strategies as st

from genda.data.splits import BatchDL, ImageData
from genda.evaluation import evaluators, metrics

MODULES = ["evaluation.metrics", "evaluation.evaluators"]
EXEMPT = {
    "evaluation.metrics.inception_features": "its weights, 91 MB, are no part of the tests",
    "evaluation.evaluators.save_evaluator": "writes files: tests/test_weights.py",
    "evaluation.evaluators.scene_net": "takes no arguments",
    "evaluation.evaluators.ResidualBlock.forward": "torch says which shapes do not fit",
    **fastai_calls("evaluation.evaluators"),
}


def flat(x):
    "Features: the pixels."
    return x.flatten(1)


X = noise(6, 1, 8, 8)
IMAGES = rarely(images(5) | images(3), st.just(noise(5, 1, 4, 4)) | st.just([X, X[:3]]))
OTHERS = rarely(st.just(noise(9, 1, 8, 8, seed=1)), IMAGES)
MAYBE = mostly(None, OTHERS)
COV = X.flatten(1).T[:5].double().cov()
MU = mostly(noise(5).double(), floats(5) | st.just(noise(4).double()))


def at_least_zero(result, **_):
    assert not result < -1e-6


case(
    "evaluation.metrics.frechet_of_gaussians",
    metrics.frechet_of_gaussians,
    holds=at_least_zero,
    mu1=MU,
    mu2=MU,
    cov1=mostly(COV, st.sampled_from([COV[:4], COV[:4, :4], COV[0], COV.long()])),
    cov2=mostly(COV, st.sampled_from([COV[:4], COV[:4, :4], 0 * COV, COV[:0, :0], COV[None]])),
)


def moments_of(f, g):
    m = metrics.Moments()
    m.add(f)
    m.add(g)
    return m.mean


case(
    "evaluation.metrics.Moments",
    lambda f: metrics.Moments().add(f),
    f=floats(4, 3),
)
case("evaluation.metrics.Moments.add", moments_of, f=floats(4, 3), g=floats(4, 3) | floats(4, 2))
case(
    "evaluation.metrics.moments",
    lambda images, n: metrics.moments(images, flat, n).mean,
    says=("x",),
    images=IMAGES,
    n=mostly(None, whole(1, 4)),
)
case(
    "evaluation.metrics.frechet_distance",
    metrics.frechet_distance,
    examples=0.5,
    says=("images", "mu1"),
    fake=IMAGES,
    real=OTHERS,
    features=st.just(flat),
    baseline=MAYBE,
    sets=mostly(1, whole(1, 3)),
)
case("evaluation.metrics.mmd2", metrics.mmd2, f=floats(4, 3), g=floats(4, 3) | floats(3, 2))
case(
    "evaluation.metrics.kid",
    metrics.kid,
    examples=0.5,
    says=("images", "features"),
    fake=IMAGES,
    real=OTHERS,
    features=st.just(flat),
    baseline=MAYBE,
    block=mostly(3, whole(2, 9)),
)


def between_one_and_classes(result, **_):
    assert 1 - 1e-6 <= result <= 64


case(
    "evaluation.metrics.inception_score",
    metrics.inception_score,
    says=("images",),
    holds=between_one_and_classes,
    fake=IMAGES,
    features=st.just(flat),
    real=MAYBE,
)
case(
    "evaluation.metrics.prdc",
    metrics.prdc,
    examples=0.5,
    says=("images",),
    fake=IMAGES,
    real=OTHERS,
    features=st.just(flat),
    baseline=MAYBE,
    k=mostly(1, whole(1, 4) | above(99)),
)
case(
    "evaluation.metrics.nearest",
    metrics.nearest,
    says=("images",),
    x=IMAGES,
    train=OTHERS,
    features=st.sampled_from([None, flat]),
)
case(
    "evaluation.metrics.memorised",
    metrics.memorised,
    examples=0.5,
    says=("images",),
    fake=IMAGES,
    train=OTHERS,
    held=IMAGES,
    features=st.sampled_from([None, flat]),
)

# evaluators
PLAIN = evaluators.Evaluator("mnist", bs=3)
FACES = evaluators.Evaluator("faces", bs=3)
DIGITS = images(4, 1, 28)
WIDTH = whole(1, 4)
case(
    "evaluation.evaluators.evaluator_net",
    evaluators.evaluator_net,
    channels=mostly(1, WIDTH),
    outputs=mostly(2, WIDTH),
    size=mostly(8, whole(8, 16) | above(4097)),
)
case(
    "evaluation.evaluators.photo_net",
    evaluators.photo_net,
    examples=0.3,
    channels=mostly(1, WIDTH),
    outputs=mostly(2, WIDTH),
)
case(
    "evaluation.evaluators.resnet_net",
    evaluators.resnet_net,
    examples=0.2,
    channels=mostly(1, WIDTH),
    outputs=mostly(2, WIDTH),
)
case("evaluation.evaluators.ResidualBlock", evaluators.ResidualBlock, channels=WIDTH)
case("evaluation.evaluators.RandomShift", evaluators.RandomShift, far=WIDTH, mirror=st.booleans())


class Few:
    "The loaders of a tiny training."

    pixels = (255 * (noise(6, 1, 8, 8) + 1) / 2).byte()
    attributes = ImageData(pixels, torch.eye(6)[:, :3], ["a", "b", "c"])
    classes = ImageData(pixels, torch.arange(6) % 3, ["a", "b", "c"])


def trained(images, kind, net, lr):
    from fastai.data.core import DataLoaders

    data = Few.classes if kind == "classes" else Few.attributes
    d = DataLoaders(BatchDL(data, 3), BatchDL(data, 3), device="cpu")
    return list(evaluators.train_evaluator(d, images, kind, net, lr).model.parameters())


case(
    "evaluation.evaluators.train_evaluator",
    trained,
    examples=0.15,
    images=mostly(6, whole(1, 12)),
    kind=mostly("classes", name_of("classes", "attributes")),
    net=mostly("plain", name_of("plain")),
    lr=mostly(0.01, number(0.001, 0.1) | st.just(0)),
)
case(
    "evaluation.evaluators.Evaluator",
    evaluators.Evaluator,
    examples=0.2,
    name=name_of("mnist", "usps"),
    bs=mostly(3, whole(1, 9)),
)
case(
    "evaluation.evaluators.Evaluator.features",
    PLAIN.features,
    examples=0.2,
    holds=lambda result, x: result.shape == (len(x), 128),
    x=DIGITS,
)
case("evaluation.evaluators.Evaluator.logits", PLAIN.logits, examples=0.2, x=DIGITS)
case("evaluation.evaluators.Evaluator.probs", PLAIN.probs, examples=0.2, x=DIGITS)
case(
    "evaluation.evaluators.Evaluator.accuracy",
    PLAIN.accuracy,
    examples=0.3,
    holds=lambda result, **_: 0 <= result <= 1,
    x=rarely(st.just(noise(4, 1, 28, 28)), DIGITS),
    y=labels(4, 10),
)
case(
    "evaluation.evaluators.Evaluator.accuracy: attributes",
    FACES.accuracy,
    examples=0.3,
    says=("labels",),
    x=rarely(st.just(noise(4, 3, 32, 32)), images(4, 3, 32)),
    y=floats(4, 12) | labels(4, 12),
)
ON = torch.eye(3)
MARKS = st.sampled_from([ON, ON.long(), ON > 0, ON.half(), 2 * ON, 0 * ON, ON[:2], ON[:0], ON[0]])
case(
    "evaluation.evaluators.attribute_loss",
    evaluators.attribute_loss,
    z=floats(3, 3).filter(lambda z: z.numel()),  # the mean of nothing is NaN, as in torch
    y=MARKS,
)
case(
    "evaluation.evaluators.top_k",
    evaluators.top_k,
    says=("labels", "label"),
    scores=floats(3, 3),
    y=MARKS,
)

NAMES = [name for name in CASES if name.startswith("evaluation.")]


@pytest.mark.parametrize("name", NAMES)
def test_works_as_documented_or_is_refused_by_name(name):
    run(name)
