"""Trainings that are killed with SIGKILL, each in a process of its own: run by test_resume.py.

One process imports everything, as that takes seconds, and forks a fresh one for each training,
which takes none. Each printed line is: training, run, what came of it.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from fastai.callback.core import Callback
from fastai.learner import Learner
from torch import nn

from genda.data.domains import domain_dls
from genda.data.registry import dls
from genda.diffusion.ddpm import diffusion_learner
from genda.diffusion.process import GaussianDiffusion
from genda.models.unet import UNet
from genda.settings import set_seed
from genda.training.callbacks import KeepBest, warm_linear
from genda.training.resume import Resume, random_state, save_state

KILLS = 6  # at most, of one training


class Report(Callback):
    "Write each batch, and each validation, to a pipe, so that the parent knows how far we are."

    order = -50

    def __init__(self, pipe):
        self.pipe = pipe

    def before_batch(self):
        os.write(self.pipe, b".")


class Noisy(Callback):
    "Draws from Python's and NumPy's generators, and remembers something."

    keeps = ("seen",)

    def before_fit(self):
        self.seen = []

    def before_batch(self):
        self.learn.xb = tuple(
            x + 0.01 * random.random() if x.is_floating_point() else x for x in self.xb
        )

    def after_batch(self):
        self.seen.append(random.randint(0, 9))


class Two(nn.Module):
    "Looks at two domains, as adaptation does."

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(4 * 169, 10),
        )

    def forward(self, xs, xt=None):
        if xt is None:
            return self.net(xs)
        return self.net(xs) + 0.1 * self.net(xt)


class Pair(Callback):
    "Gives the network the images of both domains as two arguments."

    order = -5

    def before_batch(self):
        if isinstance(self.xb[0], tuple):
            self.learn.xb = self.xb[0]


def digits(cbs):
    "A diffusion training: its learner, and a function that trains."
    process = GaussianDiffusion.vp(100, "cosine")
    learn = diffusion_learner(
        dls("mnist5k", bs=16, n=112, n_valid=16),
        UNet(1, (8, 16), 1, classes=10, fold=2),
        process,
        "v",
        decay=0.9,
        cbs=KeepBest(lambda net: torch.rand(())),
    )

    def fit():
        learn.fit(3, 4e-3, cbs=[warm_linear(4e-3), *cbs])

    return learn, fit


def domains(cbs):
    "A training on two domains: its learner, and a function that trains."
    loaders = domain_dls("mnist5k", "optdigits", bs=16, n=112, n_valid=32, size=28)
    learn = Learner(loaders, Two(), loss_func=nn.CrossEntropyLoss(), cbs=[Pair(), Noisy()])

    def fit():
        learn.fit_one_cycle(3, 1e-2, cbs=cbs)

    return learn, fit


def end_state(learn):
    "Everything that an interrupted training must have in common with an uninterrupted one."
    state = dict(
        model=learn.model.state_dict(),
        opt=learn.opt.state_dict(),
        losses=learn.recorder.losses,
        values=learn.recorder.values,
        lrs=learn.recorder.lrs,
        generators=random_state(learn.dls.loaders),
    )
    kept = (("ema", "average"), ("keep_best", "best"), ("keep_best", "scores"), ("noisy", "seen"))
    for callback, name in kept:
        if hasattr(learn, callback):
            value = getattr(getattr(learn, callback), name)
            if hasattr(value, "state_dict"):
                value = value.state_dict()
            state[callback + name] = value
    return state


def train(make, folder, pipe):
    set_seed(3)
    learn, fit = make([Resume(folder, every=4), Report(pipe)])
    with learn.no_bar(), learn.no_logging():
        fit()
    save_state(Path(folder) / "end.safetensors", end_state(learn))


def train_in_child(make, folder, pipe, before):
    "The life of a forked process; it never returns."
    code = 1
    try:
        if before is not None:
            before()
        train(make, folder, pipe)
        sys.stdout.flush()
        code = 0
    finally:
        os._exit(code)


def child(make, folder, kill_at=None, delay=0.0, before=None):
    """Train in a process of its own, killed a moment after the batch `kill_at`.

    Gives how it ended, and batches begun.
    """
    read, write = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        train_in_child(make, folder, write, before)
    os.close(write)
    begun = 0
    while os.read(read, 1):
        begun += 1
        if begun == kill_at:
            time.sleep(delay)
            os.kill(pid, signal.SIGKILL)
    os.close(read)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), begun


def die_while_writing(after=2):
    "Let that many checkpoints be written, and die in the middle of the next."
    write_whole = Path.write_bytes
    written = 0

    def write_half(path, content):
        nonlocal written
        written += 1
        if written > after:
            write_whole(path, content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return write_whole(path, content)

    Path.write_bytes = write_half


def killed_again_and_again(make, folder, rnd, seconds):
    "Kill at random batches after the one where it was, at random moments in them; how each ended."
    kills = []
    while True:
        kill_at = rnd.randint(1, 7) if len(kills) < KILLS else None
        code, _ = child(make, folder, kill_at, rnd.random() * seconds)
        if code == 0:
            return kills
        kills.append(code)


def main(runs, rnd):
    for make in (digits, domains):
        name = make.__name__
        folder = runs / name
        code, total = child(make, folder / "whole")
        print(name, "whole", code, total)
        start = time.time()
        child(make, folder / "again")
        seconds = (time.time() - start) / total
        print(name, "killed", *killed_again_and_again(make, folder / "killed", rnd, seconds))
        code, _ = child(make, folder / "half", before=die_while_writing)
        print(name, "half", code)
        left = sorted(p.name for p in (folder / "half").iterdir() if p.name[0] != ".")
        print(name, "left", *left)
        code, begun = child(make, folder / "half")
        print(name, "finished", code, begun)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), random.Random(int(sys.argv[2])))
