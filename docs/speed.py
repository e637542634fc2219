"The page on speed and cost: tables and a figure from what `make bench` wrote into results/."

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parent.parent
# One column of the table each; the second shows a plainer processor.
FILES = ("bench.json", "bench_avx2.json")
# Headline in the file -> what it is, and how it is written.
ROWS = {
    "work_tflop": ("training work of the speedrun, TFLOP", "{:.1f}"),
    "accuracy": ("its digits that the evaluator reads as asked for", "{:.1%}"),
    "fd_over_baseline": ("their Fréchet distance / real-vs-real baseline", "{:.2f}"),
    "fd_over_baseline_fp32": ("the same, trained in float32", "{:.2f}"),
    "seeds": ("seeds", "{}"),
    "share_of_peak": ("share of the processor's peak in its training step", "{:.0%}"),
    "over_diffusers_default": ("training, times as fast as diffusers' UNet2DModel", "{:.2f}"),
    "over_denoising_diffusion_pytorch_default": (
        "training, times as fast as denoising-diffusion-pytorch's Unet",
        "{:.2f}",
    ),
    "sampling_over_diffusers": (
        "drawing 64 digits, times as fast as UNet2DModel with 50 steps of DDIM",
        "{:.1f}",
    ),
    "seconds_guidance_slider": ("a move of the guidance slider, s", "{:.2f}"),
    "seconds_eta_slider": ("a move of the eta slider, s", "{:.2f}"),
    "frechet_over_torch_fidelity": ("Fréchet distance, times as fast as torch-fidelity", "{:.2f}"),
    "data_over_torchvision": ("digits into batches, times as fast as torchvision", "{:.1f}"),
}
AXES = dict(
    batch="images in a batch", width="channels", size="side of the images in px", T="steps T"
)
SERIES = dict(train="training step", draw="drawn image")
BATCHES = dict(train="in training", draw="in drawing")
COLOURS = dict(train="#0072b2", draw="#d55e00")

INTRO = """# Speed and cost

What it costs to train and to draw on a processor without a GPU. Every figure on this page was
written by `make bench` in one run on a quiet machine;
[another page](bench.md) says how each is measured, and what the speedrun is.
"""
NOTHING = "Nothing was measured yet: `make bench` does it.\n"
CURVES = """## What a step and an image cost

{about}

Each column of the figure changes one thing, {axes}, and leaves the others at the centre:
{centre}. Points were measured; dashed lines were counted.

![{alt}]({picture})

- **Time, the upper two rows.** The dashed line is the number of operations, counted, divided by the
  operations per second at the centre ({train_speed:.3g} GFLOP/s in training, {draw_speed:.3g} in
  drawing), so that line and points meet there. A point above the line says that the processor does
  fewer operations per second there: it waits for memory, or for small pieces of work. A point below
  says that it does more.
- **Along T.** A drawn image takes one evaluation of the network per step. A training step draws one
  t for each image, however many there are, so that its line is level.
- **Memory, the lower row.** The dashed line is the bytes of all tensors that exist at once, weights
  and optimiser included, counted; the points are what the process grew by. What lies between them
  is working space of the libraries and what a process keeps for later. Training holds every
  layer's output until the backward pass; drawing holds what the next layers need.

How much each grows from the least to the most along an axis:

{table}
"""
ALT = (
    "Twelve plots on logarithmic axes. Columns: batch, channels, side of the images, steps T. "
    "Rows: seconds per training step, seconds per drawn image, megabytes in training and drawing. "
    "Points are measured, dashed lines counted; the table below says how much each grows."
)


def stored(name):
    path = ROOT / "results" / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def line(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def title(found):
    "Under which conditions a file was measured, in words."
    words = f"{found['processor']}, {found['threads']} threads, {found['precision']}"
    notes = [found["note"]] if found.get("note") else []
    notes += [] if found["quiet"] else ["while others used the processor too"]
    return f"{words} ({', '.join(notes)})" if notes else words


def headlines(runs):
    "The table of the first figures, a column for each run."
    yield line("figure", *map(title, runs))
    yield line(*["---"] * (1 + len(runs)))
    for key, (what, form) in ROWS.items():
        if any(key in found for found in runs):
            cells = [form.format(found[key]) if key in found else "" for found in runs]
            yield line(what, *cells)
    yield ""


# -- the cost curves


def along(points, axis):
    "The points of an axis, in order."
    return sorted((p for p in points if p["axis"] == axis), key=lambda p: p["setting"][axis])


def speed(costs, kind):
    "FLOP per second at the centre."
    centre = next(p for p in costs["points"] if p["setting"] == costs["centre"])
    return centre[kind]["flops"] / centre[kind]["seconds"]


def draw_time(ax, points, axis, kind, flops_per_second):
    x = [p["setting"][axis] for p in points]
    ax.plot(x, [p[kind]["seconds"] for p in points], "o", color=COLOURS[kind])
    ax.plot(x, [p[kind]["flops"] / flops_per_second for p in points], "--", color="grey")


def draw_memory(ax, points, axis):
    x = [p["setting"][axis] for p in points]
    for kind, label in BATCHES.items():
        ax.plot(x, [p[kind]["bytes"] / 1e6 for p in points], "o", color=COLOURS[kind], label=label)
        counted = [p[kind]["counted_bytes"] / 1e6 for p in points]
        ax.plot(x, counted, "--", color=COLOURS[kind])


def axes_of(ax, points, axis):
    "Logarithmic axes with a mark for each setting."
    x = [p["setting"][axis] for p in points]
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(x, map(str, x))
    ax.set_xticks([], minor=True)
    ax.grid(alpha=0.3)


def figure(costs, path):
    "Time and memory along each axis, measured and counted."
    fig, grid = plt.subplots(3, len(AXES), figsize=(12, 8), sharey="row", layout="constrained")
    for column, (axis, label) in zip(grid.T, AXES.items(), strict=True):
        points = along(costs["points"], axis)
        for ax, kind in zip(column, SERIES):
            draw_time(ax, points, axis, kind, speed(costs, kind))
        draw_memory(column[2], points, axis)
        for ax in column:
            axes_of(ax, points, axis)
        column[2].set_xlabel(label)
    for ax, label in zip(grid[:, 0], ("s per training step", "s per drawn image", "MB")):
        ax.set_ylabel(label)
    grid[2, 0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=100)
    plt.close(fig)


def growth(costs):
    "By how much operations, time and bytes grow along each axis."
    yield line("along", "of", "operations", "seconds", "bytes counted", "bytes measured")
    yield line(*["---"] * 6)
    for axis, label in AXES.items():
        first, *_, last = along(costs["points"], axis)
        reach = f"{label}, {first['setting'][axis]} to {last['setting'][axis]}"
        for kind, what in SERIES.items():
            keys = ("flops", "seconds", "counted_bytes", "bytes")
            cells = [last[kind][key] / max(1e-12, first[kind][key]) for key in keys]
            yield line(reach, what, *(f"x {cell:.3g}" for cell in cells))


def curves(found, picture, folder):
    "The part on cost curves of one run; nothing where they were not measured to their end."
    costs = found["parts"].get("costs")
    if not costs or "costs" not in found["finished"]:
        return
    figure(costs, folder / picture)
    centre = [f"{AXES[axis]} {value}" for axis, value in costs["centre"].items()]
    yield CURVES.format(
        about=f"{title(found)}. Training computes in {costs['precision']['train']}, drawing in "
        f"{costs['precision']['draw']}; the network is the lessons' UNet, with twice as many "
        "channels in its coarse level.",
        axes=", ".join(AXES.values()),
        centre=", ".join(centre),
        alt=ALT,
        picture=f"{folder.name}/{picture}",
        train_speed=speed(costs, "train") / 1e9,
        draw_speed=speed(costs, "draw") / 1e9,
        table="\n".join(growth(costs)),
    )


def speed_page(folder):
    "The lines of the page; its figures go into `folder`."
    yield INTRO
    runs = {name: found for name in FILES if (found := stored(name))}
    if not runs:
        yield NOTHING
        return
    yield from headlines(list(runs.values()))
    for name, found in runs.items():
        yield from curves(found, f"{Path(name).stem}_costs.png", folder)
