"Run the lessons that train with further seeds, a resumable run each, into results/seeds/."

import argparse
import json
import os
import sys
from pathlib import Path

from run import background, find_notebook, notebook_name, run, set_environment

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from genda.training.tracking import code_hash  # noqa: E402 - the package of this folder

LESSONS = (
    "4_adaptation/3_recipe",
    "4_adaptation/2_domain_gap",
    "2_diffusion/9_cold",
    "3_gan/1_gan",
    "4_adaptation/1_dann",
    "2_diffusion/3_ddpm",
)
SEEDS = (43, 44, 45, 46)  # beside that of settings.ini


def is_done(file, name):
    "Whether a run is stored that the present code made."
    if not file.is_file():
        return False
    return json.loads(file.read_text(encoding="utf-8"))["code"] == code_hash(name, "lesson")


def run_with(path, seed):
    "Run a lesson with a seed and keep its figures; True where every cell ran."
    name = notebook_name(path, ROOT)
    kept = ROOT / "results" / "seeds" / name / f"{seed}.json"
    if is_done(kept, name):
        print(f"== {name} with seed {seed} is stored")
        return True
    out = ROOT / "runs" / "seeds" / str(seed)
    os.environ.update(GENDA_SEED=str(seed), GENDA_RESULTS=str(out))
    print(f"== seed {seed}")
    ran = run(path, out / path.stem)
    written = out / f"{name}.json"
    if is_done(written, name):  # an assertion of the lesson may fail after its figures were written
        kept.parent.mkdir(parents=True, exist_ok=True)
        written.replace(kept)
    return ran


def main():
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("notebooks", nargs="*", default=LESSONS, help="by default those that train")
    cli.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    cli.add_argument("--background", action="store_true", help="write to runs/seeds.log")
    a = cli.parse_args()
    if a.background:
        command = [sys.executable, *(x for x in sys.argv if x != "--background")]
        return background(command, ROOT / "runs" / "seeds.log")
    set_environment("lesson")
    paths = [find_notebook(name, ROOT) for name in a.notebooks]
    failed = [
        f"{notebook_name(path, ROOT)} with seed {seed}"
        for seed in a.seeds
        for path in paths
        if not run_with(path, seed)
    ]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nstopped; the same command goes on")
