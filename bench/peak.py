"The processor's peak, and the share of it that a training step of the speedrun reaches."

import statistics
import time

import speedrun
import torch
from machine import name_of, precision
from torch import nn

from genda.data.registry import load_raw
from genda.data.splits import to_signed
from genda.diffusion.process import GaussianDiffusion
from genda.models.unet import UNet
from genda.training.callbacks import keep_memory

WARM_UP = 3  # steps that do not count


def fastest(work, flops, repeats):
    "GFLOP/s of the fastest of some runs."
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return flops / min(times[2:]) / 1e9


def product(dtype, repeats, n):
    "GFLOP/s of a matrix product."
    a = torch.randn(n, n).to(dtype)
    return fastest(lambda: a @ a, 2 * n**3, repeats)


def convolution(dtype, repeats, bs, channels=64, size=28):
    "GFLOP/s of a 3x3 convolution, forward and backward."
    conv = nn.Conv2d(channels, channels, 3, padding=1).to(memory_format=torch.channels_last)
    x = torch.randn(bs, channels, size, size).to(memory_format=torch.channels_last)
    x.requires_grad_()

    def work():
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            conv(x).float().sum().backward()

    return fastest(work, 3 * 2 * bs * size**2 * channels**2 * 9, repeats)


def peak(side, bs, repeats):
    "GFLOP/s of product and convolution in the number formats; the best is the processor's peak."
    found = {}
    for dtype in sorted({torch.float32, precision()}, key=str):
        found[f"matrix product {name_of(dtype)}"] = product(dtype, repeats, side)
        found[f"convolution {name_of(dtype)}"] = convolution(dtype, repeats, bs)
    return found


def step_rate(recipe, steps):
    "Images per second and GFLOP/s of the training step of a recipe of the speedrun."
    images, labels = load_raw("mnist5k", "train")
    process = GaussianDiffusion.vp(1000, "cosine")
    net = UNet(1, recipe.channels, 1, classes=10, fold=2, emb=recipe.emb)
    net.to(memory_format=torch.channels_last)
    opt, extra = recipe.optimiser(net)
    times = []
    for _ in range(WARM_UP + steps):
        i = torch.randint(len(images), (recipe.bs,))
        start = time.perf_counter()
        speedrun.one_loss(net, process, recipe, to_signed(images[i]), labels[i]).backward()
        opt.step()
        opt.zero_grad()
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times[WARM_UP:])
    flops = 3 * recipe.bs * speedrun.forward_flops(net) + extra
    return dict(images_per_second=recipe.bs / seconds, gflop_per_second=flops / seconds / 1e9)


def measure(side=1536, bs=64, repeats=8, steps=30):
    "The peak, then the steps of two recipes."
    keep_memory()
    found = dict(gflop_per_second=peak(side, bs, repeats))
    found["peak"] = max(found["gflop_per_second"].values())
    print("  " + ", ".join(f"{k} {v:.0f} GFLOP/s" for k, v in found["gflop_per_second"].items()))
    yield dict(found)
    for name in ("fast", "before"):
        rate = step_rate(speedrun.RECIPES[name], steps)
        share = rate["gflop_per_second"] / found["peak"]
        print(
            f"  a step of the recipe {name!r}: {rate['images_per_second']:.0f} images/s, "
            f"{rate['gflop_per_second']:.0f} GFLOP/s, {share:.0%} of the peak"
        )
        found[f"step_{name}"] = rate | dict(share_of_peak=share)
        yield dict(found)
