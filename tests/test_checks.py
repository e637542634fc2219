"Files are whole or as they were, locks are free again, and half files of the dead are removed."

import errno

import pytest

from genda.checks import _MACHINE, is_full, lock, locked, remove_orphans, unlock, write_json


def test_what_json_cannot_hold_leaves_the_old_file(tmp_path):
    path = tmp_path / "made" / "figures.json"
    write_json(path, dict(accuracy=0.9))
    before = path.read_text()
    with pytest.raises(TypeError, match="set"):
        write_json(path, {1, 2})
    assert path.read_text() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_lock_is_one_file_and_free_again(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "weights", wait=False):
            assert [path.name for path in tmp_path.iterdir()] == [".weights.lock"]
            with pytest.raises(BlockingIOError, match="is in use by another process"):
                lock(tmp_path / "weights", wait=False)
    unlock(lock(tmp_path / "weights", wait=False))
    assert list(tmp_path.iterdir()) == []


def test_half_files_of_a_process_that_is_gone_are_removed_by_name(tmp_path):
    orphan = tmp_path / f"a.txt.999999999.{_MACHINE}beef.part"
    stranger = tmp_path / "a.txt.part"
    for file in (orphan, stranger):
        file.touch()
    remove_orphans(tmp_path, "b.txt")
    assert orphan.exists()
    remove_orphans(tmp_path)
    assert list(tmp_path.iterdir()) == [stranger]


def test_a_full_disk_is_no_forbidden_file():
    assert is_full(OSError(errno.ENOSPC, "full"))
    assert not is_full(OSError(errno.EACCES, "forbidden"))
