"A label file of i-CLEVR that is damaged or hostile is refused, and the message says why."

import json

import pytest

from genda.data.clevr import read_lists
from genda.data.downloads import DataError


@pytest.mark.parametrize(
    "content, said",
    [
        ('{"a.png": ["red', "damaged"),
        ("{}", "no lists"),
        ("7", "no lists"),
        (json.dumps({"a.png": ["red cone"]}), "a.png: .'red cone'."),
        (json.dumps([["red cube"], []]), "list 1"),
        (json.dumps([["red cube", "red cube"]]), "distinct"),
        (json.dumps([[["x"]]]), "unknown"),
        (json.dumps({"../a.png": ["red cube"]}), "'../a.png' is no plain name"),
        (json.dumps({"/etc/a.png": ["red cube"]}), "no plain name"),
        (json.dumps({"..\\a.png": ["red cube"]}), "no plain name"),
        (json.dumps({"a.jpg": ["red cube"]}), "no plain name"),
    ],
)
def test_a_bad_list_is_refused_with_the_reason(tmp_path, content, said):
    path = tmp_path / "lists.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_lists(path)


def test_lists_are_read_with_and_without_names_of_files(tmp_path):
    path = tmp_path / "lists.json"
    path.write_text(json.dumps({"a_0.png": ["red cube"]}), encoding="utf-8")
    assert read_lists(path) == (["a_0.png"], [["red cube"]])
    path.write_text(json.dumps([["red cube"]]), encoding="utf-8")
    assert read_lists(path) == (None, [["red cube"]])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none.json is missing"):
        read_lists(tmp_path / "none.json")
