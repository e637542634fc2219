"""How good can digits get for a fixed amount of training work?

The rules are in bench/README.md: a network that starts from random weights draws digits by their
label, without guidance; its training may cost so many TFLOP, counted. 5,000 digits are scored by
the evaluator of the course: accuracy, and the Fréchet distance to the 10,000 test images in units
of the real-vs-real baseline, the mean over several sets of as many training digits. The figure is
the mean over seeds, in results/speedrun.
"""

import argparse
import json
import time
from collections import namedtuple
from functools import cache
from pathlib import Path

import numpy as np
import torch
from machine import name_of, precision
from torch.utils.flop_counter import FlopCounterMode

from genda.checks import write_json
from genda.data.registry import load_raw
from genda.data.splits import to_signed
from genda.diffusion.ddpm import denoiser, generate, logit_normal_steps, min_snr
from genda.diffusion.process import GaussianDiffusion, uniform_steps
from genda.evaluation.evaluators import Evaluator
from genda.evaluation.metrics import frechet_distance, memorised, moments
from genda.models.unet import UNet
from genda.settings import set_seed, settings
from genda.training import tracking
from genda.training.callbacks import keep_memory
from genda.training.optimisers import Muon, hidden_matrices
from genda.training.tracking import circumstances

# -- the recipes


def muon_flops(params):
    "Operations of one step of Muon: five rounds of three matrix products."
    total = 0
    for p in params:
        m, n = sorted((p.shape[0], p[0].numel()))
        total += 5 * (4 * m * m * n + 2 * m**3)
    return total


def adamw(net):
    "AdamW for all weights."
    return torch.optim.AdamW(net.parameters(), 5e-3, betas=(0.9, 0.99), fused=True), 0


def muon(net):
    "Muon for the hidden matrices, AdamW for the rest."
    hidden, rest = hidden_matrices(net)
    groups = [dict(params=hidden, lr=6e-3), dict(params=rest, lr=2e-3)]
    return Muon(groups), muon_flops(hidden)


Recipe = namedtuple("Recipe", "channels emb bs optimiser steps weight drop")
RECIPES = {
    # what the lessons trained with before the search
    "before": Recipe((48, 96), 192, 48, adamw, uniform_steps, None, 0.05),
    "fast": Recipe((16, 64), 256, 32, muon, logit_normal_steps, min_snr, 0.0),
}
# The fast recipe, each time without one of its parts.
FAST = RECIPES["fast"]
RECIPES["fast, AdamW"] = FAST._replace(optimiser=adamw)
RECIPES["fast, wide"] = FAST._replace(channels=(48, 96))
RECIPES["fast, uniform steps"] = FAST._replace(steps=uniform_steps)
RECIPES["fast, no weight"] = FAST._replace(weight=None)
RECIPES["fast, labels hidden"] = FAST._replace(drop=0.05)


# -- training


def forward_flops(net):
    "Operations of one forward pass of one digit."
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, 1, 28, 28), torch.ones(1).long(), torch.zeros(1).long())
    return counter.get_total_flops()


class PowerAverage:
    "The average of all weights so far: in step k it keeps (1 - 1/k)^(gamma + 1) of itself."

    def __init__(self, net, gamma=12):
        self.weights = [p.detach().clone() for p in net.parameters()]
        self.gamma = gamma
        self.k = 0

    @torch.no_grad()
    def update(self, net):
        self.k += 1
        new = 1 - (1 - 1 / self.k) ** (self.gamma + 1)
        torch._foreach_lerp_(self.weights, list(net.parameters()), new)

    @torch.no_grad()
    def copy_to(self, net):
        for p, average in zip(net.parameters(), self.weights):
            p.copy_(average)


def rate(k, steps, warm=0.05):
    "The learning rate's share in step k: a short rise, then a line to zero."
    return min((k + 1) / (warm * steps), 1) * (1 - k / steps)


def one_loss(net, process, recipe, x0, y, dtype=None):
    "The loss of a batch, weighted by its steps; by default in the fast number format."
    dtype = dtype or precision()
    t = recipe.steps(len(x0), process.T)
    eps = torch.randn_like(x0)
    xt = process.corrupt(x0, t, eps)
    target = process.target(x0, eps, t, "v")
    keep = torch.rand(len(x0)) >= recipe.drop if recipe.drop else None
    xt = xt.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        pred = net(xt, t, y, keep)
    per_image = (pred.float() - target).square().flatten(1).mean(1)
    if recipe.weight:
        per_image = per_image * recipe.weight(process, t, "v")
    return per_image.mean()


def train(recipe, images, labels, work, seed, dtype=None):
    "A network trained with `work` TFLOP, and what it took."
    set_seed(seed)
    process = GaussianDiffusion.vp(1000, "cosine")
    net = UNet(1, recipe.channels, 1, classes=10, fold=2, emb=recipe.emb)
    net.to(memory_format=torch.channels_last)
    opt, extra = recipe.optimiser(net)
    highest = [group["lr"] for group in opt.param_groups]
    average = PowerAverage(net)
    flops = 3 * recipe.bs * forward_flops(net) + extra  # backward costs two forward passes
    steps = int(work * 1e12 / flops)
    start = time.perf_counter()
    for k in range(steps):
        for group, lr in zip(opt.param_groups, highest):
            group["lr"] = lr * rate(k, steps)
        i = torch.randint(len(images), (recipe.bs,))
        loss = one_loss(net, process, recipe, to_signed(images[i]), labels[i], dtype)
        loss.backward()
        opt.step()
        opt.zero_grad()
        average.update(net)
        if k % 200 == 0:
            spent = time.perf_counter() - start
            print(f"\r  step {k:,} of {steps:,}, loss {loss.item():.3f}, {spent:.0f} s", end="")
    seconds = time.perf_counter() - start
    average.copy_to(net)
    print(f"\r  {steps:,} steps, {steps * recipe.bs:,} images, {seconds:.0f} s" + " " * 20)
    about = dict(
        images=steps * recipe.bs,
        work_tflop=steps * flops / 1e12,
        seconds=seconds,
        gflop_per_second=steps * flops / 1e9 / seconds,
        parameters=sum(p.numel() for p in net.parameters()),
    )
    return net, process, about


# -- scoring

SEEDS = (0, 1, 2, 3, 4)
SHOWN = ("accuracy", "fd_over_baseline", "copies")  # means over seeds


BASELINE_SETS = 9  # disjoint sets of training digits


def balanced(labels, n, k):
    "Indices of the k-th set of n random digits, as many of each label; the sets are disjoint."
    each = n // 10
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    chosen = []
    for label in range(10):
        mine = order[labels[order] == label]
        chosen.append(mine[k * each : (k + 1) * each])
    return torch.cat(chosen)


@cache
def real_vs_real(n):
    "What real digits score: the distances of sets of n training digits to the test digits."
    evaluator = Evaluator("mnist", device="cpu")
    real = moments(to_signed(load_raw("mnist", "test")[0]), evaluator)
    images, labels = load_raw("mnist", "train")
    found = []
    for k in range(BASELINE_SETS):
        other = to_signed(images[balanced(labels, n, k)])
        found.append(float(frechet_distance(other, real, evaluator)))
    return found


def score(net, process, n, sample_steps, seed, data):
    "Accuracy, Fréchet distance over its baseline and copies of digits drawn by a network."
    evaluator = Evaluator("mnist", device="cpu")
    y = torch.arange(n) % 10
    denoise = denoiser(net, process, "v")
    start = time.perf_counter()
    fake = generate(denoise, process, (1, 28, 28), y, steps=sample_steps, seed=1000 + seed)
    seconds = time.perf_counter() - start
    known = to_signed(load_raw(data, "train")[0])
    real = to_signed(load_raw("mnist", "test")[0])
    distance = frechet_distance(fake, real, evaluator)
    baseline_sets = real_vs_real(n)
    baseline = float(np.mean(baseline_sets))
    memory = memorised(fake[:1000], known, real[:1000], evaluator)
    accuracy = evaluator.accuracy(fake, y)
    print(f"  accuracy {float(accuracy):.3f}, FD {distance / baseline:.2f} baselines")
    return dict(
        accuracy=float(accuracy),
        fd=float(distance),
        baseline=baseline,
        baseline_sets=baseline_sets,
        fd_over_baseline=float(distance) / baseline,
        copies=float(memory.copies),
        n=n,
        sample_steps=sample_steps,
        sample_seconds=seconds,
    )


# -- a run over seeds


def made_by(dtype, **options):
    "What decides about a row: its options, its number format, and the code that it reaches."
    source = Path(__file__).read_text(encoding="utf-8")
    reached = tracking._reached(tracking._imports(source))
    return dict(**options, dtype=name_of(dtype), code=tracking._fingerprint(source, *reached))


def rows_to_keep(stored, about, seeds):
    "The stored rows that this run would make again."
    if (stored or {}).get("made_by") != about:
        return []
    return [row for row in stored["rows"] if row["seed"] in seeds]


def summary(rows, about):
    "The figures over the seeds so far."
    means = {}
    for key in SHOWN:
        means[key] = float(np.mean([row[key] for row in rows]))
    work = rows[0]["work_tflop"]
    return dict(seeds=len(rows), work_tflop=work, **means, made_by=about, rows=list(rows))


def measure(
    recipe="fast",
    work=16,
    data="mnist",
    seeds=SEEDS,
    n=5000,
    sample_steps=20,
    dtype=None,
    stored=None,
):
    "The figures after every seed; those of the `stored` ones are not trained again."
    dtype = dtype or precision()
    about = made_by(dtype, recipe=recipe, work=work, data=data, n=n, sample_steps=sample_steps)
    rows = rows_to_keep(stored, about, seeds)
    if rows:
        yield summary(rows, about)
    keep_memory()
    images, labels = load_raw(data, "train")
    for seed in seeds:
        if any(row["seed"] == seed for row in rows):
            continue
        print(f"  {recipe}, {work:g} TFLOP on {data} in {name_of(dtype)}, seed {seed}")
        net, process, spent = train(RECIPES[recipe], images, labels, work, seed, dtype)
        rows.append(dict(seed=seed, **spent, **score(net, process, n, sample_steps, seed, data)))
        yield summary(rows, about)


def measure_fp32(**options):
    "The same in plain float32, where that is not the fast number format anyway."
    if precision() == torch.float32:
        print("  float32 is the fast number format here: the speedrun itself")
        return
    yield from measure(dtype=torch.float32, **options)


def arguments():
    "What a run of the speedrun can be told."
    cli = argparse.ArgumentParser(add_help=False)
    cli.add_argument("--recipe", default="fast", choices=RECIPES)
    cli.add_argument("--work", type=float, default=16, help="TFLOP of training")
    cli.add_argument("--data", default="mnist", choices=("mnist", "mnist5k"))
    cli.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    cli.add_argument("--n", type=int, default=5000, help="digits that are scored")
    cli.add_argument("--sample-steps", type=int, default=20)
    return cli


def options():
    cli = argparse.ArgumentParser(description=__doc__.splitlines()[0], parents=[arguments()])
    cli.add_argument("--out", default=settings().results / "speedrun")
    return cli.parse_args()


def main():
    a = vars(options())
    folder = Path(a.pop("out"))
    name = f"{a['recipe']}_{a['work']:g}_{a['data']}".replace(", ", "_").replace(" ", "_")
    path = folder / f"{name}.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    for found in measure(**a, stored=stored):
        write_json(path, found | circumstances())


if __name__ == "__main__":
    main()
