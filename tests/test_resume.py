"Trainings killed with SIGKILL at random points end as if nothing had happened."

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

# One process imports everything, as that takes seconds, and forks a fresh one for each training, which takes none.
SCRIPT = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from torch import nn
from fastai.callback.core import Callback
from fastai.learner import Learner
import genda.resume
from genda.core import set_seed
from genda.data import dls, domain_dls
from genda.ddpm import KeepBest, diffusion_learner, warm_linear
from genda.process import GaussianDiffusion
from genda.resume import Resume, save_state
from genda.unet import UNet
torch.set_num_threads(1)

class Tell(Callback):
    "Write each batch, and each validation, to a pipe, so that the parent knows how far we are."
    order = -50
    def __init__(self, pipe): self.pipe = pipe
    def before_batch(self): os.write(self.pipe, b'.')

class Warm(Callback):
    "Draws from Python's and NumPy's generators, and remembers something."
    keeps = 'seen',
    def before_fit(self): self.seen = []
    def before_batch(self): self.learn.xb = tuple(x + .01*random.random() if x.is_floating_point() else x for x in self.xb)
    def after_batch(self): self.seen.append(random.randint(0, 9))

class Two(nn.Module):
    "Looks at two domains, as adaptation does."
    def __init__(self): super().__init__(); self.net = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(.3), nn.Flatten(), nn.Linear(4*169, 10))
    def forward(self, xs, xt=None): return self.net(xs) if xt is None else self.net(xs) + .1*self.net(xt)

def digits(cbs):
    process = GaussianDiffusion.vp(100, 'cosine')
    learn = diffusion_learner(dls('mnist5k', bs=16, n=112, n_valid=16), UNet(1, (8, 16), 1, classes=10, fold=2), process, 'v', decay=.9,
                              cbs=KeepBest(lambda net: torch.rand(())))
    return learn, lambda: learn.fit(3, 4e-3, cbs=[warm_linear(4e-3), *cbs])

class Pair(Callback):
    order = -5
    def before_batch(self):
        if isinstance(self.xb[0], tuple): self.learn.xb = self.xb[0]

def domains(cbs):
    learn = Learner(domain_dls('mnist5k', 'optdigits', bs=16, n=112, n_valid=32, size=28), Two(), loss_func=nn.CrossEntropyLoss(), cbs=[Pair(), Warm()])
    return learn, lambda: learn.fit_one_cycle(3, 1e-2, cbs=cbs)

def train(make, folder, pipe):
    set_seed(3); learn, fit = make([Resume(folder, every=4), Tell(pipe)])
    with learn.no_bar(), learn.no_logging(): fit()
    keep = dict(model=learn.model.state_dict(), opt=learn.opt.state_dict(), losses=learn.recorder.losses, values=learn.recorder.values,
                lrs=learn.recorder.lrs, chance=genda.resume.random_state(learn.dls.loaders))
    for name, of in (('ema', 'average'), ('keep_best', 'best'), ('keep_best', 'scores'), ('warm', 'seen')):
        if hasattr(learn, name): v = getattr(getattr(learn, name), of); keep[name + of] = v.state_dict() if hasattr(v, 'state_dict') else v
    save_state(Path(folder)/'end.safetensors', keep)

def child(make, folder, kill_at=None, delay=0., before=lambda: None):
    "Train in a process of its own, killed a moment after the batch `kill_at`; how it ended, and batches begun."
    read, write = os.pipe(); sys.stdout.flush(); pid = os.fork()
    if not pid:
        code = 1
        try: before(); train(make, folder, write); sys.stdout.flush(); code = 0
        finally: os._exit(code)
    os.close(write); begun = 0
    while os.read(read, 1):
        begun += 1
        if begun == kill_at: time.sleep(delay); os.kill(pid, signal.SIGKILL)
    os.close(read)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), begun

def kill_while_writing(after):
    "Let that many checkpoints be written, and die in the middle of the next."
    def before():
        whole, count = genda.resume.save_file, [0]
        def half(tensors, path, about):
            count[0] += 1; whole(tensors, path, about)
            if count[0] > after: os.truncate(path, os.path.getsize(path)//2); os.kill(os.getpid(), signal.SIGKILL)
        genda.resume.save_file = half
    return before

runs, seed = Path(sys.argv[1]), int(sys.argv[2]); rnd = random.Random(seed)
for make in (digits, domains):
    name = make.__name__
    code, total = child(make, runs/name/'whole'); print(name, 'whole', code, total)
    start = time.time(); child(make, runs/name/'again'); batch = (time.time() - start)/total
    kills = []
    while True:  # up to six kills, at random batches after the one where it was, at random moments in them
        code, begun = child(make, runs/name/'killed', rnd.randint(1, 7) if len(kills) < 6 else None, rnd.random()*batch)
        if code == 0: break
        kills.append(code)
    print(name, 'killed', *kills)
    code, _ = child(make, runs/name/'half', before=kill_while_writing(2)); print(name, 'half', code)
    left = sorted(p.name for p in (runs/name/'half').iterdir()); print(name, 'left', *left)
    code, begun = child(make, runs/name/'half'); print(name, 'finished', code, begun)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    "What the script prints, word by word, and the folder of its runs."
    if not hasattr(os, "fork"):
        pytest.skip("no fork and no SIGKILL on this system")
    runs, seed = tmp_path_factory.mktemp("runs"), int.from_bytes(os.urandom(2), "big")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(runs), str(seed)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ
        | dict(GENDA_BUDGET="smoke", PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", GENDA_DATA=""),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    lines = {
        tuple(w[:2]): w[2:]
        for w in map(str.split, done.stdout.splitlines())
        if w[0] in ("digits", "domains")
    }
    return runs, lines, f"seed {seed}:\n{done.stdout}"


def digest(path):
    from safetensors import safe_open

    with safe_open(path, "pt") as f:
        return (
            json.loads(f.metadata()["state"]),
            f.metadata()["sha256"],
            {k: f.get_tensor(k) for k in f},
        )


@pytest.mark.parametrize("name", ["digits", "domains"])
@pytest.mark.parametrize("run", ["again", "killed", "half"])
def test_ends_bit_for_bit_as_the_uninterrupted_run(said, name, run):
    import torch

    (a, da, ta), (b, db, tb) = (
        digest(said[0] / name / r / "end.safetensors") for r in ("whole", run)
    )
    assert [k for k in ta if not torch.equal(ta[k], tb.get(k, torch.zeros(0)))] == [], said[2]
    assert a == b and da == db, said[2]


@pytest.mark.parametrize("name", ["digits", "domains"])
def test_it_was_killed_several_times(said, name):
    assert said[1][name, "killed"].count("-9") >= 2 and set(said[1][name, "killed"]) == {"-9"}, (
        said[2]
    )


@pytest.mark.parametrize("name", ["digits", "domains"])
def test_a_kill_while_writing_leaves_the_old_checkpoint(said, name):
    lines = said[1]
    assert lines[name, "half"] == ["-9"] and lines[name, "left"] == [
        "checkpoint.part",
        "checkpoint.safetensors",
    ], said[2]
    assert lines[name, "finished"][0] == "0" and int(lines[name, "finished"][1]) < int(
        lines[name, "whole"][1]
    ), "it must go on, not begin anew: " + said[2]
