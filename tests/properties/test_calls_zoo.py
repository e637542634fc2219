"The zoo and the sliders, called with good and hostile arguments."

import pytest
from cases import CASES, case, name_of, run, whole
from hostile import above, fastai_calls, floats, labels, mostly, noise
from hypothesis import strategies as st

from genda import widgets, zoo

MODULES = ["zoo", "widgets"]
TRAINS = "trains and measures for minutes: tests/test_zoo.py"
ENTRY = "an entry of a table, by its author"
FIGURES = "called by recheck and build, with a network and its card"
SLIDERS = "made by the sliders, whose arguments are checked"
EXEMPT = {
    "zoo.entry": ENTRY,
    "zoo.evaluator_figures": FIGURES,
    "zoo.digit_figures": FIGURES,
    "zoo.face_figures": FIGURES,
    "zoo.shape_figures": FIGURES,
    "zoo.untrained": "takes a card; its network goes through check_net",
    "zoo.SignedAttributes": "takes no arguments",
    **dict.fromkeys(
        ("zoo.Recipe", "zoo.Recipe.callbacks", "zoo.Recipe.draw_t", "zoo.Recipe.weight"), ENTRY
    ),
    "zoo.train": TRAINS,
    "zoo.train_few": TRAINS,
    "zoo.build": TRAINS,
    "zoo.recheck": TRAINS,
    "zoo.zoo": "reads files: tests/test_zoo.py",
    "zoo.Drawing": "takes a network and its card; hostile cards are in tests/test_zoo.py",
    "zoo.Drawing.denoise": "takes conditions, which the network checks when it draws",
    "widgets.Latest": SLIDERS,
    "widgets.Latest.__call__": SLIDERS,
    "widgets.Latest.done": SLIDERS,
    "widgets.KeptStart": SLIDERS,
    "widgets.KeptStart.forward": SLIDERS,
    "widgets.x0_predictions": SLIDERS,
    "widgets.Playground": SLIDERS,
    "widgets.Playground.images": SLIDERS,
    "widgets.Playground.grid": "takes no arguments",
    **fastai_calls("zoo"),
}

WIDTH = whole(1, 4)
NET = dict(
    in_channels=mostly(1, WIDTH),
    channels=mostly([8, 8], st.sampled_from([[4, 0], [], [4] * 17, [10**6, 4], [4, "4"], [None]])),
    layers=mostly(1, whole(1, 2) | st.sampled_from([[1, 1], [1, 0], 99])),
    classes=mostly(3, WIDTH),
    linear=mostly(False, st.just(True)),
)
case(
    "zoo.check_net",
    lambda **net: zoo.check_net(net),
    groups=mostly(1, WIDTH | above(5000)),
    **NET,
)
case(
    "zoo.conditional_net",
    zoo.conditional_net,
    examples=0.2,
    name=mostly("unet", name_of("unet")),
    **NET,
)
case(
    "zoo.load_model",
    zoo.load_model,
    examples=0.1,
    name=name_of("evaluator_mnist", "digits"),
    device=st.just("cpu"),
)
CARD = dict(
    net=dict(in_channels=1, channels=[8, 8], layers=1, classes=3),
    process=dict(T=10, schedule="linear"),
    predict="v",
    size=8,
    sampler=dict(name="ddim", steps=2),
)
MODEL = zoo.untrained(CARD)
FACES = zoo.Drawing(*zoo.load_model("faces", device="cpu"))
DRAWING = zoo.Drawing(MODEL, CARD)
case(
    "zoo.Drawing.prior",
    DRAWING.prior,
    holds=lambda result, n: result.shape == (n, 1, 8, 8),
    n=whole(1, 4),
)
case(
    "zoo.Drawing.condition",
    FACES.condition,
    says=("attribute",),
    present=st.lists(mostly("Bald", name_of("Bald", "Smiling")), max_size=3) | st.just("Bald"),
)
case(
    "zoo.Drawing.how",
    DRAWING.how,
    sampler=mostly(None, name_of("ddim", "dpm")),
    steps=st.just(2),
)
case(
    "zoo.sample_card",
    lambda y, seed: zoo.sample_card(MODEL, CARD, y, seed),
    examples=0.3,
    says=("labels", "n="),
    y=labels(4, 3) | floats(4, 3) | st.none(),
    seed=mostly(0, whole(0, 9) | above(2**63)),
)

# sliders
case(
    "widgets.sheet",
    widgets.sheet,
    images=floats(4, 1, 8, 8) | floats(2, 3, 4, 4) | st.just(noise(4, 2, 8, 8)),
    ncols=mostly(2, WIDTH),
    zoom=mostly(1, whole(1, 3)),
)
SLIDER = dict(
    n=mostly(2, WIDTH),
    seed=mostly(0, whole(0, 9) | above(2**63)),
)
DIGITS = mostly("digits", name_of("digits", "evaluator_mnist"))
case(
    "widgets.ready_to_draw",
    widgets.ready_to_draw,
    examples=0.2,
    says=("evaluator",),
    name=DIGITS,
    **SLIDER,
)
for slider in ("eta_slider", "alpha_slider", "guidance_slider", "t_slider"):
    case(
        f"widgets.{slider}",
        getattr(widgets, slider),
        examples=0.1,
        says=("evaluator",),
        name=DIGITS,
        **SLIDER,
    )
case(
    "widgets.steps_slider",
    widgets.steps_slider,
    examples=0.1,
    says=("evaluator",),
    name=DIGITS,
    few=mostly("digits_few", name_of("digits_few", "evaluator_mnist")),
    n=mostly(2, WIDTH),
    seed=mostly(0, whole(0, 9) | above(2**63)),
    most=mostly(2, whole(-1, 4)),
)
case(
    "widgets.attribute_buttons",
    widgets.attribute_buttons,
    examples=0.1,
    says=("attribute", "evaluator"),
    name=mostly("faces", name_of("faces", "digits")),
    on=mostly(("Bald",), st.sampled_from([(), ("nonsense",), (None,)])),
    **SLIDER,
)

NAMES = [name for name in CASES if name.startswith(("zoo.", "widgets."))]


@pytest.mark.parametrize("name", NAMES)
def test_works_as_documented_or_is_refused_by_name(name):
    run(name)
