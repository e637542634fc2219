"Build the site: nbdev processes the notebooks, Sphinx makes pages of them; a warning is an error."

import argparse
import ast
import base64
import gzip
import io
import json
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
sys.path[:0] = [str(ROOT), str(DOCS), str(ROOT / "tools")]
import reference  # noqa: E402 - the folders of docs and tools are added above
import vendor  # noqa: E402 - the folder is above
from conf import LIVE, MADE, REPOSITORY, chapter  # noqa: E402 - the folder is above
from landing import landing  # noqa: E402 - the folder is above
from readme import (  # noqa: E402 - the folder is above
    chapters,
    counted_claims,
    lessons,
    minutes,
    rows,
    stored_claims,
)
from run import notebook_name  # noqa: E402 - the folder is above
from speed import speed_page  # noqa: E402 - the folder is above
from timetable import timetable  # noqa: E402 - the folder is above

import genda  # noqa: E402 - the package of this folder

RESULTS = """# Results: what the reports said, and what we found

{counts} The outcome of a claim is computed from an effect and its 95% interval: a
[lesson](lessons/6_workshop/13_claims.ipynb) says how. *Confirmed* means that the whole interval
lies where the claim puts the effect, *refuted* that none of it does, *undecided* neither, or fewer
than three trainings. Beside each effect stands where it would have to lie: "true if below 0" means
that the claim is confirmed where the whole interval lies below 0. A Fréchet
distance (FD) here is taken in the features of our own evaluators, so that only the order of models
can be set beside the reports' FID. All figures that the notebooks recorded stand on
[another page](figures.md).
"""
FIGURES = """# All figures

What the notebooks recorded, each with the run that it comes from, as it lies in `results/`. What it
means for the claims of the reports stands under [results](results.md).
"""
RUN_THIS = """```{{admonition}} Run this notebook
:class: tip
{lines}
```"""
READING = '<div class="reading"></div>'
# lesson -> the live page that shows the same
LIVE_OF = {
    "1_start/1_thirty_minutes": "digits",
    "2_diffusion/3_ddpm": "strip",
    "2_diffusion/5_samplers": "eta",
    "2_diffusion/6_guidance": "faces",
    "2_diffusion/8_flow": "paint",
    "2_diffusion/10_editing": "inpainting",
    "reports/1_faces": "faces",
    "reports/2_digits": "interpolation",
}
INSTALL = """# Colab, Kaggle, an empty environment: installs the course where it is missing.
import importlib.util

if importlib.util.find_spec("genda") is None:
    %pip install --quiet {source}
"""
FROM_GITHUB = '"genda[course] @ git+https://github.com/{}"'
# Where no repository is known, the wheel has to lie beside the notebook.
FROM_WHEEL = '"genda-{}-py3-none-any.whl[course]"  # made by `make wheel`, put beside this notebook'
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


EVERYDAY = {"latent", "score"}  # words of the glossary that also mean other things in prose


def glossary_terms():
    "The terms of docs/glossary.md that prose is linked to, longest first."
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    listed = text.split("```{glossary}")[1].split("```")[0]
    terms = [line for line in listed.splitlines() if line and not line.startswith(" ")]
    terms = [term for term in terms if term not in EVERYDAY]
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


def only_imports(source):
    "Whether a cell does nothing but import."
    if re.search(r"^\s*[%!]", source, re.M):
        return False
    body = ast.parse(source).body
    return bool(body) and all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in body)


def fold(cell):
    "Put tests, imports, solutions and plumbing, with what the first three print, behind a switch."
    tags = cell.metadata.get("tags", [])
    if "solution" in tags:
        cell.metadata["tags"] = ["hide-cell" if tag == "hide-input" else tag for tag in tags]
        return
    kind = "test" if "test" in tags else "imports" if only_imports(cell.source) else None
    if kind:
        cell.metadata["tags"] = [*dict.fromkeys([*tags, kind, "hide-cell"])]
    elif "hide-input" in tags:
        kind = "code"
    else:
        return
    prompts = dict(code_prompt_show=f"Show the {kind}", code_prompt_hide=f"Hide the {kind}")
    cell.metadata["mystnb"] = cell.metadata.get("mystnb", {}) | prompts


def code_page(cell, name, heading, prose):
    "The cells of the page that one code cell becomes."
    moving = without_widgets(cell)
    describe_outputs(cell, name, heading, prose)
    cell.source = re.sub(r"^#\|.*\n?", "", cell.source, flags=re.M).strip("\n")
    fold(cell)
    if cell.source or cell.outputs:
        yield cell
    if moving:
        more = LIVE_PAGES if (MADE / "networks").exists() else ""
        yield nbformat.v4.new_markdown_cell(SLIDER + more)


def how_to_run(name, about):
    "What stands at the top of a lesson: minutes, how to run it, the live page."
    _, _, found = about
    took = minutes(found)
    ran = f"It ran in {took} minutes when last measured." if took else "It is read, not measured."
    address = f"../../_static/notebooks/{name}.ipynb"
    lines = [
        ran,
        f"- `make lab NB={name}` in a copy of the repository",
        f'- or <a href="{address}" download>download</a> it: its first cell installs the course '
        "where it is missing, as on Colab and Kaggle",
    ]
    if name in LIVE_OF and (MADE / "networks").exists():
        lines.append(f"- without Python: [a live page](../../live/{LIVE_OF[name]}.md)")
    return RUN_THIS.format(lines="\n".join(lines[:1] + [""] + lines[1:]))


def add_download(name):
    "The notebook without outputs, and with a first cell that installs the course."
    nb = nbformat.read(ROOT / f"nbs/{name}.ipynb", as_version=4)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    source = FROM_GITHUB.format(REPOSITORY) if REPOSITORY else FROM_WHEEL.format(genda.__version__)
    install = nbformat.v4.new_code_cell(INSTALL.format(source=source), id="install")
    nb.cells.insert(0, install)
    path = MADE / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, path)


def chapter_page(folder, title, text):
    "A chapter: what it is about, and the table of its lessons."
    yield f"# {title}\n"
    yield re.sub(r"\]\((?=\d)", "](../", text) + "\n"
    yield from rows(folder, "../")
    yield "\n" + chapter(folder)


def genda_names(sources):
    "Names that code imports from genda, or defines to be exported."
    found = set()
    for source in sources:
        for line in re.findall(r"^from genda\S* import (\([^)]*\)|.*)", source, re.M):
            found |= set(re.findall(r"\w+", line))
        if source.startswith("#| export"):
            found |= set(re.findall(r"^(?:def |class )?(\w+)(?=\(|:| = )", source, re.M))
    return found


def page(nb, name, symbols, about):
    "A processed notebook as a page: no directives, but links and descriptions."
    used = genda_names(cell.source for cell in nb.cells if cell.cell_type == "code")
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
    head = f"{how_to_run(name, about)}\n\n```{{raw}} html\n{READING}\n```"
    cells.insert(1, nbformat.v4.new_markdown_cell(head))
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


def evidence(claim):
    "Effect, interval and what they rest on; or why there is nothing."
    if claim["status"] == "not run":
        return claim["why"]
    value, low, high = (f"{claim[key]:.3g}" for key in ("effect", "low", "high"))
    on = claim["data"] + (", a stand-in" if claim["stand_in"] else "")
    why = f"; {claim['why']}" if claim["why"] else ""
    found = f"{value} ({low} to {high}), true if {claim['true_if']}{why}"
    return f"{found}; {on}; n = {claim['n']:,}, {claim['how']}"


def results_page():
    "One table: what a report said, what we found, why."
    reported = json.loads((DOCS / "reported.json").read_text(encoding="utf-8"))
    yield RESULTS.format(counts=counted_claims())
    yield ":::{container} claims\n"
    yield "| claim | report said | we found | why: effect (95% interval) and what it rests on |"
    yield "| --- | --- | --- | --- |"
    for claim in sorted(stored_claims(), key=lambda c: c["notebook"].split("/")[0] != "reports"):
        name = f"[{claim['id']}](lessons/{claim['notebook']}.ipynb)"
        said = reported.get(claim["id"].split(",")[0], "-")
        yield f"| {name} | {said} | **{claim['status']}**: {claim['text']} | {evidence(claim)} |"
    yield "\n:::"


def figures_page():
    "Every figure that a notebook recorded, and the run it comes from."
    yield FIGURES
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


def compress(path):
    "Replace a file with its gzip, which worker.js unpacks: a quarter of the size, from any server."
    packed = gzip.compress(path.read_bytes(), mtime=0)
    path.with_name(f"{path.name}.gz").write_bytes(packed)
    path.unlink()


def add_networks(said):
    "The JavaScript of others and the shipped networks, for the live pages."
    if vendor.missing():
        sys.exit("JavaScript packages are missing: `make docs` fetches them")
    for package in vendor.PACKAGES:
        ignored = shutil.ignore_patterns("README.md")
        shutil.copytree(
            vendor.folder_of(package), MADE / "vendor", dirs_exist_ok=True, ignore=ignored
        )
    for path in (MADE / "vendor").glob("*.wasm"):
        compress(path)
    import networks

    for made in networks.export(sorted({*LIVE.values()}), MADE / "networks"):
        said(
            f"{made['file']}: {made['bytes'] / 1e6:.2f} MB, "
            f"differs from the network by at most {made['error']:.1g}"
        )


def mark_exported(nb, original):
    "Tag the cells of a page whose originals are exported, for the switch."
    exported = set()
    for cell in original["cells"]:
        if cell["cell_type"] == "code" and re.match(r"#\| *export\b", "".join(cell["source"])):
            exported.add(cell["id"])
    for cell in nb.cells:
        if cell.get("id") in exported:
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "exported"]


def add_lessons(symbols):
    "A page for every notebook; module -> (page of its notebook, title)."
    made = Path(proc_nbs(n_workers=0, force=True))
    exports = {}
    processed = {p.relative_to(made).with_suffix("").as_posix(): p for p in made.rglob("*.ipynb")}
    known = {notebook_name(row[0], ROOT): row for row in lessons()}
    for name in ["index", *known]:
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
            mark_exported(nb, json.loads(original))
            nb = page(nb, name, symbols, known[name])
            add_download(name)
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
    for folder, title, text in chapters():
        write(f"lessons/{folder}/index.md", chapter_page(folder, title, text))
    write("results.md", results_page())
    write("figures.md", figures_page())
    write("_landing.md", landing(MADE, not a.plain))
    write("speed.md", speed_page(MADE))
    write("_timetable.md", timetable())
    write("cite.md", citation_page())
    said("pages are written")
    options = ["-W", "--keep-going", "-E", "-q", "-b", "html", "-d", str(DOCS / "_doctrees")]
    failed = sphinx_build([*options, str(DOCS), str(DOCS / "_build")])
    for path in (DOCS / "_build/_static").rglob("*.map"):  # for those who work on the theme
        path.unlink()
    said("the site has faults" if failed else "the site is in docs/_build")
    sys.exit(failed)


if __name__ == "__main__":
    main()
