"""A notice becomes a message: subject, text and HTML in the recipient's language. Pure: no network, no storage.

Each kind of notice has its folder in `templates/`. Templates see views, never the nouns themselves: what a stranger
wrote reaches them cleaned, and there is no other way for it to get in.
"""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, assert_never

from css_inline import CSSInliner
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from leakwatch.model import Exposure, Field, Guide, Message, Notice, NoticeKind, Place
from leakwatch.notify.cleaning import clean, defang, shorten, web_address
from leakwatch.notify.language import Language, language

_TEMPLATES: Final = Path(__file__).parent / "templates"
_COLUMNS: Final = 72  # of a paragraph in the text part
_PLACES: Final = 5  # shown of each key; the rest is counted
_MANY: Final = 10  # more keys than these show one place each: mail programs cut what is longer than about 100 kB
_NAME: Final = 60  # characters of a label in a line
_CUSTOMER: Final = 120  # characters of a customer's name, or of several
_TITLE: Final = 100  # characters of what a stranger wrote
_SHOWN_URL: Final = 90  # characters of an address in HTML, where the link holds it whole
_DETAIL: Final = 2000
_SUBJECT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who the notices are from."""

    name: str  # as people know it
    sender: str  # the address in From
    reply_to: str  # where an answer goes


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceView:
    """One public place, fit to be shown."""

    url: str  # whole where it can be opened
    href: str  # the same as a link, "" where it must stay text
    shown: str  # cut where it is long
    facts: tuple[str, ...]  # what else is known of it, a line each


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line of a table."""

    name: str
    value: str
    code: bool = False  # to be compared letter by letter


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """One exposed key, fit to be shown."""

    label: str
    provider: str
    facts: tuple[Fact, ...]
    places: tuple[PlaceView, ...]
    more: int  # places that are not shown


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideView:
    """Keys that are revoked in the same way, and how."""

    provider: str
    page: str
    steps: tuple[str, ...]
    keys: tuple[KeyView, ...]


class Composer:
    """Writes notices in one issuer's name, with what the detectors know for people."""

    def __init__(self, issuer: Issuer, guides: Mapping[str, Guide]) -> None:
        """`guides` are by detector id; a key of a detector that is gone gets general advice."""
        self._issuer = issuer
        self._guides = guides
        self._text = Templates(str)
        self._html = Templates(Markup)
        # Mail programs drop <style> or read it badly; what only a style sheet can say (@media) stays in one.
        self._inliner = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)

    def compose(self, notice: Notice, sightings: Mapping[int, int] | None = None) -> Message:
        """Write a notice. The subject is one line; the text and the HTML say the same.

        `sightings` counts the places of each finding, where the notice does not name them all.
        """
        speech = language(notice.locale)
        context = self._context(notice, sightings or {}, speech)
        subject = clean(self._text.render(f"{notice.kind}/subject.txt.j2", speech, context), _SUBJECT)
        context["subject"] = subject
        html = self._html.render(f"{notice.kind}/body.html.j2", speech, context)
        text = self._text.render(f"{notice.kind}/body.txt.j2", speech, context)
        return Message(subject=subject, text=text, html=self._inliner.inline(html))

    def _context(self, notice: Notice, sightings: Mapping[int, int], speech: Language) -> dict[str, Any]:
        guides = self._by_guide(notice, sightings, speech)
        return {
            "lang": speech.code,
            "issuer": self._issuer,
            "customer": clean(notice.customer, _CUSTOMER),
            "guides": guides,
            "keys": tuple(key for guide in guides for key in guide.keys),
            "alarm": clean(notice.alarm, _NAME),
            "detail": clean(notice.detail, _DETAIL),
            "number": notice.id,
            "created": speech.moment(notice.created_at),
        }

    def _by_guide(self, notice: Notice, sightings: Mapping[int, int], speech: Language) -> tuple[GuideView, ...]:
        """Put keys together that are revoked in the same way, in the order in which they come."""
        groups: dict[Guide, list[KeyView]] = {}
        finding = notice.kind is NoticeKind.FINDING  # our own number for it means something to the operator alone
        shown = _PLACES if len(notice.exposures) <= _MANY else 1
        for exposure in notice.exposures:
            guide = self._guides.get(exposure.detector) or _general(exposure.provider)
            places = sightings.get(exposure.finding_id, len(exposure.places))
            key = _key(exposure, guide, speech, places=places, shown=shown, finding=finding)
            groups.setdefault(replace(guide, name=""), []).append(key)
        return tuple(
            GuideView(
                provider=guide.provider,
                page=guide.page,
                steps=tuple(guide.said(speech.gettext(step)) for step in guide.steps),
                keys=tuple(keys),
            )
            for guide, keys in groups.items()
        )


class Templates:
    """The templates of one form: `str` for text, `Markup` for HTML, in which all that comes from outside is escaped."""

    def __init__(self, form: type[str]) -> None:
        self._form = form
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=form is Markup,  # noqa: S701 - text is not escaped, HTML is
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["wrap"] = _wrap

    def render(self, name: str, speech: Language, context: Mapping[str, Any]) -> str:
        """Fill a template in a language. Messages are marked by `_` and `ngettext`, their values are keywords."""

        def gettext(message: str, **values: object) -> str:
            return self._form(speech.gettext(message)) % values

        def ngettext(one: str, many: str, count: int, **values: object) -> str:
            return self._form(speech.translations.ngettext(one, many, count)) % {"count": count, **values}

        return self._environment.get_template(name).render(context, _=gettext, ngettext=ngettext)


def _message(text: str) -> str:
    """Mark a message that is translated elsewhere, for Babel's extraction."""
    return text


def _wrap(text: str, indent: str = "", first: str | None = None) -> str:
    """Break a paragraph into lines; addresses stay whole."""
    return textwrap.fill(
        text,
        _COLUMNS,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _general(provider: str) -> Guide:
    """Return what holds for every key, for one whose detector we no longer have."""
    return Guide(
        name=_message("API key"),
        provider=clean(provider, _NAME),
        page="",
        steps=(
            _message("Create a new key at the provider and put it in place everywhere the old one is used."),
            _message("Revoke the exposed key on the provider's own page for keys."),
            _message("Look at the usage of the key since the first exposure for requests that are not yours."),
            _message(
                "Remove the key from the public place. Removing it there does not make it safe: it must be revoked."
            ),
        ),
    )


def _key(  # noqa: PLR0913 - what a card shows, and how much of it
    exposure: Exposure, guide: Guide, speech: Language, *, places: int, shown: int, finding: bool
) -> KeyView:
    seen = exposure.places[:shown]
    return KeyView(
        label=clean(exposure.label, _NAME) or clean(exposure.masked, _NAME),
        provider=guide.provider,
        facts=tuple(fact for fact in _facts(exposure, guide, speech, finding=finding) if fact.value),
        places=tuple(_place(place, speech) for place in seen),
        more=max(0, places - len(seen)),
    )


def _facts(exposure: Exposure, guide: Guide, speech: Language, *, finding: bool) -> Iterator[Fact]:
    """Yield what is known of a key; facts without a value are not shown."""
    _ = speech.gettext
    last = max((place.last_seen_at for place in exposure.places), default=exposure.first_seen_at)
    first_seen, last_seen = speech.moment(exposure.first_seen_at), speech.moment(last)
    yield Fact(name=_("Finding"), value=str(exposure.finding_id) if finding else "")
    yield Fact(name=_("Kind"), value=guide.said(_(guide.name)))
    yield Fact(name=_("Key"), value=clean(exposure.masked, _NAME), code=True)
    yield Fact(name=_("Key ID"), value=clean(exposure.key_id, _TITLE), code=True)
    yield Fact(name=_("First seen"), value=first_seen)
    yield Fact(name=_("Last seen"), value=last_seen if last_seen != first_seen else "")


def _place(place: Place, speech: Language) -> PlaceView:
    href = web_address(place.url)
    shown = shorten(href, _SHOWN_URL) or defang(place.url, _SHOWN_URL)
    return PlaceView(
        url=href or shown,
        href=href,
        shown=shown,
        facts=tuple(_place_facts(place, speech)),
    )


def _place_facts(place: Place, speech: Language) -> Iterator[str]:
    _ = speech.gettext
    yield _where(place, speech)
    if place.path and place.path not in place.url:
        yield _("File: %(path)s") % {"path": defang(place.path, _TITLE)}
    if place.title:
        yield _("Title, as published: “%(title)s”") % {"title": defang(place.title, _TITLE)}
    if place.author:
        yield _("Author, as published: “%(author)s”") % {"author": defang(place.author, _NAME)}
    if place.published_at:
        yield _("Published: %(moment)s") % {"moment": speech.moment(place.published_at)}


def _where(place: Place, speech: Language) -> str:
    """Say in which part of a document the key stands."""
    _ = speech.gettext
    match place.position.field:
        case Field.TEXT:
            return _("Line %(line)s") % {"line": place.position.line}
        case Field.URL | Field.ID:
            return _("In the address itself")
        case Field.TITLE:
            return _("In the title")
        case Field.AUTHOR:
            return _("In the author’s name")
        case Field.PATH:
            return _("In the name of the file")
        case _:
            assert_never(place.position.field)
