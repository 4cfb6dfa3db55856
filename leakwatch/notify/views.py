"""What templates see of an exposed key: a stranger's words reach them cleaned, and there is no other way in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, assert_never

from leakwatch.model import Answer, Exposure, Field, Guide, Notice, NoticeKind, Place, Summary
from leakwatch.notify.cleaning import clean, defang, shorten, web_address
from leakwatch.notify.language import Language

_PLACES: Final = 5  # shown of each key; the rest is counted
_MANY: Final = 10  # more keys than these show one place each: mail programs cut what is longer than about 100 kB
NAME: Final = 60  # characters of a label in a line
_TITLE: Final = 100  # characters of what a stranger wrote
_SHOWN_URL: Final = 90  # characters of an address in HTML, where the link holds it whole


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

    number: int  # the finding's
    label: str
    masked: str
    provider: str
    status: str  # what became of it: its owner's answer, or that we have closed it; "" while it is open
    facts: tuple[Fact, ...]
    places: tuple[PlaceView, ...]
    more: int  # places that are not shown
    gone: bool  # from each place where it was seen


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideView:
    """Keys that are revoked in the same way, and how."""

    provider: str
    page: str
    steps: tuple[str, ...]
    keys: tuple[KeyView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayView:
    """A summary, fit to be shown."""

    since: str
    until: str
    found: int
    todo: tuple[str, ...]  # what needs a person, a sentence each
    facts: tuple[Fact, ...]


def day(summary: Summary, speech: Language) -> DayView:
    """Return what happened, and what of it needs a person."""
    return DayView(
        since=speech.moment(summary.since),
        until=speech.moment(summary.until),
        found=summary.found,
        todo=tuple(_todo(summary, speech)),
        facts=tuple(_day_facts(summary, speech)),
    )


def _todo(summary: Summary, speech: Language) -> Iterator[str]:
    """Yield a sentence for all that a person should look at."""
    _, ngettext = speech.gettext, speech.translations.ngettext
    if count := summary.held:
        yield ngettext(
            "%(count)s notice waits to be released: “leakwatch notices list --held”.",
            "%(count)s notices wait to be released: “leakwatch notices list --held”.",
            count,
        ) % {"count": count}
    if count := summary.dead:
        yield ngettext(
            "%(count)s message was given up: “leakwatch notices list --dead”.",
            "%(count)s messages were given up: “leakwatch notices list --dead”.",
            count,
        ) % {"count": count}
    if count := summary.waiting:
        yield ngettext(
            "%(count)s message is still on its way: “leakwatch notices list”.",
            "%(count)s messages are still on their way: “leakwatch notices list”.",
            count,
        ) % {"count": count}
    if count := summary.bounced:
        yield ngettext(
            "%(count)s message came back: “leakwatch notices list --bounced”.",
            "%(count)s messages came back: “leakwatch notices list --bounced”.",
            count,
        ) % {"count": count}
    if count := summary.answers.get(Answer.FALSE_ALARM, 0):
        yield ngettext(
            "%(count)s answer says false alarm: “leakwatch findings list”.",
            "%(count)s answers say false alarm: “leakwatch findings list”.",
            count,
        ) % {"count": count}
    if count := summary.stopped:
        yield ngettext(
            "%(count)s notice is not answered, and its reminders were stopped: “leakwatch notices list”.",
            "%(count)s notices are not answered, and their reminders were stopped: “leakwatch notices list”.",
            count,
        ) % {"count": count}
    for name, reason in summary.failing:
        said = {"name": clean(name, NAME), "reason": clean(reason, NAME)}
        yield _("Source %(name)s cannot be read: %(reason)s.") % said
    for name, reason in summary.doubtful:
        said = {"name": clean(name, NAME), "reason": clean(reason, NAME)}
        yield _("Source %(name)s may not show us all: %(reason)s.") % said


def _day_facts(summary: Summary, speech: Language) -> Iterator[Fact]:
    _ = speech.gettext
    yield Fact(name=_("New findings"), value=str(summary.found))
    yield Fact(name=_("New places"), value=str(summary.places))
    yield Fact(name=_("Messages to customers"), value=str(summary.sent))
    yield Fact(name=_("Answers: revoked"), value=str(summary.answers.get(Answer.REVOKED, 0)))
    yield Fact(name=_("Answers: being worked on"), value=str(summary.answers.get(Answer.ACKNOWLEDGED, 0)))
    yield Fact(name=_("Answers: false alarm"), value=str(summary.answers.get(Answer.FALSE_ALARM, 0)))
    yield Fact(name=_("Open findings"), value=str(summary.open))
    yield Fact(name=_("Open findings without an answer"), value=str(summary.unanswered))


def by_guide(
    notice: Notice, sightings: Mapping[int, int], guides: Mapping[str, Guide], speech: Language
) -> tuple[GuideView, ...]:
    """Put keys together that are revoked in the same way, in the order in which they come."""
    groups: dict[Guide, list[KeyView]] = {}
    finding = notice.kind is NoticeKind.FINDING  # our own number for it means something to the operator alone
    shown = _PLACES if len(notice.exposures) <= _MANY else 1
    for exposure in notice.exposures:
        guide = guides.get(exposure.detector) or _general(exposure.provider)
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


def _message(text: str) -> str:
    """Mark a message that is translated elsewhere, for Babel's extraction."""
    return text


def _general(provider: str) -> Guide:
    """Return what holds for every key, for one whose detector we no longer have."""
    return Guide(
        name=_message("API key"),
        provider=defang(provider, NAME),
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
        number=exposure.finding_id,
        masked=clean(exposure.masked, NAME),
        status="" if finding else _status(exposure, speech),
        label=defang(exposure.label, NAME) or clean(exposure.masked, NAME),
        provider=guide.provider,
        facts=tuple(fact for fact in _facts(exposure, guide, speech, finding=finding) if fact.value),
        places=tuple(_place(place, speech) for place in seen),
        more=max(0, places - len(seen)),
        gone=0 < places <= len(exposure.places) and all(map(_is_gone, exposure.places)),
    )


def _status(exposure: Exposure, speech: Language) -> str:
    """Say what became of a key, as its owner reads it."""
    _ = speech.gettext
    at = {"date": speech.date(exposure.closed_at or exposure.answered_at or exposure.first_seen_at)}
    if exposure.closed_at is not None:
        return _("We closed this case on %(date)s.") % at
    match exposure.answer:
        case None:
            return ""
        case Answer.ACKNOWLEDGED:
            return _("You told us on %(date)s that you know of it.") % at
        case Answer.REVOKED:
            return _("You told us on %(date)s that the key is revoked.") % at
        case Answer.FALSE_ALARM:
            return _("You told us on %(date)s that it is a false alarm.") % at
        case _:
            assert_never(exposure.answer)


def _facts(exposure: Exposure, guide: Guide, speech: Language, *, finding: bool) -> Iterator[Fact]:
    """Yield what is known of a key; facts without a value are not shown."""
    _ = speech.gettext
    last = max((place.last_seen_at for place in exposure.places), default=exposure.first_seen_at)
    first_seen, last_seen = speech.moment(exposure.first_seen_at), speech.moment(last)
    yield Fact(name=_("Finding"), value=str(exposure.finding_id) if finding else "")
    yield Fact(name=_("Kind"), value=guide.said(_(guide.name)))
    yield Fact(name=_("Key"), value=clean(exposure.masked, NAME), code=True)
    yield Fact(name=_("Key ID"), value=defang(exposure.key_id, _TITLE), code=True)
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


def _is_gone(place: Place) -> bool:
    """Whether a key was no longer there when its host was last asked."""
    return place.gone_at is not None and place.gone_at >= place.last_seen_at


def _place_facts(place: Place, speech: Language) -> Iterator[str]:
    _ = speech.gettext
    yield _where(place, speech)
    if place.gone_at and _is_gone(place):
        yield _("No longer there on %(date)s") % {"date": speech.date(place.gone_at)}
    if place.path and place.path not in place.url:
        yield _("File: %(path)s") % {"path": defang(place.path, _TITLE)}
    if place.title:
        yield _("Title, as published: “%(title)s”") % {"title": defang(place.title, _TITLE)}
    if place.author:
        yield _("Author, as published: “%(author)s”") % {"author": defang(place.author, NAME)}
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
