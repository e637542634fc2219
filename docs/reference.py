"Pages of the reference, made from the exported modules: signatures, comments behind parameters, links to definitions."

import ast
import re
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@lru_cache
def source(module):
    return (ROOT / "genda" / f"{module}.py").read_text(encoding="utf-8")


def patched(node):
    "The class that a function is added to by fastcore's `patch`, and what `patch` was told; nothing for other functions."
    for d in getattr(node, "decorator_list", ()):
        if getattr(d, "id", getattr(getattr(d, "func", None), "id", "")) == "patch":
            return ast.unparse((node.args.posonlyargs + node.args.args)[0].annotation), {
                k.arg for k in getattr(d, "keywords", ())
            }
    return None, set()


def simple(node, name):
    return any(getattr(d, "id", "") == name for d in node.decorator_list)


@lru_cache
def defined(module):
    "Full name -> its syntax tree, for every public function, class, method and value of a module, in order."
    tree, found = ast.parse(source(module)), {}
    names = next(
        (
            ast.literal_eval(n.value)
            for n in tree.body
            if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "__all__"
        ),
        [],
    )
    for node in tree.body:
        owner, _ = patched(node)
        if owner:
            found[f"{owner}.{node.name}"] = node
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in names:
            found[node.name] = node
            if isinstance(node, ast.ClassDef):
                found |= {
                    f"{node.name}.{m.name}": m
                    for m in node.body
                    if isinstance(m, ast.FunctionDef) and shown(m, module)
                }
        elif isinstance(node, ast.Assign):
            found |= {
                t.id: node
                for t in node.targets
                if isinstance(t, ast.Name) and t.id in names and t.id != "__all__"
            }
    return found


def shown(method, module):
    "Whether a method is public and says anything of itself."
    return (method.name == "__call__" or not method.name.startswith("_")) and (
        ast.get_docstring(method) or any(c for _, _, c in parameters(method, module))
    )


def comment(module, line):
    found = re.search(r"#\s?(.*)$", source(module).splitlines()[line - 1])
    return found[1].strip() if found else ""


def parameters(node, module):
    "Names, type and comment of a function's parameters; those that share a line share the comment."
    a = node.args
    rows = []
    for arg, star in [
        *((x, "") for x in [*a.posonlyargs, *a.args]),
        *((x, "*") for x in filter(None, [a.vararg])),
        *((x, "") for x in a.kwonlyargs),
        *((x, "**") for x in filter(None, [a.kwarg])),
    ]:
        if arg.arg in ("self", "cls"):
            continue
        kind, name = ast.unparse(arg.annotation) if arg.annotation else "", star + arg.arg
        if rows and rows[-1][3] == arg.end_lineno:
            rows[-1][0].append(name)
        else:
            rows.append(
                (
                    [name],
                    kind,
                    comment(module, arg.end_lineno)
                    if arg.end_lineno != node.body[0].lineno
                    else "",
                    arg.end_lineno,
                )
            )
    return [row[:3] for row in rows]


def returns(node, module):
    "Type and comment of what a function gives back: they stand where its signature closes."
    last = max(
        [
            node.lineno,
            *(x.end_lineno for x in ast.walk(node.args) if hasattr(x, "end_lineno")),
            *([node.returns.end_lineno] if node.returns else []),
        ]
    )
    lines = source(module).splitlines()
    close = next(
        (i for i in range(last, node.body[0].lineno) if re.match(r"\s*\).*:", lines[i - 1])), None
    )
    text = comment(module, close) if close else ""
    return (ast.unparse(node.returns) if node.returns else ""), text


def signature(node):
    "The parameters of a function with their defaults, without types."
    bare = ast.parse(ast.unparse(node)).body[0]
    every = bare.args
    for x in [
        *every.posonlyargs,
        *every.args,
        *every.kwonlyargs,
        *filter(None, [every.vararg, every.kwarg]),
    ]:
        x.annotation = None
    every.args = (
        [x for x in every.args if x.arg not in ("self", "cls")]
        if not patched(node)[0]
        else every.args[1:]
    )
    return ast.unparse(every)


def escape(text):
    "Words of a comment as Markdown that looks the same; what stands in backticks stays code."
    return "".join(
        p if p.startswith("`") else re.sub(r"([*_<>\[\]{}$|\\])", r"\\\1", p)
        for p in re.split(r"(`[^`]*`)", text)
    )


class Symbols:
    "The definitions of all modules, and links to them from prose."

    def __init__(self, modules):
        self.modules, self.names, self.full = modules, {}, set()
        for m in modules:
            for name in defined(m):
                self.names.setdefault(name, m)
                self.full.add(f"genda.{m}.{name}")

    def target(self, text, used):
        "The full name that a piece of code in prose means, or None; a bare lower-case word only where the page itself uses it."
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
        "Markdown with the first mention of each symbol in a paragraph linked to its definition; headings, code and links stay as they are."
        out, fence, seen = [], None, set()

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
        own, call = f"genda.{module}.{name}", node
        kind = (
            "data"
            if isinstance(node, ast.Assign)
            else "class"
            if isinstance(node, ast.ClassDef)
            else "method"
            if "." in name
            else "function"
        )
        if kind == "class":
            call = next(
                (m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "__init__"),
                None,
            )
        options, fence = [], "`" * level
        if kind == "method" and ("cls_method" in patched(node)[1] or simple(node, "classmethod")):
            options.append(":classmethod:")
        if kind == "method" and (simple(node, "property") or "as_prop" in patched(node)[1]):
            kind = "property"
        sign = "" if kind in ("data", "property") or call is None else f"({signature(call)})"
        yield from [
            f"{fence}{{py:{kind}}} {name.split('.')[-1] if '.' in name else name}{sign}",
            *options,
            "",
        ]
        if kind == "data":
            yield from [self.value(node), fence, ""]
            return
        doc = ast.get_docstring(node)
        if doc:
            yield from [self.link(escape(doc), defined(module), own), ""]
        rows = [
            (", ".join(names), k, text)
            for names, k, text in (parameters(call, module) if call else [])
            if text or k
        ]
        if call is not None and kind not in ("class", "property"):
            rows += [("returns", k, text) for k, text in [returns(node, module)] if k or text]
        for names, k, text in rows:
            yield f"{names if names == 'returns' else f'`{names}`'}{f', *{escape(k)}*' if k else ''}\n: {self.link(escape(text), defined(module), own) or '&nbsp;'}\n"
        if kind == "class":
            for m in (x for x in defined(module) if x.startswith(f"{name}.")):
                yield from self.entry(module, m, defined(module)[m], level - 1)
        yield from [fence, ""]

    def value(self, node):
        "What a public value is: the names in a dictionary, or the code that makes it."
        v = node.value
        keys = (
            [ast.unparse(k).strip("'\"") for k in v.keys]
            if isinstance(v, ast.Dict) and v.keys
            else [k.arg for k in getattr(v, "keywords", ())]
            if getattr(getattr(v, "func", None), "id", "") == "dict"
            else None
        )
        if keys:
            return "A dictionary with the keys " + ", ".join(f"`{k}`" for k in keys) + "."
        code = ast.unparse(v)
        return (
            f"`{code}`" if len(code) < 200 and "`" not in code else "A table that the module fills."
        )

    def page(self, module, lesson, title):
        "The page of a module."
        yield from [
            f"# genda.{module}",
            "",
            ast.get_docstring(ast.parse(source(module))) or "",
            "",
            f"Taught in [{title}](../lessons/{lesson}).",
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


def tags(module):
    "For the pages of source code: name -> (kind, first line, last line)."
    return {
        n: (
            "class"
            if isinstance(x, ast.ClassDef)
            else "def"
            if isinstance(x, ast.FunctionDef)
            else "other",
            min([x.lineno, *(d.lineno for d in getattr(x, "decorator_list", ()))]),
            x.end_lineno,
        )
        for n, x in defined(module).items()
    }
