"""Chromium, as `make test-all` installs it with what drives it and what judges a page."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / ".peers/browser"
CHROMIUM = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), "")
SIZES = {"phone": 390, "desktop": 1000}
SCHEMES = ("light", "dark")

Look = dict[str, Any]
Looker = Callable[[Sequence[Look]], Awaitable[list[dict[str, Any]]]]


@pytest.fixture
def look() -> Looker:
    """Have Chromium open pages, and return what it reports of each."""
    if not (CHROMIUM and shutil.which("node") and (FOLDER / "node_modules/axe-core").exists()):
        pytest.skip("Chromium, Node.js, playwright-core or axe-core is not installed: run `make test-all`")

    async def looked(looks: Sequence[Look]) -> list[dict[str, Any]]:
        program = Path(__file__).with_name("look.mjs")
        process = await asyncio.create_subprocess_exec(
            *("node", str(program), str(FOLDER), CHROMIUM), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        out, _ = await process.communicate(json.dumps(looks).encode())
        assert process.returncode == 0
        reports: list[dict[str, Any]] = json.loads(out)
        return reports

    return looked


def everywhere(url: str, **more: Any) -> list[Look]:
    """Look at a page on a phone and on a desk, by day and by night."""
    return [
        {"url": url, "width": width, "scheme": scheme, "axe": True, **more}
        for width in SIZES.values()
        for scheme in SCHEMES
    ]


def assert_good(reports: Sequence[dict[str, Any]], status: int = 200) -> None:
    """A page breaks no rule of accessibility, is nowhere wider than its window, and complains of nothing."""
    for report in reports:
        assert report["status"] in (0, status)  # a file has none
        assert report["violations"] == []
        assert report["passes"] > 10
        assert report["wide"] <= 0
        assert [c for c in report["complaints"] if f"status of {status}" not in c] == []
