"The site: the lessons as docs/build.py leaves them, and the project's own texts."

import json
import os
import posixpath
import re
import sys
from html import escape
from pathlib import Path

from docutils import nodes

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "tools")]
import reference  # noqa: E402 - the folders of docs and tools are added above
from readme import chapters  # noqa: E402 - the folder is above
from run import notebooks  # noqa: E402 - the folder is above

# page -> the file that it shows
TEXTS = {
    "contributing": "CONTRIBUTING.md",
    "data": "data/README.md",
    "bench": "bench/README.md",
}
# What build.py puts among the static files: networks, JavaScript of others.
MADE = ROOT / "docs/_made"
# live page -> its network
LIVE = {
    "digits": "digits",
    "strip": "digits",
    "interpolation": "digits",
    "eta": "digits",
    "inpainting": "digits",
    "faces": "faces",
}

# owner/name on GitHub, where the site is built there; nothing otherwise.
REPOSITORY = os.environ.get("GITHUB_REPOSITORY", "")
HAS_LIVE = (MADE / "networks").exists()
# the top bar: word, page, and how the names of the pages behind it start
DOORS = [
    ("Start", "start", ""),
    ("Course", "lessons/index", "lessons/"),
    *([("Play", "live/index", "live/")] if HAS_LIVE else []),
    ("Results", "results", "figures"),
    ("Reference", "reference/index", "reference/"),
    ("Teach", "teach", ""),
]
ABOUT = (
    "Learn how diffusion models draw and how classifiers are adapted to other images, in notebooks "
    "that run on a laptop without a GPU; five student reports repeated, claim by claim."
)

project = "genda"
author = "The genda authors"
html_title = "genda"
extensions = ["myst_nb", "sphinx.ext.viewcode"]
exclude_patterns = [
    "_*",
    "jupyter_execute",
    "static",
    "templates",
    "extra",
    *(
        f"live/{page}.md"
        for page, net in LIVE.items()
        if not (MADE / f"networks/{net}.json").exists()
    ),
]
if not HAS_LIVE:
    exclude_patterns.append("live")
language = "en"
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
# What else is folded, cells that only test and code to skip, says so itself.
nb_code_prompt_show = "Show the solution"
nb_code_prompt_hide = "Hide the solution"
nb_ipywidgets_js = {}  # sliders need a kernel; nothing is fetched for them
myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
mathjax_path = "vendor/tex-svg-full.js" if (MADE / "vendor").exists() else "latex.js"
mathjax3_config = {"options": {"enableMenu": False}}  # its menu would fetch
templates_path = ["templates"]
html_static_path = ["static", "_made"]
html_favicon = "static/icon.svg"
html_extra_path = ["extra"]
html_context = {"default_mode": "auto", "doors": DOORS}
if REPOSITORY:
    html_baseurl = "https://{}.github.io/{}/".format(*REPOSITORY.split("/"))
html_css_files = ["site.css"]
html_js_files = [
    (name, {"defer": "defer"}) for name in ("animation.js", "lesson.js", "claims.js", "landing.js")
]
html_theme = "sphinx_book_theme"
html_theme_options = {
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_start": ["topbar.html"],
    "navbar_center": [],
    "navbar_end": [],
    "navbar_persistent": [],
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
    page = {v: k for k, v in TEXTS.items()}.get(path, "index" if path == "README.md" else None)
    if page:
        return f"{page}.md"
    return (
        path.replace("nbs/", "lessons/", 1)
        if path.startswith("nbs/") and path.endswith(".ipynb")
        else f"../{path}"
    )


def chapter(folder):
    "The table of contents of one chapter, with the numbers of reading order."
    lines = []
    for path in notebooks(ROOT):
        if path.parent.name == folder:
            first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
            name = re.match("# (.+)", "".join(first))[1]
            number = path.stem.split("_")[0]
            lines.append(f"{number} {name} <{path.stem}>")
    listed = "\n".join(lines)
    return f"```{{toctree}}\n:hidden:\n\n{listed}\n```"


def include(app, docname, source):
    "Put the project's own texts in front of what docs/ adds, and fill the tables of contents."
    if docname == "index":
        play = "```{toctree}\n:hidden:\n:caption: Play\n\nlive/index\n```" if HAS_LIVE else ""
        listed = "\n".join(f"lessons/{folder}/index" for folder, _, _ in chapters())
        source[0] = source[0].replace("(chapters)", listed).replace("(play)", play)
    if docname not in TEXTS:
        return
    file = TEXTS[docname]
    text = (ROOT / file).read_text(encoding="utf-8")
    text = re.sub(r"\]\((?!\w+:|#)([^)\s]+)\)", lambda m: f"]({link(m[1], file)})", text)
    source[0] = text + "\n" + source[0]


def find_source(app, modname):
    "The code of a module and the lines of each definition in it, patched methods included."
    module = modname.removeprefix("genda.")
    if module in reference.modules():
        return reference.source(module), reference.tags(module)


def describe(app, pagename, templatename, context, doctree):
    "What a search engine and a shared link show of a page."
    about = ABOUT
    quote = doctree and pagename.startswith("lessons/") and doctree.next_node(nodes.block_quote)
    if quote:
        about = " ".join(quote.astext().split())
    title = re.sub(r"<[^>]*>", "", context.get("title", "genda"))
    picture = (app.config.html_baseurl or "") + "_static/share.png"
    metas = {
        'name="description"': escape(about),
        'property="og:title"': escape(title),
        'property="og:description"': escape(about),
        'property="og:image"': picture,
        'name="twitter:card"': "summary_large_image",
    }
    made = "\n".join(f'<meta {key} content="{value}">' for key, value in metas.items())
    context["metatags"] = context.get("metatags", "") + made


def setup(app):
    app.connect("source-read", include)
    app.connect("html-page-context", describe)
    app.connect("viewcode-find-source", find_source)
