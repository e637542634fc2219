"Run notebooks at a budget, showing what they print while they run."

import argparse
import ast
import base64
import configparser
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image, ImageChops

ROOT = Path(__file__).resolve().parent.parent

# -- what the terminal shows while a notebook runs


def progress_parts(markup):
    "The rows of the table and the text of the bar in a fastai progress display; two empty ones for anything else."
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
        self.began, self.line, self.shown = time.monotonic(), "", {}
        self.on_cell_execute = self.heading
        try:
            self.execute()
        finally:
            self.write("")
        return time.monotonic() - self.began

    def heading(self, cell, cell_index):
        "Print the heading that stands above a code cell."
        above = self.nb.cells[cell_index - 1] if cell_index else cell
        titles = (
            re.findall(r"^##? (.*)", above.source, re.M) if above.cell_type == "markdown" else []
        )
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


def pictures(nb):
    "Ending and bytes of each picture in the outputs of `nb`."
    for data in (o.get("data", {}) for c in nb.cells for o in c.get("outputs", [])):
        if "image/png" in data:
            yield "png", base64.b64decode(data["image/png"])
        for kind, text in re.findall(
            r'data:image/(webp|gif|png);base64,([^"\']+)', data.get("text/html", "")
        ):
            yield kind, base64.b64decode(text)


LARGE = 60_000  # bytes from which on a colour picture is stored in 256 colours
TEMPORARY = re.compile(
    re.escape(tempfile.gettempdir()) + r"[\\/]tmp\w{8}"
)  # a folder that a lesson made for itself


def lean(picture):
    "The same picture without channels that say nothing."
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (255, 255):
        picture = picture.convert("RGB")
    same = picture.mode == "RGB" and all(
        ImageChops.difference(picture.getchannel("R"), picture.getchannel(k)).getbbox() is None
        for k in "GB"
    )
    return picture.getchannel("R") if same else picture


def pack(nb):
    "Store outputs of `nb` leanly: PNG pictures tightly, without loss below LARGE bytes, and each once; of a widget only its picture; temporary folders without their names."
    nb.metadata.pop("widgets", None)
    for o in (o for c in nb.cells for o in c.get("outputs", []) if "text" in o):
        o.text = TEMPORARY.sub("temporary", o.text)
    for data in (o.get("data", {}) for c in nb.cells for o in c.get("outputs", [])):
        if "image/png" in data:
            for other in "application/vnd.jupyter.widget-view+json", "image/jpeg":
                data.pop(other, None)
            picture = lean(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))))
            picture.save(tight := io.BytesIO(), "PNG", optimize=True)
            if picture.mode == "RGB" and len(tight.getvalue()) > LARGE:
                picture.quantize(256).save(tight := io.BytesIO(), "PNG", optimize=True)
            data["image/png"] = min(
                base64.b64encode(tight.getvalue()).decode(), data["image/png"].strip(), key=len
            )


def run(path, out=None):
    "Execute a notebook and keep it in place, or in the folder `out` with its pictures; True if every cell ran."
    nb = nbformat.read(path, as_version=4)
    client = LiveClient(
        nb,
        timeout=None,
        kernel_name="python3",
        extra_arguments=["--log-level=40"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    print(f"== {path.stem} at the {os.environ['GENDA_BUDGET']} budget", flush=True)
    try:
        print(f"== {path.stem} took {client.go():.0f} s", flush=True)
    except CellExecutionError as error:
        failed = print(error, f"== {path.stem} failed", sep="\n", file=sys.stderr) or True
    else:
        failed = False
    if out:
        shutil.rmtree(out / "pictures", ignore_errors=True)
        (out / "pictures").mkdir(parents=True)
        for i, (kind, data) in enumerate(pictures(nb), 1):
            (out / "pictures" / f"{i:02d}.{kind}").write_bytes(data)
        nbformat.write(nb, out / path.name)
    elif not failed:
        from nbdev.clean import nbdev_clean

        pack(nb)
        nbformat.write(nb, path)
        nbdev_clean(str(path))
    return not failed


# -- what it reached, beside what to expect


def expectations(notebook, data):
    "Figure -> (low, high) as section [expect notebook data] of settings.ini has them; None leaves a side open."
    ini = configparser.ConfigParser()
    ini.read(ROOT / "settings.ini", encoding="utf-8")
    section = f"expect {notebook} {data}"
    return {k: ast.literal_eval(v) for k, v in ini[section].items()} if section in ini else {}


def judged(value, low, high):
    "The expected band in words, and whether `value` lies in it."
    words = (
        f"at most {high:g}"
        if low is None
        else f"at least {low:g}"
        if high is None
        else f"{low:g} to {high:g}"
    )
    return words + (
        "" if (low is None or low <= value) and (high is None or value <= high) else "  <- outside"
    )


def report(result):
    "Lines with the figures of a result beside what to expect of the data set it ran on."
    data = result["figures"].get("data")
    expect, rows = expectations(result["notebook"], data), [("", "reached", "to expect")]
    for name, figure in result["figures"].items():
        figure = dict(figure) if isinstance(figure, dict) else dict(value=figure)
        value = figure.pop("value", None)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        about = ", ".join(f"{k} {v:.4g}" for k, v in figure.items() if isinstance(v, (int, float)))
        rows.append(
            (
                name.replace("_", " ") + (f" ({about})" if about else ""),
                f"{value:.4g}",
                judged(value, *expect[name]) if name in expect else "",
            )
        )
    wide = max(len(r[0]) for r in rows)
    yield f"{result['notebook']} on {data}: {result['seconds'] / 60:.1f} minutes, {result['budget']} budget, seed {result['seed']}, {result['processor']}\n"
    yield from (f"{a:{wide}}  {b:>10}   {c}".rstrip() for a, b, c in rows)


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
        f"running in the background as process {job.pid}; it goes on where it stopped when started again\nfollow it   tail -f {log}\nstop it     kill {job.pid}"
    )


def main():
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument(
        "notebooks", nargs="*", help="names as in nbs/, without ending; all of them by default"
    )
    cli.add_argument("--budget", default="lesson")
    cli.add_argument("--using", default="", help="only notebooks that contain this text")
    cli.add_argument(
        "--apart",
        action="store_true",
        help="keep the executed notebook, pictures and figures in runs/<name>/ and leave nbs/ alone",
    )
    cli.add_argument(
        "--root",
        type=Path,
        default=Path(__file__).resolve().parent.parent,
        help="the folder with settings.ini and nbs/",
    )
    cli.add_argument(
        "--background", action="store_true", help="return at once and write to runs/<budget>.log"
    )
    a = cli.parse_args()
    global ROOT
    ROOT = a.root.resolve()
    if a.background:
        return background(
            [sys.executable, *(x for x in sys.argv if x != "--background")],
            ROOT / "runs" / f"{a.budget}.log",
        )
    os.environ.update(GENDA_BUDGET=a.budget, JUPYTER_PREFER_ENV_PATH="1")
    os.environ.setdefault(
        "PYTHONWARNINGS", "ignore::FutureWarning:torch.jit._script"
    )  # said on import by a library, not by a lesson
    if os.environ.get("GENDA_DATA"):
        os.environ["GENDA_DATA"] = str(Path(os.environ["GENDA_DATA"]).expanduser().resolve())
    paths = [ROOT / "nbs" / f"{n}.ipynb" for n in a.notebooks] or sorted(
        (ROOT / "nbs").glob("[0-9]*.ipynb")
    )
    failed = []
    for path in (p for p in paths if a.using in p.read_text(encoding="utf-8")):
        out = ROOT / "runs" / path.stem if a.apart else None
        results = (
            out if out and a.budget == "lesson" else ROOT / "results"
        )  # rows of long tables belong to the project
        os.environ["GENDA_RESULTS"] = str(results)
        if not run(path, out):
            failed.append(path.stem)
            continue
        figures = results / f"{path.stem}.json"
        if figures.is_file():
            print("", *report(json.loads(figures.read_text(encoding="utf-8"))), "", sep="\n")
        if out:
            print(
                f"pictures            {(out / 'pictures').relative_to(ROOT)}\nexecuted notebook   {out.relative_to(ROOT) / path.name}\nopen it             {'make lab' if (ROOT / 'Makefile').is_file() else f'jupyter lab {out}'}\n"
            )
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
