"Sampling speed of genda's shipped digits beside diffusers' UNet2DModel with DDIMScheduler, the same number of images, in one run."

import argparse
import itertools
import json
import statistics
import time

import torch
from diffusers import DDIMScheduler
from train import peer

from genda.training.callbacks import fast_dtype
from genda.settings import settings
from genda.diffusion.samplers import ddim
from genda.diffusion.ddpm import denoiser, generate
from genda.diffusion.process import GaussianDiffusion
from genda.training.tracking import circumstances
from genda.zoo import load_model


@torch.no_grad()
def theirs(net, n, size, steps, layout, dtype):
    "Seconds for n images by diffusers' own loop: scale, predict, step."
    plan, x = (
        DDIMScheduler(),
        torch.randn(n, 1, size, size, generator=torch.Generator().manual_seed(0)).to(
            memory_format=layout
        ),
    )
    start = time.perf_counter()
    plan.set_timesteps(steps)
    for t in plan.timesteps:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            eps = net(plan.scale_model_input(x, t), t).sample
        x = plan.step(eps.float(), t, x).prev_sample
    assert x.shape == (n, 1, size, size) and x.isfinite().all()
    return time.perf_counter() - start


def ours(denoise, process, n, steps):
    "Seconds for n digits by genda.ddim."
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
    assert x.shape == (n, 1, 28, 28) and x.isfinite().all()
    return time.perf_counter() - start


def main():
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--n", type=int, default=64, help="images")
    cli.add_argument("--steps", type=int, default=50, help="steps of both")
    cli.add_argument("--few", type=int, default=20, help="steps of genda alone, to be under 2 s")
    cli.add_argument("--size", type=int, default=28, help="side of the peer's images in px")
    cli.add_argument("--repeats", type=int, default=2, help="runs of each, taken in turn")
    cli.add_argument("--threads", type=int, default=2)
    a = cli.parse_args()
    torch.set_num_threads(a.threads)
    model, card = load_model("digits", device="cpu")
    process = GaussianDiffusion.vp(**card["process"])
    denoise = denoiser(model, process, card["predict"])
    runs = {
        f"genda {k} steps": (lambda k=k: ours(denoise, process, a.n, k)) for k in (a.steps, a.few)
    }
    dtypes = sorted({torch.float32, fast_dtype("cpu")}, key=str)
    for dtype, (name, layout) in itertools.product(
        dtypes,
        (("default layout", torch.contiguous_format), ("channels last", torch.channels_last)),
    ):
        net = peer(a.size)[0].eval().to(memory_format=layout)
        runs[f"UNet2DModel {a.steps} steps {name} {str(dtype)[6:]}"] = (
            lambda net=net, layout=layout, dtype=dtype: theirs(
                net, a.n, a.size, a.steps, layout, dtype
            )
        )
    took = {k: [] for k in runs}
    for _ in range(a.repeats):
        for k, run in runs.items():
            took[k].append(run())
    seconds = {k: statistics.median(v) for k, v in took.items()}
    for k, v in sorted(seconds.items(), key=lambda kv: kv[1]):
        print(f"{k:50} {v:6.2f} s for {a.n} images   ({min(took[k]):.2f} to {max(took[k]):.2f})")
    mine, few = seconds[f"genda {a.steps} steps"], seconds[f"genda {a.few} steps"]
    default, best = (
        seconds[f"UNet2DModel {a.steps} steps default layout float32"],
        min(v for k, v in seconds.items() if k[0] == "U"),
    )
    print(
        f"at equal {a.steps} steps, UNet2DModel takes {default / mine:.1f} times as long by default, {best / mine:.1f} times at its best; "
        f"genda at {a.few} steps: {few:.2f} s, {'under' if few < 2 else 'NOT under'} 2 s"
    )
    parameters = dict(
        peer=sum(p.numel() for p in peer(a.size)[0].parameters()),
        genda=sum(p.numel() for p in model.parameters()),
    )
    out = settings().results / "bench_sampling.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(
        json.dumps(
            dict(
                seconds={k: round(v, 3) for k, v in seconds.items()},
                over_default=round(default / mine, 2),
                over_best=round(best / mine, 2),
                n=a.n,
                steps=a.steps,
                few=a.few,
                size=a.size,
                parameters=parameters,
                **circumstances(),
            ),
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
