"All figures of speed in one run, for results/bench.json: peak, step, sampling, speedrun."

import argparse
import os
import statistics
import sys
import time

import psutil
import sampling
import speedrun
import torch
import train
from torch import nn

from genda.checks import write_json
from genda.data.registry import load_raw
from genda.data.splits import to_signed
from genda.diffusion.process import GaussianDiffusion
from genda.models.unet import UNet
from genda.settings import settings
from genda.training.callbacks import fast_dtype, keep_memory
from genda.training.tracking import circumstances

BUSY = 15  # percent of the processor that others may use


def refuse_when_busy():
    "End with one line where something else computes: the figures would not be the machine's."
    used = statistics.median(psutil.cpu_percent(interval=0.5) for _ in range(5))
    if used > BUSY:
        sys.exit(
            f"the machine is busy: {used:.0f}% of its processor is in use by others, at most "
            f"{BUSY}% would do; end them, or measure all the same with --busy"
        )


def fastest(work, flops, repeats=8):
    "GFLOP/s of the fastest of some runs."
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return flops / min(times[2:]) / 1e9


def product(dtype, n=1536):
    "GFLOP/s of a matrix product."
    a = torch.randn(n, n).to(dtype)
    return fastest(lambda: a @ a, 2 * n**3)


def convolution(dtype, channels=64, size=28, bs=64):
    "GFLOP/s of a 3x3 convolution, forward and backward."
    conv = nn.Conv2d(channels, channels, 3, padding=1).to(memory_format=torch.channels_last)
    x = torch.randn(bs, channels, size, size).to(memory_format=torch.channels_last)
    x.requires_grad_()

    def work():
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            conv(x).float().sum().backward()

    return fastest(work, 3 * 2 * bs * size**2 * channels**2 * 9)


def peak():
    "The processor's measured peak: the best of product and convolution in the number formats."
    found = {}
    for dtype in {torch.float32, fast_dtype("cpu")}:
        found[f"matrix product {str(dtype)[6:]}"] = product(dtype)
        found[f"convolution {str(dtype)[6:]}"] = convolution(dtype)
    return found


def step_rate(recipe, steps=30):
    "Images per second and GFLOP/s of the training step of a recipe of the speedrun."
    images, labels = load_raw("mnist5k", "train")
    process = GaussianDiffusion.vp(1000, "cosine")
    net = UNet(1, recipe.channels, 1, classes=10, fold=2, emb=recipe.emb)
    net.to(memory_format=torch.channels_last)
    opt, extra = recipe.optimiser(net)
    times = []
    for _ in range(steps + 3):
        i = torch.randint(len(images), (recipe.bs,))
        start = time.perf_counter()
        speedrun.one_loss(net, process, recipe, to_signed(images[i]), labels[i]).backward()
        opt.step()
        opt.zero_grad()
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times[3:])
    flops = 3 * recipe.bs * speedrun.forward_flops(net) + extra
    return dict(images_per_second=recipe.bs / seconds, gflop_per_second=flops / seconds / 1e9)


def raced(a):
    "The speedrun's figures over its seeds, at the work that is asked for."
    images, labels = load_raw(a.data, "train")
    recipe = speedrun.RECIPES[a.recipe]
    rows = []
    for seed in a.seeds:
        net, process, about = speedrun.train(recipe, images, labels, a.work, seed)
        scores = speedrun.score(net, process, a.n, a.sample_steps, seed, a.data)
        rows.append(dict(seed=seed, **about, **scores))
    means = {k: statistics.mean(r[k] for r in rows) for k in speedrun.SHOWN}
    return dict(seeds=len(rows), recipe=a.recipe, data=a.data, **means, speedrun=rows)


def options():
    cli = argparse.ArgumentParser(description=__doc__, parents=[speedrun.arguments()])
    cli.add_argument("--busy", action="store_true", help="measure on a busy machine all the same")
    cli.add_argument("--threads", type=int, default=os.cpu_count(), help="of PyTorch")
    return cli.parse_args()


def main():
    a = options()
    if not a.busy:
        refuse_when_busy()
    torch.set_num_threads(a.threads)
    keep_memory()
    found = dict(peak=peak())
    best = max(found["peak"].values())
    print("peak", {k: round(v) for k, v in found["peak"].items()}, "GFLOP/s")
    for name in ("fast", "lesson"):
        rate = step_rate(speedrun.RECIPES[name])
        found[f"step_{name}"] = rate | dict(share_of_peak=rate["gflop_per_second"] / best)
        print(name, {k: round(v, 2) for k, v in found[f"step_{name}"].items()})
    found["share_of_peak"] = found["step_fast"]["share_of_peak"]
    found["over_diffusers_default"] = train.measure(threads=a.threads)["over_default"]
    found["sampling_over_diffusers"] = sampling.measure(threads=a.threads)["over_default"]
    found |= raced(a)
    found["work_tflop"] = found["speedrun"][0]["work_tflop"]
    found["precision"] = str(fast_dtype("cpu"))[6:]
    write_json(settings().results / "bench.json", found | circumstances())


if __name__ == "__main__":
    main()
