"Seconds for 64 digits: genda's shipped network beside diffusers' UNet2DModel with DDIM."

import statistics
import time
from functools import partial

import torch
from diffusers import DDIMScheduler
from machine import name_of, precision
from train import peer

from genda.data.digits import digit_set
from genda.data.registry import load
from genda.diffusion.ddpm import denoiser, generate
from genda.diffusion.process import GaussianDiffusion
from genda.diffusion.samplers import ddim, dpm
from genda.evaluation.evaluators import Evaluator
from genda.evaluation.metrics import frechet_distance
from genda.zoo import load_model

LAYOUTS = {
    "default layout": torch.contiguous_format,
    "channels last": torch.channels_last,
}
SIZE = 28  # side of the images in px


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@torch.no_grad()
def theirs(net, n, steps, layout, dtype):
    "Seconds for n images by diffusers' own loop: scale, predict, step."
    scheduler = DDIMScheduler()
    x = torch.randn(n, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    x = x.to(memory_format=layout)
    start = time.perf_counter()
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            eps = net(scheduler.scale_model_input(x, t), t).sample
        x = scheduler.step(eps.float(), t, x).prev_sample
    assert x.shape == (n, 1, SIZE, SIZE)
    assert x.isfinite().all()
    return time.perf_counter() - start


class Ours:
    "The shipped network of digits, and how it draws."

    def __init__(self):
        self.model, card = load_model("digits", device="cpu")
        self.process = GaussianDiffusion.from_config(card["process"])
        self.denoise = denoiser(self.model, self.process, card["predict"])

    def draw(self, n, sampler, steps, bs, seed=0):
        "n digits, one label after another."
        how = dict(sampler=sampler, steps=steps, bs=bs, seed=seed, progress=False)
        return generate(self.denoise, self.process, (1, SIZE, SIZE), torch.arange(n) % 10, **how)

    def seconds(self, n, sampler, steps):
        "Seconds for n digits."
        start = time.perf_counter()
        x = self.draw(n, sampler, steps, n)
        assert x.shape == (n, 1, SIZE, SIZE)
        assert x.isfinite().all()
        return time.perf_counter() - start


def ways(steps, few, fewest):
    "Name -> sampler and steps of genda; the first is the peer's own way."
    return {
        f"genda ddim {steps} steps": (ddim, steps),
        f"genda ddim {few} steps": (ddim, few),
        f"genda dpm {fewest} steps": (dpm, fewest),
    }


def peers(n, steps):
    "Name -> a function that samples once with UNet2DModel and gives the seconds."
    runs = {}
    for dtype in sorted({torch.float32, precision()}, key=str):
        for name, layout in LAYOUTS.items():
            net = peer(SIZE)[0].eval().to(memory_format=layout)
            theirs(net, n, 1, layout, dtype)  # the first step is slower
            full_name = f"UNet2DModel ddim {steps} steps {name} {name_of(dtype)}"
            runs[full_name] = partial(theirs, net, n, steps, layout, dtype)
    return runs


def distances(ours, mine, n):
    "Name -> Fréchet distance of n digits drawn that way, from the same noise."
    evaluator = Evaluator("mnist", device="cpu")
    real, _ = load(digit_set(), "test")
    found = {}
    for name, (sampler, steps) in mine.items():
        found[name] = float(frechet_distance(ours.draw(n, sampler, steps, 250), real, evaluator))
        print(f"  {name:50} FD {found[name]:.2f} of {n:,} digits")
    return found


def ratios(seconds, fd, mine):
    "How much longer UNet2DModel takes: at equal steps, and beside the fastest that is as good."
    equal = next(iter(mine))
    good = [name for name in mine if fd[name] <= fd[equal]]
    chosen = min(good, key=seconds.get)
    theirs = {name: s for name, s in seconds.items() if name.startswith("UNet2DModel")}
    default = next(s for name, s in theirs.items() if name.endswith("default layout float32"))
    return dict(
        chosen=chosen,
        over_default=default / seconds[chosen],
        over_best=min(theirs.values()) / seconds[chosen],
        over_default_at_equal_steps=default / seconds[equal],
        over_best_at_equal_steps=min(theirs.values()) / seconds[equal],
    )


def measure(n=64, steps=50, few=20, fewest=10, repeats=3, n_fd=500):
    "Seconds of each way, then distances, then ratios."
    ours = Ours()
    mine = ways(steps, few, fewest)
    ours.seconds(n, ddim, 1)
    runs = {name: partial(ours.seconds, n, *way) for name, way in mine.items()} | peers(n, steps)
    took = {name: [] for name in runs}
    found = dict(n=n, sizes=dict(peer=parameters(peer(SIZE)[0]), genda=parameters(ours.model)))
    for k in range(repeats):
        for name, run in runs.items():
            if k and name not in mine:
                continue  # long enough to be measured once
            took[name].append(run())
            print(f"  {name:50} {took[name][-1]:6.2f} s for {n} images")
            medians = {key: statistics.median(values) for key, values in took.items() if values}
            found["seconds"] = medians
            yield dict(found)
    found["fd"] = distances(ours, mine, n_fd)
    found |= dict(n_fd=n_fd) | ratios(found["seconds"], found["fd"], mine)
    print(
        f"  UNet2DModel takes {found['over_default']:.1f} times as long as {found['chosen']}, "
        f"{found['over_default_at_equal_steps']:.1f} times as long at equal steps"
    )
    yield dict(found)
