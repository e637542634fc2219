"The site: the lessons as docs/build.py leaves them, with their stored outputs, and the project's own texts."

import json
import posixpath
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))
import reference  # noqa: E402

TEXTS = {
    "index": "README.md",
    "contributing": "CONTRIBUTING.md",
    "data": "data/README.md",
}  # page -> the file it shows
MADE = (
    ROOT / "docs/_made"
)  # what build.py puts among the static files: networks, JavaScript of others
LIVE = {
    "digits": "digits",
    "interpolation": "digits",
    "eta": "digits",
    "faces": "faces",
}  # live page -> its network

project, author, html_title = "genda", "The genda authors", "genda"
extensions = ["myst_nb", "sphinx.ext.viewcode"]
exclude_patterns = [
    "_*",
    "jupyter_execute",
    "static",
    *(
        f"live/{page}.md"
        for page, net in LIVE.items()
        if not (MADE / f"networks/{net}.json").exists()
    ),
]
if not (MADE / "networks").exists():
    exclude_patterns.append("live")
language = "en"
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_code_prompt_show, nb_code_prompt_hide = (
    "Show the solution",
    "Hide the solution",
)  # nothing else is folded
nb_ipywidgets_js = {}  # sliders need a kernel; nothing is fetched for them
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
mathjax_path = "vendor/tex-svg-full.js" if (MADE / "vendor").exists() else "latex.js"
mathjax3_config = {"options": {"enableMenu": False}}  # its menu would fetch
templates_path, html_static_path = [], ["static", "_made"]
html_favicon = "static/icon.svg"
html_context = {"default_mode": "auto"}
html_css_files, html_js_files = ["site.css"], [("animation.js", {"defer": "defer"})]
html_theme = "sphinx_book_theme"
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "use_download_button": False,
    "use_fullscreen_button": False,
    **dict.fromkeys(("navbar_start", "navbar_center", "navbar_end", "navbar_persistent"), []),
}
viewcode_follow_imported_members = False
html_copy_source = False
html_last_updated_fmt = None
add_module_names = False
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 88


def link(target, file):
    "Where a relative link in `file` of the project leads on the site: a page, or the file itself."
    path = posixpath.normpath(posixpath.join(posixpath.dirname(file), target))
    page = {v: k for k, v in TEXTS.items()}.get(path)
    if page:
        return f"{page}.md"
    return (
        path.replace("nbs/", "lessons/", 1)
        if path.startswith("nbs/") and path.endswith(".ipynb")
        else f"../{path}"
    )


def contents(folder):
    "The lines of a table of contents: what lies in a folder of pages, lessons with the numbers by which they are called."
    titles = [
        (p.stem, json.loads(p.read_text(encoding="utf-8"))["cells"][0]["source"])
        for p in sorted((ROOT / "docs" / folder).glob("*.ipynb"))
    ]
    return "\n".join(
        f"{stem.split('_')[0]} {re.match('# (.+)', ''.join(text))[1]} <{folder}/{stem}>"
        for stem, text in titles
    )


def include(app, docname, source):
    "Put the project's own text in front of what a page of docs/ adds to it, and what there is into the tables of contents."
    if docname == "index":
        live = "live/index" if (MADE / "networks").exists() else ""
        source[0] = (
            source[0]
            .replace("(lessons)", contents("lessons"))
            .replace("(labs)", contents("lessons/labs"))
            .replace("(live)", live)
        )
    if docname not in TEXTS:
        return
    text = (ROOT / TEXTS[docname]).read_text(encoding="utf-8")
    text = re.sub(r"\]\((?!\w+:|#)([^)\s]+)\)", lambda m: f"]({link(m[1], TEXTS[docname])})", text)
    source[0] = text + "\n" + source[0]


def find_source(app, modname):
    "The code of a module and the lines of each definition in it, also of methods that are patched onto a class."
    module = modname.removeprefix("genda.")
    if (ROOT / "genda" / f"{module}.py").is_file():
        return reference.source(module), reference.tags(module)


def setup(app):
    app.connect("source-read", include)
    app.connect("viewcode-find-source", find_source)
