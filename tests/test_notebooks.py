"What holds for every notebook, checked without running it."

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import NOTEBOOKS, ROOT, cells, code, each_notebook, exported, prose, read, tree

MB = 1_000_000
PLAIN, EXPORTED = (
    15,
    25,
)  # lines of a code cell: of one that runs, of one that goes into the package (its comment lines apart)


def nbdev(command, folder):
    run = [str(Path(sys.executable).parent / f"nbdev-{command}")]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "The project as nbdev-clean and nbdev-export leave it, in a folder of its own, with nothing exported before."
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(
        ROOT / "nbs", folder / "nbs", ignore=shutil.ignore_patterns(".*", "__pycache__")
    )
    (folder / "genda").mkdir()
    for name in "pyproject.toml", "genda/__init__.py":
        shutil.copy(ROOT / name, folder / name)
    nbdev("clean", folder)
    nbdev("export", folder)
    return folder


@each_notebook
def test_clean_leaves_no_diff(path, copy):
    assert read(path) == read(copy / path.relative_to(ROOT)), (
        f"nbdev-clean changes {path.name}: run it and commit the result"
    )


def test_export_leaves_no_diff(copy):
    ours, made = (
        {p.name: read(p) for p in (folder / "genda").glob("*.py")} for folder in (ROOT, copy)
    )
    assert sorted(ours) == sorted(made), (
        "a module without a notebook, or a notebook that was never exported"
    )
    assert [n for n in ours if ours[n] != made[n]] == [], (
        "the package and the notebooks differ: run nbdev-export and commit the result"
    )


@each_notebook
def test_folded_solutions_survive_clean(path, copy):
    def folded(p):
        return [
            m
            for _, _, m in cells(p)
            if m.get("jupyter", {}).get("source_hidden") and "solution" in m.get("tags", [])
        ]

    assert len(folded(copy / path.relative_to(ROOT))) == len(folded(path)) >= 3


@each_notebook
def test_first_cells(path):
    kind, text, _ = cells(path)[0]
    assert kind == "markdown"
    assert re.fullmatch(
        r"# .+\n\n> .+\n\n\*Time: .*(minute|second).* at the lesson budget on two cores, no GPU\.\*",
        text,
    ), text
    assert code(path)[0].startswith("#| default_exp ") or path.parent.name == "labs"


@each_notebook
def test_one_title_and_the_closing_sections(path):
    text = re.sub(r"^(```|~~~).*?^\1", "", "\n".join(prose(path)), flags=re.S | re.M)
    assert len(re.findall(r"^# ", text, re.M)) == 1, "one H1"
    assert re.findall(r"^## (.+)", text, re.M)[-3:] == ["What we found", "Exercises", "References"]
    assert text.split("## References")[1].strip(), "References is empty"


@each_notebook
def test_exercises_have_folded_solutions(path):
    everything = cells(path)
    at = [
        i
        for i, (kind, text, _) in enumerate(everything)
        if kind == "markdown" and text.startswith("**Exercise")
    ]
    assert 3 <= len(at) <= 6
    for k, i in enumerate(at, 1):
        assert everything[i][1].startswith(f"**Exercise {k}.** "), everything[i][1][:40]
        solution = []
        for kind, text, meta in everything[i + 1 :]:
            if kind != "code" or "solution" not in meta.get("tags", []):
                break
            assert {"hide-input", "solution"} <= set(meta["tags"]) and meta.get("jupyter", {}).get(
                "source_hidden"
            ) is True, text
            solution.append(text)
        assert solution, f"exercise {k} is not followed by its solution"
        assert any(asserts(s) for s in solution), f"the solution of exercise {k} asserts nothing"


def asserts(source):
    "Whether a cell contains an assert, or calls a function that is one."
    return any(
        isinstance(n, ast.Assert)
        or (
            isinstance(n, ast.Call)
            and re.match(
                r"(test_|assert_|check_)", getattr(n.func, "id", getattr(n.func, "attr", ""))
            )
        )
        for n in ast.walk(tree(source))
    )


def weight(source):
    "Lines of a cell that count: no blank ones, no directives; of an exported cell neither the parameters' comment lines nor decorators."
    lines = [l for l in source.splitlines() if l.strip() and not l.lstrip().startswith("#|")]
    if not exported(source):
        return len(lines)
    signature = set()
    for n in ast.walk(tree(source)):
        if isinstance(n, ast.FunctionDef):
            signature |= set(range(n.lineno, n.body[0].lineno))
    return len(
        [
            l
            for i, l in enumerate(source.splitlines(), 1)
            if l.strip() and not l.startswith("#|") and i not in signature
        ]
    )


@each_notebook
def test_cells_are_small(path):
    large = {
        s.splitlines()[1 if s.startswith("#|") else 0]: weight(s)
        for s in code(path)
        if weight(s) > (EXPORTED if exported(s) else PLAIN)
    }
    assert not large, f"cells with too many lines: {large}"


@each_notebook
def test_imports_stand_in_cells_of_their_own(path):
    solutions = {s for kind, s, m in cells(path) if "solution" in m.get("tags", [])}
    for s in (s for s in code(path) if s not in solutions):
        body = [n for n in tree(s).body if not isinstance(n, ast.Pass)]
        found = [isinstance(n, (ast.Import, ast.ImportFrom)) for n in body]
        assert all(found) or not any(found), f"imports and other code in one cell:\n{s}"


@each_notebook
def test_what_is_exported_is_tested(path):
    "Each public definition is named in a cell that asserts, or in a definition or value that such a cell leads to."
    tops = [n for s in code(path) for n in tree(s).body]
    public = {
        n.name
        for s in code(path)
        if exported(s)
        for n in tree(s).body
        if isinstance(n, (ast.FunctionDef, ast.ClassDef))
    }
    body = {n.name: ast.unparse(n) for n in tops if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    body |= {
        m.id: ast.unparse(n)
        for n in tops
        if isinstance(n, ast.Assign)
        for t in n.targets
        for m in ast.walk(t)
        if isinstance(m, ast.Name)
    }
    text = "\n".join(s for s in code(path) if not exported(s) and asserts(s))
    reached, new = set(), {"start"}
    while new:
        new = {n for n in set(body) - reached if re.search(rf"\b{n}\b", text)}
        reached |= new
        text += "\n".join(body[n] for n in new)
    assert sorted(n for n in public - reached if not n.startswith("_")) == []


@each_notebook
def test_length(path):
    text = re.sub(
        r"\$\$.*?\$\$|\$[^$\n]+\$|^(```|~~~).*?^\1",
        " x ",
        "\n".join(prose(path)),
        flags=re.S | re.M,
    )
    assert len(re.findall(r"[^\W\d_][\w'-]*", text)) < 2500, "words"
    assert path.stat().st_size < MB, "bytes"


def test_all_notebooks_together():
    assert NOTEBOOKS, "no notebooks found"
    assert sum(p.stat().st_size for p in NOTEBOOKS) < 12 * MB


@each_notebook
def test_kernel_and_format(path):
    nb = json.loads(read(path))
    assert nb["metadata"]["kernelspec"]["name"] == "python3"
    ids = [c["id"] for c in nb["cells"]]
    assert len(set(ids)) == len(ids)
