"A table that imports what fills it: when, and what it says when that fails."

import sys

import pytest

from genda.checks import lookup
from genda.data.downloads import Growing

FILLS = """import sys
assert 'here' in sys.table and 'later' not in sys.table
sys.table['later'] = 2
"""
ASKS = {
    "item": lambda table: table["later"],
    "get": lambda table: table.get("later"),
    "copy": lambda table: dict(table)["later"],
    "values": lambda table: list(table.values())[-1],
    "items": lambda table: dict(table.items())["later"],
    "length": lambda table: len(table),
    "iteration": lambda table: len(list(table)),
    "keys": lambda table: len(table.keys()),
}
each_way = pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)


@pytest.fixture
def module(tmp_path, monkeypatch):
    "The file of a module that enters 'later' into the table when it is imported."
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    table = Growing("fills_the_table", here=1)
    monkeypatch.setattr(sys, "table", table, raising=False)
    (tmp_path / "fills_the_table.py").write_text(FILLS)
    yield tmp_path / "fills_the_table.py"
    sys.modules.pop("fills_the_table", None)


@each_way
def test_nothing_is_imported_before_it_is_needed(module, ask):
    table = sys.table
    assert "here" in table and table.get("here") == table["here"] == 1
    assert "fills_the_table" not in sys.modules
    assert ask(table) == 2


def test_a_name_that_nobody_enters_is_unknown(module):
    table = sys.table
    assert "never" not in table and table.get("never", 0) == 0
    assert list(table) == ["here", "later"]
    with pytest.raises(ValueError, match="one of here, later"):
        lookup("set", "never", table)
    with pytest.raises(KeyError, match="never"):
        table["never"]


@each_way
def test_a_module_that_cannot_be_imported_says_so_each_time(module, ask):
    module.write_text("raise OSError('the disk is full')")
    for _ in range(2):
        with pytest.raises(OSError, match="the disk is full"):
            ask(sys.table)
    assert sys.table["here"] == 1
    module.write_text(FILLS.replace("= 2", "= 'mended'"))
    assert sys.table["later"] == "mended"
