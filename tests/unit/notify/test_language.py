import re
import tomllib
from datetime import UTC, datetime, timedelta, timezone
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po

from leakwatch.notify.language import FOLDER, extract_guides, language, languages

ROOT = Path(__file__).parents[3]
ADVICE = ROOT / "leakwatch/scan/advice.toml"
DETECTORS = sorted((ROOT / "leakwatch/scan/detectors").glob("*.toml"))
TRANSLATED = sorted(languages() - {"en"})
MOMENT = datetime(2026, 7, 27, 14, 3, tzinfo=UTC)


def catalogue(code: str) -> Catalog:
    with (FOLDER / code / "LC_MESSAGES/leakwatch.po").open("rb") as file:
        return read_po(file, locale=code)


def template() -> Catalog:
    with (FOLDER / "leakwatch.pot").open("rb") as file:
        return read_po(file)


def said_in_code() -> set[str]:
    """Every message that the templates and the code mark, extracted afresh."""
    found: set[str] = set()
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2), "_message": None}
    options = {"trim_blocks": "true", "lstrip_blocks": "true", "newstyle_gettext": "true"}
    package = ROOT / "leakwatch"
    sources = [("python", path) for path in package.glob("notify/*.py")]
    sources += [("jinja2", path) for path in package.glob("*/templates/**/*.j2")]
    for method, path in sources:
        for _, message, _, _ in extract_from_file(method, path, keywords=keywords, options=options):
            found.add(message if isinstance(message, str) else message[0])
    return found


def said_by(definition: dict[str, Any]) -> set[str]:
    return {step for way in definition["revocation"].values() for step in way.get("steps", ())}


def said_by_detectors() -> set[str]:
    said: set[str] = set()
    for path in (ADVICE, *DETECTORS):
        definition = tomllib.loads(path.read_text(encoding="utf-8"))
        said |= said_by(definition)
        said |= {detector["name"] for detector in definition.get("detector", ())}
    return said


def ids(messages: Catalog) -> set[str]:
    return {m.id if isinstance(m.id, str) else m.id[0] for m in messages if m.id}


def test_the_template_holds_what_the_code_and_the_detectors_say() -> None:
    assert len(DETECTORS) > 5
    assert ids(template()) == said_in_code() | said_by_detectors()


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_language_is_whole(code: str) -> None:
    messages = catalogue(code)
    assert ids(messages) == ids(template())
    for message in messages:
        if not message.id:
            continue
        assert not message.fuzzy, f"fuzzy: {message.id}"
        written = [message.id] if isinstance(message.id, str) else list(message.id)
        strings = [message.string] if isinstance(message.string, str) else list(message.string or ())
        assert all(strings), f"not translated: {message.id}"
        assert holes(strings[-1]) == holes(written[-1]), f"other placeholders: {message.id}"
        assert all(holes(text) <= holes(written[-1]) for text in strings), f"other placeholders: {message.id}"
    assert [error for _, errors in messages.check() for error in errors] == []
    assert not messages.obsolete


def holes(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)s|\{\w+\}", text))


def test_what_providers_have_in_common_is_said_in_the_same_words() -> None:
    """Each sentence is translated into every language: a new one must be worth it."""
    detectors = [tomllib.loads(path.read_text(encoding="utf-8")) for path in DETECTORS]
    names = {detector["name"] for definition in detectors for detector in definition["detector"]}
    assert len(names) <= 60
    assert len(said_by_detectors() - names) <= 120
    for definition in detectors:
        for sentence in said_by(definition):
            assert not re.search(rf"at {re.escape(definition['provider'])}\b", sentence), "write {provider}"


def test_the_extraction_of_guides_finds_names_and_steps() -> None:
    path = next(p for p in DETECTORS if p.stem == "openai")
    messages = {message for _, _, message, _ in extract_guides(BytesIO(path.read_bytes()))}
    assert "OpenAI project API key" in messages
    assert "Put the new key in place everywhere the old one is used." in messages


@pytest.mark.parametrize(
    ("tag", "code", "moment"),
    [
        ("en", "en", "July 27, 2026 at 2:03\u202fPM UTC"),
        ("en-GB", "en", "27 July 2026 at 14:03 UTC"),
        ("fr", "fr", "27 juillet 2026 à 14:03 UTC"),
        ("fr-CA", "fr", "27 juillet 2026 à 14 h 03 UTC"),
        ("FR_ca", "fr", "27 juillet 2026 à 14 h 03 UTC"),
        ("fr-ZZ", "fr", "27 juillet 2026 à 14:03 UTC"),
        ("pt-BR", "pt", "27 de julho de 2026 às 14:03 UTC"),
        ("pt-PT", "pt", "27 de julho de 2026 às 14:03 UTC"),
        ("ja-JP", "ja", "2026年7月27日 14:03 UTC"),
        ("ja-US", "ja", "2026年7月27日 14:03 UTC"),
        ("zh-Hans-CN", "zh-Hans", "2026年7月27日 14:03 UTC"),
        ("xx", "en", "July 27, 2026 at 2:03\u202fPM UTC"),
        ("", "en", "July 27, 2026 at 2:03\u202fPM UTC"),
        ("sw-KE", "en", "July 27, 2026 at 2:03\u202fPM UTC"),
        ("../../etc/passwd", "en", "July 27, 2026 at 2:03\u202fPM UTC"),
    ],
)
def test_what_we_do_not_speak_is_english(tag: str, code: str, moment: str) -> None:
    speech = language(tag)
    assert speech.code == code
    assert speech.moment(MOMENT) == moment
    assert isinstance(speech.translations, GNUTranslations) == (code != "en")


def test_a_moment_is_told_in_utc() -> None:
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=9)))
    assert language("fr").moment(elsewhere) == language("fr").moment(MOMENT)


def test_nothing_translates_to_nothing() -> None:
    assert language("fr").gettext("") == ""
