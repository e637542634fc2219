"Training speed of genda's UNet beside other libraries' UNets of the same size, in one run."

import importlib.util
import itertools
import statistics
import time

import torch
from diffusers import UNet2DModel
from machine import name_of, precision
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from genda.models.unet import UNet
from genda.training.callbacks import keep_memory

WARM_UP = 1  # steps of each that do not count


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


def second_peer():
    "Unet of denoising-diffusion-pytorch with as many parameters and a sixth more operations."
    from denoising_diffusion_pytorch import Unet

    net = Unet(40, dim_mults=(1, 2, 4), channels=1)
    return net, net


def ours():
    "genda's UNet with the parameters and operations of the peer: pixels folded, attention last."
    net = UNet(1, (128, 128), 2, fold=2, emb=128)
    return net, net


DIFFUSERS = "UNet2DModel"
SECOND = "denoising-diffusion-pytorch"
GENDA = "genda"


def networks():
    "Name -> a function that makes the network; a library that is not installed is left out."
    found = {DIFFUSERS: peer, SECOND: second_peer, GENDA: ours}
    if importlib.util.find_spec("denoising_diffusion_pytorch") is None:
        print(f"  {SECOND}: not installed, bench/README.md says how")
        del found[SECOND]
    return found


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
    return dict(
        parameters=sum(p.numel() for p in net.parameters()),
        forward_flops=counter.get_total_flops(),
    )


def same_size(sizes):
    "Print the sizes; genda's and UNet2DModel's must differ by less than a twentieth."
    for name, about in sizes.items():
        print(
            f"  {name}: {about['parameters'] / 1e6:.2f}M parameters, "
            f"{about['forward_flops'] / 1e9:.3f} GFLOP forward per image"
        )
    for what, value in sizes[GENDA].items():
        more = value / sizes[DIFFUSERS][what] - 1
        assert abs(more) < 0.05, f"{what} of the two networks differ by {more:+.0%}"


def dtypes():
    "What to compare: half precisions only where the processor has a fast one."
    return sorted({torch.float32, precision()}, key=str)


def candidates(makers, bs):
    "(network, layout, dtype) -> its run."
    runs = {}
    for name, channels_last, dtype in itertools.product(makers, (False, True), dtypes()):
        layout = "channels last" if channels_last else "default layout"
        runs[name, layout, name_of(dtype)] = Run(makers[name], bs, channels_last, dtype)
    return runs


def figures(runs, sizes, bs):
    "What the steps so far say; a ratio compares work per second, so that it is at equal work."
    images = {key: bs / statistics.median(run.counted()) for key, run in runs.items()}
    work = {key: 3 * sizes[key[0]]["forward_flops"] * n / 1e9 for key, n in images.items()}

    def best(network):
        return max(rate for key, rate in work.items() if key[0] == network)

    found = dict(
        images_per_second={" ".join(key): n for key, n in images.items()},
        gflop_per_second={" ".join(key): rate for key, rate in work.items()},
        sizes=sizes,
        bs=bs,
        steps=min(len(run.counted()) for run in runs.values()),
    )
    for name, key in {DIFFUSERS: "diffusers", SECOND: "denoising_diffusion_pytorch"}.items():
        if name in sizes:
            default = work[name, "default layout", "float32"]
            found[f"over_{key}_default"] = best(GENDA) / default
            found[f"over_{key}_best"] = best(GENDA) / best(name)
    return found


def report(runs, found):
    "Print the table; training costs three forward passes."
    images = found["images_per_second"]
    for key in sorted(runs, key=lambda key: -images[" ".join(key)]):
        seconds = runs[key].counted()
        name = " ".join(key)
        print(
            f"  {name:55} {images[name]:6.1f} images/s   "
            f"{found['gflop_per_second'][name]:5.0f} GFLOP/s   "
            f"step {min(seconds):.2f} to {max(seconds):.2f} s"
        )
    for key, value in found.items():
        if key.startswith("over"):
            print(f"  genda at its best {key.replace('_', ' ')}: {value:.2f}")


def measure(bs=64, steps=7):
    "The figures, better with every round of steps; the networks take turns."
    keep_memory()
    makers = networks()
    sizes = {name: size(make) for name, make in makers.items()}
    same_size(sizes)
    runs = candidates(makers, bs)
    for k in range(WARM_UP + steps):
        for run in runs.values():
            run.step()
        print(f"\r  round {k + 1} of {WARM_UP + steps}", end="", flush=True)
        if k >= WARM_UP:
            found = figures(runs, sizes, bs)
            yield found
    print()
    report(runs, found)
