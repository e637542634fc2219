"Write what README.md and nbs/index.ipynb show of nbs/ and results/."

import json
import re
import sys
from pathlib import Path

from run import notebook_name, notebooks

ROOT = Path(__file__).resolve().parent.parent
INDEX = ROOT / "nbs/index.ipynb"
MAIN = "2_diffusion/3_ddpm"  # the lesson whose picture stands on the first page
EXERCISE = 5  # minutes for an exercise
# What stands on the first page: a question, what a report said, and the claims that answer it
FINDINGS = (
    (
        "Why do ten steps not learn?",
        "A report trained with 10, 100 and 1,000 noise levels, whose variances ran over the same "
        "range each time, and says that 10 and 100 do not learn. So few levels leave most of the "
        "image in place, and sampling starts from pure noise all the same. What mends it is to "
        "pass along the same way from image to noise in fewer, longer steps. FD is the Fréchet "
        "distance to real images, here faces that were drawn by a program: lower is better. (The "
        "third figure is a share of the FD of a thousand levels, the other two are differences "
        "of FD.)",
        ("R1.6", "R1.6, cause", "R1.6, whole curve"),
    ),
    (
        "Can a loss without a gradient teach?",
        "A report weighted the auxiliary loss of its GAN, which is to make the generator draw what "
        "its label asks for, in several ways. We computed its gradient in each of the n "
        "weights of a generator.",
        ("R3.4",),
    ),
    (
        "What does guidance bring, and what does it cost?",
        "A report found guided digits over photographs (MNIST-M) clear and less varied. "
        "None is w = 0, the network's own answer to its label.",
        ("R2.5", "R2.5, variety"),
    ),
    (
        "Does restoring in many steps beat one step?",
        "A report restored images whose rows had been averaged, with algorithm 2 of cold "
        "diffusion, which takes from an estimate of the clean image only the change of one step, "
        "many times, and took from its source that this beats taking the whole estimate at once. "
        "(The end is the fully averaged image.)",
        ("R5.8, direct", "R5.8, direct, squared error"),
    ),
)
sys.path.insert(0, str(ROOT))
from genda.training.tracking import code_hash  # noqa: E402 - the package of this folder

OPENING = re.compile(
    r"# (?P<title>.+)\n\n> (?P<promise>.+)\n\n\*Time: (?P<time>.+)\*\n\n"
    r"\*You need: (?P<needs>.+)\*\n\n\*May be skipped: (?P<skip>.+)\*"
)


def result(name):
    "What a notebook recorded, with the key `stale`; None before its first run."
    path = ROOT / "results" / f"{name}.json"
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return dict(found, stale=found["code"] != code_hash(name, found["budget"]))


def sources(path):
    "Kind, source and tags of each cell of a notebook."
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        yield cell["cell_type"], "".join(cell["source"]), cell["metadata"].get("tags", [])


def reading_minutes(path):
    "Minutes for a first reading: 200 words of prose or 30 visible lines of code a minute."
    words = lines = 0
    for kind, source, tags in sources(path):
        if kind == "markdown":
            words += len(source.split())
        elif not {"test", "solution", "hide-input"} & set(tags):
            lines += len(source.splitlines())
    return round(words / 200 + lines / 30)


def exercises(path):
    "How many exercises a notebook has."
    return sum(source.startswith("**Exercise") for _, source, _ in sources(path))


def opening(path):
    "What the first cell of a notebook says: title, promise, time, needs, skip."
    _, first, _ = next(sources(path))
    return OPENING.match(first).groupdict()


def lessons():
    "Path, opening and result of every notebook, in reading order."
    for path in notebooks(ROOT):
        yield path, opening(path), result(notebook_name(path, ROOT))


def chapters():
    "Folder, title and introduction of each chapter, as nbs/index.ipynb has them."
    for kind, source, _ in sources(INDEX):
        marker = re.search(r"<!-- chapter (\w+)", source)
        if kind == "markdown" and marker:
            title = re.search(r"^### (.+)", source, re.M)[1]
            text = source[source.index(title) + len(title) : marker.start()].strip()
            yield marker[1], title, text


def minutes(found):
    if found is None:
        return ""
    took = found["seconds"] / 60
    shown = "< 0.1" if took < 0.05 else f"{took:.1f}"
    return shown + (" (before its last edits)" if found["stale"] else "")


def without_links(text):
    "Markdown with the words of its links in place of them: they lead from another folder."
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)


def short(path):
    "What the map calls a notebook: '2.3 ddpm', or '3 iclevr' of the reports."
    chapter = re.match(r"\d+_", path.parent.name)
    number, name = path.stem.split("_", 1)
    before = f"{chapter[0][:-1]}." if chapter else ""
    return f"{before}{number} {name.replace('_', ' ')}"


def link(path, base):
    return f"[{short(path)}]({base}{notebook_name(path, ROOT)}.ipynb)"


def needed(path, text, base):
    "The notebooks to which the line 'You need' of a notebook leads."
    names = re.findall(r"\]\(([^)]+\.ipynb)\)", text)
    found = dict.fromkeys((path.parent / name).resolve() for name in names)
    return ", ".join(link(other, base) for other in found)


def rows(folder, base):
    "The lines of a chapter's table; links start with `base`."
    yield "| | at its end you can | needs | may be skipped | read | run |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for path, about, found in lessons():
        if path.parent.name != folder:
            continue
        promise, skip = without_links(about["promise"]), without_links(about["skip"])
        needs = needed(path, about["needs"], base)
        cells = link(path, base), promise, needs, skip, reading_minutes(path), minutes(found)
        yield f"| {' | '.join(map(str, cells))} |"


def table(folder, base=""):
    return "\n".join(rows(folder, base))


def hours(patterns):
    "Hours to read, run and exercise the notebooks whose names start as one of `patterns`."
    total = 0
    for path, _, found in lessons():
        if any(re.match(pattern, notebook_name(path, ROOT)) for pattern in patterns.split()):
            total += reading_minutes(path) + EXERCISE * exercises(path)
            total += found["seconds"] / 60 if found else 0
    return f"{total / 60:.0f}"


def measured():
    "Under which conditions the minutes were measured, a line each."
    runs = {(r["processor"], r["cores"], r["budget"]) for _, _, r in lessons() if r}
    for processor, cores, budget in sorted(runs):
        threads = f"{cores} thread{'s' if cores > 1 else ''}"
        yield f"Measured on {processor} with {threads}, {budget} budget."


def number(figure):
    return figure["value"] if isinstance(figure, dict) else figure


def picture():
    "The picture of the main lesson and the run that made it; nothing before that run."
    found = result(MAIN)
    image = f"results/{MAIN}.png"
    if found is None or not (ROOT / image).is_file():
        return ""
    figures = found["figures"]
    chosen = [name for name in figures if name in figures.get("figures_shown", ())]
    said = ", ".join(f"{name.replace('_', ' ')} {number(figures[name]):.4g}" for name in chosen)
    about = (
        f"Generated by [this lesson](nbs/{MAIN}.ipynb) in {found['seconds'] / 60:.1f} minutes on "
        f"{found['cores']} threads of {found['processor']}, trained on {figures.get('data')}"
    )
    about += f": {said}." if said else "."
    if figures.get("data") == "mnist":
        about += " All of MNIST was at hand; without it the lesson takes the digits of a package."
    if found["stale"]:
        about += " The code has changed since."
    return f"![Digits that a network made from noise]({image})\n\n*{about}*"


def stored_claims():
    "The claims with their evidence, as the notebooks stored them."
    path = ROOT / "results/claims.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def counted_claims():
    "How many claims are confirmed, refuted, undecided and not run, in a sentence."
    found = [claim["status"] for claim in stored_claims()]
    confirmed, refuted, undecided, not_run = map(
        found.count, ("confirmed", "refuted", "undecided", "not run")
    )
    return (
        f"Of the {len(found)} claims that the notebooks state, {confirmed} are confirmed, "
        f"{refuted} refuted, {undecided} undecided and {not_run} not run, each with its reason."
    )


def outcome(entry):
    "What became of a claim, with its effect, in a few words."
    if entry["status"] == "not run":
        return f"*not run* ({entry['why']})"
    if entry["how"].startswith("exact"):
        return f"*{entry['status']}* (exact, n = {entry['n']:,})"
    effect, low, high = (f"{entry[key]:.3g}" for key in ("effect", "low", "high"))
    return (
        f"*{entry['status']}* ({effect}, 95% interval {low} to {high}, n = {entry['n']:,}; "
        f"true if {entry['true_if']})"
    )


def findings(base):
    "Some claims of the reports with what became of them, a paragraph each; links start at `base`."
    stored = {entry["id"]: entry for entry in stored_claims()}
    for k, (title, said, names) in enumerate(FINDINGS, 1):
        found = [stored[name] for name in names if name in stored]
        if found:
            link = f"[{found[0]['id']}]({base}{found[0]['notebook']}.ipynb)"
            parts = [f"{entry['text'].rstrip('.')}: {outcome(entry)}." for entry in found]
            yield f"{k}. **{title}** {said} ({link}) {' '.join(parts)}"


def special(speed):
    "What the course is measured to do beside other libraries; `speed` is the page of the figures."
    path = ROOT / "results/bench.json"
    b = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if "over_diffusers_default" not in b or "fd_over_baseline" not in b:
        return "Nothing was measured yet: `make bench` does it."
    took = [found["seconds"] / 60 for _, _, found in lessons() if found]
    return (
        f"{len(took)} notebooks run from the first cell to the last without a GPU, the longest in "
        f"{max(took):.0f} minutes when it was last measured. "
        f"On {b['processor']} with {b['threads']} threads ({b['precision']}; "
        f"[more, and a plainer processor]({speed})):\n\n"
        f"- A training step is {b['over_diffusers_default']:.1f} times as fast as with diffusers' "
        f"UNet2DModel, and 64 digits are drawn {b['sampling_over_diffusers']:.0f} times as fast as "
        "with its 50 steps of DDIM.\n"
        "- The [speedrun]("
        f"{speed}), a training from nothing with at most {b['work_tflop']:.0f} TFLOP of work, "
        f"reaches digits that the evaluator reads in {b['accuracy']:.1%} of cases, at a Fréchet "
        f"distance of {b['fd_over_baseline']:.1f} real-vs-real baselines, over {b['seeds']} "
        "seeds.\n"
        f"- A move of the guidance slider is answered in {b['seconds_guidance_slider']:.2f} s."
    )


def render(text):
    "README with its marked blocks made anew."
    blocks = dict(
        picture=picture(),
        findings="\n".join(findings("nbs/")),
        special=special("bench/README.md"),
        claims=counted_claims(),
    )
    for name, made in blocks.items():
        block = rf"(<!-- {name}: [^>]*-->\n).*?(<!-- /{name} -->)"
        filled = made + "\n" if made else ""
        text = re.sub(block, lambda m, filled=filled: m[1] + filled + m[2], text, flags=re.S)
    return text


def render_index(nb):
    "The notebook nbs/index.ipynb with its hours and the tables of its chapters made anew."
    way = r"(<!-- hours: ([^>]+) -->).*?(<!-- /hours -->)"
    block = r"(<!-- chapter (\w+): [^>]*-->\n).*?(<!-- /chapter -->)"
    for cell in nb["cells"]:
        if cell["cell_type"] == "markdown":
            source = "".join(cell["source"])
            source = re.sub(block, lambda m: f"{m[1]}{table(m[2])}\n{m[3]}", source, flags=re.S)
            source = re.sub(way, lambda m: f"{m[1]}{hours(m[2])}{m[3]}", source)
            cell["source"] = source.splitlines(keepends=True)
    return nb


def index_text():
    "What nbs/index.ipynb should hold, as text."
    nb = render_index(json.loads(INDEX.read_text(encoding="utf-8")))
    return json.dumps(nb, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    INDEX.write_text(index_text(), encoding="utf-8", newline="\n")
    path = ROOT / "README.md"
    path.write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
