"The GAN and domain adaptation, called with good and hostile arguments."

import pytest
import torch
from cases import CASES, case, name_of, number, run, whole
from fastai.data.core import DataLoaders
from hostile import above, fastai_calls, floats, images, labels, mostly, noise, rarely
from hypothesis import strategies as st
from torch import nn

from genda import gan
from genda.adaptation import criteria, dann, domain_gap, recipe
from genda.data import parts, registry, splits
from genda.models.layers import evaluating

MODULES = ["gan", *(f"adaptation.{name}" for name in ("dann", "domain_gap", "recipe", "criteria"))]
TORCH = "torch says which shapes do not fit"
INSIDE = "called inside a training or a network whose parts were checked when they were made"
STEP = "called in each step; torch says which shapes do not fit"
EXEMPT = {
    "gan.dcgan_init": "takes a layer",
    "gan.Generator.noise": INSIDE,
    "gan.Generator.forward": TORCH,
    "gan.Discriminator.beside": INSIDE,
    "gan.Discriminator.forward": TORCH,
    "gan.GAN": "takes networks",
    "gan.GAN.fake": INSIDE,
    "gan.GAN.forward": INSIDE,
    "gan.GANLoss.forward": INSIDE,
    "gan.GANLoss.discriminator": INSIDE,
    "gan.GANLoss.generator": INSIDE,
    "gan.TakeTurns.recent": INSIDE,
    "gan.TakeTurns.watch": INSIDE,
    "adaptation.dann.GradientReversal.forward": TORCH,
    "adaptation.dann.Adapted.domain_logits": INSIDE,
    "adaptation.dann.Adapted.forward": TORCH,
    "adaptation.dann.domain_loss": "called in each step; torch says which shapes do not fit",
    "adaptation.dann.Paired": "its layer is looked up when a training begins",
    "adaptation.dann.Paired.extra": INSIDE,
    "adaptation.dann.Paired.pair": INSIDE,
    "adaptation.dann.Paired.images": INSIDE,
    "adaptation.dann.SourceOnly": "a Paired",
    "adaptation.dann.SourceOnly.images": INSIDE,
    "adaptation.dann.adaptation_learner": "takes loaders, a network and a method",
    "adaptation.dann.DANNCallback": "its arguments are checked in dann_learner's Adapted",
    "adaptation.dann.DANNCallback.adapted": INSIDE,
    "adaptation.dann.DANNCallback.epoch_mean": INSIDE,
    "adaptation.dann.DANNCallback.check": INSIDE,
    "adaptation.recipe.DomainBatchNorm": "takes a batch norm",
    "adaptation.recipe.DomainBatchNorm.one": INSIDE,
    "adaptation.recipe.DomainBatchNorm.forward": TORCH,
    "adaptation.recipe.domain_batch_norms": "takes a network",
    "adaptation.recipe.DomainBatchNorms": "takes no arguments",
    "adaptation.recipe.MCCCallback": "a DANNCallback",
    "adaptation.recipe.MCCCallback.extra": INSIDE,
    "adaptation.recipe.UNetEncoder.forward": TORCH,
    "adaptation.criteria.adapt_statistics": "takes a network",
    "adaptation.criteria.joint_features": STEP,
    "adaptation.criteria.certainty_weights": STEP,
    "adaptation.criteria.weighted_domain_loss": STEP,
    "adaptation.criteria.coral": STEP,
    "adaptation.criteria.mmd": STEP,
    "adaptation.criteria.AdaBN": "a Paired",
    "adaptation.criteria.MCC": "a Paired",
    "adaptation.criteria.MCC.extra": INSIDE,
    "adaptation.criteria.CORAL": "a Paired",
    "adaptation.criteria.CORAL.extra": INSIDE,
    "adaptation.criteria.MMD": "a Paired",
    "adaptation.criteria.MMD.extra": INSIDE,
    "adaptation.criteria.SelfTraining": "a Paired",
    "adaptation.criteria.SelfTraining.images": INSIDE,
    "adaptation.criteria.SelfTraining.extra": INSIDE,
    "adaptation.criteria.Conditioned": "an Adapted",
    "adaptation.criteria.Conditioned.domain_logits": INSIDE,
    "adaptation.criteria.CDAN": "a DANNCallback",
    "adaptation.criteria.CDAN.adapted": INSIDE,
    "adaptation.criteria.CDAN.extra": INSIDE,
    "adaptation.criteria.entropy_score": "takes the probabilities of a softmax",
    "adaptation.criteria.infomax_score": "takes the probabilities of a softmax",
    "adaptation.criteria.dev_score": "takes what `features` gives",
    "adaptation.criteria.label_free_scores": "takes a network",
    "adaptation.criteria.control_row": "trains as `adapt` does, from sets that hold a full batch",
    **fastai_calls(*MODULES),
}

WIDTH = whole(1, 4)
ENCODING = mostly("ones", name_of("ones", "index"))
NORM = mostly("batch", name_of("batch", "spectral", "none"))

# gan
case(
    "gan.encode_labels",
    gan.encode_labels,
    says=("labels",),
    y=labels(4, 3) | floats(4, 3) | st.none(),
    k=mostly(3, whole(1, 4)),
    encoding=ENCODING,
)
case("gan.doublings", gan.doublings, says=("px",), size=whole(8, 64))
SIDES = mostly(8, st.sampled_from([8, 12, 28, 7, 9, 0, None, "8", 8.0, True]))


def drawn_once(**arguments):
    "Images of a new generator."
    generator = gan.Generator(**arguments)
    return gan.draw_images(generator, n=2, bs=2) if not generator.k else generator.mean


case(
    "gan.Generator",
    drawn_once,
    examples=0.5,
    says=("px",),
    channels=mostly(1, WIDTH),
    size=SIDES,
    k=mostly(0, whole(0, 3)),
    z=mostly(2, WIDTH),
    label=mostly(2, WIDTH),
    base=mostly(2, WIDTH),
    mean=mostly(0.0, number(-1, 1)),
)
case(
    "gan.Discriminator",
    gan.Discriminator,
    examples=0.5,
    says=("px",),
    channels=mostly(1, WIDTH),
    size=SIDES,
    k=mostly(0, whole(0, 3)),
    base=mostly(2, WIDTH),
    aux=st.booleans(),
    shown=st.booleans(),
    norm=NORM,
)
LOSS = dict(
    adversarial=mostly("bce", name_of("bce", "hinge", "minimax")),
    adv=mostly(1.0, number(-1, 1)),
    smooth=mostly(0.0, number(0, 1) | st.just(1.5)),
)
case("gan.GANLoss", gan.GANLoss, **LOSS)
TURNS = dict(
    discriminator_steps=mostly(1, whole(1, 3)),
    lambd=mostly(0.2, number(-1, 1) | st.just(abs)),
    patience=mostly(9, whole(1, 9)),
)
case("gan.TakeTurns", gan.TakeTurns, **TURNS)
case("gan.GeneratorEMA", gan.GeneratorEMA, decay=number(0, 0.99) | st.sampled_from([1, 1.5]))

PIXELS = torch.randint(256, (12, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
DATA = splits.ImageData(PIXELS, torch.arange(12) % 3, ["a", "b", "c"])
LOADERS = DataLoaders(splits.BatchDL(DATA, 4), splits.BatchDL(DATA, 4), device="cpu")


def gan_learner(**arguments):
    learn = gan.gan_learner(LOADERS, **arguments)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-4)
    return [p.detach() for p in learn.model.parameters()]


case(
    "gan.gan_learner",
    gan_learner,
    examples=0.3,
    kind=mostly("acgan", name_of("acgan", "dcgan")),
    z=mostly(2, WIDTH),
    label=mostly(2, WIDTH),
    base=mostly(2, WIDTH),
    norm=NORM,
    encoding=ENCODING,
    mean=mostly(0.0, number(-1, 1)),
    decay=mostly(0.9, number(0, 0.99)),
    **LOSS,
    **TURNS,
)
PLAIN = gan.Generator(size=8, z=2, base=2)
WITH_CLASSES = gan.Generator(size=8, k=3, z=2, label=2, base=2)
case(
    "gan.draw_images",
    gan.draw_images,
    examples=0.5,
    generator=st.just(PLAIN),
    n=mostly(3, WIDTH),
    bs=mostly(2, WIDTH),
    seed=mostly(0, whole(0, 9) | above(2**63)),
)
case(
    "gan.draw_images: classes",
    gan.draw_images,
    examples=0.5,
    says=("labels", "n=0"),
    generator=st.just(WITH_CLASSES),
    y=labels(4, 3) | floats(4, 3),
)

# dann
NET = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
IMAGES = images(4) | st.just(noise(3, 1, 8, 8))


def without_fault(function):
    "Called with a network that stays in the mode in which it was."

    def call(x, **arguments):
        with evaluating(NET):
            return function(NET, x, **arguments)

    return call


case(
    "adaptation.dann.digit_net",
    dann.digit_net,
    examples=0.2,
    kind=mostly("usps", name_of("usps", "svhn")),
    channels=mostly(1, WIDTH),
    classes=mostly(2, WIDTH),
    size=mostly(4, st.sampled_from([4, 8, 9, 0, -4, None, "8", 8.0, True])),
)
X8 = [noise(4, 1, 8, 8), noise(4, 1, 8, 8).half(), noise(4, 1, 8, 8).double()]
X8 += [X8[0][:0], X8[0].long(), X8[0] > 0, 50 * X8[0], X8[0][:1], X8[0][..., :0]]
case(
    "adaptation.dann.accuracy",
    without_fault(dann.accuracy),
    holds=lambda result, **_: 0 <= result <= 1,
    x=st.sampled_from(X8),
    y=labels(4, 3),
    bs=mostly(3, WIDTH),
)
case(
    "adaptation.dann.features",
    without_fault(dann.features),
    x=st.sampled_from(X8),
    at=mostly("1", name_of("0", "1")),
    bs=mostly(3, WIDTH),
)
case("adaptation.dann.GradientReversal", dann.GradientReversal, lambd=number(0, 2))
SHARE = mostly(0.5, number(0, 1))
case(
    "adaptation.dann.dann_lambda",
    dann.dann_lambda,
    holds=lambda result, **_: 0 <= result <= 1,
    p=SHARE,
    gamma=mostly(10.0, number(0, 20) | st.just(1e300)),
)
case(
    "adaptation.dann.dann_lr",
    dann.dann_lr,
    holds=lambda result, lr0, **_: 0 <= result <= lr0,
    p=SHARE,
    lr0=mostly(0.1, number(0, 1)),
    alpha=mostly(10.0, number(0, 20)),
    beta=mostly(0.75, number(0, 2)),
)
case(
    "adaptation.dann.dann_schedule",
    dann.dann_schedule,
    lr0=mostly(0.1, number(0, 1)),
    alpha=mostly(10.0, number(0, 20)),
    beta=mostly(0.75, number(0, 2)),
)
case("adaptation.dann.layer", dann.layer, model=st.just(NET), at=name_of("0", "1"))
case(
    "adaptation.dann.domain_head",
    dann.domain_head,
    features=mostly(4, WIDTH),
    hidden=mostly((3,), st.sampled_from([(), (2, 2), (0,), (2.5,), (None,), ("3",), [2]])),
    out=mostly(2, whole(1, 2) | st.just(3)),
    drop=mostly(0.1, number(0, 1) | st.just(1.5)),
)
case(
    "adaptation.dann.Adapted",
    dann.Adapted,
    model=st.just(NET),
    at=mostly("1", name_of("0", "1")),
    head=st.just(nn.Linear(3, 2)),
    lambd=mostly(1.0, number(0, 2)),
)
case(
    "adaptation.dann.LambdaSchedule",
    dann.LambdaSchedule,
    gamma=mostly(10.0, number(0, 20)),
    high=mostly(1.0, number(0, 2)),
    wait=mostly(0.0, number(0, 0.99) | st.just(1)),
)
PAIRS = splits.PairDL(splits.PairData(DATA, PIXELS.flip(3)), 4)
TWO = DataLoaders(PAIRS, splits.BatchDL(DATA, 4), device="cpu")


def dann_learner(**arguments):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, 3))
    learn = dann.dann_learner(TWO, net, **arguments)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-4)
    return [p.detach() for p in learn.model.parameters()]


case(
    "adaptation.dann.dann_learner",
    dann_learner,
    examples=0.2,
    says=("high",),
    at=mostly("1", name_of("0", "1")),
    gamma=mostly(10.0, number(0, 20) | st.none()),
    lambd=mostly(1.0, number(0, 2)),
)

# domain gap
F = rarely(st.just(noise(12, 3)), floats(12, 3))
G = rarely(st.just(noise(12, 3, seed=1)), floats(12, 3) | floats(11, 3) | floats(12, 2))
case("adaptation.domain_gap.Watch", domain_gap.Watch, fn=st.just(len), times=whole(1, 9))
case(
    "adaptation.domain_gap.a_distance",
    domain_gap.a_distance,
    examples=0.3,
    says=("features",),
    fs=F | st.just(noise(2, 3)),
    ft=G | st.just(noise(2, 3)),
    seed=mostly(0, whole(0, 9) | above(2**63)),
)
case(
    "adaptation.domain_gap.nn_domain_accuracy",
    domain_gap.nn_domain_accuracy,
    says=("features",),
    holds=lambda result, **_: 0 <= result <= 1,
    fs=F,
    ft=G,
)
case(
    "adaptation.domain_gap.tsne_layout",
    domain_gap.tsne_layout,
    examples=0.2,
    f=F | st.just(torch.zeros(2001, 1)),
    perplexity=mostly(3.0, number(0.1, 30)),
    seed=mostly(0, whole(0, 9) | above(2**32)),
)

# criteria
P = st.just(noise(6, 3).softmax(1))
case(
    "adaptation.criteria.snd_score",
    criteria.snd_score,
    p=P,
    temperature=mostly(0.05, number(0.01, 1) | st.just(0)),
)
case(
    "adaptation.criteria.pseudo_label_loss",
    criteria.pseudo_label_loss,
    weak=st.just(9 * noise(4, 3)),
    strong=st.just(noise(4, 3, seed=1)),
    threshold=mostly(0.95, number(0, 1) | st.just(1.5)),
)


def mixval(**arguments):
    return criteria.mixval_score(NET.eval(), noise(6, 1, 8, 8), **arguments)


case(
    "adaptation.criteria.mixval_score",
    mixval,
    holds=lambda result, **_: 0 <= result <= 1,
    share=mostly(0.55, number(0.5, 1)),
    seed=mostly(0, whole(0, 9) | above(2**63)),
)

# recipe
case("adaptation.recipe.use_domain", recipe.use_domain, model=st.just(NET), domain=whole(0, 1))
BATCH = st.sampled_from([x for x in X8 if x.is_floating_point() and x.numel()])
MOVE = mostly(1.0, number(0, 1))
RECOLOUR = mostly(0.5, number(0, 1) | st.just(1.5))
case("adaptation.recipe.augment", recipe.augment, x=BATCH, move=MOVE, recolour=RECOLOUR)
case("adaptation.recipe.Augment", recipe.Augment, move=MOVE, recolour=RECOLOUR)
LOGITS = [noise(4, 3), 300 * noise(4, 3), noise(4, 3).half(), noise(4, 3)[:0], 1e4 * torch.eye(3)]
case(
    "adaptation.recipe.class_confusion",
    recipe.class_confusion,
    logits=st.sampled_from([*LOGITS, torch.tensor([[0.0, -1e4]] * 3)]),
    temperature=mostly(2.5, number(0.1, 5) | st.just(0)),
)
case("adaptation.recipe.UNetEncoder", recipe.UNetEncoder, examples=0.3, channels=WIDTH)
case(
    "adaptation.recipe.folded_net",
    recipe.folded_net,
    examples=0.3,
    channels=mostly(1, WIDTH),
    classes=mostly(2, WIDTH),
    size=mostly(4, whole(4, 8)),
    widths=st.just((2, 2, 2)),
)
case(
    "adaptation.recipe.resnet",
    recipe.resnet,
    examples=0.3,
    channels=mostly(1, WIDTH),
    classes=mostly(2, WIDTH),
)


@pytest.fixture(autouse=True, scope="module")
def small_sets():
    def read(split):
        x, y = parts.take_split(PIXELS.repeat(5, 1, 1, 1), torch.arange(60) % 3, split)
        return x.numpy(), y.numpy()

    for name in ("small_c", "small_d"):
        registry.register(name, "generated", 60, 8, 3, "made here", "CC0")(read)
    yield
    del registry.SETS["small_c"], registry.SETS["small_d"]


case(
    "adaptation.recipe.adapt",
    recipe.adapt,
    examples=0.2,
    says=("high",),
    pair=mostly("small_c-small_d", name_of("small_c-small_d")),
    method=mostly("dann", name_of("source", "target", "dann", "mcc")),
    seed=st.just(0),
    net=mostly("narrow", name_of("narrow")),
    at=mostly("features", name_of("features")),
    head=mostly("two", name_of("two", "one")),
    images=mostly(16, whole(8, 32)),
    bs=mostly(8, whole(4, 8)),
    lr=mostly(1e-3, number(1e-4, 1e-2)),
    size=mostly(8, st.sampled_from([8, 0, None, "8", 8.0])),
    move=MOVE,
    recolour=RECOLOUR,
    domain_norm=st.booleans(),
    lambd=mostly(1.0, number(0, 2)),
    gamma=mostly(10.0, number(0, 20) | st.none()),
    times=mostly(1, whole(1, 3)),
    n=mostly(16, whole(8, 16) | st.none()),
    n_valid=mostly(3, whole(1, 6)),
)

NAMES = [name for name in CASES if name.startswith(("gan.", "adaptation."))]


@pytest.mark.parametrize("name", NAMES)
def test_works_as_documented_or_is_refused_by_name(name):
    run(name)
