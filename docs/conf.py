"The site: the lessons as docs/build.py leaves them, with their stored outputs, and the project's own texts."
import posixpath, re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXTS = {'index': 'README.md', 'contributing': 'CONTRIBUTING.md', 'data': 'data/README.md'}  # page -> the file it shows

project, author, html_title = 'genda', 'The genda authors', 'genda'
extensions = ['myst_nb']
exclude_patterns = ['_build', '_timetable.md']
nb_execution_mode = 'off'
nb_render_markdown_format = 'myst'
myst_enable_extensions = ['dollarmath', 'amsmath']
myst_heading_anchors = 3
html_theme = 'sphinx_book_theme'
html_theme_options = {'show_toc_level': 2, 'home_page_in_toc': True}
html_copy_source = False

def link(target, file):
    "Where a relative link in `file` of the project leads on the site: a page, or the file itself."
    path = posixpath.normpath(posixpath.join(posixpath.dirname(file), target))
    page = {v: k for k, v in TEXTS.items()}.get(path)
    if page: return f'{page}.md'
    return path.replace('nbs/', 'lessons/', 1) if path.startswith('nbs/') and path.endswith('.ipynb') else f'../{path}'

def include(app, docname, source):
    "Put the project's own text in front of what a page of docs/ adds to it."
    if docname not in TEXTS: return
    text = (ROOT/TEXTS[docname]).read_text(encoding='utf-8')
    text = re.sub(r'\]\((?!\w+:|#)([^)\s]+)\)', lambda m: f']({link(m[1], TEXTS[docname])})', text)
    source[0] = text + '\n' + source[0]

def setup(app): app.connect('source-read', include)
