"Clean, export, format, lint and smoke-test one notebook, or those that changed."

import os
import subprocess
import sys
from pathlib import Path

from run import ROOT, find_notebook, notebook_name, notebooks

BIN = Path(sys.executable).parent


def changed():
    "The notebooks that differ from the last commit, or are new."
    command = ["git", "status", "--porcelain", "--untracked-files=all", "nbs"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {line[3:].strip('"') for line in said.splitlines()}
    return [path for path in notebooks(ROOT) if path.relative_to(ROOT).as_posix() in names]


def call(*command, **env):
    "Run a command; stop where it fails."
    print("$", *command, flush=True)
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, env=os.environ | env)
    if done.returncode:
        sys.exit(done.returncode)


def main():
    paths = [find_notebook(name, ROOT) for name in sys.argv[1:]] or changed()
    if not paths:
        sys.exit("no notebook has changed: name one, as in make check NB=3_ddpm")
    files = [path.relative_to(ROOT).as_posix() for path in paths]
    call("ruff", "format", *files)
    call("ruff", "check", *files)
    for file in files:
        call("nbdev-clean", "--fname", file)
    call("nbdev-export")
    for path in paths:
        smoke = dict(GENDA_BUDGET="smoke", OMP_NUM_THREADS="1")
        call("nbdev-test", f"nbs/{notebook_name(path, ROOT)}.ipynb", "--n-workers", "0", **smoke)


if __name__ == "__main__":
    main()
