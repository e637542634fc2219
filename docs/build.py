"Build the site: nbdev processes the notebooks, Sphinx makes pages of them; a warning is an error."

import argparse
import ast
import base64
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
import reference  # noqa: E402 - the folders of docs and tools are added above
import vendor  # noqa: E402 - the folder is above
from conf import LIVE, MADE  # noqa: E402 - the folder is above
from readme import counted_claims, lessons, stored_claims  # noqa: E402 - the folder is above
from run import notebook_name  # noqa: E402 - the folder is above
from speed import speed_page  # noqa: E402 - the folder is above
from timetable import timetable  # noqa: E402 - the folder is above

RESULTS = """# Results

Every figure on this page was written by the notebooks themselves, into `results/`. What the five
student reports stated beside what we found stands in the notebooks of the
[reports](lessons/index.ipynb). A Fréchet distance here is taken in the features of our own
evaluators, so that it cannot be set against one in Inception's.
"""
RUN_THIS = """```{{admonition}} Run this notebook
:class: tip
`make lab NB={name}` in a copy of the repository
```"""
SLIDER = "*In a running notebook a slider stands here.*"
LIVE_PAGES = " Some move without one: [live pages](../../live/index.md)."

# -- what a picture shows, in words


def plain(text):
    "Markdown as words."
    text = re.sub(r"<[^>]*>", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"[`*$\\]|^#+ .*$|^[>|-] *", "", text, flags=re.M)
    return re.sub(r"\s+", " ", text).strip()


def literal(node):
    "The texts of a list that stands in the code, or none."
    try:
        return [str(value) for value in ast.literal_eval(node)]
    except (ValueError, TypeError):
        return []


def grid_labels(call):
    "Kind -> labels that a call of show_grid writes."
    names = {"rows": "rows", "cols": "columns", "titles": "titles"}
    return {names[k.arg]: literal(k.value) for k in call.keywords if k.arg in names}


def axis_labels(call):
    "Axis -> label that a plotting call writes."
    found = {}
    for keyword in call.keywords:
        if keyword.arg in ("xlabel", "ylabel") and isinstance(keyword.value, ast.Constant):
            found[f"{keyword.arg[0]} axis"] = [keyword.value.value]
    setter = getattr(call.func, "attr", "")
    if setter in ("set_xlabel", "set_ylabel") and isinstance(call.args[0], ast.Constant):
        found[f"{setter[4]} axis"] = [call.args[0].value]
    return found


def calls_in(source):
    tree = ast.parse(re.sub(r"^\s*[%!].*$", "", source, flags=re.M))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def kind_of(calls, labels):
    if any("show_" in ast.unparse(call.func) for call in calls):
        return "Images"
    return "Plot" if any("axis" in name for name in labels) else "Picture"


def described(source, heading, prose):
    "What a picture shows: its section, the sentences before it and the labels in its code."
    calls = calls_in(source)
    labels = {}
    for call in calls:
        if getattr(call.func, "id", "") == "show_grid":
            labels |= grid_labels(call)
        labels |= axis_labels(call)
    sentences = re.split(r"(?<=[.?!]) (?=[A-Z])", plain(prose.strip().split("\n\n")[-1]))
    while len(sentences) > 1 and len(" ".join(sentences)) > 260:
        sentences.pop(0)
    parts = [f'{kind_of(calls, labels)} in the section "{plain(heading)}".', *sentences]
    for name, texts in labels.items():
        if texts and len(texts) <= 12:
            parts.append(f"{name[0].upper()}{name[1:]}: {', '.join(texts)}.")
    return " ".join(parts)


# -- words that the glossary explains


def glossary_terms():
    "The terms of docs/glossary.md, longest first."
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    listed = text.split("```{glossary}")[1].split("```")[0]
    terms = [line for line in listed.splitlines() if line and not line.startswith(" ")]
    return sorted(terms, key=len, reverse=True)


def link_terms(text, terms):
    "Prose with the first mention of each of `terms` linked to the glossary; those are taken off."
    lines = text.split("\n")
    fenced = False
    for i, line in enumerate(lines):
        if re.match(r"\s*(```|~~~|\$\$)", line):
            fenced = not fenced
        if fenced or re.match(r"\s*(#|>|\||\*|\$\$|\{|:::)", line):
            continue
        # What stands in code, formulas, links and roles stays as it is.
        parts = re.split(r"(`[^`]*`|\$[^$]*\$|\[[^\]]*\]\([^)]*\)|\{[^}]*\}|<[^>]*>)", line)
        for k in range(0, len(parts), 2):
            parts[k] = link_first(parts[k], terms)
        lines[i] = "".join(parts)
    return "\n".join(lines)


def link_first(text, terms):
    "A piece of prose with the first term that is found in it linked."
    for term in terms:
        found = re.search(rf"(?<![\w-]){re.escape(term)}(?![\w-])", text, re.I)
        if found:
            terms.remove(term)
            before = text[: found.start()]
            return f"{before}{{term}}`{found[0]} <{term}>`{text[found.end() :]}"
    return text


# -- a notebook as a page


def with_pages(text):
    "The map's prose with links to pages of docs/, which JupyterLab may not be able to open."
    return re.sub(r"(\w+) \(`docs/(\w+\.md)` in the repository\)", r"[\1](../\2)", text)


def film_seconds(film):
    seconds = 0
    for k in range(film.n_frames):
        film.seek(k)
        film.load()
        seconds += film.info["duration"] / 1000
    return seconds


def still(html, name):
    "An animation as two files: its last frame, and itself, played three times at most."

    def put(match):
        data = base64.b64decode(match[3])
        path = MADE / "animations" / f"{name}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        film = Image.open(io.BytesIO(data))
        seconds = film_seconds(film)
        path.write_bytes(data)
        film.convert("RGB").save(path.with_suffix(".png"), optimize=True)
        at = f"../../_static/animations/{name}"
        return (
            f'<figure class="animation">{match[1]} src="{at}.png" data-still="{at}.png" '
            f'data-moving="{at}.webp" data-seconds="{3 * seconds:.1f}"></figure>'
        )

    return re.sub(r'(<img [^>]*?)\s*src="data:image/(webp|gif);base64,([^"]+)"[^>]*>', put, html)


def without_widgets(cell):
    "Take the views of widgets out of a cell's outputs; True where there was one."
    view = "application/vnd.jupyter.widget-view+json"
    outputs = cell.get("outputs", [])
    moving = [output for output in outputs if output.get("data", {}).pop(view, None)]
    cell.outputs = [o for o in outputs if o not in moving or "image/png" in o.data]
    return bool(moving)


def describe_outputs(cell, name, heading, prose):
    "Give every picture of a cell a description, and make files of animations."
    kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
    alt = ""
    if any(kind.startswith("image/") for kind in kinds):
        alt = described(cell.source, heading, prose)
    if "image/png" in kinds:
        cell.metadata.setdefault("mystnb", {})["image"] = {"alt": alt}
    for k, output in enumerate(cell.outputs):
        data = output.get("data", {})
        for kind in {"image/webp", "image/gif"} & {*data}:
            encoded = "".join(data.pop(kind).split())
            data["text/html"] = f'<img alt="{escape(alt)}" src="data:{kind};base64,{encoded}">'
        if "text/html" in data:
            data["text/html"] = still(data["text/html"], f"{name}-{k}")


def fold(cell):
    "Put a cell that only tests behind a switch, as solutions and folded code are."
    tags = cell.metadata.get("tags", [])
    if "test" in tags:
        cell.metadata["tags"] = [*tags, "hide-cell"]
        what = "test"
    elif "hide-input" in tags and "solution" not in tags:
        what = "code"
    else:
        return
    prompts = dict(code_prompt_show=f"Show the {what}", code_prompt_hide=f"Hide the {what}")
    cell.metadata["mystnb"] = cell.metadata.get("mystnb", {}) | prompts


def code_page(cell, name, heading, prose):
    "The cells of the page that one code cell becomes."
    moving = without_widgets(cell)
    describe_outputs(cell, name, heading, prose)
    fold(cell)
    cell.source = re.sub(r"^#\|.*\n?", "", cell.source, flags=re.M).strip("\n")
    if cell.source or cell.outputs:
        yield cell
    if moving:
        more = LIVE_PAGES if (MADE / "networks").exists() else ""
        yield nbformat.v4.new_markdown_cell(SLIDER + more)


def page(nb, name, symbols):
    "A processed notebook as a page: no directives, but links and descriptions."
    used = set()
    for cell in nb.cells:
        if cell.cell_type == "code":
            used |= set(re.findall(r"[A-Za-z_]\w*", cell.source))
    heading = prose = ""
    cells = []
    terms = glossary_terms()
    for i, cell in enumerate(nb.cells):
        if cell.cell_type == "code":
            cells += code_page(cell, f"{name.replace('/', '-')}-{i}", heading, prose)
            continue
        if cell.cell_type == "markdown":
            heading = (re.findall(r"^#+ (.+)", cell.source, re.M) or [heading])[-1]
            prose = cell.source if plain(cell.source) else prose
            linked = link_terms(symbols.link(cell.source, used), terms) if i else cell.source
            cell.source = linked.replace("](../../docs/", "](../../")
        cells.append(cell)
    cells.insert(1, nbformat.v4.new_markdown_cell(RUN_THIS.format(name=name)))
    nb.cells = cells
    return nb


# -- pages made from data


def number(x):
    return f"{x:.4g}" if isinstance(x, float) else str(x)


def figures_table(figures):
    yield "| figure | value | with |\n| --- | --- | --- |"
    for name, figure in figures.items():
        figure = dict(figure) if isinstance(figure, dict) else dict(value=figure)
        value = figure.pop("value", "")
        about = ", ".join(f"{k} {number(v)}" for k, v in figure.items())
        yield f"| {name.replace('_', ' ')} | {number(value)} | {about} |"


def claims_table():
    "Every claim with its word, its effect and what it rests on."
    lesson = "A [lesson](lessons/6_workshop/13_claims.ipynb) says how."
    yield f"## Claims\n\n{counted_claims()} {lesson}\n"
    yield "| claim | what is claimed | outcome | effect (95% interval) | rests on |"
    yield "| --- | --- | --- | --- | --- |"
    for claim in stored_claims():
        effect = claim["why"]
        on = claim["data"]
        if claim["stand_in"]:
            on += ", a stand-in"
        if claim["status"] != "not run":
            value, low, high = (f"{claim[key]:+.3g}" for key in ("effect", "low", "high"))
            effect = f"{value} ({low} to {high})"
            on += f"; n = {claim['n']:,}, {claim['how']}"
        name = f"[{claim['id']}](lessons/{claim['notebook']}.ipynb)"
        yield f"| {name} | {claim['text']} | {claim['status']} | {effect} | {on} |"
    yield ""


def results_page():
    "Every claim, every figure that a notebook recorded, and the run it comes from."
    yield RESULTS
    yield from claims_table()
    for path, about, found in lessons():
        if found is None:
            continue
        name = notebook_name(path, ROOT)
        versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
        age = " **Made by older code.**" if found["stale"] else ""
        yield (
            f"## {about['title']}\n\n[{name}](lessons/{name}.ipynb), {found['budget']} budget, "
            f"{found['seconds'] / 60:.1f} minutes, seed {found['seed']}, {found['cores']} threads "
            f"of {found['processor']}, {versions}.{age}\n"
        )
        yield from figures_table(found["figures"])
        yield ""


def citation_page():
    "CITATION.cff, and the same as BibTeX."
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    c = yaml.safe_load(text)
    authors = []
    for author in c["authors"]:
        whole = "{" + author["name"] + "}" if "name" in author else None
        authors.append(whole or f"{author['family-names']}, {author['given-names']}")
    fields = dict(
        title=c["title"],
        author=" and ".join(authors),
        version=c["version"],
        year=str(c["date-released"])[:4],
        note=c["license"],
    )
    yield (
        "# How to cite\n\nFor a method, cite the paper that a lesson names in its *References*. "
        "For the course or the library:\n\n```bibtex\n@software{genda,"
    )
    yield from (f"  {k} = {{{v}}}," for k, v in fields.items())
    yield "}\n```\n\nThe same as `CITATION.cff`, which citation tools read:\n"
    yield f"```yaml\n{text.strip()}\n```"


def reference_index(modules):
    listed = "\n".join(modules)
    yield "# Reference\n"
    yield (
        "Every module of the package, in the order of the notebooks that export them. "
        "The [index](genindex) lists all names.\n"
    )
    yield f"```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```"


def write(name, lines):
    path = DOCS / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


# -- the steps of a build


class Clock:
    "Print what was done, with the seconds since the start."

    def __init__(self):
        self.began = time.monotonic()

    def __call__(self, text):
        print(f"[{time.monotonic() - self.began:4.0f} s] {text}", flush=True)


def add_networks(said):
    "The JavaScript of others and the shipped networks, for the live pages."
    if vendor.missing():
        sys.exit("JavaScript packages are missing: `make docs` fetches them")
    for package in vendor.PACKAGES:
        ignored = shutil.ignore_patterns("README.md")
        shutil.copytree(
            vendor.folder_of(package), MADE / "vendor", dirs_exist_ok=True, ignore=ignored
        )
    import networks

    for made in networks.export(sorted({*LIVE.values()}), MADE / "networks"):
        said(
            f"{made['file']}: {made['bytes'] / 1e6:.2f} MB, "
            f"differs from the network by at most {made['error']:.1g}"
        )


def add_lessons(symbols):
    "A page for every notebook; module -> (page of its notebook, title)."
    made = Path(proc_nbs(n_workers=0, force=True))
    exports = {}
    processed = {p.relative_to(made).with_suffix("").as_posix(): p for p in made.rglob("*.ipynb")}
    order = ["index", *(notebook_name(path, ROOT) for path, _, _ in lessons())]
    for name in order:
        nb = nbformat.read(processed[name], as_version=4)
        out = DOCS / "lessons" / f"{name}.ipynb"
        out.parent.mkdir(parents=True, exist_ok=True)
        original = (ROOT / "nbs" / f"{name}.ipynb").read_text(encoding="utf-8")
        for module in re.findall(r"#\| *default_exp ([\w.]+)", original):
            exports[module] = f"{name}.ipynb", re.search(r"^# (.+)", nb.cells[0].source, re.M)[1]
        if name == "index":
            for cell in nb.cells:
                cell.source = with_pages(cell.source)
        else:
            nb = page(nb, name, symbols)
        nbformat.write(nb, out)
    return {m: found for m, found in exports.items() if not m.endswith("__init__")}


def main():
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument(
        "--plain",
        action="store_true",
        help="without what npm provides: no live pages, formulas as LaTeX",
    )
    a = cli.parse_args()
    said = Clock()
    os.chdir(ROOT)
    for folder in "lessons", "reference", "_made", "_build":
        shutil.rmtree(DOCS / folder, ignore_errors=True)
    MADE.mkdir()
    if not a.plain:
        add_networks(said)
    symbols = reference.Symbols(reference.modules())
    exports = add_lessons(symbols)
    for module, (lesson, title) in exports.items():
        write(f"reference/{module}.md", symbols.page(module, lesson, title))
    write("reference/index.md", reference_index(exports))
    write("results.md", results_page())
    write("speed.md", speed_page(MADE))
    write("_timetable.md", timetable())
    write("cite.md", citation_page())
    said("pages are written")
    options = ["-W", "--keep-going", "-E", "-q", "-b", "html", "-d", str(DOCS / "_doctrees")]
    failed = sphinx_build([*options, str(DOCS), str(DOCS / "_build")])
    said("the site has faults" if failed else "the site is in docs/_build")
    sys.exit(failed)


if __name__ == "__main__":
    main()
