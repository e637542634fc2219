"Checkpoint files that are damaged, foreign or newer, and trees that cannot be written."

import pytest
import torch
from safetensors.torch import save_file

from genda.training.resume import Resume, load_state, save_state


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a" / "checkpoint.safetensors"
    save_state(path, {"x": torch.arange(12.0).view(3, 4), "curve": [k / 7 for k in range(50)]})
    return path


def refused(path, content, says):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=says):
        load_state(path)


def test_a_file_that_was_cut_off(file):
    refused(file, file.read_bytes()[:-9], "damaged")


def test_an_empty_file(file):
    refused(file, b"", "damaged")


def test_one_flipped_bit(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    refused(file, bytes(content), "sha256 differs")


def test_a_newer_format(file):
    content = file.read_bytes()
    newer = content.replace(b'"format":"1"', b'"format":"2"')
    assert newer != content
    refused(file, newer, "format '2'")


def test_tensors_that_are_no_checkpoint(file):
    save_file({"x": torch.zeros(2)}, file)
    with pytest.raises(ValueError, match="no checkpoint of a training"):
        load_state(file)


def test_what_cannot_be_written_leaves_the_old_file(file):
    before = file.read_bytes()
    with pytest.raises(TypeError, match="/a/b is"):
        save_state(file, {"a": {"b": file}})
    assert file.read_bytes() == before


def test_an_interval_of_no_batches(tmp_path):
    with pytest.raises(ValueError, match="from 1 on"):
        Resume(tmp_path, every=0)
