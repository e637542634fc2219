"Training: callbacks, schedules, optimisers, processes, called with good and hostile arguments."

import numpy as np
import pytest
import torch
from cases import CASES, case, number, run, whole
from hostile import above, fastai_calls, floats, mostly, noise
from hypothesis import strategies as st
from torch import nn

from genda.training import callbacks, checkpoints, optimisers, processes, resume, tracking

MODULES = [
    *(f"training.{name}" for name in ("callbacks", "checkpoints", "optimisers", "processes")),
    *(f"training.{name}" for name in ("resume", "tracking")),
]
LEARNER = "takes a Learner, and nothing else that could be wrong"
SEVERAL = "gives back what it gets in one process; several are in tests/test_processes.py"
FILES = "reads or writes files: tests/test_weights.py, test_resume_faults.py, test_results.py"
EXEMPT = {
    "training.callbacks.fast_dtype": "takes a device",
    "training.callbacks.ByteCount": "takes nothing",
    "training.callbacks.memory_free": "takes a device",
    "training.callbacks.TrainingDiverged": "an error",
    "training.callbacks.finding_lr": LEARNER,
    "training.callbacks.diverged": LEARNER,
    "training.callbacks.check_weights": LEARNER,
    "training.callbacks.StopDiverged": "takes no arguments",
    **{f"training.checkpoints.{name}": FILES for name in checkpoints.__all__ if name != "NETWORKS"},
    "training.checkpoints.Score.figures": "takes no arguments",
    "training.optimisers.hidden_matrices": "takes a network of this course",
    "training.optimisers.use_muon": LEARNER,
    "training.optimisers.Muon.step": "called in each step",
    "training.processes.ProcessLost": "an error",
    "training.processes.n_processes": "takes no arguments",
    "training.processes.rank": "takes no arguments",
    "training.processes.own_rows": SEVERAL,
    "training.processes.all_rows": SEVERAL,
    "training.processes.average": SEVERAL,
    "training.processes.broadcast": SEVERAL,
    "training.processes.DataParallel": "takes no arguments",
    "training.processes.SharedCheckpoint": "a Resume",
    "training.processes.SharedCheckpoint.rescue": "takes no arguments",
    "training.processes.joined": "takes no arguments",
    "training.processes.first_to_report": "takes no arguments",
    "training.processes.Shared": SEVERAL,
    "training.processes.Shared.with_y": SEVERAL,
    "training.processes.Shared.__call__": SEVERAL,
    "training.processes.share": SEVERAL,
    "training.resume.save_state": FILES,
    "training.resume.load_state": FILES,
    "training.resume.random_state": "takes loaders",
    "training.resume.set_random_state": "takes what random_state gives",
    **{f"training.tracking.{name}": FILES for name in tracking.__all__},
    **fastai_calls("training.callbacks", "training.processes", "training.resume"),
}


def kept_memory(size):
    try:
        return callbacks.keep_memory(size)
    finally:
        callbacks.keep_memory()


def at_some_places(scheduler):
    return [float(np.max(scheduler.scheds["lr"](place))) for place in (0, 0.01, 0.5, 1)]


RATE = mostly(0.01, number(0, 1) | st.sampled_from([np.array([0.1, 0.2]), np.array([0.1, np.nan])]))
WARM = number(0, 0.99) | st.just(1)
case("training.callbacks.keep_memory", kept_memory, size=whole(0, 2**29) | above(2**30))
case(
    "training.callbacks.largest_batch",
    lambda memory: callbacks.largest_batch(lambda: torch.zeros(10), torch.device("cpu"), memory),
    memory=st.none() | whole(1, 2**60),
)
case(
    "training.callbacks.Precision",
    callbacks.Precision,
    dtype=st.sampled_from([None, torch.float16, torch.float32, torch.int64, "half", 16, [1]]),
)
case("training.callbacks.EMA", callbacks.EMA, decay=number(0, 0.999) | st.sampled_from([1, 1.5]))
case(
    "training.callbacks.KeepBest",
    callbacks.KeepBest,
    score=st.just(len),
    every=whole(1, 9),
)
case(
    "training.callbacks.warm_linear",
    lambda lr, warm: at_some_places(callbacks.warm_linear(lr, warm)),
    lr=RATE,
    warm=mostly(0.1, WARM),
)
case(
    "training.callbacks.warm_cosine",
    lambda lr, warm, end: at_some_places(callbacks.warm_cosine(lr, warm, end)),
    lr=RATE,
    warm=mostly(0.1, WARM),
    end=mostly(0.1, number(0, 1)),
)
case(
    "training.callbacks.TimeBudget",
    callbacks.TimeBudget,
    seconds=mostly(9, number(0.1, 99) | st.just(0)),
    times=mostly(2, whole(1, 9)),
)

MATRICES = [nn.Parameter(noise(3, 4))]
REST = [nn.Parameter(noise(4))]
case(
    "training.optimisers.orthogonal",
    optimisers.orthogonal,
    matrices=floats(2, 3, 4),
    rounds=mostly(2, whole(0, 5)),
)


def stepped(params, **numbers):
    "What one step makes of ones."
    optimiser = optimisers.Muon(params, **numbers)
    for group in optimiser.param_groups:
        for p in group["params"]:
            p.data.fill_(1)
            p.grad = torch.ones_like(p)
    optimiser.step()
    return [p.detach() for group in optimiser.param_groups for p in group["params"]]


case(
    "training.optimisers.Muon",
    stepped,
    says=("Muon takes groups", "group is for matrices"),
    params=mostly([MATRICES, REST], st.sampled_from([[REST, MATRICES], MATRICES, [], [MATRICES]])),
    lr=mostly(0.1, number(0, 1)),
    momentum=mostly(0.9, number(0, 1) | st.just(2)),
    weight_decay=mostly(0.1, number(0, 1)),
)
case(
    "training.processes.check_batch",
    processes.check_batch,
    says=("a batch of",),
    bs=whole(1, 9),
    n=mostly(1, whole(1, 4) | st.none()),
)
case("training.resume.Resume", resume.Resume, path=st.just("runs"), every=whole(1, 9))

STARTS = tuple(f"{module}." for module in MODULES)
NAMES = [name for name in CASES if name.startswith(STARTS)]


@pytest.mark.parametrize("name", NAMES)
def test_works_as_documented_or_is_refused_by_name(name):
    run(name)
