"Train the networks of the zoo anew, one after the other, each going on where it stopped; judges only where their files are gone."

import argparse
import os
import subprocess
import sys
from pathlib import Path

from run import ROOT, background

JUDGES = dict(
    judge_mnist="04_metrics",
    judge_mnistm="04_metrics",
    judge_faces="04b_judges",
    judge_shapes="04c_shapes_judge",
)  # and the lesson that makes each


def main():
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument(
        "names", nargs="*", help="entries of the zoo; all that can be trained by default"
    )
    cli.add_argument("--budget", default="study")
    cli.add_argument(
        "--folder",
        type=Path,
        help="where the weights go, by default into the package; better ones that lie there are kept",
    )
    cli.add_argument(
        "--runs", type=Path, help="where trainings keep their checkpoints, by default runs/zoo"
    )
    cli.add_argument(
        "--background", action="store_true", help="return at once and write to runs/zoo.log"
    )
    a = cli.parse_args()
    if a.background:
        return background(
            [sys.executable, *(x for x in sys.argv if x != "--background")],
            ROOT / "runs" / "zoo.log",
        )
    os.environ["GENDA_BUDGET"] = a.budget
    gone = {
        lesson
        for judge, lesson in JUDGES.items()
        if not (ROOT / "genda" / "weights" / f"{judge}.safetensors").is_file()
    }
    if gone:
        subprocess.run(
            [
                sys.executable,
                ROOT / "tools" / "run.py",
                "--budget",
                a.budget,
                "--apart",
                *sorted(gone),
            ],
            check=True,
        )
    from genda.zoo import ENTRIES, build, told

    failed = []
    for name in a.names or [k for k, e in ENTRIES.items() if e.make]:
        print(f"== {name}", flush=True)
        try:
            card = build(name, a.folder, a.runs)
        except (RuntimeError, ValueError) as error:
            failed.append(name)
            print(error, flush=True)  # such as data that are not here
        else:
            print(
                *told(card).values(),
                f"{card['images']:,} images in {card['seconds']:.0f} s",
                sep="\n",
                flush=True,
            )
    if failed:
        sys.exit(f"not trained: {', '.join(failed)}")


if __name__ == "__main__":
    main()
