"The timetable of the course for the teacher's page: what each lesson takes, needs and gives, read from nbs/ and results/."

import ast
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from readme import lessons  # noqa: E402

SESSION, PACE, EXERCISE = (
    90,
    100,
    5,
)  # minutes of a session, words read in a minute, minutes for an exercise


def calls(nb, *functions):
    "The names that a notebook's code gives to functions as a first argument, such as load('mnist')."
    for c in nb["cells"]:
        if c["cell_type"] != "code" or "solution" in c["metadata"].get("tags", []):
            continue
        for n in ast.walk(
            ast.parse(
                "\n".join(
                    "pass" if l.lstrip().startswith(("%", "!")) else l
                    for l in "".join(c["source"]).splitlines()
                )
            )
        ):
            if (
                isinstance(n, ast.Call)
                and getattr(n.func, "id", "") in functions
                and n.args
                and isinstance(n.args[0], ast.Constant)
                and isinstance(n.args[0].value, str)
            ):
                yield n.args[0].value
            if (
                isinstance(n, ast.ImportFrom)
                and "import" in functions
                and (n.module or "").startswith("genda.")
            ):
                yield n.module.split(".")[1]


def read():
    "Of each lesson: its path, title, promise, module, measured minutes or None, words, exercises, modules, sets and networks that it uses."
    for path, title, promise, r in lessons():
        nb = json.loads(path.read_text(encoding="utf-8"))
        prose = ["".join(c["source"]) for c in nb["cells"] if c["cell_type"] == "markdown"]
        module = re.findall(
            r"#\| default_exp (\w+)",
            "".join("".join(c["source"]) for c in nb["cells"] if c["cell_type"] == "code"),
        )
        yield dict(
            path=path,
            title=title,
            promise=promise,
            module=module[0] if module else None,
            minutes=r and r["seconds"] / 60,
            stale=bool(r and r["stale"]),
            where=r and (r["processor"], r["cores"], r["budget"]),
            words=sum(len(re.findall(r"[^\W\d_][\w'-]*", p)) for p in prose),
            exercises=sum(p.startswith("**Exercise") for p in prose),
            modules=sorted(set(calls(nb, "import"))),
            sets=sorted(set(calls(nb, "load", "load_raw", "dls", "domain_dls"))),
            networks=sorted(
                {
                    *calls(nb, "load_model", "load_weights"),
                    *(f"judge_{n}" for n in calls(nb, "Judge")),
                }
            ),
        )


def table(rows, known):
    "A row a lesson."
    number = {r["module"]: r["path"].stem.split("_")[0] for r in rows if r["module"]}
    yield "| lesson | runs, minutes | words | exercises | needs | gives |\n| --- | --- | --- | --- | --- | --- |"
    for r in rows:
        earlier = sorted(
            {number[m] for m in r["modules"] if m in number} - {number.get(r["module"])}
        )
        needs = [f"lessons {', '.join(earlier)}"] if earlier else []
        for kind, names in (
            ("data", [n for n in r["sets"] if n in known["sets"]]),
            ("networks", [n for n in r["networks"] if n in known["networks"]]),
        ):
            if names:
                needs.append(f"{kind} `{'`, `'.join(names)}`")
        run = (
            "not yet"
            if r["minutes"] is None
            else f"{r['minutes']:.1f}" + ("*" if r["stale"] else "")
        )
        gives = r["promise"] + (f" Module `genda.{r['module']}`." if r["module"] else "")
        yield f"| [{r['path'].stem.split('_')[0]} {r['title'].split(':')[0]}](lessons/{r['path'].name}) | {run} | {r['words']} | {r['exercises']} | {'; '.join(needs) or 'nothing'} | {gives} |"


def minutes(r):
    return (r["minutes"] or 0) + r["words"] / PACE + EXERCISE * r["exercises"]


def sessions(rows):
    "Lessons in order, as many in a session as it holds; at least one."
    plan, left = [], 0
    for r in rows:
        if minutes(r) > left:
            plan.append([])
            left = SESSION
        plan[-1].append(r)
        left -= minutes(r)
    return plan


def timetable():
    "The lines of the page's two tables."
    from genda.core import PACKAGE
    from genda.data import SETS

    rows = list(read())
    known = dict(sets=set(SETS), networks={p.stem for p in (PACKAGE / "weights").glob("*.json")})
    yield from table(rows, known)
    measured = [r for r in rows if r["minutes"] is not None]
    yield (
        f"\n{len(measured)} of {len(rows)} lessons are measured, {sum(r['minutes'] for r in measured):.0f} minutes together: "
        + "; ".join(
            f"{p} with {c} thread{'s' * (c > 1)}, {b} budget"
            for p, c, b in sorted({r["where"] for r in measured})
        )
        + ". A star: measured with older code of the lesson.\n"
    )
    yield f"### Sessions of {SESSION} minutes\n\nIf a class reads {PACE} words a minute (with the code and the pictures) and takes {EXERCISE} minutes for an exercise, while the cells run as long as measured:\n"
    yield "| session | lessons | minutes | of which the computer works |\n| --- | --- | --- | --- |"
    for i, part in enumerate(sessions(rows), 1):
        yield f"| {i} | {', '.join(r['path'].stem.split('_')[0] for r in part)} | {sum(map(minutes, part)):.0f} | {sum(r['minutes'] or 0 for r in part):.0f} |"
