"Take a queue of table rows to a machine with a GPU and bring back what they made."

import argparse
import ast
import builtins
import functools
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import types
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".gpu"
QUEUE = "tools/gpu_queue.txt"
MIB = 1 << 20
# What a pack may weigh, and how many files of what size come back.
PACK = 60 * MIB
FILES, FILE = 8, 16 * MIB

# -- the queue


class Refused(Exception):
    "Bad input, said in one line."


# Set -> where its files may lie below a data folder, the first that is there counts. Each part of
# a `+` is wanted. Sets that are not named here come with a package or are drawn.
PLACES = {
    "mnist": ["MNIST/raw"],
    "fashion": ["FashionMNIST/raw"],
    "usps": ["usps.bz2"],
    "bsds": ["bsds", "BSR/BSDS500/data/images/train"],
    "mnistm100": ["mnistm.npz", "mnist_m.npz"],
    "cifar10": ["cifar-10-batches-py", "cifar-10-python.tar.gz", "cifar10.zip", "cifar10"],
    "cifar100": ["cifar-100-python", "cifar-100-python.tar.gz", "cifar100.zip", "cifar100"],
    "celeba": ["celeba", "CelebA", "celeba64.npz", "celeba.npz"],
    "iclevr": ["iclevr"],
    "pacs": ["pacs.zip", "pacs64.zip", "PACS.zip", "pacs", "PACS"],
    "officehome": ["officehome.zip", "OfficeHome.zip", "officehome", "OfficeHome"],
    "svhn": ["svhn", "SVHN", "train_32x32.mat"],
}
BESIDE = {"usps.bz2": ["usps.t.bz2"], "train_32x32.mat": ["test_32x32.mat"]}
# Drawn or packaged: only what was kept of them in the cache travels.
DRAWN = ("mnist5k", "optdigits", "mnistm", "faces", "shapes")


def read_queue(path):
    "The lines of a queue as (notebook, patterns of row names, data sets)."
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 3:
            raise Refused(
                f"{path.name}, line {number}: three words are wanted, the notebook, its rows (*), "
                f"and the data sets that they need (- for none); it has {len(words)}"
            )
        notebook, patterns, sets = words
        sets = [] if sets == "-" else sets.split(",")
        unknown = [name for name in sets if name not in PLACES and name not in DRAWN]
        if unknown:
            raise Refused(
                f"{path.name}, line {number}: no data set is called {unknown[0]}; "
                f"there are {', '.join([*PLACES, *DRAWN])}"
            )
        lines.append((notebook, patterns.split(","), sets))
    if not lines:
        raise Refused(f"{path.name} names no rows")
    return lines


def notebook_path(notebook, root=ROOT):
    "The file of a notebook of the queue."
    path = root / "nbs" / f"{notebook}.ipynb"
    if not path.is_file():
        raise Refused(f"the queue names {notebook}, and there is no {path.relative_to(root)}")
    return path


# -- what of a notebook makes its rows: a slice of its statements, as plain Python


class Reads(ast.NodeVisitor):
    "The names that a statement reads before it binds them itself."

    def __init__(self, bound=()):
        self.bound = set(bound)
        self.found = set()

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Store):
            self.bound.add(node.id)
        elif node.id not in self.bound:
            self.found.add(node.id)

    def visit_all(self, *nodes):
        for node in nodes:
            for one in node if isinstance(node, list) else [node]:
                if one is not None:
                    self.visit(one)

    def visit_Assign(self, node):
        self.visit_all(node.value, node.targets)

    def visit_AnnAssign(self, node):
        self.visit_all(node.annotation, node.value, node.target)

    def visit_AugAssign(self, node):
        if isinstance(node.target, ast.Name) and node.target.id not in self.bound:
            self.found.add(node.target.id)
        self.visit_all(node.value, node.target)

    def visit_For(self, node):
        self.visit_all(node.iter, node.target, node.body, node.orelse)

    def visit_ExceptHandler(self, node):
        self.bound |= {node.name} - {None}
        self.visit_all(node.type, node.body)

    def visit_If(self, node):
        self.visit(node.test)
        before = set(self.bound)
        self.visit_all(node.body)
        after = self.bound
        self.bound = set(before)
        self.visit_all(node.orelse)
        self.bound &= after

    def visit_comprehension_of(self, node):
        inner = Reads(self.bound)
        for part in node.generators:
            inner.visit_all(part.iter, part.target, part.ifs)
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        inner.visit_all(parts)
        self.found |= inner.found

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_comprehension_of

    def visit_function(self, node):
        "A function reads what it does not bind anywhere inside."
        a = node.args
        self.visit_all(a.defaults, a.kw_defaults, getattr(node, "decorator_list", []))
        names = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
        own = {arg.arg for arg in names if arg}
        self.visit_all([arg.annotation for arg in names if arg])
        body = node.body if isinstance(node.body, list) else [node.body]
        for inner in (inner for part in body for inner in ast.walk(part)):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                own.add(inner.id)
            own.update(bound_here(inner))
        inside = Reads(self.bound | own)
        inside.visit_all(body)
        self.found |= inside.found
        self.bound.update(bound_here(node))

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = visit_function

    def visit_ClassDef(self, node):
        self.visit_all(node.bases, node.decorator_list, [k.value for k in node.keywords])
        inside = Reads(self.bound)
        inside.visit_all(node.body)
        self.found |= inside.found
        self.bound.add(node.name)


DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)


def bound_here(node):
    "The names that a definition or an import binds."
    if isinstance(node, DEFINITIONS):
        return {node.name}
    if isinstance(node, IMPORTS):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return set()


def reads(node):
    "The names that a statement takes from outside."
    visitor = Reads()
    visitor.visit(node)
    return visitor.found - set(dir(builtins))


def sets_anew(node):
    "The names that a statement gives a new value, whatever they were."
    if isinstance(node, ast.Assign):
        names = [n for target in node.targets for n in ast.walk(target)]
        return {n.id for n in names if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id}
    return bound_here(node)


def base_name(node):
    "The name at the left of `a.b[c].d`, or None."
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def changes(node):
    "The names whose value a statement may change: `a.b = 1`, `a[0] = 1`, `a += 1`, `a.append(1)`."
    if isinstance(node, (*DEFINITIONS, *IMPORTS)):
        return set()
    found = set()
    for part in ast.walk(node):
        if isinstance(getattr(part, "ctx", None), ast.Store):
            found.add(base_name(part))
        if isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
            function = part.value.func
            found.add(base_name(function) if isinstance(function, ast.Attribute) else None)
    return found - {None} - sets_anew(node)


def enters_a_table(node, own):
    "Whether a definition is there for its decorator: `@patch`, or a table of the notebook's own."
    for decorator in getattr(node, "decorator_list", []):
        name = base_name(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if name in own or name == "patch":
            return True
    return False


def parse_cell(source):
    "The statements of a cell; lines for Jupyter alone are left out."
    try:
        return source, ast.parse(source).body
    except SyntaxError:
        lines = ["" if line.lstrip()[:1] in ("%", "!") else line for line in source.split("\n")]
        source = "\n".join(lines)
        return source, ast.parse(source).body


def statements(path):
    "(syntax tree, source) of the statements of a notebook, without its tests and solutions."
    found = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] != "code" or {"test", "solution"} & set(tags):
            continue
        source, body = parse_cell("".join(cell["source"]))
        lines = source.split("\n")
        for node in body:
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(d.lineno for d in decorators)])
            found.append((node, "\n".join(lines[first - 1 : node.end_lineno])))
    return found


def makers(nodes):
    "`study_row`, and the functions of a notebook that call it, themselves or through another."
    found = {"study_row"}
    size = 0
    while size < len(found):
        size = len(found)
        for node in nodes:
            if isinstance(node, DEFINITIONS) and reads(node) & found:
                found.add(node.name)
    return found


class Slice:
    "Which statements of a notebook are needed to make its rows."

    def __init__(self, nodes):
        self.nodes = nodes
        self.reads = [reads(node) for node in nodes]
        self.anew = [sets_anew(node) for node in nodes]
        self.changes = [changes(node) for node in nodes]
        self.wanted = set()
        self.seen = set()
        making = makers(nodes)
        for i, node in enumerate(nodes):
            if not isinstance(node, (*DEFINITIONS, *IMPORTS)) and self.reads[i] & making:
                self.include(i, i)
        if self.wanted:
            self.include_tables()

    def include_tables(self):
        own = set()
        for node, names in zip(self.nodes, self.anew):
            own |= set() if isinstance(node, IMPORTS) else names
        for i, node in enumerate(self.nodes[: max(self.wanted)]):
            if enters_a_table(node, own):
                self.include(i, i)

    def include(self, i, at):
        "Take statement i, whose functions are called by statement `at`."
        if (i, at) in self.seen:
            return
        self.seen.add((i, at))
        self.wanted.add(i)
        for name in self.reads[i]:
            self.need(name, i, at)
            if at != i:
                self.need(name, at, at)

    def need(self, name, before, at):
        "Take what gives `name` the value that it has before a statement."
        changed = []
        for i in range(before - 1, -1, -1):
            if name in self.changes[i]:
                changed.append(i)
            if name in self.anew[i]:
                defined = isinstance(self.nodes[i], DEFINITIONS)
                self.include(i, at if defined else i)
                if isinstance(self.nodes[i], IMPORTS):
                    changed = [k for k in changed if not isinstance(self.nodes[k], ast.Expr)]
                break
        for i in changed:
            self.include(i, i)


def program(path):
    "The statements of a notebook that its rows need, as one Python text."
    found = statements(path)
    wanted = Slice([node for node, _ in found]).wanted
    return "\n\n\n".join(source for i, (_, source) in enumerate(found) if i in wanted) + "\n"


# -- gathering


# What a machine with PyTorch has, beside what PyTorch itself requires; wheels of the rest travel.
THERE = """
torchvision numpy pandas scipy scikit-learn matplotlib pillow safetensors psutil tqdm pyyaml
requests packaging joblib threadpoolctl python-dateutil six contourpy cycler fonttools kiwisolver
pyparsing certifi idna urllib3 charset-normalizer
""".split()  # noqa: SIM905, for a list literal takes a line per name
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
# Run in a process of its own: import all that is named, and say which files that took.
IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*{name.partition(".")[0] for name in sys.modules})
"""


def plain_name(name):
    "The name of a package as registries compare it."
    return re.sub(r"[-_.]+", "-", name).lower()


def required(names):
    "Packages and all that they require in turn, as far as it is installed here."
    from importlib.metadata import PackageNotFoundError, requires

    found = set()
    todo = list(names)
    while todo:
        name = plain_name(todo.pop())
        if name in found:
            continue
        found.add(name)
        try:
            needs = requires(name) or []
        except PackageNotFoundError:
            continue
        todo += [re.match(r"[\w.-]+", need)[0] for need in needs if "extra ==" not in need]
    return found


def imported_modules(sources):
    "The modules that Python sources import, and those that genda's own files import for them."
    genda = ROOT / "genda"
    found = set()
    todo = [("genda", ast.parse(source)) for source in sources]
    while todo:
        package, tree = todo.pop()
        for name in imported_by(tree, package) - found:
            found.add(name)
            path = ROOT.joinpath(*name.split("."))
            if genda not in [path, *path.parents]:
                continue
            file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            if file.is_file():
                inside = name if path.is_dir() else name.rpartition(".")[0]
                todo.append((inside, ast.parse(file.read_text(encoding="utf-8"))))
    return {name for name in found if name.partition(".")[0] not in sys.stdlib_module_names}


def imported_by(tree, package):
    "The modules that a syntax tree in a package imports; of genda also the packages above them."
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1]
            module = ".".join([*(parts if node.level else []), *filter(None, [node.module])])
            found.add(module)
            if module.partition(".")[0] == "genda":
                found |= {f"{module}.{alias.name}" for alias in node.names}
    for name in list(found):
        if name.startswith("genda."):
            parts = name.split(".")
            found |= {".".join(parts[:k]) for k in range(1, len(parts))}
    return found


def needed_packages(sources):
    "Names and versions of the packages that these sources need and a machine with PyTorch lacks."
    from importlib.metadata import distributions

    modules = [name for name in sorted(imported_modules(sources)) if not is_genda_name(name)]
    command = [sys.executable, "-W", "ignore", "-c", IMPORT, *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise Refused(f"the rows do not find what they import: {done.stderr.splitlines()[-1]}")
    imported = set(done.stdout.split()) - set(sys.stdlib_module_names)
    there = required(["torch"]) | {"genda", *THERE}
    found = {}
    for package in distributions():
        name = plain_name(package.name)
        tops = {file.parts[0].removesuffix(".py") for file in package.files or []}
        if name not in there and tops & imported:
            found[name] = package.version
    return dict(sorted(found.items()))


def is_genda_name(name):
    "Whether a dotted name lies in genda and is no module: a function that is imported from one."
    path = ROOT.joinpath(*name.split("."))
    return name.startswith("genda.") and not (path.is_dir() or path.with_suffix(".py").is_file())


def fetch_wheels(packages, python):
    "The wheels of packages, from the folder of earlier ones or fetched."
    cache = HOME / "wheels"
    cache.mkdir(parents=True, exist_ok=True)

    def wheels_of(name, version):
        start = f"{name.replace('-', '_')}-{version}-"
        return [path for path in cache.glob("*.whl") if path.name.lower().startswith(start)]

    missing = [f"{name}=={v}" for name, v in packages.items() if not wheels_of(name, v)]
    if missing:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", cache]
        command += ["--only-binary=:all:", "--python-version", python, "--implementation", "cp"]
        for platform in PLATFORMS:
            command += ["--platform", platform]
        done = subprocess.run([*command, *missing], capture_output=True, text=True)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise Refused(f"the wheels could not be fetched: {(said or ['pip failed'])[-1]}")
    return [path for name, v in packages.items() for path in wheels_of(name, v)]


def data_files(name, folders):
    "(file, its place below a data folder) of all files of a set; Refused where there are none."
    found = []
    for folder in folders:
        found = [folder / place for place in PLACES.get(name, []) if (folder / place).exists()][:1]
        found += [folder / place for start in found for place in BESIDE.get(start.name, [])]
        if found:
            break
    if name in PLACES and not found:
        raise Refused(
            f"no files of {name} in {' or '.join(map(str, folders))}: `genda data` says how to get "
            f"them, GENDA_DATA names a folder that has them ({', '.join(PLACES[name])})"
        )
    files = [(path, folder) for start in found for path in files_below(start)]
    for folder in folders:
        files += [(path, folder) for path in sorted(folder.glob(f"cache/{name}-*.npz"))]
    return [(path, path.relative_to(folder)) for path, folder in files]


def files_below(path):
    "The files of a folder and below it, without what Python keeps; or the file itself."
    if path.is_file():
        return [path]
    return [p for p in sorted(path.rglob("*")) if p.is_file() and "__pycache__" not in p.parts]


def copy(path, dest):
    "Copy a file and make its folder; one in MNIST's format is compressed, as genda reads it."
    dest.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith("-ubyte"):
        content = gzip.compress(path.read_bytes(), mtime=0)
        dest.with_name(f"{dest.name}.gz").write_bytes(content)
    elif path.suffix == ".ipynb":
        dest.write_text(json.dumps(without_outputs(path)), encoding="utf-8")
    else:
        shutil.copy(path, dest)


def without_outputs(path):
    "A notebook without what it printed."
    nb = json.loads(path.read_text(encoding="utf-8"))
    for cell in nb["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = []
    return nb


ALONE = ("settings.ini", "pyproject.toml", "Makefile", "tools/gpu.py", "LICENSE")


def pack(a):
    "Gather what the queue needs in .gpu/pack."
    from genda.settings import settings

    lines = read_queue(a.queue)
    notebooks = list(dict.fromkeys(notebook for notebook, _, _ in lines))
    sets = dict.fromkeys(name for _, _, names in lines for name in names)
    sources = [program(notebook_path(notebook)) for notebook in notebooks]
    empty = [nb for nb, source in zip(notebooks, sources) if not source.strip()]
    if empty:
        raise Refused(f"{empty[0]} has no rows: nothing in it calls study_row")
    data = [pair for name in sets for pair in data_files(name, settings().data_dirs)]
    wheels = fetch_wheels(needed_packages(sources), a.python) if a.wheels else []
    dest = HOME / "pack"
    shutil.rmtree(dest, ignore_errors=True)
    for folder in ["genda", *(f"results/study/{nb}" for nb in notebooks)]:
        for path in files_below(ROOT / folder) if (ROOT / folder).is_dir() else []:
            copy(path, dest / path.relative_to(ROOT))
    for name in (*ALONE, *(f"nbs/{nb}.ipynb" for nb in notebooks)):
        if (ROOT / name).is_file():
            copy(ROOT / name, dest / name)
    for path in (p for nb in notebooks for p in files_below(ROOT / "runs/rows" / nb)):
        copy(path, dest / path.relative_to(ROOT))
    for path, place in data:
        copy(path, dest / "data" / place)
    for path in wheels:
        copy(path, dest / "wheels" / path.name)
    copy(a.queue, dest / QUEUE)
    weigh(dest)


def weigh(folder):
    "Print what a pack weighs; one that is too heavy is removed."
    parts = {}
    for path in files_below(folder):
        names = path.relative_to(folder).parts
        part = "/".join(names[: 2 if names[0] in ("data", "genda", "runs") else 1])
        parts[part] = parts.get(part, 0) + path.stat().st_size
    total = sum(parts.values())
    largest = sorted(parts, key=parts.get, reverse=True)[:6]
    named = ", ".join(f"{name} {parts[name] / MIB:.1f}" for name in largest)
    if total > PACK:
        shutil.rmtree(folder)
        raise Refused(f"the pack weighs {total / MIB:.1f} MiB of {PACK // MIB}: {named}")
    print(f"{folder}: {total / MIB:.1f} MiB ({named})")


# -- a worker: one row after the other


def claim(folder, kind, name):
    "Note something in the folder that all workers share; whether this process is the first to."
    try:
        os.close(os.open(folder / f"{kind} {quote(name, safe='')}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def count_notes(folder, kind):
    "How many notes of a kind there are."
    return len(list(folder.glob(f"{kind} *")))


def in_short(figures):
    "The first figures of a row, for a line."
    numbers = {k: v for k, v in figures.items() if isinstance(v, (int, float))}
    return ", ".join(f"{k} {v:.4g}" for k, v in list(numbers.items())[:4])


def one_line(error):
    "What an exception says, in one line."
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0][:200]}" if said else type(error).__name__


class NotOurs(Exception):
    "A row that the queue does not name, or that another worker has."


class OutOfTime(BaseException):
    "No further row can be run."


class Worker:
    "Runs the rows of a queue that no other worker has taken."

    def __init__(self, queue, notes, margin, say):
        from genda.training import tracking

        self.tracking = tracking
        self.lines = read_queue(queue)
        self.notes = notes
        self.margin = margin
        self.say = say
        self.run_row = tracking.study_row
        tracking.study_row = self.study_row

    def run(self):
        "Go through the queue, and again where other workers made what was missing the first time."
        again = True
        while again:
            before = count_notes(self.notes, "done")
            self.elsewhere = False
            for notebook, patterns, _ in self.lines:
                self.notebook = notebook
                self.patterns = patterns
                self.run_notebook()
            again = self.elsewhere and count_notes(self.notes, "done") > before

    def run_notebook(self):
        "Run the statements of a notebook that make rows; one that fails is reported."
        file = self.notes / f"{quote(self.notebook, safe='')} {os.getpid()}.py"
        file.write_text(program(notebook_path(self.notebook)), encoding="utf-8")
        module = types.ModuleType("__main__")
        module.__file__ = str(file)
        sys.modules["__main__"] = module
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            try:
                exec(compile(ast.Module([node], []), file, "exec"), module.__dict__)
            except Exception as error:
                line = f"{self.notebook}, at `{ast.unparse(node).splitlines()[0][:60]}`"
                if claim(self.notes, "said", line[:100]):
                    self.say(f"{line}: {one_line(error)}")

    def study_row(self, notebook, name, fn, **kwargs):
        "In place of `study_row`: the row, stored or made here; None where it is not for us."

        @functools.wraps(fn)  # its source is still found, and with it the row's fingerprint
        def guarded(**kwargs):
            self.take(notebook, name)
            return fn(**kwargs)

        title = f"{notebook} {name}"
        start = time.perf_counter()
        try:
            row = self.run_row(notebook, name, guarded, **kwargs)
        except NotOurs:
            return None
        except (self.tracking.TimeUp, KeyboardInterrupt):
            claim(self.notes, "stopped", title)
            self.say(f"{title}: stopped in time, {time.perf_counter() - start:.0f} s this time")
            raise OutOfTime from None
        except Exception as error:
            traceback.print_exc()
            if self.queue_names(notebook, name) and claim(self.notes, "failed", title):
                self.say(f"{title}: failed, {one_line(error)}")
            return None
        if title == self.taken and claim(self.notes, "done", title):
            self.say(f"{title}: {row['seconds']:.0f} s, {in_short(row['figures'])}")
        return row

    taken = None  # the row that this worker took last

    def queue_names(self, notebook, name):
        "Whether the line of the queue that is being run names a row."
        return notebook == self.notebook and any(fnmatch(name, p) for p in self.patterns)

    def take(self, notebook, name):
        "Take a row that is due, or raise."
        if not self.queue_names(notebook, name):
            raise NotOurs
        if self.tracking.seconds_left() < self.margin:
            raise OutOfTime
        title = f"{notebook} {name}"
        if not claim(self.notes, "row", title):
            self.elsewhere = True
            raise NotOurs
        self.taken = title
        old = (self.tracking.row_folder(notebook, name) / "row.json").is_file()
        self.say(f"{title}: {'goes on' if old else 'starts'}")


class Lister(Worker):
    "Says which rows are due, and runs none."

    def take(self, notebook, name):
        if self.queue_names(notebook, name) and claim(self.notes, "row", f"{notebook} {name}"):
            self.say(f"{notebook} {name}")
        raise NotOurs


def work(a):
    "What `run` starts: a worker, whose own output goes into a log."
    signal.signal(signal.SIGINT, signal.default_int_handler)
    left = float(os.environ["GENDA_UNTIL"]) - time.time()
    signal.alarm(max(1, round(left + 2 * a.margin)))  # the end, should `run` be gone by then
    console = os.fdopen(os.dup(1), "w")
    with a.log.open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)

    def say(line):
        print(line, file=console, flush=True)

    failed = 0
    try:
        import torch

        torch.set_float32_matmul_precision("high")
        Worker(a.queue, a.notes, a.margin, say).run()
    except (OutOfTime, KeyboardInterrupt):
        pass
    except ImportError as error:
        failed = 1
        if claim(a.notes, "said", "import"):
            say(f"this machine lacks something: {error}")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(failed)  # at once: what is saved is saved, and tearing down takes seconds


def list_rows(a):
    "Print the rows of the queue that are due."
    os.environ["GENDA_BUDGET"] = a.budget
    with tempfile.TemporaryDirectory() as notes:
        Lister(a.queue, Path(notes), 0, print).run()


# -- a run: workers on one device until the time is nearly up


def unpack_wheels(root, dest):
    "Lay the packages of the pack into a folder: a wheel is a zip of what lies in site-packages."
    for path in sorted((root / "wheels").glob("*.whl")):
        with ZipFile(path) as wheel:
            wheel.extractall(dest)
    for folder in [*dest.glob("*.data/purelib"), *dest.glob("*.data/platlib")]:
        shutil.copytree(folder, dest, dirs_exist_ok=True)


def environment(root, lib, a, until):
    "What the workers are told."
    paths = [str(root), str(lib), *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = max(1, (os.cpu_count() or 1) // a.jobs)
    told = dict(
        PYTHONPATH=os.pathsep.join(paths),
        PYTHONWARNINGS="ignore",
        GENDA_BUDGET=a.budget,
        GENDA_RESULTS=str(root / "runs/gpu/results"),
        GENDA_UNTIL=str(until),
        MPLBACKEND="Agg",
    )
    return {"OMP_NUM_THREADS": str(threads), **os.environ, **told}


def start_workers(root, queue, notes, a, env):
    "The processes that run rows, each in a session of its own: Ctrl-C reaches `run` alone."
    for i in range(a.jobs):
        command = [sys.executable, root / "tools/gpu.py", "work", "--queue", queue]
        command += ["--notes", notes, "--log", root / f"runs/gpu/worker_{i + 1}.log"]
        command += ["--margin", str(a.margin)]
        yield subprocess.Popen(command, cwd=root, env=env, start_new_session=True)


def stop_workers(workers, seconds):
    "Interrupt workers, so that they save, and end those that are still there after some seconds."
    end = time.time() + seconds
    for worker in workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGINT)
    for worker in workers:
        try:
            worker.wait(max(0.1, end - time.time()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def ask_to_end(*_):
    raise KeyboardInterrupt


def run(a):
    "Run the queue's rows in several processes, and leave what they made in a folder."
    start = time.time()
    if 60 * a.minutes <= 2 * a.margin:
        raise Refused(f"{a.minutes:g} minutes are too short for a margin of {a.margin:g} s")
    root = HOME / "pack" if (HOME / "pack").is_dir() else ROOT
    queue = (a.queue if a.queue.is_file() else root / QUEUE).resolve()
    notebooks = sorted({notebook for notebook, _, _ in read_queue(queue)})
    for notebook in notebooks:
        notebook_path(notebook, root)
    until = start + 60 * a.minutes - a.margin
    (root / "runs/gpu").mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_end)
    workers = []
    with tempfile.TemporaryDirectory() as scratch:
        notes = Path(scratch, "notes")
        notes.mkdir()
        bring = Bring(root, a.out, notebooks, notes)
        try:
            unpack_wheels(root, Path(scratch, "lib"))
            env = environment(root, Path(scratch, "lib"), a, until)
            workers.extend(start_workers(root, queue, notes, a, env))
            while any(w.poll() is None for w in workers) and time.time() < until + a.margin / 4:
                time.sleep(0.2)
                bring.now_and_then()
        except KeyboardInterrupt:
            print("asked to end: rows save what they have", flush=True)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            stop_workers(workers, a.margin / 2)
            bring.all()
        of = {kind: count_notes(notes, kind) for kind in ("done", "stopped", "failed")}
    text = ", ".join(f"{n} {kind}" for kind, n in of.items() if n) or "no row was run"
    files = [path.stat().st_size for path in a.out.glob("*.zip")]
    print(
        f"{text}, {time.time() - start:.0f} s; "
        f"{a.out}: {len(files)} files, {sum(files) / MIB:.1f} MiB"
    )
    if of["failed"] or any(worker.returncode == 1 for worker in workers):
        sys.exit(1)


# -- bringing back


class Bring:
    "Writes what rows made into few files of a limited size."

    def __init__(self, root, out, notebooks, notes):
        self.root = root
        self.out = out
        self.notebooks = notebooks
        self.notes = notes
        self.results = root / "runs/gpu/results"
        self.seen = 0
        self.last = time.time()

    def now_and_then(self):
        "Where rows have ended, write the files anew, so that a kill costs little."
        n = count_notes(self.notes, "done")
        if n > self.seen and time.time() > self.last + 20:
            self.all()
            self.seen = n
            self.last = time.time()

    def kind(self, notebook, path):
        "What a file in a row's folder is; None where it is of no use any more."
        if path.suffix in (".png", ".gif", ".npz"):
            return "samples"
        if path.suffix != ".safetensors":
            return None if path.suffix == ".part" else "rows"
        if not path.name.startswith("checkpoint"):
            return "weights"
        name = path.relative_to(self.root / "runs/rows" / notebook).parts[0]
        stopped = self.notes / f"stopped {quote(f'{notebook} {name}', safe='')}"
        done = (self.results / "study" / notebook / f"{name}.json").is_file()
        return None if done and not stopped.exists() else "checkpoints"

    def all(self):
        "Write everything; what matters most comes first, and what has no room is named."
        kinds = dict(rows=[], samples=[], weights=[], checkpoints=[])
        logs = sorted((self.root / "runs/gpu").glob("*.log"))
        kinds["rows"] += [(path, path.relative_to(self.root).as_posix()) for path in logs]
        for notebook in self.notebooks:
            for path in files_below(self.results / "study" / notebook):
                place = path.relative_to(self.results).as_posix()
                kinds["rows"].append((path, f"results/{place}"))
            for path in files_below(self.root / "runs/rows" / notebook):
                kind = self.kind(notebook, path)
                if kind:
                    kinds[kind].append((path, path.relative_to(self.root).as_posix()))
        left = write_archives(kinds, self.out)
        if left:
            print(f"no room for {', '.join(left)}", flush=True)


def pieces(path, place, size):
    "The content of a file as pairs (name, bytes); a long one in pieces, named `.1of3` and so on."
    content = path.read_bytes()
    if len(content) <= size:
        return [(place, content)]
    parts = [content[i : i + size] for i in range(0, len(content), size)]
    return [(f"{place}.{i}of{len(parts)}", part) for i, part in enumerate(parts, 1)]


def weight(volume):
    "What a zip of these pairs (name, bytes) weighs at most."
    return sum(len(content) + 2 * len(name) + 256 for name, content in volume)


def volumes(pairs, room, size):
    "Files laid into at most `room` zips of a size, as lists of (name, bytes); what is left out."
    laid, left = [], []
    for path, place in pairs:
        try:
            content = pieces(path, place, size - 65536)
        except FileNotFoundError:  # a row that goes on has replaced it
            continue
        now = [list(volume) for volume in laid[-1:]]
        for piece in content:
            if not now or weight([*now[-1], piece]) > size:
                now.append([])
            now[-1].append(piece)
        if len(laid[:-1]) + len(now) > room:
            left.append(place)
        else:
            laid[-1:] = now
    return laid, left


def write_archives(kinds, out, files=FILES, size=FILE):
    "Write kind -> files as zips into a folder, whole or not at all; the names of what is left out."
    out.mkdir(parents=True, exist_ok=True)
    written, left = set(), []
    for kind, pairs in kinds.items():
        laid, more = volumes(pairs, files - len(written), size)
        left += more
        for i, volume in enumerate(laid, 1):
            path = out / f"{kind}-{i}.zip"
            with ZipFile(f"{path}.part", "w", ZIP_DEFLATED if kind == "rows" else ZIP_STORED) as z:
                for name, content in volume:
                    z.writestr(name, content)
            os.replace(f"{path}.part", path)
            written.add(path)
    for path in out.glob("*.zip"):
        if path not in written and re.fullmatch(rf"({'|'.join(kinds)})-\d+", path.stem):
            path.unlink()
    return left


def unpack(a):
    "Put what a run brought back into results/ and runs/."
    found, parts = {}, {}
    for path in sorted(a.folder.glob("*.zip")):
        with ZipFile(path) as z:
            for name in z.namelist():
                piece = re.fullmatch(r"(.+)\.(\d+)of(\d+)", name)
                if piece:
                    parts.setdefault((piece[1], int(piece[3])), {})[int(piece[2])] = z.read(name)
                else:
                    found[name] = z.read(name)
    if not found:
        raise Refused(f"{a.folder} holds nothing that a run brought back")
    for (name, n), of in parts.items():
        if len(of) == n:
            found[name] = b"".join(of[i] for i in range(1, n + 1))
        else:
            print(f"{name} is not whole: {len(of)} of {n} pieces; left out")
    for name, content in found.items():
        if ".." in name or not name.startswith(("results/study/", "runs/rows/", "runs/gpu/")):
            raise Refused(f"{name} is nothing that a run brings back")
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    rows = [name for name in found if name.startswith("results/")]
    print(f"{len(rows)} rows, {len(found) - len(rows)} other files")


# -- the command


def arguments():
    cli = argparse.ArgumentParser(description=__doc__)
    commands = cli.add_subparsers(dest="command", required=True)

    def command(name, function, text, queue=True):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        if queue:
            sub.add_argument("--queue", type=Path, default=ROOT / QUEUE)
        return sub

    sub = command("pack", pack, "gather code, data and packages in .gpu/pack")
    sub.add_argument("--python", default="3.12", help="the Python of that machine")
    sub.add_argument("--no-wheels", dest="wheels", action="store_false")
    sub = command("list", list_rows, "print the rows that are due")
    sub.add_argument("--budget", default="full")
    sub = command("run", run, "run rows until the time is nearly up")
    sub.add_argument("--minutes", type=float, required=True)
    sub.add_argument("--jobs", type=int, default=4, help="processes that share the device")
    sub.add_argument("--out", type=Path, default=HOME / "out")
    sub.add_argument("--margin", type=float, default=30, help="seconds to save and pack in")
    sub.add_argument("--budget", default="full")
    sub = command("unpack", unpack, "put what came back into results/ and runs/", queue=False)
    sub.add_argument("folder", type=Path, nargs="?", default=HOME / "out")
    sub = command("work", work, "what `run` starts")
    sub.add_argument("--notes", type=Path)
    sub.add_argument("--log", type=Path)
    sub.add_argument("--margin", type=float)
    return cli.parse_args()


def main():
    a = arguments()
    try:
        a.function(a)
    except Refused as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
