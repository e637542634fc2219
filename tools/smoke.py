"What nbdev-test does before it runs notebooks: a test that names no budget is a smoke test."

import os


def choose(cells):
    "Name the smoke budget where none is named; `nbdev-test` hands over the cells that it will run."
    os.environ["GENDA_BUDGET"] = os.environ.get("GENDA_BUDGET") or "smoke"
