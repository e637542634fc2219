"Write requirements.lock, and the lock of pip-audit, with hashes for every system and Python."

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = "dev", "test", "docs"  # what `make install` installs
PYTHON = "3.11.0"  # the oldest that the versions in constraints.txt run with
HEAD = "# Files by their hashes, for every system. Written by `make constraints`.\n"
BUILD = "editables~=0.3"  # what hatchling wants beside itself to install a folder in place
AUDIT = "pip-audit"  # what the weekly audit itself runs with


def compile_lock(out, text, *options):
    "Let uv find out what requirements lead to on every system."
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", *options, "--universal"]
    command += ["--python-version", PYTHON, "--generate-hashes", "--quiet"]
    command += ["--no-header", "--no-annotate"]
    env = os.environ | dict(UV_NO_CONFIG="1")  # no index of this machine's own gets into the file
    done = subprocess.run(command, cwd=ROOT, env=env, input=text, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{out} was not written: {done.stderr.strip()}")
    (ROOT / out).write_text(HEAD + done.stdout, encoding="utf-8")
    print(f"{out}: {done.stdout.count('--hash')} hashes")


def main():
    try:
        import uv  # noqa: F401 - it is only needed here, so no extra names it
    except ImportError:
        subprocess.run([sys.executable, "-m", "pip", "install", "uv"], check=True)
    extras = [word for name in EXTRAS for word in ("--extra", name)]
    compile_lock("requirements.lock", BUILD, "pyproject.toml", "-c", "constraints.txt", *extras)
    compile_lock(".ci/audit.lock", AUDIT)


if __name__ == "__main__":
    main()
