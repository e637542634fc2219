"Build the site: nbdev processes the notebooks, Sphinx makes pages of them. Offline; a warning is an error."
import os, re, shutil, sys
from pathlib import Path
import nbformat
from nbdev.serve import proc_nbs
from sphinx.cmd.build import main as sphinx_build

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent/'tools')]
from readme import lessons, result  # noqa: E402
from timetable import timetable  # noqa: E402

def page(path):
    "A processed notebook without nbdev's directives and the cells that hold nothing else."
    nb = nbformat.read(path, as_version=4)
    for c in nb.cells:
        if c.cell_type == 'code': c.source = re.sub(r'^#\|.*\n?', '', c.source, flags=re.M).strip('\n')
    nb.cells = [c for c in nb.cells if c.source or c.get('outputs')]
    return nb

def number(x): return f'{x:.4g}' if isinstance(x, float) else str(x)

def results_page():
    "Every figure that a lesson recorded, and the run it comes from."
    yield '# Results\n\nEvery figure here was written by the lesson itself, into `results/`.\n'
    for path, title, _, r in lessons():
        if r is None: continue
        yield f"## {title}\n\n[Lesson {path.stem}](lessons/{path.name}), {r['budget']} budget, {r['seconds']/60:.1f} minutes, seed {r['seed']}, {r['cores']} threads of {r['processor']}, " \
              + ', '.join(f'{k} {v}' for k, v in r['versions'].items()) + ('. **Made by older code.**' if r['stale'] else '.') + '\n'
        yield '| figure | value | with |\n| --- | --- | --- |'
        for name, figure in r['figures'].items():
            figure = dict(figure) if isinstance(figure, dict) else dict(value=figure)
            value = figure.pop('value', '')
            yield f"| {name.replace('_', ' ')} | {number(value)} | {', '.join(f'{k} {number(v)}' for k, v in figure.items())} |"
        yield ''

if __name__ == '__main__':
    os.chdir(DOCS.parent)
    made = proc_nbs(n_workers=2, force=True)
    shutil.rmtree(DOCS/'lessons', ignore_errors=True); (DOCS/'lessons').mkdir()
    for path in sorted(Path(made).rglob('*.ipynb')): nbformat.write(page(path), DOCS/'lessons'/path.name)
    (DOCS/'results.md').write_text('\n'.join(results_page()) + '\n', encoding='utf-8')
    (DOCS/'_timetable.md').write_text('\n'.join(timetable()) + '\n', encoding='utf-8')
    sys.exit(sphinx_build(['-W', '--keep-going', '-E', '-b', 'html', str(DOCS), str(DOCS/'_build')]))
