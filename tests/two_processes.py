"""What two processes compute together: run by test_processes.py in two of them, and in one.

The first process writes `out`; each process writes what its network saw.
"""

import signal
import sys
from pathlib import Path

import torch
from fastai.callback.core import Callback

from genda.data.registry import dls, load
from genda.diffusion.ddpm import denoiser, diffusion_learner, generate
from genda.diffusion.guidance import cfg
from genda.diffusion.process import GaussianDiffusion
from genda.diffusion.samplers import ddim
from genda.evaluation.evaluators import Evaluator
from genda.evaluation.metrics import frechet_distance
from genda.models.unet import UNet
from genda.settings import set_seed
from genda.training.processes import (
    DataParallel,
    SharedCheckpoint,
    joined,
    n_processes,
    rank,
    share,
)
from genda.training.resume import save_state

BS = 128
PROCESS = GaussianDiffusion.vp(100, "cosine")


class Record(Callback):
    "Keep what the network sees and is to answer, its gradients, and the losses."

    order = 950  # after DataParallel
    keeps = ()  # what it saw is not part of a checkpoint

    def __init__(self):
        self.grads = []
        self.losses = []
        self.seen = []

    def before_batch(self):
        if self.training:
            self.seen.append((self.xb[0].clone(), self.xb[1].clone(), self.yb[0].clone()))

    def after_backward(self):
        grads = [p.grad.reshape(-1) for p in self.model.parameters() if p.grad is not None]
        self.grads.append(torch.cat(grads).clone())
        self.losses.append(self.loss.item())


class Interrupt(Callback):
    "Press Ctrl-C in the last process, while it computes the second batch."

    def after_backward(self):
        if self.iter == 1 and rank() == n_processes() - 1:
            signal.raise_signal(signal.SIGINT)


def learner(folder, *cbs):
    "A Learner that is ready for a short training."
    set_seed(3)
    d = dls("mnist5k", BS, n=4 * BS, n_valid=50, drop_last=True)
    net = UNet(1, (8, 16), 1, classes=10, fold=2)
    own = folder / f"of process {rank()}"
    cbs = [*cbs, DataParallel(), SharedCheckpoint(own)]
    learn = diffusion_learner(d, net, PROCESS, "v", drop=0.3, cbs=cbs)
    learn.precision.dtype = torch.float32  # else a processor with bfloat16 would round to 3 digits
    return learn


def stopped(folder):
    "The number of the batch after which a training stopped on Ctrl-C."
    learn = learner(folder, Interrupt())
    try:
        with learn.no_bar(), learn.no_logging():
            learn.fit(1, 2e-3)
    except KeyboardInterrupt:
        return learn.iter
    return None


def trained(folder):
    "A short training: its network, and what was recorded of it."
    record = Record()
    learn = learner(folder, record)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 2e-3)
    return denoiser(learn.model, PROCESS, "v"), record


def validation(net):
    "The loss of 50 images, which two processes share, and of 51, which they do not."
    found = []
    for n in (50, 51):
        d = dls("mnist5k", 10, n=10, n_valid=n)
        learn = diffusion_learner(d, net, PROCESS, "v", cbs=DataParallel())
        learn.precision.dtype = torch.float32
        with learn.no_bar(), learn.no_logging():
            found.append(learn.validate()[0])
    return found


def run(out):
    folder = Path(out).parent
    denoise, record = trained(folder / "whole")
    y = torch.arange(7)
    how = dict(sampler=ddim, steps=4, eta=0.5, progress=False)
    drawn = generate(share(denoise), PROCESS, (1, 28, 28), y, **how)
    guided = generate(share(cfg(denoise, 1.0)), PROCESS, (1, 28, 28), y, **how)
    some, others = load("mnist5k", n=301)[0].split([150, 151])
    fd = frechet_distance(some, others, share(Evaluator("mnist")))
    seen = [torch.cat(parts) for parts in zip(*record.seen)]
    save_state(folder / f"seen by {rank()}", dict(zip(("xin", "t", "target"), seen)))
    found = dict(
        grads=record.grads,
        losses=record.losses,
        weights=torch.cat([p.detach().reshape(-1) for p in denoise.model.parameters()]),
        validation=validation(denoise.model),
        drawn=drawn,
        guided=guided,
        fd=float(fd),
        layer=fd.layer,
        stopped=stopped(folder / "stopped"),
    )
    if rank() == 0:
        save_state(out, found)
    print("printed by", rank())


if __name__ == "__main__":
    with joined():
        run(sys.argv[1])
