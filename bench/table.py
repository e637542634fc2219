"Write the tables of bench/README.md from results/speedrun; --check says whether they are current."

import json
import re
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "bench/README.md"
SPEEDRUN = ROOT / "results/speedrun"
sys.path.insert(0, str(ROOT / "docs"))
import speed  # noqa: E402 - the folder of the site's pages is added above

# What the search varied around at last; a row of the table is named by how it differs.
CENTRE = dict(
    net="unet",
    channels=[16, 64],
    layers=[1, 1],
    fold=2,
    mid=1,
    emb=256,
    opt="muon",
    lr=0.002,
    lr_muon=0.006,
    momentum=0.95,
    bs=32,
    predict="v",
    schedule="cosine",
    times="uniform",
    weight="none",
    hold=0.0,
)
# What follows from another field, or says nothing here.
SILENT = ("warm", "decay", "beta2", "wd", "wd_muon", "drop", "stratified", "t_std", "layers")


def change(recipe):
    "How a recipe differs from the centre, in words."
    parts = []
    for key, value in recipe.items():
        if key in SILENT or CENTRE.get(key, value) == value:
            continue
        shown = "-".join(map(str, value)) if isinstance(value, list) else value
        parts.append(f"{key} {shown}")
    if recipe["net"] == "tokens":
        parts += [f"{key} {recipe[key]}" for key in ("width", "depth", "patch", "stem")]
        parts += [] if recipe["local"] else ["not local"]
    if recipe.get("embedding_layers_too"):
        parts.append("embedding layers by Muon too")
    if recipe.get("times") == "logit":
        parts.append(f"mean {recipe['t_mean']}")
    return ", ".join(parts) or "the centre"


def line(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def searched(rows, n):
    "A table of the recipes whose digits were scored by `n`, each with the mean of its trainings."
    found = {}
    for row in rows:
        if row["n"] == n:
            found.setdefault(change(row["recipe"]), []).append(row)
    lines = [
        line("recipe", "trainings", "images", "parameters", "FD / baseline", "accuracy"),
        line(*["---"] * 6),
    ]
    table = []
    for words, same in found.items():
        fds = [r["fd_over_baseline"] for r in same]
        fd = statistics.mean(fds)
        spread = f" ({min(fds):.1f} to {max(fds):.1f})" if len(fds) > 1 else ""
        accuracy = statistics.mean(r["accuracy"] for r in same)
        parameters = f"{same[0]['parameters'] / 1e6:.2f}M"
        cells = words, len(same), f"{same[0]['images']:,}", parameters, f"{fd:.1f}{spread}"
        table.append((fd, line(*cells, f"{accuracy:.1%}")))
    return "\n".join(lines + [text for _, text in sorted(table)])


def again(found):
    "The table of the fast recipe with fresh seeds."
    lines = [
        line("TFLOP", "seeds", "average", "sampler", "FD / baseline", "accuracy"),
        line(*["---"] * 6),
    ]
    for work in sorted(found["works"], key=lambda w: w["work_tflop"]):
        for key in work["rows"][0]["scores"]:
            average, sampler = key.split("/")
            fds = [r["scores"][key]["fd_over_baseline"] for r in work["rows"]]
            accuracies = [r["scores"][key]["accuracy"] for r in work["rows"]]
            gamma = f"gamma {average.removeprefix('ema')}"
            steps = f"ddpm, {sampler.removeprefix('ddpm')} steps"
            fd = f"{statistics.mean(fds):.2f} ({min(fds):.2f} to {max(fds):.2f})"
            accuracy = f"{statistics.mean(accuracies):.1%}"
            lines.append(line(work["work_tflop"], len(fds), gamma, steps, fd, accuracy))
    return "\n".join(lines)


def lesson():
    "The stored figures of the lesson that trains the main network."
    path = ROOT / "results/2_diffusion/3_ddpm.json"
    figures = json.loads(path.read_text(encoding="utf-8"))["figures"]
    ratio = figures["fd_over_baseline"]
    return "\n".join(
        [
            line("accuracy", "FD / baseline"),
            line("---", "---"),
            line(f"{figures['accuracy']['value']:.1%}", f"{ratio:.2f}"),
        ]
    )


def spread(values, form):
    "The mean of some values and their range."
    low, mean, high = (form.format(v) for v in (min(values), statistics.mean(values), max(values)))
    return f"{mean} ({low} to {high})"


def on_a_cpu(measured):
    "The seeds of the speedrun that were trained on a CPU, and what real digits score."
    lines = [
        line("processor", "TFLOP", "seeds", "accuracy", "FD", "FD of real digits", "FD / baseline"),
        line(*["---"] * 7),
    ]
    for found in measured:
        part = found["parts"].get("speedrun")
        if part is None:
            continue
        rows = part["rows"]
        cells = [spread([r["accuracy"] for r in rows], "{:.2%}")]
        cells.append(spread([r["fd"] for r in rows], "{:.2f}"))
        cells.append(spread(rows[0]["baseline_sets"], "{:.2f}"))
        cells.append(spread([r["fd_over_baseline"] for r in rows], "{:.2f}"))
        about = f"{found['processor']}, {found['precision']}"
        lines.append(line(about, f"{part['work_tflop']:.0f}", len(rows), *cells))
    return "\n".join(lines)


def small_set(found):
    "The seeds of the speedrun on mnist5k."
    columns = ["processor", "TFLOP", "seeds", "accuracy", "FD / baseline", "copies"]
    rows = found["rows"]
    cells = [spread([r["accuracy"] for r in rows], "{:.2%}")]
    cells.append(spread([r["fd_over_baseline"] for r in rows], "{:.2f}"))
    cells.append(spread([r["copies"] for r in rows], "{:.1%}"))
    about = f"{found['processor']}, {found['made_by']['dtype']}"
    cells = [about, f"{found['work_tflop']:.0f}", len(rows), *cells]
    return "\n".join([line(*columns), line(*["---"] * 6), line(*cells)])


def shares(measured):
    "The share of its processor's peak that each training step reaches."
    columns = ["fast", "before", "the network of `train`", "UNet2DModel there"]
    lines = [line("processor", "peak, GFLOP/s", *columns), line(*["---"] * 6)]
    for found in measured:
        peak = found["parts"]["peak"]["peak"]
        rates = found["parts"]["train"]["gflop_per_second"]
        own = max(rate for name, rate in rates.items() if name.startswith("genda "))
        default = rates["UNet2DModel default layout float32"]
        steps = [found["parts"]["peak"][f"step_{name}"] for name in ("fast", "before")]
        cells = [f"{step['share_of_peak']:.0%}" for step in steps]
        cells += [f"{rate / peak:.0%}" for rate in (own, default)]
        about = found["precision"] + (f", {found['isa'].upper()}" if found["isa"] else "")
        lines.append(line(f"{found['processor']}, {about}", f"{peak:,.0f}", *cells))
    return "\n".join(lines)


def networks(found):
    "The shipped generators before and after the fast recipe."
    columns = ["network", "px", "images", "TFLOP", "figures"]
    lines = [line(*columns), line(*["---"] * 5)]
    for name, both in found.items():
        for when in ("before", "after"):
            net = both[when]
            figures = []
            for what, figure in net["figures"].items():
                value = figure["value"]
                shown = f"{value:.2%}" if figure["what"] == "accuracy" else f"{value:.2f}"
                figures.append(f"{what.replace('_', ', ')} {shown} (n={figure['n']:,})")
            cells = [net["size"], f"{net['images']:,}", f"{net['work_tflop']:.0f}"]
            lines.append(line(f"{name}, {when}", *cells, "; ".join(figures)))
    return "\n".join(lines)


def stored(name):
    return json.loads((SPEEDRUN / f"{name}.json").read_text(encoding="utf-8"))


def tables():
    "Name of a place in the README -> its table."
    rows = stored("search")["rows"]
    measured = [found for found in map(speed.stored, speed.FILES) if found]
    return {
        "measured": "\n".join(speed.headlines(measured)).strip(),
        "shares": shares(measured),
        "on a CPU": on_a_cpu(measured),
        "small set": small_set(stored("fast_16_mnist5k")),
        "lessons": lesson(),
        "first look": searched(rows, 5000),
        "search": searched(rows, 2500),
        "finalists": searched(stored("finalists")["rows"], 5000),
        "fresh seeds": again(stored("fast_on_gpu")),
        "networks": networks(stored("zoo")["networks"]),
    }


def filled(text):
    "The README with its tables as results/ has them."
    for name, table in tables().items():
        place = re.compile(rf"(<!-- {name}: bench/table.py -->\n).*?(<!-- end -->)", re.S)
        if not place.search(text):
            sys.exit(f"bench/README.md has no place for the table {name!r}")
        text = place.sub(lambda m, t=table: f"{m[1]}\n{t}\n\n{m[2]}", text)
    return text


def main():
    text = README.read_text(encoding="utf-8")
    new = filled(text)
    if "--check" in sys.argv:
        sys.exit(0 if new == text else "bench/README.md is old: python bench/table.py")
    README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
