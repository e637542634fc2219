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

from genda.training.callbacks import fast_dtype
from genda.settings import settings
from genda.training.tracking import circumstances
from genda.models.unet import UNet


def peer(size=32):
    "UNet2DModel with 32, 64, 128 channels, two layers a block, attention in the last level."
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
    "genda's UNet with the parameters and operations of the peer: pixels folded, attention in the last level."
    net = UNet(1, (128, 128), 2, fold=2, emb=128)
    return net, net


class Run:
    "A network in training, a step at a time."

    def __init__(self, make, bs, channels_last, dtype):
        torch.manual_seed(0)
        self.net, self.call = make()
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.net.to(memory_format=self.layout)
        self.bs, self.dtype, self.times = bs, dtype, []
        self.opt = torch.optim.AdamW(self.net.parameters(), 1e-4)
        self.x, self.noise, self.t = (
            torch.randn(bs, 1, 32, 32),
            torch.randn(bs, 1, 32, 32),
            torch.randint(1, 1000, (bs,)),
        )

    def step(self):
        start = time.perf_counter()
        with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
            pred = self.call(self.x.contiguous(memory_format=self.layout), self.t)
        F.mse_loss(pred.float(), self.noise).backward()
        self.opt.step()
        self.opt.zero_grad()
        self.times.append(time.perf_counter() - start)


def size(make):
    "Parameters and operations of one forward pass of one 1x32x32 image."
    net, call = make()
    with FlopCounterMode(display=False) as f:
        call(torch.randn(1, 1, 32, 32), torch.ones(1).long())
    return sum(p.numel() for p in net.parameters()), f.get_total_flops()


def main():
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--bs", type=int, default=128, help="images in a batch")
    cli.add_argument("--steps", type=int, default=10, help="counted steps of each, taken in turn")
    cli.add_argument("--threads", type=int, default=2)
    a = cli.parse_args()
    torch.set_num_threads(a.threads)
    (p1, f1), (p2, f2) = size(peer), size(ours)
    print(
        f"UNet2DModel {p1 / 1e6:.2f}M parameters, {f1 / 1e9:.3f} GFLOP forward; genda {p2 / 1e6:.2f}M ({p2 / p1 - 1:+.1%}), {f2 / 1e9:.3f} GFLOP ({f2 / f1 - 1:+.1%})"
    )
    assert abs(p2 / p1 - 1) < 0.05 and abs(f2 / f1 - 1) < 0.05, (
        "the two networks must be of one size"
    )
    dtypes = (
        {torch.float32, torch.bfloat16, fast_dtype("cpu")}
        if fast_dtype("cpu") != torch.float32
        else {torch.float32}
    )
    runs = {
        (name, "channels last" if cl else "default layout", str(d)[6:]): Run(make, a.bs, cl, d)
        for (name, make), cl, d in itertools.product(
            (("UNet2DModel", peer), ("genda", ours)), (False, True), sorted(dtypes, key=str)
        )
    }
    for i in range(a.steps + 2):
        for r in runs.values():
            r.step()
    rate = {k: a.bs / statistics.median(r.times[2:]) for k, r in runs.items()}
    for k, v in sorted(rate.items(), key=lambda kv: -kv[1]):
        spread = runs[k].times[2:]
        print(
            f"{' '.join(k):45} {v:6.1f} images/s   {3 * (f1 if k[0] != 'genda' else f2) * v / 1e9:5.0f} GFLOP/s   step {min(spread):.2f} to {max(spread):.2f} s"
        )
    default, best_peer = (
        rate["UNet2DModel", "default layout", "float32"],
        max(v for k, v in rate.items() if k[0] != "genda"),
    )
    best = max(v for k, v in rate.items() if k[0] == "genda")
    print(
        f"genda at its best / UNet2DModel by default {best / default:.2f}, at its best {best / best_peer:.2f}"
    )
    out = settings().results / "bench_train.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(
        json.dumps(
            dict(
                images_per_second={" ".join(k): round(v, 2) for k, v in rate.items()},
                over_default=round(best / default, 3),
                over_best=round(best / best_peer, 3),
                parameters=dict(peer=p1, genda=p2),
                forward_flops=dict(peer=f1, genda=f2),
                bs=a.bs,
                steps=a.steps,
                **circumstances(),
            ),
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
