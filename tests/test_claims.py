"What the stored claims must hold, and where they are counted."

import json
import re

import pytest
from conftest import ROOT, code, read
from readme import counted_claims

# Lines of each report: every experiment that it did, or that its text speaks of.
LINES = dict(R1=23, R2=14, R3=10, R4=10, R5=10)
STORED = json.loads(read(ROOT / "results/claims.json"))
WORDS = ("confirmed", "refuted", "undecided", "not run")


@pytest.mark.parametrize("report", LINES)
def test_every_line_of_a_report_is_a_claim(report):
    found = {claim["id"].split(",")[0] for claim in STORED if claim["id"].startswith(f"{report}.")}
    assert found == {f"{report}.{k}" for k in range(1, LINES[report] + 1)}


@pytest.mark.parametrize("claim", STORED, ids=[claim["id"] for claim in STORED])
def test_a_claim_has_evidence_or_a_reason(claim):
    source = "\n".join(code(ROOT / "nbs" / f"{claim['notebook']}.ipynb"))
    assert f'"{claim["id"].split(",")[0]}' in source
    assert claim["status"] in WORDS and claim["text"].endswith(".")
    if claim["status"] == "not run":
        assert claim["why"] and claim["effect"] is None
    else:
        assert claim["low"] <= claim["effect"] <= claim["high"]
        assert claim["n"] > 0 and claim["how"] and claim["data"]
        assert claim["n"] >= 3 or claim["status"] == "undecided"


def test_names_are_unique():
    names = [claim["id"] for claim in STORED]
    assert len(set(names)) == len(names)


def test_readme_counts_them():
    counts = [int(k) for k in re.findall(r"\d+", counted_claims())]
    assert counts[0] == sum(counts[1:]) == len(STORED)
    assert counted_claims() in read(ROOT / "README.md")
