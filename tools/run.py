"Run notebooks at a budget, showing what they print while they run."
# ruff: noqa: E402, as Ctrl-C is answered before the slow imports

import os
import signal
import sys


def stopped(*_):
    "What Ctrl-C and a kill do while nothing is lost by ending at once."
    print("\nstopped; the same command starts it again", file=sys.stderr, flush=True)
    os._exit(130)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # the imports below take seconds
        signal.signal(number, stopped)

import argparse
import ast
import base64
import configparser
import html
import io
import json
import logging
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from PIL import Image, ImageChops

ROOT = Path(__file__).resolve().parent.parent

# -- the notebooks of the course


def in_order(path):
    "What sorts paths as a reader counts: 2 before 10."
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.as_posix())]


def notebooks(root=ROOT):
    "The paths of all numbered notebooks, in reading order."
    folder = root / "nbs"
    found = [p for p in folder.rglob("[0-9]*.ipynb") if ".ipynb_checkpoints" not in p.parts]
    return sorted(found, key=lambda path: in_order(path.relative_to(folder)))


def notebook_name(path, root=ROOT):
    "The name of a notebook: its path below nbs/ without ending, as in 2_diffusion/3_ddpm."
    return path.relative_to(root / "nbs").with_suffix("").as_posix()


def find_notebook(name, root=ROOT):
    "The path of a notebook that is named in full, or by its file alone as in 3_ddpm."
    names = {notebook_name(path, root): path for path in notebooks(root)}
    matching = [full for full in names if name in (full, full.split("/")[-1])]
    if len(matching) == 1:
        return names[matching[0]]
    sys.exit(f"unknown notebook {name!r}: one of {', '.join(names)}")


# -- what the terminal shows while a notebook runs


def progress_parts(markup):
    "The rows and the text of the bar in a fastai progress display; two empty ones for others."
    if "progress" not in markup:
        return [], ""

    def clean(texts):
        return [html.unescape(t).strip() for t in texts]

    rows = [
        clean(re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", r, re.S))
        for r in re.findall(r"<tr[^>]*>(.*?)</tr>", markup, re.S)
    ]
    return rows, " ".join(clean(re.findall(r"</progress>([^<]*)", markup)))


class LiveClient(NotebookClient):
    "An nbclient that prints headings, streams and training progress as they come."

    def go(self):
        self.began = time.monotonic()
        self.line = ""
        self.shown = {}
        self.on_cell_execute = self.heading
        try:
            self.execute()
        except (AssertionError, DeadKernelError):
            if not self.told_to_end():
                raise
            logging.disable()  # asyncio would tell of the tasks that wait for the kernel
            raise KeyboardInterrupt from None
        finally:
            self.write("")
        return time.monotonic() - self.began

    def told_to_end(self):
        "Whether a signal ended the kernel."
        return hasattr(
            self, "_async_cleanup_kernel_future"
        )  # nbclient's handler of signals sets it

    def heading(self, cell, cell_index):
        "Print the heading that stands above a code cell."
        above = self.nb.cells[cell_index - 1] if cell_index else cell
        if above.cell_type != "markdown":
            return
        titles = re.findall(r"^##? (.*)", above.source, re.M)
        if titles:
            self.say(titles[-1])

    def say(self, text):
        seconds = int(time.monotonic() - self.began)
        self.write(f"[{seconds // 60:2d}:{seconds % 60:02d}] {text}\n")

    def write(self, text):
        "Print `text` in place of an unfinished progress line."
        if self.line:
            print("\r" + " " * len(self.line), end="\r")
        self.line = "" if text.endswith("\n") else text
        print(text, end="", flush=True)

    def process_message(self, msg, cell, cell_index):
        content = msg["content"]
        if msg["msg_type"] == "stream":
            self.write(content["text"].rstrip("\n") + "\n")
        data = content.get("data") or {}
        self.progress(
            (content.get("transient") or {}).get("display_id"),
            data.get("text/html") or data.get("text/markdown") or "",
        )
        return super().process_message(msg, cell, cell_index)

    def progress(self, display, markup):
        "Print each new row of a progress table, and on a terminal the bar's text."
        rows, text = progress_parts(markup)
        for row in rows[self.shown.get(display, 0) :]:
            self.say(" ".join(f"{x:>12}" for x in row))
        self.shown[display] = max(len(rows), self.shown.get(display, 0))
        if text and sys.stdout.isatty():
            self.write(" " * 8 + text[:100])


# -- running one notebook


def output_data(nb):
    "The data of every output of `nb`, a dictionary from MIME type to content."
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            yield output.get("data", {})


def pictures(nb):
    "Ending and bytes of each picture in the outputs of `nb`."
    inline = r'data:image/(webp|gif|png);base64,([^"\']+)'
    for data in output_data(nb):
        if "image/png" in data:
            yield "png", base64.b64decode(data["image/png"])
        for kind, text in re.findall(inline, data.get("text/html", "")):
            yield kind, base64.b64decode(text)


# Bytes from which on a colour picture is stored in 256 colours.
LARGE = 60_000
# A folder that a lesson made for itself.
TEMPORARY = re.compile(re.escape(tempfile.gettempdir()) + r"[\\/]tmp\w{8}")


def lean(picture):
    "The same picture without channels that say nothing."
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (255, 255):
        picture = picture.convert("RGB")
    same = picture.mode == "RGB" and all(
        ImageChops.difference(picture.getchannel("R"), picture.getchannel(k)).getbbox() is None
        for k in "GB"
    )
    return picture.getchannel("R") if same else picture


def png(picture):
    "A picture as the bytes of a tight PNG file."
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def pack(nb):
    "Store outputs leanly: tight pictures, widgets as their picture, temporary folders unnamed."
    nb.metadata.pop("widgets", None)
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if "text" in output:
                output.text = TEMPORARY.sub("temporary", output.text)
    for data in output_data(nb):
        if "image/png" not in data:
            continue
        for other in "application/vnd.jupyter.widget-view+json", "image/jpeg":
            data.pop(other, None)
        picture = lean(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))))
        tight = png(picture)
        if picture.mode == "RGB" and len(tight) > LARGE:
            tight = png(picture.quantize(256))
        smaller = base64.b64encode(tight).decode()
        data["image/png"] = min(smaller, data["image/png"].strip(), key=len)


def run(path, out=None):
    "Execute a notebook, keep it in place or in `out` with its pictures; True if every cell ran."
    nb = nbformat.read(path, as_version=4)
    client = LiveClient(
        nb,
        timeout=None,
        kernel_name="python3",
        extra_arguments=["--log-level=50"],  # at 40 a kernel complains when it is told to end
        resources={"metadata": {"path": str(path.parent)}},
    )
    name = notebook_name(path, ROOT)
    print(f"== {name} at the {os.environ['GENDA_BUDGET']} budget", flush=True)
    failed = False
    try:
        seconds = client.go()
        print(f"== {name} took {seconds:.0f} s", flush=True)
    except CellExecutionError as error:
        print(error, f"== {name} failed", sep="\n", file=sys.stderr)
        failed = True
    if out:
        keep_apart(nb, out, path.name)
    elif not failed:
        from nbdev.clean import nbdev_clean

        pack(nb)
        nbformat.write(nb, path)
        nbdev_clean(str(path))
        keep_seconds(nb, name, seconds)
    return not failed


def keep_seconds(nb, name, seconds):
    "Store how long a notebook took that records no figures of its own, for the map of the course."
    records = any(re.search(r"\brecord\(", cell.source) for cell in nb.cells)
    if records or os.environ["GENDA_BUDGET"] not in ("lesson", "full"):
        return
    from genda.checks import write_json
    from genda.settings import settings
    from genda.training.tracking import circumstances, code_hash, may_write

    if may_write():
        result = dict(notebook=name, figures={}, seconds=round(seconds, 1))
        result |= dict(circumstances(), code=code_hash(name))
        write_json(settings().results / f"{name}.json", result)


def keep_apart(nb, out, name):
    "Write an executed notebook and its pictures into the folder `out`."
    shutil.rmtree(out / "pictures", ignore_errors=True)
    (out / "pictures").mkdir(parents=True)
    for i, (kind, data) in enumerate(pictures(nb), 1):
        (out / "pictures" / f"{i:02d}.{kind}").write_bytes(data)
    nbformat.write(nb, out / name)


# -- what it reached, beside what to expect


def expectations(notebook, data):
    "Figure -> (low, high), from the section [expect notebook data] of settings.ini."
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(ROOT / "settings.ini", encoding="utf-8-sig")
    section = f"expect {notebook} {data}"
    if section not in ini:
        return {}
    return {name: ast.literal_eval(band) for name, band in ini[section].items()}


def compared(value, low, high):
    "The expected band in words, and whether `value` lies in it; None leaves a side open."
    if low is None:
        words = f"at most {high:g}"
    elif high is None:
        words = f"at least {low:g}"
    else:
        words = f"{low:g} to {high:g}"
    inside = (low is None or low <= value) and (high is None or value <= high)
    return words if inside else words + "  <- outside"


def report(result):
    "Lines with the figures of a result beside what to expect of the data set it ran on."
    data = result["figures"].get("data")
    expect = expectations(result["notebook"], data)
    rows = [("", "reached", "to expect")]
    for name, figure in result["figures"].items():
        figure = dict(figure) if isinstance(figure, dict) else dict(value=figure)
        value = figure.pop("value", None)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        numbers = {k: v for k, v in figure.items() if isinstance(v, (int, float))}
        about = ", ".join(f"{k} {v:.4g}" for k, v in numbers.items())
        title = name.replace("_", " ") + (f" ({about})" if about else "")
        rows.append(
            (title, f"{value:.4g}", compared(value, *expect[name]) if name in expect else "")
        )
    width = max(len(title) for title, _, _ in rows)
    minutes = result["seconds"] / 60
    yield (
        f"{result['notebook']} on {data}: {minutes:.1f} minutes, {result['budget']} budget, "
        f"seed {result['seed']}, {result['processor']}\n"
    )
    for title, reached, expected in rows:
        yield f"{title:{width}}  {reached:>10}   {expected}".rstrip()


# -- the three ways to run: lesson in place, one into runs/, long tables in the background


def background(command, log):
    "Start `command` on its own and say where it writes."
    log.parent.mkdir(exist_ok=True)
    job = subprocess.Popen(
        command,
        stdout=log.open("a"),
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    print(
        f"running in the background as process {job.pid}; "
        "it goes on where it stopped when started again\n"
        f"follow it   tail -f {log}\nstop it     kill {job.pid}"
    )


def arguments():
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument(
        "notebooks",
        nargs="*",
        help="names as 2_diffusion/3_ddpm or 3_ddpm; all of them by default",
    )
    cli.add_argument("--budget", default="lesson")
    cli.add_argument("--using", default="", help="only notebooks that contain this text")
    cli.add_argument(
        "--apart",
        action="store_true",
        help="keep the executed notebook, pictures and figures in runs/<name>/, leave nbs/ alone",
    )
    cli.add_argument(
        "--root", type=Path, default=ROOT, help="the folder with settings.ini and nbs/"
    )
    cli.add_argument(
        "--background", action="store_true", help="return at once and write to runs/<budget>.log"
    )
    return cli.parse_args()


def set_environment(budget):
    "What the kernels of the notebooks are told."
    os.environ.update(GENDA_BUDGET=budget, JUPYTER_PREFER_ENV_PATH="1")
    # Said on import by a library, not by a lesson.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning:torch.jit._script")
    if os.environ.get("GENDA_DATA"):
        os.environ["GENDA_DATA"] = str(Path(os.environ["GENDA_DATA"]).expanduser().resolve())


def run_one(path, a):
    "Run one notebook and show what it reached; True if every cell ran."
    name = notebook_name(path, ROOT)
    out = ROOT / "runs" / path.stem if a.apart else None
    # Rows of long tables belong to the project, figures of a reader's run to runs/.
    results = out if out and a.budget == "lesson" else ROOT / "results"
    os.environ["GENDA_RESULTS"] = str(results)
    if not run(path, out):
        return False
    figures = results / f"{name}.json"
    if figures.is_file():
        print("", *report(json.loads(figures.read_text(encoding="utf-8"))), "", sep="\n")
    if out:
        opener = "make lab" if (ROOT / "Makefile").is_file() else f"jupyter lab {out}"
        print(f"pictures            {(out / 'pictures').relative_to(ROOT)}")
        print(f"executed notebook   {out.relative_to(ROOT) / path.name}")
        print(f"open it             {opener}\n")
    return True


def main():
    for stream in (sys.stdout, sys.stderr):  # a console may lack a character: a ? stands for it
        stream.reconfigure(errors="replace")
    a = arguments()
    global ROOT
    ROOT = a.root.resolve()
    if a.background:
        command = [sys.executable, *(x for x in sys.argv if x != "--background")]
        return background(command, ROOT / "runs" / f"{a.budget}.log")
    set_environment(a.budget)
    paths = [find_notebook(name, ROOT) for name in a.notebooks] or notebooks(ROOT)
    chosen = [path for path in paths if a.using in path.read_text(encoding="utf-8")]
    failed = [notebook_name(path, ROOT) for path in chosen if not run_one(path, a)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        stopped()
