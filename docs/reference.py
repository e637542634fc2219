"Pages of the reference, made from the exported modules and the comments behind parameters."

import ast
import re
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@lru_cache
def modules():
    "The dotted names of all modules of the package."
    package = ROOT / "genda"
    files = [p for p in sorted(package.rglob("*.py")) if not p.name.startswith("_")]
    return [".".join(p.relative_to(package).with_suffix("").parts) for p in files]


@lru_cache
def source(module):
    path = ROOT / "genda" / (module.replace(".", "/") + ".py")
    return path.read_text(encoding="utf-8")


def patched(node):
    "The class that fastcore's `patch` adds a function to, and what `patch` was told."
    for d in getattr(node, "decorator_list", ()):
        if getattr(d, "id", getattr(getattr(d, "func", None), "id", "")) == "patch":
            return ast.unparse((node.args.posonlyargs + node.args.args)[0].annotation), {
                k.arg for k in getattr(d, "keywords", ())
            }
    return None, set()


def simple(node, name):
    return any(getattr(d, "id", "") == name for d in node.decorator_list)


def exported_names(tree):
    "What a module lists in `__all__`."
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return ast.literal_eval(node.value)
    return []


def own_names(node, names, module):
    "Full name -> syntax tree of what one statement at the top of a module defines for its users."
    owner, _ = patched(node)
    if owner:
        return {f"{owner}.{node.name}": node}
    if isinstance(node, ast.FunctionDef) and node.name in names:
        return {node.name: node}
    if isinstance(node, ast.ClassDef) and node.name in names:
        methods = [m for m in node.body if isinstance(m, ast.FunctionDef) and shown(m, module)]
        return {node.name: node} | {f"{node.name}.{m.name}": m for m in methods}
    if isinstance(node, ast.Assign):
        targets = [t.id for t in node.targets if isinstance(t, ast.Name) and t.id in names]
        return {name: node for name in targets if name != "__all__"}
    return {}


@lru_cache
def defined(module):
    "Full name -> syntax tree, for every public function, class, method and value, in order."
    tree = ast.parse(source(module))
    names = exported_names(tree)
    found = {}
    for node in tree.body:
        found |= own_names(node, names, module)
    return found


def shown(method, module):
    "Whether a method is public and says anything of itself."
    if method.name != "__call__" and method.name.startswith("_"):
        return False
    commented = any(text for _, _, text in parameters(method, module))
    return bool(ast.get_docstring(method)) or commented


def comment(module, line):
    found = re.search(r"#\s?(.*)$", source(module).splitlines()[line - 1])
    return found[1].strip() if found else ""


def stars(args):
    "The parameters of a function in order, each with the stars before its name."
    for arg in [*args.posonlyargs, *args.args]:
        yield arg, ""
    if args.vararg:
        yield args.vararg, "*"
    for arg in args.kwonlyargs:
        yield arg, ""
    if args.kwarg:
        yield args.kwarg, "**"


def parameters(node, module):
    "Name, type and comment of each parameter of a function."
    rows = []
    for arg, star in stars(node.args):
        if arg.arg in ("self", "cls"):
            continue
        kind = ast.unparse(arg.annotation) if arg.annotation else ""
        on_its_own_line = arg.end_lineno != node.body[0].lineno
        text = comment(module, arg.end_lineno) if on_its_own_line else ""
        rows.append((star + arg.arg, kind, text))
    return rows


def returns(node, module):
    "Type and comment of what a function gives back: they stand where its signature closes."
    ends = [x.end_lineno for x in ast.walk(node.args) if hasattr(x, "end_lineno")]
    if node.returns:
        ends.append(node.returns.end_lineno)
    last = max([node.lineno, *ends])
    lines = source(module).splitlines()
    kind = ast.unparse(node.returns) if node.returns else ""
    for i in range(last, node.body[0].lineno):
        if re.match(r"\s*\).*:", lines[i - 1]):
            return kind, comment(module, i)
    return kind, ""


def signature(node):
    "The parameters of a function with their defaults, without types."
    args = ast.parse(ast.unparse(node)).body[0].args
    for arg, _ in stars(args):
        arg.annotation = None
    if patched(node)[0]:
        args.args = args.args[1:]
    else:
        args.args = [arg for arg in args.args if arg.arg not in ("self", "cls")]
    return ast.unparse(args)


def escape(text):
    "Words of a comment as Markdown that looks the same; what stands in backticks stays code."
    parts = re.split(r"(`[^`]*`)", text)
    special = r"([*_<>\[\]{}$|\\])"
    return "".join(p if p.startswith("`") else re.sub(special, r"\\\1", p) for p in parts)


class Symbols:
    "The definitions of all modules, and links to them from prose."

    def __init__(self, modules):
        self.modules = modules
        self.names = {}
        self.full = set()
        for m in modules:
            for name in defined(m):
                self.names.setdefault(name, m)
                self.full.add(f"genda.{m}.{name}")

    def target(self, text, used):
        "The full name that a piece of code in prose means, or None; a bare word only if `used`."
        name = re.sub(r"\(.*", "", text)
        if name.startswith("genda."):
            return (
                name if name in self.full or name.removeprefix("genda.") in self.modules else None
            )
        name = re.sub(r"^process\.", "GaussianDiffusion.", name)
        if name not in self.names or not (
            name in used or "(" in text or re.search("[A-Z].*[a-z]", name)
        ):
            return None
        return f"genda.{self.names[name]}.{name}"

    def link(self, text, used=(), own=None):
        "Markdown with the first mention of each symbol in a paragraph linked to its definition."
        out = []
        fence = None
        seen = set()

        def put(m):
            full = self.target(m[1], used)
            if full is None or full == own or full in seen or re.search(r"[<>]", m[1]):
                return m[0]
            seen.add(full)
            return f"{{py:obj}}`{m[1]} <{full}>`"

        for line in text.split("\n"):
            mark = re.match(r"\s*(```+|~~~+|:::+)", line)
            if mark and (fence is None or line.strip().startswith(fence)):
                fence = mark[1] if fence is None else None
            if fence or mark or line.startswith("#") or not line.strip():
                out.append(line)
                seen.clear()
                continue
            out.append(re.sub(r"(?<![\[`\w}])`([A-Za-z][\w.]*(?:\([^`]*\))?)`(?![`\]])", put, line))
        return "\n".join(out)

    def entry(self, module, name, node, level=3):
        "The directive that documents one symbol."
        fence = "`" * level
        kind = kind_of(name, node)
        call = constructor(node) if kind == "class" else node
        bare = kind in ("data", "property") or call is None
        sign = "" if bare else f"({signature(call)})"
        yield f"{fence}{{py:{kind}}} {name.split('.')[-1]}{sign}"
        if kind == "method" and is_class_method(node):
            yield ":classmethod:"
        yield ""
        if kind == "data":
            yield from [self.value(node), fence, ""]
            return
        yield from self.words(module, name, node, kind, call)
        if kind == "class":
            methods = [m for m in defined(module) if m.startswith(f"{name}.")]
            for method in methods:
                yield from self.entry(module, method, defined(module)[method], level - 1)
        yield from [fence, ""]

    def words(self, module, name, node, kind, call):
        "The docstring of a symbol, its parameters and what it returns."
        own = f"genda.{module}.{name}"
        known = defined(module)
        doc = ast.get_docstring(node)
        if doc:
            yield from [self.link(escape(doc), known, own), ""]
        rows = []
        if call is not None:
            rows = [(f"`{p}`", k, text) for p, k, text in parameters(call, module) if text or k]
        if call is not None and kind not in ("class", "property"):
            k, text = returns(node, module)
            rows += [("returns", k, text)] if k or text else []
        for title, k, text in rows:
            shown_type = f", *{escape(k)}*" if k else ""
            said = self.link(escape(text), known, own) or "&nbsp;"
            yield f"{title}{shown_type}\n: {said}\n"

    def value(self, node):
        "What a public value is: the names in a dictionary, or the code that makes it."
        keys = dictionary_keys(node.value)
        if keys:
            return "A dictionary with the keys " + ", ".join(f"`{k}`" for k in keys) + "."
        code = ast.unparse(node.value)
        short = len(code) < 200 and "`" not in code
        return f"`{code}`" if short else "A table that the module fills."

    def page(self, module, lesson, title):
        "The page of a module."
        yield from [
            f"# genda.{module}",
            "",
            ast.get_docstring(ast.parse(source(module))) or "",
            "",
            f"Exported by [{title}](../lessons/{lesson}).",
            "",
            f"```{{py:module}} genda.{module}",
            "```",
            "",
        ]
        for name, node in defined(module).items():
            if "." in name and name.split(".")[0] in defined(module):
                continue
            if "." in name:
                yield from ["```{py:currentmodule} genda." + module, "```", ""]
            yield from self.entry(module, name, node, 5)


def kind_of(name, node):
    "Which directive documents a symbol."
    if isinstance(node, ast.Assign):
        return "data"
    if isinstance(node, ast.ClassDef):
        return "class"
    if "." not in name:
        return "function"
    is_property = simple(node, "property") or "as_prop" in patched(node)[1]
    return "property" if is_property else "method"


def is_class_method(node):
    return "cls_method" in patched(node)[1] or simple(node, "classmethod")


def constructor(node):
    "The `__init__` of a class, or None."
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            return method
    return None


def dictionary_keys(value):
    "The keys of a dictionary that stands in the code, as text."
    if isinstance(value, ast.Dict):
        return [ast.unparse(k).strip("'\"") for k in value.keys if k is not None]
    if getattr(getattr(value, "func", None), "id", "") == "dict":
        return [k.arg for k in value.keywords if k.arg]
    return []


def tags(module):
    "For the pages of source code: name -> (kind, first line, last line)."
    kinds = {ast.ClassDef: "class", ast.FunctionDef: "def"}
    found = {}
    for name, node in defined(module).items():
        decorators = [d.lineno for d in getattr(node, "decorator_list", ())]
        first = min([node.lineno, *decorators])
        found[name] = kinds.get(type(node), "other"), first, node.end_lineno
    return found
