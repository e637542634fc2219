"Training speed of genda's UNet beside diffusers' UNet2DModel of the same size, in one run."

import argparse
import itertools
import json
import statistics
import time

import torch
from diffusers import UNet2DModel
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from genda.models.unet import UNet
from genda.settings import settings
from genda.training.callbacks import fast_dtype
from genda.training.tracking import circumstances

WARM_UP = 2  # steps of each that do not count


def peer(size=32):
    "UNet2DModel with 32, 64, 128 channels, two layers per block, attention in the last level."
    net = UNet2DModel(
        sample_size=size,
        in_channels=1,
        out_channels=1,
        block_out_channels=(32, 64, 128),
        layers_per_block=2,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )
    return net, lambda x, t: net(x, t).sample


def ours():
    "genda's UNet with the parameters and operations of the peer: pixels folded, attention last."
    net = UNet(1, (128, 128), 2, fold=2, emb=128)
    return net, net


NETWORKS = {"UNet2DModel": peer, "genda": ours}


class Run:
    "A network in training, one step at a time."

    def __init__(self, make, bs, channels_last, dtype):
        torch.manual_seed(0)
        self.net, self.call = make()
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.net.to(memory_format=self.layout)
        self.dtype = dtype
        self.times = []
        self.opt = torch.optim.AdamW(self.net.parameters(), 1e-4)
        self.x = torch.randn(bs, 1, 32, 32)
        self.noise = torch.randn(bs, 1, 32, 32)
        self.t = torch.randint(1, 1000, (bs,))

    def step(self):
        start = time.perf_counter()
        with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
            pred = self.call(self.x.contiguous(memory_format=self.layout), self.t)
        F.mse_loss(pred.float(), self.noise).backward()
        self.opt.step()
        self.opt.zero_grad()
        self.times.append(time.perf_counter() - start)

    def counted(self):
        "Seconds of each step that counts."
        return self.times[WARM_UP:]


def size(make):
    "Parameters and operations of one forward pass of one 1x32x32 image."
    net, call = make()
    with FlopCounterMode(display=False) as counter:
        call(torch.randn(1, 1, 32, 32), torch.ones(1).long())
    return sum(p.numel() for p in net.parameters()), counter.get_total_flops()


def options(changes=None):
    "The options of the command line, or its defaults with `changes`."
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--bs", type=int, default=128, help="images in a batch")
    cli.add_argument("--steps", type=int, default=10, help="counted steps of each, taken in turn")
    cli.add_argument("--threads", type=int, default=2)
    a = cli.parse_args([] if changes else None)
    vars(a).update(changes or {})
    return a


def same_size(parameters, flops):
    "Print the sizes of the two networks, which must differ by less than a twentieth."
    more_parameters = parameters["genda"] / parameters["UNet2DModel"] - 1
    more_flops = flops["genda"] / flops["UNet2DModel"] - 1
    print(
        f"UNet2DModel {parameters['UNet2DModel'] / 1e6:.2f}M parameters, "
        f"{flops['UNet2DModel'] / 1e9:.3f} GFLOP forward; "
        f"genda {parameters['genda'] / 1e6:.2f}M ({more_parameters:+.1%}), "
        f"{flops['genda'] / 1e9:.3f} GFLOP ({more_flops:+.1%})"
    )
    assert abs(more_parameters) < 0.05, "the two networks must be of one size"
    assert abs(more_flops) < 0.05, "the two networks must be of one size"


def dtypes():
    "What to compare: half precisions only where the processor has a fast one."
    if fast_dtype("cpu") == torch.float32:
        return [torch.float32]
    return sorted({torch.float32, torch.bfloat16, fast_dtype("cpu")}, key=str)


def candidates(bs):
    "(network, layout, dtype) -> its run."
    runs = {}
    for name, channels_last, dtype in itertools.product(NETWORKS, (False, True), dtypes()):
        layout = "channels last" if channels_last else "default layout"
        key = name, layout, str(dtype)[6:]
        runs[key] = Run(NETWORKS[name], bs, channels_last, dtype)
    return runs


def report(rate, runs, flops):
    "Print the table; training costs three forward passes."
    for key, images in sorted(rate.items(), key=lambda item: -item[1]):
        gflops = 3 * flops[key[0]] * images / 1e9
        seconds = runs[key].counted()
        print(
            f"{' '.join(key):45} {images:6.1f} images/s   {gflops:5.0f} GFLOP/s   "
            f"step {min(seconds):.2f} to {max(seconds):.2f} s"
        )


def best_of(rate, network):
    return max(images for (name, _, _), images in rate.items() if name == network)


def measure(**changes):
    "The figures, written to results/ as well; `changes` replace options."
    a = options(changes)
    torch.set_num_threads(a.threads)
    parameters = {}
    flops = {}
    for name, make in NETWORKS.items():
        parameters[name], flops[name] = size(make)
    same_size(parameters, flops)
    runs = candidates(a.bs)
    for _ in range(WARM_UP + a.steps):
        for run in runs.values():
            run.step()
    rate = {key: a.bs / statistics.median(run.counted()) for key, run in runs.items()}
    report(rate, runs, flops)
    default = rate["UNet2DModel", "default layout", "float32"]
    best_peer = best_of(rate, "UNet2DModel")
    best = best_of(rate, "genda")
    print(
        f"genda at its best / UNet2DModel by default {best / default:.2f}, "
        f"at its best {best / best_peer:.2f}"
    )
    figures = dict(
        images_per_second={" ".join(key): round(images, 2) for key, images in rate.items()},
        over_default=round(best / default, 3),
        over_best=round(best / best_peer, 3),
        parameters=dict(peer=parameters["UNet2DModel"], genda=parameters["genda"]),
        forward_flops=dict(peer=flops["UNet2DModel"], genda=flops["genda"]),
        bs=a.bs,
        steps=a.steps,
        **circumstances(),
    )
    out = settings().results / "bench_train.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n")
    return figures


if __name__ == "__main__":
    measure()
