"All figures of speed in one run, part by part, into results/bench.json."

import argparse
import json
import os
import sys
import time
from collections import namedtuple
from pathlib import Path

import costs
import frechet
import loading
import machine
import peak
import sampling
import sliders
import speedrun
import torch
import train

from genda.checks import write_json
from genda.settings import settings
from genda.training.tracking import circumstances

# What it measures, and the options of a run that only shows that it works.
Part = namedtuple("Part", "measure tiny")
TINY_SPEEDRUN = dict(work=0.005, seeds=(0,), n=200, sample_steps=2, data="mnist5k")
TINY_AXES = dict(batch=(2, 4), width=(8, 16), size=(16, 32), T=(2, 4))
PARTS = {
    "peak": Part(peak.measure, dict(side=64, bs=2, repeats=1, steps=1)),
    "train": Part(train.measure, dict(bs=2, steps=1)),
    "sampling": Part(sampling.measure, dict(n=2, steps=3, few=2, fewest=1, repeats=1, n_fd=20)),
    "sliders": Part(sliders.measure, dict(n=2, steps=2, moves=1)),
    "frechet": Part(frechet.measure, dict(n=400)),
    "data": Part(loading.measure, dict(n=256, bs=64, epochs=1)),
    "costs": Part(
        costs.measure,
        dict(axes=TINY_AXES, centre=dict(batch=2, width=8, size=16, T=2), repeats=1),
    ),
    "speedrun": Part(speedrun.measure, TINY_SPEEDRUN),
    "speedrun_fp32": Part(speedrun.measure_fp32, TINY_SPEEDRUN),
}
# What stands at the top of the file, and where it is found among the parts.
HEADLINES = {
    "work_tflop": ("speedrun", "work_tflop"),
    "accuracy": ("speedrun", "accuracy"),
    "fd_over_baseline": ("speedrun", "fd_over_baseline"),
    "fd_over_baseline_fp32": ("speedrun_fp32", "fd_over_baseline"),
    "seeds": ("speedrun", "seeds"),
    "share_of_peak": ("peak", "step_fast", "share_of_peak"),
    "over_diffusers_default": ("train", "over_diffusers_default"),
    "over_denoising_diffusion_pytorch_default": (
        "train",
        "over_denoising_diffusion_pytorch_default",
    ),
    "sampling_over_diffusers": ("sampling", "over_default"),
    "seconds_guidance_slider": ("sliders", "seconds_w"),
    "seconds_eta_slider": ("sliders", "seconds_eta"),
    "frechet_over_torch_fidelity": ("frechet", "seconds_over_torch_fidelity"),
    "data_over_torchvision": ("data", "over_torchvision"),
}


def headlines(parts):
    "The figures that a reader looks for first; those that were not measured are left out."
    found = {}
    for name, path in HEADLINES.items():
        value = parts
        for key in path:
            value = value.get(key, {})
        if value != {}:
            found[name] = value
    return found


# -- the file


class Record:
    "The file of results: what is measured goes into it at once."

    def __init__(self, path, tiny):
        self.path = Path(path)
        self.about = dict(
            precision=machine.name_of(machine.precision()),
            threads=torch.get_num_threads(),
            isa=machine.limited(),
            tiny=tiny,
            **circumstances(),
        )
        if self.about["isa"]:
            self.about["note"] = machine.MARK.format(self.about["isa"].upper())
        self.clear()

    def clear(self):
        self.parts = {}
        self.seconds = {}
        self.in_use = {}
        self.finished = []

    def read(self, replace):
        "Go on from what is stored under the same circumstances; `replace` other ones, or end."
        if not self.path.is_file():
            return
        stored = json.loads(self.path.read_text(encoding="utf-8"))
        other = [key for key, value in self.about.items() if stored.get(key) != value]
        if other and replace:
            print(f"{self.path}: replaced, it has another {', '.join(other)}")
        elif other:
            key = other[0]
            sys.exit(
                f"{self.path} was measured with {key} {stored.get(key)!r}, not "
                f"{self.about[key]!r}: name another file with --out, or measure all parts"
            )
        else:
            for key in ("parts", "seconds", "in_use", "finished"):
                setattr(self, key, stored[key])

    def write(self):
        write_json(
            self.path,
            dict(
                **headlines(self.parts),
                **self.about,
                quiet=max(self.in_use.values(), default=0) <= machine.BUSY,
                finished=self.finished,
                seconds=self.seconds,
                in_use=self.in_use,
                parts=self.parts,
            ),
        )

    def measure(self, name, measure, threads, options):
        "One part; every figure is written as soon as it is there."
        self.finished = [other for other in self.finished if other != name]
        start = time.perf_counter()
        for figures in machine.apart(measure, threads, **options):
            self.parts[name] = figures
            self.seconds[name] = round(time.perf_counter() - start, 1)
            self.write()
        self.finished.append(name)
        self.write()


# -- the command


def options():
    cli = argparse.ArgumentParser(description=__doc__, parents=[speedrun.arguments()])
    cli.add_argument("--only", nargs="+", choices=PARTS, help="measure these parts alone")
    cli.add_argument("--skip", nargs="+", choices=PARTS, default=[], help="leave these parts out")
    cli.add_argument("--resume", action="store_true", help="leave out what is finished")
    cli.add_argument("--busy", action="store_true", help="measure on a busy machine all the same")
    cli.add_argument(
        "--tiny", action="store_true", help="show that all works; the figures do not count"
    )
    cli.add_argument("--isa", choices=machine.LIMITS, help="measure as with this instruction set")
    cli.add_argument("--threads", type=int, default=os.cpu_count(), help="of PyTorch")
    cli.add_argument("--out", help="the file; by default results/bench.json or bench_ISA.json")
    return cli.parse_args()


def out_file(a):
    "Where the figures go: tiny ones not among those that are shown."
    if a.out:
        return a.out
    name = f"bench_{a.isa}.json" if a.isa else "bench.json"
    s = settings()
    return s.root / "runs" / "tiny" / name if a.tiny else s.results / name


def options_of(name, a, record):
    "What a part is called with."
    if a.tiny:
        options = dict(PARTS[name].tiny)
    elif name.startswith("speedrun"):
        keys = ("recipe", "work", "data", "seeds", "n", "sample_steps")
        options = {key: getattr(a, key) for key in keys}
    else:
        options = {}
    if name.startswith("speedrun"):
        options["stored"] = record.parts.get(name)
    return options


def chosen(a, record):
    "The names of the parts to measure."
    names = [name for name in a.only or PARTS if name not in a.skip]
    return [name for name in names if not (a.resume and name in record.finished)]


def measured(names, a, record):
    "Measure some parts; the names of those that failed."
    failed = []
    for k, name in enumerate(names):
        if not a.tiny:
            record.in_use[name] = machine.used()
            if not a.busy:
                machine.refuse_when_busy(record.in_use[name])
        print(f"[{k + 1} of {len(names)}] {name}", flush=True)
        try:
            record.measure(name, PARTS[name].measure, a.threads, options_of(name, a, record))
        except RuntimeError as error:
            print(f"  {error}")
            failed.append(name)
    return failed


def main():
    a = options()
    if a.isa:
        machine.limit(a.isa)
    torch.set_num_threads(a.threads)
    record = Record(out_file(a), a.tiny)
    record.read(replace=not (a.only or a.skip or a.resume))
    names = chosen(a, record)
    try:
        failed = measured(names, a, record)
    except KeyboardInterrupt:
        sys.exit(f"\ninterrupted: what was measured is in {record.path}; --resume goes on")
    print(f"in {record.path}: {headlines(record.parts)}")
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}, see above")


if __name__ == "__main__":
    main()
