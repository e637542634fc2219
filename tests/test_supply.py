"What comes from outside: actions by commit, packages by hash, licences, addresses of data."

import re
import subprocess
import sys
import tomllib

import licences
import oldest
import pytest
import torch
import yaml
from conftest import MODULES, ROOT, read, set_bf16
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from torchvision import datasets as tv

from genda.data import digits, photos
from genda.training.callbacks import fast_dtype

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+")
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
LOCK = read(ROOT / "requirements.lock")
# Addresses without encryption, and why; what comes from them is compared with a checksum.
PLAIN = {
    "http://yann.lecun.com/": "torchvision's second mirror of MNIST, after one by https",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/": (
        "the authors' website in S3, which answers by http alone; tried after a mirror by https"
    ),
    "http://ufldl.stanford.edu/": "as torchvision names SVHN's only host; tried after https",
}


def project():
    return tomllib.loads(read(ROOT / "pyproject.toml"))["project"]


def pinned(text):
    "Name -> version of each package of a file of versions or a lock."
    lines = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.M)
    return {canonicalize_name(name): version for name, version in lines}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_actions_are_pinned_by_commit(path):
    used = re.findall(r"\buses:\s*(.+)", read(path))
    assert used
    assert [line for line in used if not PINNED.fullmatch(line)] == []


def test_an_action_has_one_commit():
    used = {line for path in WORKFLOWS for line in re.findall(r"\buses:\s*(.+)", read(path))}
    names = [line.split("@")[0] for line in used]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_a_workflow_may_read_and_hides_no_failure(path):
    flow = yaml.safe_load(read(path))
    assert flow["permissions"] == {"contents": "read"}
    assert "continue-on-error" not in read(path)
    assert "|| true" not in read(path)


def test_every_python_is_tested():
    for name, job in (("tests", "tests"), ("weekly", "newest")):
        flow = yaml.safe_load(read(ROOT / f".github/workflows/{name}.yml"))
        assert flow["jobs"][job]["strategy"]["matrix"]["python"] == PYTHONS
    assert project()["requires-python"] == f">={PYTHONS[0]}"


def test_the_lock_holds_the_tested_versions():
    "`make constraints` writes both."
    tested = pinned(read(ROOT / "constraints.txt"))
    locked = pinned(LOCK)
    for text in project()["dependencies"]:
        assert canonicalize_name(Requirement(text).name) in locked, text
    extras = project()["optional-dependencies"]
    for text in [*extras["dev"], *extras["test"], *extras["docs"]]:
        assert canonicalize_name(Requirement(text).name) in locked, text
    both = set(tested) & set(locked)
    assert len(both) > 180
    assert {name: locked[name] for name in both} == {name: tested[name] for name in both}


@pytest.mark.parametrize("name", ["requirements.lock", ".ci/audit.lock"])
def test_a_lock_has_hashes_and_names_no_host(name):
    text = read(ROOT / name)
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.M)[1:]
    assert len(entries) > 20
    assert [e for e in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", e)] == []
    assert not re.search(r"://|--index|--find-links|--extra", text)


def test_the_lowest_versions_are_below_the_tested_ones():
    tested = pinned(read(ROOT / "constraints.txt"))
    for name, version in oldest.lowest().items():
        assert Version(version) <= Version(tested[canonicalize_name(name)]), name


def test_direct_dependencies_have_licences_that_are_allowed():
    found = {name: licence for name, licence in licences.direct().items() if licence is not None}
    assert len(found) > 30
    assert {name: licence for name, licence in found.items() if not licence} == {}
    bad = {name: licences.refused(licence) for name, licence in found.items()}
    assert {name: parts for name, parts in bad.items() if parts} == {}


@pytest.mark.parametrize("text", ["GPL-3.0-only", "MIT AND GPL-3.0-only", "", "Proprietary"])
def test_other_licences_are_refused(text):
    assert licences.refused(text)


def test_one_allowed_licence_of_several_will_do():
    assert not licences.refused("GPL-3.0-only OR MIT")
    assert licences.spoken("BSD 3-Clause License") == "BSD-3-Clause"
    assert licences.spoken("Copyright 2015, all rights reserved\nand so on") == ""


def test_the_page_of_licences_names_what_pyproject_names():
    lines = read(licences.PAGE).splitlines()
    named = dict(re.findall(r"^\| ([\w.-]+) \| (.+) \|$", "\n".join(lines), re.M))
    assert set(oldest.lowest()) <= set(named), "make licences writes it anew"


def addresses():
    "The addresses that data are fetched from, in the order in which they are tried."
    yield from tv.MNIST.mirrors
    yield from digits._published("FashionMNIST").mirrors
    yield from (url for url, _, _ in tv.USPS.split_list.values())
    for url, _, _ in tv.SVHN.split_list.values():
        yield from photos._by_https(url)
    yield from (tv.CIFAR10.url, tv.CIFAR100.url, photos._DRIVE)
    for path in MODULES:
        yield from re.findall(r"""["'](https?://[^"'\s]+/[^"'\s]*)""", read(path))


def test_addresses_without_encryption_have_a_reason():
    plain = [url for url in addresses() if not url.startswith("https://")]
    assert [url for url in plain if not url.startswith(tuple(PLAIN))] == []
    assert [base for base in PLAIN if not any(url.startswith(base) for url in plain)] == []


def test_names_of_clothes_are_torchvisions():
    assert tv.FashionMNIST.classes == digits._CLOTHES


SVHN = photos._by_https(tv.SVHN.split_list["train"][0])


@pytest.mark.parametrize(
    "mirrors", [tv.MNIST.mirrors, digits._published("FashionMNIST").mirrors, SVHN]
)
def test_mirrors_by_https_come_first(mirrors):
    assert len(mirrors) > 1
    safe = [url.startswith("https://") for url in mirrors]
    assert safe == sorted(safe, reverse=True)


@pytest.mark.parametrize("fast, dtype", [(True, torch.bfloat16), (False, torch.float32)])
def test_a_processor_is_taken_for_fast_at_bfloat16_or_not(monkeypatch, fast, dtype):
    set_bf16(monkeypatch, fast)
    assert fast_dtype("cpu") == dtype


def test_a_processor_that_is_limited_to_avx2_is_not_taken_for_fast_at_bfloat16(monkeypatch):
    set_bf16(monkeypatch, True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert fast_dtype("cpu") == torch.float32


SKIPPED = """
import pytest

def test_it():
    pytest.skip("no browser here")
"""


@pytest.mark.parametrize("forbidden, code", [("", 0), ("1", 1)])
def test_a_skipped_test_fails_where_skips_are_forbidden(tmp_path, monkeypatch, forbidden, code):
    (tmp_path / "test_it.py").write_text(SKIPPED)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))
    monkeypatch.setenv("GENDA_NO_SKIPS", forbidden)
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "conftest", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code, done.stdout
    assert "no browser here" in done.stdout
