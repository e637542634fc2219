"The first page of the site: what comes out, where to start, what was found, the parts as cards."

import base64
import io
import json
import re
import shutil
import sys
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from readme import chapters, counted_claims, findings, special  # noqa: E402 - the folder is above

SAMPLE = ROOT / "results/2_diffusion/3_ddpm.png"
# chapter -> the notebook, and which of its stored pictures stands on the card
PICTURES = {
    "1_start": ("1_start/1_thirty_minutes", 1),
    "2_diffusion": ("2_diffusion/5_samplers", 6),
    "3_gan": ("3_gan/1_gan", 4),
    "4_adaptation": ("4_adaptation/1_dann", 0),
    "5_data": ("5_data/8_clevr", 9),
    "6_workshop": ("6_workshop/9_widgets", 7),
    "reports": ("reports/1_faces", 5),
}
BUTTONS = """<p class="buttons"><a href="{play}">Play in the browser</a>
<a href="lessons/1_start/1_thirty_minutes.html">Read the first lesson</a>
<a href="start.html">Install</a></p>"""
STRIP = """<div class="strip">
<figure class="animation"><img alt="Ten digits, 0 to 9, that come out of noise. Upper row: the noisy
image at each step; lower row: what the network takes the clean image to be"
src="_static/strip.png" data-still="_static/strip.png" data-moving="_static/strip.webp"
data-seconds="{seconds:.1f}"></figure>
<p>The network <code>digits</code> of the zoo draws the digits 0 to 9 in {steps} steps: above the
noisy image, below what the network takes the clean image to be. Drawn when this site was built.
<button type="button" class="btn btn-sm btn-outline-primary" data-script="_static/live/start.js">Run
the network here, with sliders</button></p>
</div>"""


def pictures(name):
    "The pictures that a notebook stores, in order."
    notebook = json.loads((ROOT / f"nbs/{name}.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            encoded = output.get("data", {}).get("image/png")
            if encoded:
                data = base64.b64decode("".join(encoded))
                yield Image.open(io.BytesIO(data)).convert("RGB")


def card_picture(folder, made):
    "The address of a chapter's picture, made smaller; the first one where the chosen is gone."
    name, index = PICTURES[folder]
    found = list(pictures(name))
    image = found[index if index < len(found) else 0]
    image.thumbnail((480, 480))
    path = made / "cards" / f"{folder}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)
    return f"_static/cards/{folder}.png"


def first_sentence(text):
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("**", "")
    sentences = re.split(r"(?<=[.?!]) ", " ".join(text.split()))
    return " ".join(sentences[:2] if len(sentences[0]) < 20 else sentences[:1])


def cards(made):
    "A card per chapter: picture, title, first sentence."
    yield '<div class="cards">'
    for folder, title, text in chapters():
        picture = card_picture(folder, made)
        yield (
            f'<a href="lessons/{folder}/index.html"><img alt="A picture from this part" '
            f'src="{picture}"><strong>{escape(title)}</strong>'
            f"<span>{escape(first_sentence(text))}</span></a>"
        )
    yield "</div>"


def strip(made, steps=20):
    "Draw ten digits, and keep x_t and the x0 prediction of every step as an animation."
    import torch

    from genda.zoo import Drawing, load_model

    drawing = Drawing(*load_model("digits", device="cpu"))
    draw, options, _ = drawing.how("ddim", steps=steps, eta=0.0)
    denoise = drawing.denoise(torch.arange(10), 1.0)
    xT = drawing.prior(10, torch.Generator().manual_seed(7))
    frames = []
    for frame in draw(denoise, drawing.process, xT, **options):
        rows = [torch.cat(list(x[:, 0]), 1) for x in (frame.xt, frame.x0)]
        levels = (torch.cat(rows).clamp(-1, 1) + 1) * 127.5
        frames.append(Image.fromarray(levels.round().byte().numpy()).resize((1120, 224), 0))
    times = [120] * (len(frames) - 1) + [1500]
    film = made / "strip.webp"
    frames[0].save(
        film, save_all=True, append_images=frames[1:], duration=times, loop=0, lossless=True
    )
    frames[-1].save(made / "strip.png", optimize=True)
    return 3 * sum(times) / 1000


def share(made):
    "The picture that is shown where somebody passes the address on."
    picture = Image.new("RGB", (1200, 630), "#101418")
    sample = Image.open(SAMPLE).convert("RGB")
    sample.thumbnail((560, 560))
    picture.paste(sample, (610, (630 - sample.height) // 2))
    pen = ImageDraw.Draw(picture)
    pen.text((60, 170), "genda", fill="white", font=ImageFont.load_default(size=110))
    about = "Generative models and domain\nadaptation, as notebooks that\nrun on a laptop"
    pen.multiline_text(
        (62, 320), about, fill="#b8c4d0", font=ImageFont.load_default(size=34), spacing=12
    )
    picture.save(made / "share.png", optimize=True)


def landing(made, live):
    "The lines of the first page below its opening sentence."
    share(made)
    yield "```{raw} html"
    yield BUTTONS.format(play="live/index.html" if live else "start.html#the-site")
    if live:
        steps = 20
        yield STRIP.format(seconds=strip(made, steps), steps=steps)
    yield "```\n"
    if not live:
        shutil.copy(SAMPLE, made / "sample.png")
        yield "![Digits that a network made from noise](_made/sample.png)\n"
    yield "## What we found\n"
    yield (
        "The course repeats the experiments of five student reports, claim by claim. "
        f"{counted_claims()} Four findings, as they stand in the [results](results.md), "
        "whose numbers name report and experiment:\n"
    )
    yield "\n".join(findings("lessons/")) + "\n"
    yield "## The parts\n\n```{raw} html"
    yield from cards(made)
    yield "```\n"
    yield "## What is special, measured\n"
    yield special("speed.md") + "\n"
