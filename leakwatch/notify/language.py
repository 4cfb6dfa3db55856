"""The languages in which notices are written.

A language is one `locale/<code>/LC_MESSAGES/leakwatch.po`; English is the text of the templates itself. Catalogues
are compiled in memory, so that no compiled file can be older than its source. After changing a template, a message
here or a step of a detector, `make translations` brings them up to date; then translate what is new.
"""

import io
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Any, BinaryIO, Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER: Final = Path(__file__).parent / "locale"
DOMAIN: Final = "leakwatch"
_ENGLISH: Final = Locale("en")
_WRITTEN: Final = {"zh": "zh-Hans"}  # where a language alone does not say in which script, and so in which font


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One customer's language: the text by language, the dates by region."""

    locale: Locale
    translations: NullTranslations

    @property
    def code(self) -> str:
        """The language as HTML's `lang` names it."""
        return _WRITTEN.get(self.locale.language, self.locale.language)

    def gettext(self, message: str) -> str:
        """Return a message in this language, or as it is where it has no translation."""
        return self.translations.gettext(message) if message else ""  # the empty msgid is the catalogue's header

    def date(self, at: datetime) -> str:
        """Return a date as people of this region write it."""
        return format_date(at.astimezone(UTC), "long", locale=self.locale)

    def moment(self, at: datetime) -> str:
        """Return a date and time as people of this region write it, in UTC and saying so."""
        at = at.astimezone(UTC)
        time = format_time(at, "short", locale=self.locale)
        return self.gettext("%(date)s at %(time)s UTC") % {"date": self.date(at), "time": time}


@lru_cache(maxsize=256)
def language(tag: str) -> Language:
    """Return the language of a locale: fr-CA is French with Canada's dates, what we do not speak is English."""
    parts = tag.replace("_", "-").split("-")
    for known in ("-".join(parts), parts[0]):
        with suppress(ValueError, UnknownLocaleError):
            locale = Locale.parse(known, sep="-")
            if locale.language in languages():
                return Language(locale=locale, translations=_catalogue(locale.language))
    return Language(locale=_ENGLISH, translations=_catalogue(_ENGLISH.language))


@lru_cache
def languages() -> frozenset[str]:
    """Return the codes of the languages that we write."""
    return frozenset({"en", *(path.parts[-3] for path in FOLDER.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))})


@lru_cache
def _catalogue(code: str) -> NullTranslations:
    if code == "en":
        return NullTranslations()
    compiled = io.BytesIO()
    with (FOLDER / code / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=code))
    compiled.seek(0)
    return GNUTranslations(compiled)


def extract_guides(file: BinaryIO, *_: Any, **__: Any) -> Iterator[tuple[int, str, str, list[str]]]:
    """Yield what a detector's TOML says to people, for Babel's extraction: a key's name and how it is revoked."""
    definition = tomllib.load(file)
    for revocation in definition.get("revocation", {}).values():
        for step in revocation.get("steps", ()):
            yield 1, "gettext", step, []
    for detector in definition.get("detector", ()):
        yield 1, "gettext", detector["name"], []
