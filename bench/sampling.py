"Sampling speed of genda's shipped digits beside diffusers' UNet2DModel with DDIM, in one run."

import argparse
import json
import statistics
import time
from functools import partial

import torch
from diffusers import DDIMScheduler
from train import peer

from genda.diffusion.ddpm import denoiser, generate
from genda.diffusion.process import GaussianDiffusion
from genda.diffusion.samplers import ddim
from genda.settings import settings
from genda.training.callbacks import fast_dtype
from genda.training.tracking import circumstances
from genda.zoo import load_model

LAYOUTS = {
    "default layout": torch.contiguous_format,
    "channels last": torch.channels_last,
}


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@torch.no_grad()
def theirs(net, n, size, steps, layout, dtype):
    "Seconds for n images by diffusers' own loop: scale, predict, step."
    scheduler = DDIMScheduler()
    x = torch.randn(n, 1, size, size, generator=torch.Generator().manual_seed(0))
    x = x.to(memory_format=layout)
    start = time.perf_counter()
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            eps = net(scheduler.scale_model_input(x, t), t).sample
        x = scheduler.step(eps.float(), t, x).prev_sample
    assert x.shape == (n, 1, size, size)
    assert x.isfinite().all()
    return time.perf_counter() - start


def ours(denoise, process, n, steps):
    "Seconds for n digits by genda's ddim."
    start = time.perf_counter()
    x = generate(
        denoise,
        process,
        (1, 28, 28),
        torch.arange(n) % 10,
        sampler=ddim,
        bs=n,
        steps=steps,
        progress=False,
    )
    assert x.shape == (n, 1, 28, 28)
    assert x.isfinite().all()
    return time.perf_counter() - start


def options(changes=None):
    "The options of the command line, or its defaults with `changes`."
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--n", type=int, default=64, help="images")
    cli.add_argument("--steps", type=int, default=50, help="steps of both")
    cli.add_argument("--few", type=int, default=20, help="steps of genda alone, to be under 2 s")
    cli.add_argument("--size", type=int, default=28, help="side of the peer's images in px")
    cli.add_argument("--repeats", type=int, default=2, help="runs of each, taken in turn")
    cli.add_argument("--threads", type=int, default=2)
    a = cli.parse_args([] if changes else None)
    vars(a).update(changes or {})
    return a


def candidates(a, model, card):
    "Name -> a function that samples once and gives the seconds."
    process = GaussianDiffusion.from_config(card["process"])
    denoise = denoiser(model, process, card["predict"])
    runs = {}
    for steps in a.steps, a.few:
        runs[f"genda {steps} steps"] = partial(ours, denoise, process, a.n, steps)
    for dtype in sorted({torch.float32, fast_dtype("cpu")}, key=str):
        for name, layout in LAYOUTS.items():
            net = peer(a.size)[0].eval().to(memory_format=layout)
            full_name = f"UNet2DModel {a.steps} steps {name} {str(dtype)[6:]}"
            runs[full_name] = partial(theirs, net, a.n, a.size, a.steps, layout, dtype)
    return runs


def report(seconds, took, a):
    "Print the table."
    for name, median in sorted(seconds.items(), key=lambda item: item[1]):
        spread = f"({min(took[name]):.2f} to {max(took[name]):.2f})"
        print(f"{name:50} {median:6.2f} s for {a.n} images   {spread}")


def measure(**changes):
    "The figures, written to results/ as well; `changes` replace options."
    a = options(changes)
    torch.set_num_threads(a.threads)
    model, card = load_model("digits", device="cpu")
    runs = candidates(a, model, card)
    took = {name: [] for name in runs}
    for _ in range(a.repeats):
        for name, run in runs.items():
            took[name].append(run())
    seconds = {name: statistics.median(values) for name, values in took.items()}
    report(seconds, took, a)
    mine = seconds[f"genda {a.steps} steps"]
    few = seconds[f"genda {a.few} steps"]
    default = seconds[f"UNet2DModel {a.steps} steps default layout float32"]
    best = min(median for name, median in seconds.items() if name.startswith("UNet2DModel"))
    print(
        f"at equal {a.steps} steps, UNet2DModel takes {default / mine:.1f} times as long by "
        f"default, {best / mine:.1f} times at its best; genda at {a.few} steps: {few:.2f} s, "
        f"{'under' if few < 2 else 'NOT under'} 2 s"
    )
    figures = dict(
        seconds={name: round(median, 3) for name, median in seconds.items()},
        over_default=round(default / mine, 2),
        over_best=round(best / mine, 2),
        n=a.n,
        steps=a.steps,
        few=a.few,
        size=a.size,
        parameters=dict(peer=parameters(peer(a.size)[0]), genda=parameters(model)),
        **circumstances(),
    )
    out = settings().results / "bench_sampling.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n")
    return figures


if __name__ == "__main__":
    measure()
