"What README.md, CONTRIBUTING.md, the Makefile, settings.ini and the workflows promise each other."

import ast
import base64
import configparser
import io
import re
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import yaml
from conftest import BUDGETS, ROOT, code, each_notebook, read
from PIL import Image

sys.path.insert(0, str(ROOT / "tools"))
import run

TEXTS = [ROOT / n for n in ("README.md", "CONTRIBUTING.md", "data/README.md")]
each_text = pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
TARGETS = {
    t
    for line in re.findall(r"^([a-z ]+):(?!=)", read(ROOT / "Makefile"), re.M)
    for t in line.split()
}


def commands(text):
    "Lines of the code blocks, and what stands in backticks."
    blocks = re.findall(r"^```(?:sh|bat)\n(.*?)^```", text, re.S | re.M)
    return [l.strip() for b in blocks for l in b.splitlines() if l.strip()] + re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    )


def ini():
    found = configparser.ConfigParser()
    found.read(ROOT / "settings.ini", encoding="utf-8")
    return found


@each_text
def test_make_commands_exist(path):
    used = {w for c in commands(read(path)) for w in re.findall(r"\bmake ([a-z]+)", c)}
    assert used <= TARGETS, used - TARGETS
    assert (
        path.name != "README.md"
        or path.parent != ROOT
        or {"course", "lab", "test", "lessons", "study", "docs", "bench", "clean"} <= used
    )


@each_text
def test_scripts_and_their_options_exist(path):
    for command in commands(read(path)):
        for script, rest in re.findall(r"(tools[/\\]\w+\.py)(.*)", command):
            known = (
                subprocess.run(
                    [sys.executable, ROOT / script.replace("\\", "/"), "--help"],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
                if rest
                else ""
            )
            for word in rest.split():
                assert (
                    word in known
                    if word.startswith("--")
                    else (ROOT / "nbs" / f"{word}.ipynb").is_file()
                ), command


@each_text
def test_links_lead_to_files(path):
    links = [l for l in re.findall(r"\]\(([^)\s]+)\)", read(path)) if not re.match(r"\w+:|#", l)]
    assert [l for l in links if not (path.parent / l.split("#")[0]).exists()] == []


def test_extras_that_readme_installs_exist():
    import tomllib

    extras = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]
    for text in (
        read(ROOT / "README.md"),
        read(ROOT / "Makefile"),
        read(ROOT / ".github/workflows/tests.yml"),
    ):
        for names in re.findall(r'-e [\'"]\.\[([a-z,]+)\]', text):
            assert set(names.split(",")) <= set(extras)


def test_readme_names_the_version_that_is_built():
    import genda

    assert set(re.findall(r"genda-([\d.]+)-py3", read(ROOT / "README.md"))) == {genda.__version__}


def test_citation_names_the_version_that_is_built():
    import genda

    assert yaml.safe_load(read(ROOT / "CITATION.cff"))["version"] == genda.__version__


def test_readme_tables_are_current():
    sys.path.insert(0, str(ROOT / "tools"))
    from readme import render

    assert read(ROOT / "README.md") == render(read(ROOT / "README.md")), (
        "make readme writes them anew"
    )


def test_every_command_does_something():
    "`make -n` resolves each target, without running it."
    for target in sorted(TARGETS - {"help", "install"}):
        done = subprocess.run(
            ["make", "-n", "-o", ".venv/.installed", target],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert (
            done.returncode == 0 and done.stdout.strip() and "Nothing to be done" not in done.stdout
        ), f"{target}: {done.stdout}{done.stderr}"


def test_budgets_have_the_same_keys():
    keys = {b: set(ini()[b]) for b in BUDGETS}
    assert all(keys[b] == keys["smoke"] for b in BUDGETS), {
        b: keys["smoke"] ^ keys[b] for b in BUDGETS
    }
    assert keys["smoke"]


def test_expectations_are_bands_of_lessons_that_exist():
    for name in (s for s in ini().sections() if s not in (*BUDGETS, "genda")):
        kind, lesson, data = name.split()
        assert kind == "expect" and (ROOT / "nbs" / f"{lesson}.ipynb").is_file(), name
        for figure, text in ini()[name].items():
            low, high = ast.literal_eval(text)
            assert low is not None or high is not None, figure


@each_notebook
def test_settings_that_a_notebook_reads_exist(path):
    stem = path.stem.split("_", 1)[1]
    used = {k for s in code(path) for k in re.findall(rf"\b(?:s|settings\(\))\.({stem}_\w+)", s)}
    assert used <= set(ini()["smoke"])


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda p: p.name
)
def test_workflows_are_whole(path):
    flow = yaml.safe_load(read(path))
    assert flow["name"] and (True in flow or "on" in flow)  # YAML 1.1 reads `on` as true
    for job in flow["jobs"].values():
        assert job["runs-on"] and job["steps"]
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step), step
            for target in re.findall(r"\bmake ([a-z]+)", step.get("run", "")):
                assert target in TARGETS


def test_checks_here_and_on_github_are_the_same():
    assert re.search(r"^make test", read(ROOT / ".ci/run"), re.M) and "bash .ci/run" in read(
        ROOT / ".github/workflows/tests.yml"
    )


def packed(pixels):
    "PNG bytes of pixels, and the bytes under which `pack` stores them."
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    data = new_output("display_data", {"image/png": base64.b64encode(out.getvalue()).decode()})
    run.pack(new_notebook(cells=[new_code_cell(outputs=[data])]))
    return out.getvalue(), base64.b64decode(data.data["image/png"])


def test_pictures_are_stored_smaller_and_unchanged():
    rng, opaque = np.random.default_rng(0), np.full((40, 40, 1), 255, np.uint8)
    noise = rng.integers(0, 256, (40, 40, 4), dtype=np.uint8)
    kinds = dict(
        L=np.concatenate([noise[..., :1].repeat(3, 2), opaque], 2),
        RGB=np.concatenate([noise[..., :3], opaque], 2),
        RGBA=noise,
    )
    for mode, pixels in kinds.items():
        before, after = packed(pixels)
        picture = Image.open(io.BytesIO(after))
        assert (
            picture.mode == mode
            and np.array_equal(np.array(picture.convert("RGBA")), pixels)
            and len(after) <= len(before)
        )


def test_a_large_colour_picture_is_stored_in_256_colours():
    pixels = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    before, after = packed(pixels)
    picture = Image.open(io.BytesIO(after))
    assert (
        len(before) > run.LARGE
        and picture.mode == "P"
        and len(after) < len(before) / 2
        and np.abs(np.array(picture.convert("RGB"), float) - pixels).mean() < 30
    )


def test_temporary_folders_lose_their_names():
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    with tempfile.TemporaryDirectory() as folder:
        said = new_output("stream", text=f"in {folder}/run.png")
    run.pack(new_notebook(cells=[new_code_cell(outputs=[said])]))
    assert said.text == "in temporary/run.png"
