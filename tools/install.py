"pip behind one moving line, with all that it says in a file: install.py LOG and pip's arguments."

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

# how pip's lines begin, and what the moving line says of them
STEPS = {
    r"Collecting (\S+)": "looking up",
    r"(?:Downloading|Using cached) (\S+)": "fetching",
    r"Building \S+ for (\S+)": "building",
    r"Installing collected packages": "unpacking all of them, which takes minutes without a word",
}


def step(line):
    "What a line of pip means for whoever waits, or None."
    for pattern, what in STEPS.items():
        if found := re.match(pattern, line.strip()):
            return f"{what} {found[1].rsplit('/', 1)[-1]}" if found.groups() else what
    return None


def show(text, end=""):
    "The moving line; where nobody looks, nothing."
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:width]:{width}}", end=end, flush=True)


def main():
    log, *arguments = sys.argv[1:]
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    begin = time.monotonic()
    looked_up = 0
    lines = []
    with open(log, "w", encoding="utf-8") as file:
        pip = subprocess.Popen(
            [*command, "--progress-bar", "off"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        try:
            for line in pip.stdout:
                file.write(line)
                file.flush()
                lines.append(line)
                now = step(line)
                looked_up += line.startswith("Collecting")
                if now:
                    seconds = time.monotonic() - begin
                    show(f"{seconds // 60:.0f}:{seconds % 60:02.0f}  {looked_up} packages, {now}")
        except KeyboardInterrupt:
            pip.wait()
            show("")
            print(f"\rstopped; the same command begins anew. What pip said: {log}")
            return 130
    show("")
    if pip.wait():
        said = [text for text in lines if text.startswith("ERROR")] or lines[-5:]
        print(
            "".join(["\r", *said]).rstrip(),
            f"pip could not do it; all that it said: {log}",
            sep="\n",
        )
        return pip.returncode
    print(f"\rinstalled in {time.monotonic() - begin:.0f} s; what pip said: {log}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
