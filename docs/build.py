"Build the site: nbdev processes the notebooks, Sphinx makes pages of them. Offline but for the first time; a warning is an error."

import argparse
import ast
import base64
import csv
import io
import os
import re
import shutil
import sys
import time
from html import escape
from pathlib import Path

import nbformat
import yaml
from nbdev.serve import proc_nbs
from PIL import Image
from sphinx.cmd.build import main as sphinx_build

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(DOCS), str(ROOT / "tools")]
import reference
import vendor  # noqa: E402
from conf import LIVE, MADE  # noqa: E402
from readme import lessons, result  # noqa: E402
from timetable import timetable  # noqa: E402

# -- a lesson as a page


def plain(text):
    "Markdown as words."
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"<[^>]*>", "", text))
    return re.sub(r"\s+", " ", re.sub(r"[`*$\\]|^#+ .*$|^[>|-] *", "", text, flags=re.M)).strip()


def literal(node):
    try:
        return [str(v) for v in ast.literal_eval(node)]
    except (ValueError, TypeError):
        return []


def described(source, heading, prose):
    "What stands in a picture, from the section it is in, the sentences before it and the labels that its code writes into it."
    calls = [
        n
        for n in ast.walk(ast.parse(re.sub(r"^\s*[%!].*$", "", source, flags=re.M)))
        if isinstance(n, ast.Call)
    ]
    words, grid = {}, any("show_" in ast.unparse(c.func) for c in calls)
    for c in calls:
        if getattr(c.func, "id", "") == "show_grid":
            words |= {
                {"rows": "rows", "cols": "columns", "titles": "titles"}[k.arg]: literal(k.value)
                for k in c.keywords
                if k.arg in ("rows", "cols", "titles")
            }
        words |= {
            k.arg[0] + " axis": [k.value.value]
            for k in c.keywords
            if k.arg in ("xlabel", "ylabel") and isinstance(k.value, ast.Constant)
        }
        if getattr(c.func, "attr", "") in ("set_xlabel", "set_ylabel") and isinstance(
            c.args[0], ast.Constant
        ):
            words[c.func.attr[4] + " axis"] = [c.args[0].value]
    sentences = re.split(r"(?<=[.?!]) (?=[A-Z])", plain(prose.strip().split("\n\n")[-1]))
    while len(sentences) > 1 and len(" ".join(sentences)) > 260:
        sentences.pop(0)
    kind = "Images" if grid else "Plot" if any("axis" in k for k in words) else "Picture"
    return " ".join(
        [
            f'{kind} in the section "{plain(heading)}".',
            *sentences,
            *(
                f"{k[0].upper()}{k[1:]}: {', '.join(v)}."
                for k, v in words.items()
                if v and len(v) <= 12
            ),
        ]
    )


def still(html, name):
    "An animation as files, its last frame and itself, which the page plays three times at most."

    def put(m):
        data = base64.b64decode(m[3])
        path = MADE / "animations" / f"{name}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        film = Image.open(io.BytesIO(data))
        seconds = 0
        for k in range(film.n_frames):
            film.seek(k)
            film.load()
            seconds += film.info["duration"] / 1000
        path.write_bytes(data)
        film.convert("RGB").save(path.with_suffix(".png"), optimize=True)
        at = f"../_static/animations/{name}"
        return f'<figure class="animation">{m[1]} src="{at}.png" data-still="{at}.png" data-moving="{at}.webp" data-seconds="{3 * seconds:.1f}"></figure>'

    return re.sub(r'(<img [^>]*?)\s*src="data:image/(webp|gif);base64,([^"]+)"[^>]*>', put, html)


def page(nb, stem, symbols):
    "A processed notebook without nbdev's directives and cells that hold nothing else, with links, descriptions and the command that opens it."
    used = {
        n for c in nb.cells if c.cell_type == "code" for n in re.findall(r"[A-Za-z_]\w*", c.source)
    }
    heading = prose = ""
    cells = []
    for i, c in enumerate(nb.cells):
        if c.cell_type == "markdown":
            heading = (re.findall(r"^#+ (.+)", c.source, re.M) or [heading])[-1]
            if plain(c.source):
                prose = c.source
            c.source = symbols.link(c.source, used)
        if c.cell_type != "code":
            cells.append(c)
            continue
        moving = [
            o
            for o in c.get("outputs", [])
            if o.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        ]
        c.outputs = [o for o in c.get("outputs", []) if o not in moving or "image/png" in o.data]
        alt = (
            described(c.source, heading, prose)
            if any(kind.startswith("image/") for o in c.outputs for kind in o.get("data", {}))
            else ""
        )
        if any("image/png" in o.get("data", {}) for o in c.outputs):
            c.metadata["mystnb"] = {"image": {"alt": alt}}
        for k, o in enumerate(c.outputs):
            for kind in {"image/webp", "image/gif"} & {*o.get("data", {})}:
                o.data["text/html"] = (
                    f'<img alt="{escape(alt)}" src="data:{kind};base64,{"".join(o.data.pop(kind).split())}">'
                )
            if "text/html" in o.get("data", {}):
                o.data["text/html"] = still(o.data["text/html"], f"{stem}-{i}-{k}")
        c.source = re.sub(r"^#\|.*\n?", "", c.source, flags=re.M).strip("\n")
        if c.source or c.outputs:
            cells.append(c)
        if moving:
            cells.append(
                nbformat.v4.new_markdown_cell(
                    "*In a running notebook a slider stands here.*"
                    + (
                        " Some move without one: [live pages](../live/index.md)."
                        if (MADE / "networks").exists()
                        else ""
                    )
                )
            )
    path = (
        next(ROOT.glob(f"nbs/**/{stem}.ipynb")).relative_to(ROOT / "nbs").with_suffix("").as_posix()
    )
    cells.insert(
        1,
        nbformat.v4.new_markdown_cell(
            f"```{{admonition}} Run this lesson\n:class: tip\n`make lab NB={path}` in a copy of the repository\n```"
        ),
    )
    nb.cells = cells
    return nb


# -- pages made from data


def number(x):
    return f"{x:.4g}" if isinstance(x, float) else str(x)


def figure(notebook, name):
    "A figure that one of our lessons recorded, with a link to it; None if there is none yet."
    r = result(notebook)
    f = (r or {}).get("figures", {}).get(name)
    if f is None:
        return None
    return f"[{number(f['value'] if isinstance(f, dict) else f)}](lessons/{notebook}.ipynb)" + (
        " (older code)" if r["stale"] else ""
    )


def results_page():
    "The reports' figures beside ours, then every figure that a lesson recorded, and the run it comes from."
    yield "# Results\n\nOur figures were written by the lessons themselves, into `results/`.\n\n## The reports' figures\n"
    yield "What the five student reports (listed on the [first page](index.md)) state of their own experiments, and ours where a lesson has measured the same. A dash is a figure that a report asks for or announces and does not give, or that we have not measured. Data sets, networks and judges differ from ours unless the experiment says otherwise; above all, our Fréchet distances are taken in the features of our own judges, so they cannot be set against one in Inception's.\n"
    yield "| report | experiment | figure | stated | ours |\n| --- | --- | --- | --- | --- |"
    for row in csv.DictReader((DOCS / "reports.csv").open(encoding="utf-8")):
        ours = " / ".join(
            found for k in row["ours"].split("; ") if k and (found := figure(*k.split(":")))
        )
        yield f"| {row['report']} | {row['experiment']} | {row['figure']} | {row['stated'] or '–'} | {ours or '–'} |"
    yield ""
    for path, title, _, r in lessons():
        if r is None:
            continue
        yield (
            f"## {title}\n\n[Lesson {path.stem}](lessons/{path.name}), {r['budget']} budget, {r['seconds'] / 60:.1f} minutes, seed {r['seed']}, {r['cores']} threads of {r['processor']}, "
            + ", ".join(f"{k} {v}" for k, v in r["versions"].items())
            + (". **Made by older code.**" if r["stale"] else ".")
            + "\n"
        )
        yield "| figure | value | with |\n| --- | --- | --- |"
        for name, f in r["figures"].items():
            f = dict(f) if isinstance(f, dict) else dict(value=f)
            value = f.pop("value", "")
            yield f"| {name.replace('_', ' ')} | {number(value)} | {', '.join(f'{k} {number(v)}' for k, v in f.items())} |"
        yield ""


def citation_page():
    "CITATION.cff, and the same as BibTeX."
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    c = yaml.safe_load(text)
    names = " and ".join(
        "{" + a["name"] + "}" if "name" in a else f"{a['family-names']}, {a['given-names']}"
        for a in c["authors"]
    )
    fields = dict(
        title=c["title"],
        author=names,
        version=c["version"],
        year=str(c["date-released"])[:4],
        note=c["license"],
    )
    yield "# How to cite\n\nFor a method, cite the paper that a lesson names in its *References*. For the course or the library:\n\n```bibtex\n@software{genda,"
    yield from (f"  {k} = {{{v}}}," for k, v in fields.items())
    yield f"}}\n```\n\nThe same as `CITATION.cff`, which citation tools read:\n\n```yaml\n{text.strip()}\n```"


def write(name, lines):
    path = DOCS / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument(
        "--plain",
        action="store_true",
        help="without what npm provides: no live pages, formulas as LaTeX",
    )
    a = cli.parse_args()
    began = time.monotonic()

    def said(text):
        return print(f"[{time.monotonic() - began:4.0f} s] {text}", flush=True)

    os.chdir(ROOT)
    for folder in "lessons", "reference", "_made", "_build":
        shutil.rmtree(DOCS / folder, ignore_errors=True)
    MADE.mkdir()
    if not a.plain:
        if vendor.missing():
            sys.exit("JavaScript packages are missing: `make docs` fetches them")
        for package in vendor.PACKAGES:
            shutil.copytree(
                vendor.kept(package),
                MADE / "vendor",
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("README.md"),
            )
        import networks

        for n in networks.export(sorted({*LIVE.values()}), MADE / "networks"):
            said(
                f"{n['file']}: {n['bytes'] / 1e6:.2f} MB, differs from the network by at most {n['error']:.1g}"
            )
    modules = [p.stem for p in sorted((ROOT / "genda").glob("*.py")) if not p.name.startswith("_")]
    symbols, exports = reference.Symbols(modules), {}
    made = Path(proc_nbs(n_workers=0, force=True))
    for path in sorted(made.rglob("*.ipynb")):
        nb = nbformat.read(path, as_version=4)
        out = DOCS / "lessons" / ("labs" if path.parent.name == "labs" else "") / path.name
        out.parent.mkdir(parents=True, exist_ok=True)
        for m in re.findall(
            r"#\| *default_exp (\w+)",
            (ROOT / "nbs" / path.relative_to(made)).read_text(encoding="utf-8"),
        ):
            exports[m] = path.name, re.search(r"^# (.+)", nb.cells[0].source, re.M)[1]
        nbformat.write(page(nb, path.stem, symbols), out)
    for m, (lesson, title) in exports.items():
        write(f"reference/{m}.md", symbols.page(m, lesson, title))
    order = "\n".join(exports)
    write(
        "reference/index.md",
        [
            "# Reference",
            "",
            "Every module of the package, in the order of the lessons that export them. The [index](genindex) lists all names.",
            "",
            f"```{{toctree}}\n:maxdepth: 1\n\n{order}\n```",
        ],
    )
    write("results.md", results_page())
    write("_timetable.md", timetable())
    write("cite.md", citation_page())
    said("pages are written")
    failed = sphinx_build(
        [
            "-W",
            "--keep-going",
            "-E",
            "-q",
            "-b",
            "html",
            "-d",
            str(DOCS / "_doctrees"),
            str(DOCS),
            str(DOCS / "_build"),
        ]
    )
    said("the site is in docs/_build" if not failed else "the site has faults")
    sys.exit(failed)


if __name__ == "__main__":
    main()
