"What holds for every notebook, checked without running it."

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import (
    INDEX,
    NOTEBOOKS,
    ROOT,
    cells,
    code,
    each_lesson,
    each_notebook,
    exported,
    prose,
    read,
    tree,
)
from readme import reading_minutes  # from tools, which conftest adds to the path

from genda.data.registry import load_raw

MB = 1_000_000


def nbdev(command, folder):
    run = [str(Path(sys.executable).parent / f"nbdev-{command}")]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "The project as nbdev-clean and nbdev-export leave it, with nothing exported before."
    folder = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns(".*", "__pycache__")
    shutil.copytree(ROOT / "nbs", folder / "nbs", ignore=ignored)
    (folder / "genda").mkdir()
    shutil.copy(ROOT / "pyproject.toml", folder)
    # What makes packages of the folders is written by hand; all else is exported.
    for path in (ROOT / "genda").rglob("__*__.py"):
        to = folder / path.relative_to(ROOT)
        to.parent.mkdir(exist_ok=True)
        shutil.copy(path, to)
    nbdev("clean", folder)
    nbdev("export", folder)
    return folder


@pytest.mark.parametrize("path", [INDEX, *NOTEBOOKS], ids=lambda p: p.stem)
def test_clean_leaves_no_diff(path, copy):
    assert read(path) == read(copy / path.relative_to(ROOT)), (
        f"nbdev-clean changes {path.name}: run it and commit the result"
    )


def modules(folder):
    "Relative path -> text of every module of the package in `folder`."
    package = folder / "genda"
    return {
        path.relative_to(package).as_posix(): read(path)
        for path in package.rglob("*.py")
        if "__pycache__" not in path.parts
    }


def test_export_leaves_no_diff(copy):
    ours, made = modules(ROOT), modules(copy)
    assert sorted(ours) == sorted(made), "a module without a notebook, or a notebook never exported"
    assert [n for n in ours if ours[n] != made[n]] == [], (
        "the package and the notebooks differ: run nbdev-export and commit the result"
    )


def folded(path, tag):
    return [
        meta
        for _, _, meta in cells(path)
        if tag in meta.get("tags", []) and meta.get("jupyter", {}).get("source_hidden")
    ]


@each_notebook
def test_folded_cells_survive_clean(path, copy):
    for tag in "solution", "test":
        assert len(folded(copy / path.relative_to(ROOT), tag)) == len(folded(path, tag))


OPENING = (
    r"# .+\n\n> .+\n\n\*Time: .*(minute|second).* at the lesson budget on two cores, no GPU\.\*"
    r"\n\n\*You need: .+\*\n\n\*May be skipped: .+\*"
)


@each_notebook
def test_opening(path):
    kind, text, _ = cells(path)[0]
    assert kind == "markdown"
    assert re.fullmatch(OPENING, text), text


@each_notebook
def test_one_title(path):
    text = re.sub(r"^(```|~~~).*?^\1", "", "\n".join(prose(path)), flags=re.S | re.M)
    assert len(re.findall(r"^# ", text, re.M)) == 1, "one H1"


@each_lesson
def test_closing_sections(path):
    text = "\n".join(prose(path))
    assert re.findall(r"^## (.+)", text, re.M)[-3:] == ["Findings", "Exercises", "References"]
    assert text.split("## References")[1].strip(), "References is empty"


@each_notebook
def test_exercises_have_folded_solutions(path):
    everything = cells(path)
    at = [
        i
        for i, (kind, text, _) in enumerate(everything)
        if kind == "markdown" and text.startswith("**Exercise")
    ]
    if path.parent.name in ("2_diffusion", "3_gan", "4_adaptation"):
        assert 3 <= len(at) <= 6
    for k, i in enumerate(at, 1):
        assert everything[i][1].startswith(f"**Exercise {k}.** "), everything[i][1][:40]
        solution = []
        for kind, text, meta in everything[i + 1 :]:
            if kind != "code" or "solution" not in meta.get("tags", []):
                break
            assert {"hide-input", "solution"} <= set(meta["tags"]), text
            assert meta.get("jupyter", {}).get("source_hidden") is True, text
            solution.append(text)
        assert solution, f"exercise {k} is not followed by its solution"
        assert any(asserts(s) for s in solution), f"the solution of exercise {k} asserts nothing"


def is_assertion(node):
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    return re.match(r"(test_|assert_|check_)", name) is not None


def asserts(source):
    "Whether a cell contains an assert, or calls a function that is one."
    return any(is_assertion(node) for node in ast.walk(tree(source)))


@each_notebook
def test_cells_that_only_test_are_folded(path):
    "A cell of assertions alone carries the tag `test`; what carries it is folded."
    for kind, text, meta in cells(path):
        if kind != "code" or exported(text):
            continue
        tags = meta.get("tags", [])
        if "test" in tags:
            assert meta.get("jupyter", {}).get("source_hidden") is True, text
        body = tree(text).body
        only = body and all(is_assertion(n.value if isinstance(n, ast.Expr) else n) for n in body)
        if only and len(body) > 1:
            assert {"test", "solution"} & set(tags), f"tests in the reader's way:\n{text}"


def is_references(text):
    return text.startswith("## References")


@each_lesson
def test_a_lesson_is_short(path):
    "At most 2,500 words of prose and 60 visible cells; references are no prose."
    texts = [text for text in prose(path) if not is_references(text)]
    assert sum(len(text.split()) for text in texts) <= 2500, "words of prose"
    hidden = {"test", "solution", "hide-input"}
    visible = [1 for _, _, meta in cells(path) if not hidden & set(meta.get("tags", []))]
    assert len(visible) <= 60, "visible cells"


@each_notebook
def test_folded_code_is_folded_in_jupyter_too(path):
    for _, text, meta in cells(path):
        if "hide-input" in meta.get("tags", []):
            assert meta.get("jupyter", {}).get("source_hidden") is True, text


@each_lesson
def test_the_time_to_read_is_said(path):
    "Prose and visible code, as the map and the site count them."
    minutes = reading_minutes(path)
    said = int(re.search(r"\*Time: about (\d+) minutes to read and", cells(path)[0][1])[1])
    assert abs(said - minutes) <= 2, f"prose and code take {minutes} minutes"


def numbers(path):
    "What a lesson's `hp = budget(...)` holds at the lesson budget: name -> number."
    for source in code(path):
        for node in ast.walk(tree(source)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "budget":
                pairs = [(k.arg, k.value) for k in node.keywords]
                return {name: v.value for name, v in pairs if isinstance(v, ast.Constant)}
    return {}


def asked(path):
    "Calls that read so many of the digits that are here: the part, and the name of the number."
    for source in code(path):
        for node in ast.walk(tree(source)):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            named = getattr(node.func, "id", None) in ("load", "load_raw", "dls")
            if not named or ast.unparse(node.args[0]) not in ("digit_set()", "data"):
                continue
            parts = [a.value for a in node.args[1:2] if isinstance(a, ast.Constant)]
            for keyword in node.keywords:
                value = ast.unparse(keyword.value)
                if keyword.arg == "n" and value.startswith("hp."):
                    yield (parts or ["train"])[0], value.removeprefix("hp.")


@each_lesson
def test_no_lesson_asks_for_more_digits_than_the_packaged_ones(path):
    "Whoever has no other data has these, and `load` refuses to give more than there are."
    hp = numbers(path)
    for part, name in asked(path):
        many = hp.get(name)
        assert many is None or many <= len(load_raw("mnist5k", part)[1]), (part, name, many)


@each_notebook
def test_imports_stand_in_cells_of_their_own(path):
    for kind, text, meta in cells(path):
        if kind != "code" or {"solution", "test"} & set(meta.get("tags", [])):
            continue
        body = [n for n in tree(text).body if not isinstance(n, ast.Pass)]
        found = [isinstance(n, (ast.Import, ast.ImportFrom)) for n in body]
        assert all(found) or not any(found), f"imports and other code in one cell:\n{text}"


def definitions(tops):
    "Name -> source of every function, class and value that stands at the top of some cells."
    found = {}
    for node in tops:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = ast.unparse(node)
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for part in ast.walk(target):
                    if isinstance(part, ast.Name):
                        found[part.id] = ast.unparse(node)
    return found


@each_notebook
def test_what_is_exported_is_tested(path):
    "Each public definition is named in a cell that asserts, in tests/, or reached from there."
    every = code(path)
    public = set()
    for source in every:
        if exported(source):
            public |= {
                node.name
                for node in tree(source).body
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_"
            }
    body = definitions([node for source in every for node in tree(source).body])
    text = "\n".join(s for s in every if not exported(s) and asserts(s))
    text += "\n".join(read(p) for p in (ROOT / "tests").glob("*.py"))
    reached, new = set(), {"start"}
    while new:
        new = {n for n in set(body) - reached if re.search(rf"\b{n}\b", text)}
        reached |= new
        text += "\n".join(body[n] for n in new)
    assert sorted(public - reached) == []


def outputs(path):
    "All that the cells of a notebook stored as text."
    for cell in json.loads(read(path))["cells"]:
        for output in cell.get("outputs", ()):
            yield "".join(output.get("text", ()))
            for kind, content in output.get("data", {}).items():
                if kind.startswith("text/"):
                    yield "".join(content)


PLACE = re.compile(r"(?<![\w.:/])(?:/(?:home|root|tmp|var|usr|opt|work|Users)/|[A-Z]:\\)\S+")


@pytest.mark.parametrize("text", ["in /home/ann/genda/x.png", "(/tmp/a1/b)", r"at C:\Users\ann"])
def test_a_place_on_a_machine_is_seen(text):
    assert PLACE.search(text)
    assert not PLACE.search("https://arxiv.org/home/1, runs/3_ddpm, a/tmp/b")


@each_notebook
def test_outputs_name_no_place_on_a_machine(path):
    assert [PLACE.search(text).group() for text in outputs(path) if PLACE.search(text)] == []


@each_notebook
def test_size(path):
    assert path.stat().st_size < MB, "bytes"


def test_all_notebooks_together():
    assert NOTEBOOKS, "no notebooks found"
    assert sum(p.stat().st_size for p in NOTEBOOKS) < 17 * MB


@pytest.mark.parametrize("path", [INDEX, *NOTEBOOKS], ids=lambda p: p.stem)
def test_kernel_and_format(path):
    nb = json.loads(read(path))
    assert nb["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in nb["cells"]]
    assert len(set(ids)) == len(ids)


def test_ruff_is_content():
    "Form and lint of notebooks, tests, tools, bench and docs."
    ruff = Path(sys.executable).parent / "ruff"
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([ruff, *command, "."], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:]
