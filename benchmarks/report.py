"""From results to a page: `docs/benchmarks.md` is made of `benchmarks/results.json` and nothing else."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.measuring import Result

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results.json"
PAGE: Final = HERE.parent / "docs" / "benchmarks.md"
README: Final = HERE.parent / "README.md"
_SHOWN: Final = "<!-- speed: make bench ONLY=scan -->\n", "<!-- /speed -->"
_HEAD: Final = """\
# Benchmarks

`make bench` measures this, writes `benchmarks/results.json` and renders this page; `make bench ONLY=scan` measures one
and leaves the rest. What was done stands with each table, and the code in `benchmarks/`. Ratios are of one run on one
machine: absolute figures move with the machine and its neighbours.
"""


def save(results: Sequence[Result], machine: dict[str, str], measured: str) -> None:
    """Put results in the place of those of the same name, and render the page and the README's table anew."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    new = {result.name: {**asdict(result), "machine": machine, "measured": measured} for result in results}
    RESULTS.write_text(json.dumps({**kept, **new}, indent=2, ensure_ascii=False) + "\n")
    PAGE.write_text(page(json.loads(RESULTS.read_text())))
    README.write_text(shown(README.read_text(), json.loads(RESULTS.read_text())))


def page(results: dict[str, Any]) -> str:
    """Render results as Markdown."""
    return _HEAD + "".join("\n" + "\n".join(_section(result)) + "\n" for result in results.values())


def shown(readme: str, results: dict[str, Any]) -> str:
    """Return the README with the table of how fast text is scanned."""
    before, begin, rest = readme.partition(_SHOWN[0])
    _, end, after = rest.partition(_SHOWN[1])
    lines = list(_section(results["scan"]))
    return before + begin + "\n".join(line for line in lines if line.startswith("|")) + "\n" + end + after


def _section(result: dict[str, Any]) -> Iterator[str]:
    yield f"## {result['title']}"
    yield ""
    yield result["how"]
    yield ""
    notes = any(row["note"] for row in result["rows"])
    ratios = f" × {result['reference']} |" if result["reference"] else ""
    yield f"| | {result['rows'][0]['unit']} |{ratios}" + (" |" if notes else "")
    yield "|---|---:|" + ("---:|" if ratios else "") + ("---|" if notes else "")
    for row in result["rows"]:
        ratio = f" {'' if row['ratio'] is None else _figure(row['ratio'])} |" if ratios else ""
        unit = "" if row["unit"] == result["rows"][0]["unit"] else f" {row['unit']}"
        yield f"| {row['what']} | {_figure(row['value'])}{unit} |{ratio}" + (f" {row['note']} |" if notes else "")
    yield ""
    yield f"The bar: {result['bar']}."
    if result["falls_short"]:
        yield ""
        yield result["falls_short"]
    yield ""
    machine = result["machine"]
    versions = "".join(f", {name} {version}" for name, version in result["versions"].items())
    on = f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}"
    yield f"*{result['measured']}, {on}{versions}*"


def _figure(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"
