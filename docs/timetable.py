"The timetable for teachers: what each notebook takes, needs and gives, from nbs/ and results/."

import ast
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from readme import (  # noqa: E402 - the folder is above
    EXERCISE,
    exercises,
    lessons,
    measured,
    minutes,
    without_links,
)
from run import notebook_name  # noqa: E402 - the folder is above

SESSION = 90  # minutes of a session
PACE = 100  # words read in a minute


def trees(nb):
    "The syntax tree of each code cell that is no solution."
    for cell in nb["cells"]:
        if cell["cell_type"] == "code" and "solution" not in cell["metadata"].get("tags", []):
            lines = "".join(cell["source"]).splitlines()
            plain = ["pass" if line.lstrip().startswith(("%", "!")) else line for line in lines]
            yield ast.parse("\n".join(plain))


def first_arguments(nb, *functions):
    "The names that a notebook gives to functions as a first argument, as in load('mnist')."
    found = set()
    for tree in trees(nb):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in functions:
                value = getattr(node.args[0], "value", None) if node.args else None
                if isinstance(value, str):
                    found.add(value)
    return found


def read():
    "Path, opening, result, words, exercises, sets and networks of each notebook."
    for path, about, found in lessons():
        nb = json.loads(path.read_text(encoding="utf-8"))
        prose = ["".join(c["source"]) for c in nb["cells"] if c["cell_type"] == "markdown"]
        evaluators = {f"evaluator_{name}" for name in first_arguments(nb, "Evaluator")}
        yield dict(
            path=path,
            about=about,
            result=found,
            words=sum(len(re.findall(r"[^\W\d_][\w'-]*", text)) for text in prose),
            exercises=exercises(path),
            sets=first_arguments(nb, "load", "load_raw", "dls", "domain_dls"),
            networks=first_arguments(nb, "load_model", "load_weights") | evaluators,
        )


def needs(row, known):
    "What a notebook needs, in words."
    parts = [without_links(row["about"]["needs"])]
    for kind in "sets", "networks":
        names = sorted(row[kind] & known[kind])
        if names:
            parts.append(f"{kind} `{'`, `'.join(names)}`")
    return "; ".join(parts)


def table(rows, known):
    "A row per notebook."
    yield "| notebook | runs, minutes | words | exercises | needs | gives |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in rows:
        name = notebook_name(row["path"], ROOT)
        cells = (
            f"[{name}](lessons/{name}.ipynb)",
            minutes(row["result"]) or "not measured",
            row["words"],
            row["exercises"],
            needs(row, known),
            without_links(row["about"]["promise"]),
        )
        yield f"| {' | '.join(map(str, cells))} |"


def computing(row):
    return row["result"]["seconds"] / 60 if row["result"] else 0


def total(row):
    "Minutes of a class for one notebook: running, reading, exercises."
    return computing(row) + row["words"] / PACE + EXERCISE * row["exercises"]


def sessions(rows):
    "Notebooks in order, as many in a session as it holds; at least one."
    plan = []
    left = 0
    for row in rows:
        if total(row) > left:
            plan.append([])
            left = SESSION
        plan[-1].append(row)
        left -= total(row)
    return plan


def timetable():
    "The lines of the page's two tables."
    from genda.data.registry import SETS
    from genda.settings import PACKAGE

    rows = list(read())
    known = dict(sets=set(SETS), networks={p.stem for p in (PACKAGE / "weights").glob("*.json")})
    yield from table(rows, known)
    timed = [row for row in rows if row["result"]]
    yield (
        f"\n{len(timed)} of {len(rows)} notebooks are measured, "
        f"{sum(map(computing, timed)):.0f} minutes together. {' '.join(measured())}\n"
    )
    taught = [row for row in rows if row["path"].parent.name[0] in "1234"]
    yield (
        f"### Sessions of {SESSION} minutes\n\nOf the lessons, chapters 1 to 4, if a class reads "
        f"{PACE} words per minute (with the code and the pictures) and takes {EXERCISE} minutes "
        "per exercise, while the cells run as long as measured:\n"
    )
    yield "| session | lessons | minutes | of which the computer works |"
    yield "| --- | --- | --- | --- |"
    for i, part in enumerate(sessions(taught), 1):
        names = ", ".join(notebook_name(row["path"], ROOT) for row in part)
        yield f"| {i} | {names} | {sum(map(total, part)):.0f} | {sum(map(computing, part)):.0f} |"
