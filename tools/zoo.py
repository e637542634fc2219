"Train the networks of the zoo anew, each going on where it stopped."

import argparse
import os
import subprocess
import sys
from pathlib import Path

from run import ROOT, background

# The notebook that makes the evaluators of these data sets.
EVALUATORS = "6_workshop/7_evaluators"
NAMES = "mnist", "mnistm", "faces", "shapes"


def arguments():
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument(
        "names", nargs="*", help="entries of the zoo; all that can be trained by default"
    )
    cli.add_argument("--budget", default="study")
    cli.add_argument(
        "--folder",
        type=Path,
        help="where the weights go, by default into the package; better ones there are kept",
    )
    cli.add_argument(
        "--runs", type=Path, help="where trainings keep their checkpoints, by default runs/zoo"
    )
    cli.add_argument(
        "--background", action="store_true", help="return at once and write to runs/zoo.log"
    )
    return cli.parse_args()


def make_missing_evaluators(budget):
    "Run the notebook of the evaluators where one of their files is gone."
    weights = ROOT / "genda" / "weights"
    if all((weights / f"evaluator_{name}.safetensors").is_file() for name in NAMES):
        return
    command = [sys.executable, ROOT / "tools" / "run.py", "--budget", budget, "--apart", EVALUATORS]
    subprocess.run(command, check=True)


def train(names, folder, runs):
    "Train one network after the other; the names of those that could not be."
    from genda.zoo import ENTRIES, build, figures_of

    failed = []
    for name in names or [name for name, entry in ENTRIES.items() if entry.make]:
        print(f"== {name}", flush=True)
        try:
            card = build(name, folder, runs)
        except (RuntimeError, ValueError) as error:  # such as data that are not here
            failed.append(name)
            print(error, flush=True)
            continue
        print(*figures_of(card).values(), sep="\n")
        print(f"{card['images']:,} images in {card['seconds']:.0f} s", flush=True)
    return failed


def main():
    a = arguments()
    if a.background:
        command = [sys.executable, *(x for x in sys.argv if x != "--background")]
        return background(command, ROOT / "runs" / "zoo.log")
    os.environ["GENDA_BUDGET"] = a.budget
    make_missing_evaluators(a.budget)
    failed = train(a.names, a.folder, a.runs)
    if failed:
        sys.exit(f"not trained: {', '.join(failed)}")


if __name__ == "__main__":
    main()
