"What README.md, CONTRIBUTING.md, the Makefile, settings.ini and the workflows promise each other."

import ast
import base64
import configparser
import importlib
import io
import json
import re
import subprocess
import sys
import tempfile
import tomllib

import numpy as np
import pytest
import readme
import run
import yaml
from conftest import INDEX, NOTEBOOKS, ROOT, TEACHING, code, each_lesson, name_of, prose, read, tree
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

import genda

TEXTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "data/README.md")]
each_text = pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
MAKEFILE = read(ROOT / "Makefile")
TARGETS = set(" ".join(re.findall(r"^([a-z -]+):(?!=)", MAKEFILE, re.M)).split())
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def commands(text):
    "Lines of the code blocks, and what stands in backticks."
    blocks = re.findall(r"^```(?:sh|bat)\n(.*?)^```", text, re.S | re.M)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    rest = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    return [line for line in lines if line] + re.findall(r"`([^`\n]+)`", rest)


def ini():
    found = configparser.ConfigParser()
    found.read(ROOT / "settings.ini", encoding="utf-8")
    return found


each_with_commands = pytest.mark.parametrize(
    "path", [*TEXTS, ROOT / "docs/start.md"], ids=lambda p: str(p.relative_to(ROOT))
)


@each_with_commands
def test_make_commands_exist(path):
    used = set()
    for command in commands(read(path)):
        used |= set(re.findall(r"\bmake ([a-z-]+)", command))
    assert used <= TARGETS, used - TARGETS


def test_readme_names_the_commands_of_a_newcomer():
    wanted = {"course", "lab", "test", "lessons", "study", "docs", "bench", "clean"}
    texts = read(ROOT / "README.md") + read(ROOT / "docs/start.md")
    assert wanted <= set(re.findall(r"\bmake ([a-z]+)", texts))


@each_with_commands
def test_scripts_and_their_options_exist(path):
    for command in commands(read(path)):
        for script, rest in re.findall(r"(tools[/\\]\w+\.py)(.*)", command):
            call = [sys.executable, ROOT / script.replace("\\", "/"), "--help"]
            known = subprocess.run(call, capture_output=True, text=True, check=True).stdout
            for word in rest.split():
                if word.startswith("--"):
                    assert word in known, command
                else:
                    assert run.find_notebook(word, ROOT).is_file(), command


@each_text
def test_links_lead_to_files(path):
    links = re.findall(r"\]\(([^)\s]+)\)", read(path))
    ours = [link for link in links if not re.match(r"\w+:|#", link)]
    assert [link for link in ours if not (path.parent / link.split("#")[0]).exists()] == []


@pytest.mark.parametrize("path", [INDEX, *NOTEBOOKS], ids=lambda p: p.stem)
def test_links_between_notebooks_lead_to_files(path):
    links = re.findall(r"\]\(([^)\s]+\.ipynb)(?:#[^)\s]*)?\)", "\n".join(prose(path)))
    ours = [link for link in links if not re.match(r"\w+:", link)]
    assert [link for link in ours if not (path.parent / link).exists()] == []


def test_pages_that_the_map_names_exist():
    named = re.findall(r"\w+ \(`(docs/\w+\.md)` in the repository\)", "\n".join(prose(INDEX)))
    assert named == ["docs/teach.md", "docs/glossary.md"]
    assert all((ROOT / name).is_file() for name in named)


SNIPPETS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPETS += sorted((ROOT / "docs/live").glob("*.md"))


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda p: p.name)
def test_what_the_snippets_import_exists(path):
    for snippet in re.findall(r"^```python\n(.*?)^```", read(path), re.S | re.M):
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("genda"):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), node.module


def test_extras_that_readme_installs_exist():
    extras = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]
    for name in "README.md", "Makefile", ".github/workflows/tests.yml":
        for names in re.findall(r'-e [\'"]\.\[([a-z,]+)\]', read(ROOT / name)):
            assert set(names.split(",")) <= set(extras)


def test_readme_names_the_version_that_is_built():
    found = re.findall(r"genda-([\d.]+)-py3", read(ROOT / "README.md"))
    assert set(found) == {genda.__version__}


def test_citation_names_the_version_that_is_built():
    assert yaml.safe_load(read(ROOT / "CITATION.cff"))["version"] == genda.__version__


def test_map_and_readme_are_current():
    assert read(ROOT / "README.md") == readme.render(read(ROOT / "README.md")), (
        "make readme writes it anew"
    )
    assert read(INDEX) == readme.index_text(), "make readme writes it anew"


def test_the_map_holds_every_notebook():
    folders = [folder for folder, _, _ in readme.chapters()]
    assert folders == list(dict.fromkeys(path.parent.name for path in NOTEBOOKS))
    links = "\n".join(prose(INDEX))
    assert [name for name in map(name_of, NOTEBOOKS) if f"({name}.ipynb)" not in links] == []


def test_the_map_names_what_a_notebook_needs():
    _, _, *table = readme.rows("reports", "")
    rows = {row.split("](")[1].split(")")[0]: row for row in table}
    assert "[2.7 score](2_diffusion/7_score.ipynb), " in rows["reports/1_faces.ipynb"]
    assert readme.short(ROOT / "nbs/reports/3_iclevr.ipynb") == "3 iclevr"


def test_hours_are_the_sum_of_the_minutes():
    path = ROOT / "nbs/2_diffusion/3_ddpm.ipynb"
    minutes = readme.reading_minutes(path) + readme.EXERCISE * readme.exercises(path)
    minutes += readme.result("2_diffusion/3_ddpm")["seconds"] / 60
    assert readme.hours("2_diffusion/3_ no_such") == f"{minutes / 60:.0f}"
    assert float(readme.hours("2_diffusion")) > float(readme.hours("2_diffusion/[1-6]_")) > 1


def test_every_command_does_something():
    "`make -n` resolves each target, without running it."
    for target in sorted(TARGETS - {"help", "install"}):
        command = ["make", "-n", "-o", ".venv/.installed", target]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.strip(), f"{target}: {done.stderr}"
        assert "Nothing to be done" not in done.stdout, target


def test_settings_hold_paths_seed_budget_and_expectations():
    sections = ini().sections()
    assert set(ini()["genda"]) == {"data", "models", "results", "seed", "budget"}
    for section in (s for s in sections if s != "genda"):
        kind, notebook, _ = section.split()
        assert kind == "expect" and run.find_notebook(notebook, ROOT).is_file(), section
        for figure, text in ini()[section].items():
            low, high = ast.literal_eval(text)
            assert low is not None or high is not None, figure


def budget_calls(path):
    for source in code(path):
        for node in ast.walk(tree(source)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "budget":
                yield source


def only_imports(source):
    return all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in tree(source).body)


@each_lesson
def test_numbers_stand_in_the_first_cell_that_computes(path):
    "The first call of `budget` in a lesson comes before anything else is computed."
    calls = [source for source in budget_calls(path) if source.startswith("hp = budget(")]
    if calls:
        computing = [
            source
            for source in code(path)
            if not source.startswith("#|") and not only_imports(source)
        ]
        assert computing[0] == calls[0]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_workflows_are_whole(path):
    flow = yaml.safe_load(read(path))
    assert flow["name"] and (True in flow or "on" in flow)  # YAML 1.1 reads `on` as true
    for job in flow["jobs"].values():
        assert job["runs-on"] and job["steps"]
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step), step
            assert set(re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))) <= TARGETS


def test_checks_here_and_on_github_are_the_same():
    assert re.search(r"^make test", read(ROOT / ".ci/run"), re.M)
    assert "bash .ci/run" in read(ROOT / ".github/workflows/tests.yml")


def test_chapters_that_teach_exist():
    assert all((ROOT / "nbs" / folder).is_dir() for folder in TEACHING)


def test_results_belong_to_notebooks():
    names = set(map(name_of, NOTEBOOKS))
    for path in (ROOT / "results").rglob("*.json"):
        name = path.relative_to(ROOT / "results").with_suffix("").as_posix()
        if name == "claims" or name.startswith(("bench", "speedrun/")):  # of many, and of bench/
            continue
        if name.startswith(("seeds/", "study/")):
            owner = "/".join(name.split("/")[1:3])
            assert owner in names, path
            continue
        assert name in names and json.loads(read(path))["notebook"] == name, path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_notebook_records_under_its_own_name(path):
    if name_of(path) == "6_workshop/6_tracking":
        return  # shows how another one's figures are written
    named = re.findall(r'\brecord\(\s*"([^"]+)"', "\n".join(code(path)))
    assert set(named) <= {name_of(path)}


def packed(pixels):
    "PNG bytes of pixels, and the bytes under which `pack` stores them."
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    encoded = base64.b64encode(out.getvalue()).decode()
    data = new_output("display_data", {"image/png": encoded})
    run.pack(new_notebook(cells=[new_code_cell(outputs=[data])]))
    return out.getvalue(), base64.b64decode(data.data["image/png"])


@pytest.mark.parametrize(
    "source, budget, stored",
    [
        ("x = 1", "lesson", True),
        ("x = 1", "smoke", False),
        ("shown = record('2_diffusion/3_ddpm', figures)", "lesson", False),
    ],
)
def test_minutes_are_kept_where_a_notebook_records_none(
    tmp_path, monkeypatch, source, budget, stored
):
    monkeypatch.setenv("GENDA_BUDGET", budget)
    monkeypatch.setenv("GENDA_RESULTS", str(tmp_path))
    nb = new_notebook(cells=[new_code_cell(source)])
    run.keep_seconds(nb, "1_start/3_pictures", 12.34)
    path = tmp_path / "1_start" / "3_pictures.json"
    assert path.is_file() == stored
    if stored:
        kept = json.loads(path.read_text())
        assert (kept["seconds"], kept["budget"], kept["figures"]) == (12.3, "lesson", {})


def test_pictures_are_stored_smaller_and_unchanged():
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 4), dtype=np.uint8)
    opaque = np.full((40, 40, 1), 255, np.uint8)
    kinds = dict(
        L=np.concatenate([noise[..., :1].repeat(3, 2), opaque], 2),
        RGB=np.concatenate([noise[..., :3], opaque], 2),
        RGBA=noise,
    )
    for mode, pixels in kinds.items():
        before, after = packed(pixels)
        picture = Image.open(io.BytesIO(after))
        assert picture.mode == mode and len(after) <= len(before)
        assert np.array_equal(np.array(picture.convert("RGBA")), pixels)


def test_a_large_colour_picture_is_stored_in_256_colours():
    pixels = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    before, after = packed(pixels)
    picture = Image.open(io.BytesIO(after))
    assert len(before) > run.LARGE
    assert picture.mode == "P" and len(after) < len(before) / 2
    assert np.abs(np.array(picture.convert("RGB"), float) - pixels).mean() < 30


def test_temporary_folders_lose_their_names():
    with tempfile.TemporaryDirectory() as folder:
        said = new_output("stream", text=f"in {folder}/run.png")
    run.pack(new_notebook(cells=[new_code_cell(outputs=[said])]))
    assert said.text == "in temporary/run.png"
