"""What the issuer's software is told of a finding, as JSON. `docs/webhook.schema.json` is made from these models."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from leakwatch.model import Answer, Exposure, Notice, Place
from leakwatch.model import Field as Part
from leakwatch.notify.cleaning import clean

OPENED: Final = "finding.opened"
ANSWERED: Final = "finding.answered"
_LONGEST: Final = 2000  # characters of a stranger's words
_NAME: Final = 500


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class EventPlace(_Model):
    """A public place where the key stands. What strangers wrote is one line of printable text, with keys masked."""

    source: str
    """The operator's name for the source."""
    url: str
    title: str
    author: str
    path: str
    field: Part
    """The part of the document in which the key stands."""
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    published_at: datetime | None
    first_seen_at: datetime


class EventFinding(_Model):
    """One customer's key that is public."""

    id: int
    """As in `leakwatch findings show`."""
    customer: str
    provider: str
    """As it was registered."""
    label: str
    """The customer's name for the key."""
    key_id: str
    """The provider's id of the key, or an empty string where none was registered."""
    masked: str
    """The key's public prefix and last four characters: all of it that is known."""
    detector: str
    """Which format the key has: see `leakwatch detectors list`."""
    first_seen_at: datetime
    answer: Answer | None
    """The customer's last word, as of when this was sent."""
    answered_at: datetime | None
    places: list[EventPlace]
    """The newest ones, at most 20."""
    sightings: int
    """How many places there are in all."""


class Event(_Model):
    """A webhook's body, in the form of the Standard Webhooks specification."""

    type: Literal["finding.opened", "finding.answered"]
    """A key was found, or found again after its finding was closed; or its customer has answered."""
    timestamp: datetime
    """When it happened."""
    data: EventFinding


def event(notice: Notice, sightings: Mapping[int, int]) -> str:
    """Return an event as it is sent: the same bytes at each try, unless more has become known."""
    [exposure] = notice.exposures
    told = Event(
        type=OPENED if notice.alarm == OPENED else ANSWERED,
        timestamp=notice.created_at,
        data=_finding(notice.customer, exposure, sightings.get(exposure.finding_id, len(exposure.places))),
    )
    return told.model_dump_json()


def _finding(customer: str, exposure: Exposure, sightings: int) -> EventFinding:
    return EventFinding(
        id=exposure.finding_id,
        customer=clean(customer, _NAME),
        provider=clean(exposure.provider, _NAME),
        label=clean(exposure.label, _NAME),
        key_id=clean(exposure.key_id, _NAME),
        masked=clean(exposure.masked, _NAME),
        detector=exposure.detector,
        first_seen_at=exposure.first_seen_at,
        answer=exposure.answer,
        answered_at=exposure.answered_at,
        places=[_place(place) for place in exposure.places],
        sightings=sightings,
    )


def _place(place: Place) -> EventPlace:
    return EventPlace(
        source=place.source,
        url=clean(place.url, _LONGEST),
        title=clean(place.title, _LONGEST),
        author=clean(place.author, _LONGEST),
        path=clean(place.path, _LONGEST),
        field=place.position.field,
        line=place.position.line,
        column=place.position.column,
        published_at=place.published_at,
        first_seen_at=place.first_seen_at,
    )
