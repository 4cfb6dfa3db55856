"""The customer's pages: a notice and the answer to it, and where a reference is checked.

Who has a notice's link may see and answer it, and nothing else: there is no account and no cookie, so there is no
session to ride on. GET and HEAD change nothing, since mail scanners follow links. A POST must carry what the form was
shown with, which is good until somebody answers: what is sent twice, or from elsewhere, changes nothing.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Final, final

import structlog
from aiohttp import web
from multidict import MultiDictProxy

from leakwatch.announce import Announcer
from leakwatch.errors import DatabaseDown
from leakwatch.model import Answer, Notice, now
from leakwatch.notify import Composer, Links, clean, language
from leakwatch.notify.links import DESK, STOP_PATH
from leakwatch.signing import Opened
from leakwatch.store import answers, notices, parcels
from leakwatch.store.database import Database, Transaction
from leakwatch.web.limits import Limiter, Network, client
from leakwatch.web.rendering import Rendering, asked_for

log: Final = structlog.get_logger(__name__)
BODY: Final = 16_384  # bytes of a form, at most
_FORM: Final = "application/x-www-form-urlencoded"  # no file is ever sent
# RFC 8058: as a plain form, or in parts, which are not taken apart: they say nothing else.
_ONE_CLICK: Final = re.compile(rb'\bList-Unsubscribe(?:=|"\r?\n\r?\n)One-Click\b')
_REMARK: Final = 1000  # characters
_ANSWERS: Final = 50  # to one notice: nobody changes their mind more often
_SHOWN: Final = timedelta(days=2)  # that a form may lie open
_BURST: Final = 30  # requests of one client at once …
_INTERVAL: Final = 2.0  # … and then one in so many seconds

Fields = MultiDictProxy[str | bytes | bytearray | web.FileField]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A notice that somebody has opened with a link that is good."""

    token: str
    notice: Notice
    sightings: dict[int, int]
    last: int  # the last answer


@final
class Pages:
    """Shows notices to who has their links, and takes answers."""

    def __init__(  # noqa: PLR0913 - the parts, named once in app.py
        self,
        *,
        database: Database,
        announcer: Announcer,
        composer: Composer,
        links: Links,
        redact: Callable[[str], str],
        proxies: Sequence[Network],
    ) -> None:
        """`redact` takes keys out of what customers write; `proxies` are believed about who asks."""
        self._database = database
        self._announcer = announcer
        self._composer = composer
        self._links = links
        self._redact = redact
        self._proxies = proxies
        self._rendering = Rendering(composer.issuer)
        self._limiter = Limiter(burst=_BURST, interval=_INTERVAL)

    def routes(self) -> list[web.RouteDef]:
        """Return what is served, and how."""
        page = DESK + "{token}"
        return [
            web.get(DESK, self._guarded(self._desk)),
            web.post(DESK, self._guarded(self._check)),
            web.get(STOP_PATH + "{token}", self._guarded(self._ask_to_stop)),
            web.post(STOP_PATH + "{token}", self._guarded(self._stop)),
            web.get(page, self._guarded(self._show)),
            web.post(page, self._guarded(self._answer)),
        ]

    # Views

    async def _show(self, request: web.Request) -> web.Response:
        asked = await self._opened(request)
        return asked if isinstance(asked, web.Response) else self._notice(asked, answered="answered" in request.query)

    async def _answer(self, request: web.Request) -> web.Response:
        asked = await self._opened(request)
        if isinstance(asked, web.Response):
            return asked
        form = await _form(request)
        shown = self._links.submitted(str(form.get("form", "")), asked.notice.id)
        if shown is None or shown.expires < now() or _is_foreign(request):
            return self._problem(request, "foreign", HTTPStatus.FORBIDDEN, asked.notice)
        word = next((a for a in Answer if a == form.get("answer")), None)
        chosen = _chosen(asked.notice, form.getall("key", []))
        if word is None or (asked.notice.exposures and not chosen):
            return self._notice(asked, problem="unclear", status=HTTPStatus.UNPROCESSABLE_ENTITY)
        remark = clean(self._redact(str(form.get("remark", ""))), _REMARK)
        async with self._database.transaction() as tx:
            await answers.alone(tx, asked.notice.id)
            if await answers.count(tx, asked.notice.id) >= _ANSWERS:
                return self._problem(request, "busy", HTTPStatus.TOO_MANY_REQUESTS, asked.notice)
            if await answers.last(tx, asked.notice.id) != shown.number:
                asked = await self._read(tx, asked.token, asked.notice.id) or asked
                return self._notice(asked, problem="changed", status=HTTPStatus.CONFLICT)
            await self._announcer.answered(tx, asked.notice, word, finding_ids=chosen, remark=remark)
        # Not shown at once: who reloads the page would send the answer again.
        raise web.HTTPSeeOther(f"{self._links.page(asked.token)}?answered")

    async def _ask_to_stop(self, request: web.Request) -> web.Response:
        asked = await self._opened(request, self._links.stopped)
        if isinstance(asked, web.Response):
            return asked
        return self._rendering.page("stop", language(asked.notice.locale), stopped=False)

    async def _stop(self, request: web.Request) -> web.Response:
        """End reminders: for a person, or with one click for a mail program, which sends nothing that we have shown."""
        asked = await self._opened(request, self._links.stopped)
        if isinstance(asked, web.Response):
            return asked
        speech = language(asked.notice.locale)
        if not _ONE_CLICK.search(await request.read()):
            return self._rendering.page("stop", speech, HTTPStatus.UNPROCESSABLE_ENTITY, stopped=False)
        async with self._database.transaction() as tx:
            await self._announcer.stop(tx, asked.notice.id)
        return self._rendering.page("stop", speech, stopped=True)

    async def _desk(self, request: web.Request) -> web.Response:
        return self._rendering.page("desk", asked_for(request), asked=False, found=False)

    async def _check(self, request: web.Request) -> web.Response:
        """Say of a reference whether it is ours: it shows what who holds the message knows already."""
        form = await _form(request)
        number = self._links.referred(str(form.get("reference", "")))
        speech = asked_for(request)
        found = None
        if number is not None:
            async with self._database.reading() as tx:
                state = await notices.one(tx, number)
                found = await parcels.told(tx, number) if state is not None and state.held is None else None
        if found is None or not found[0].kind.to_customer:
            return self._rendering.page("desk", speech, HTTPStatus.NOT_FOUND, asked=True, found=False)
        context = self._composer.context(found[0], found[1], speech)
        return self._rendering.page("desk", speech, asked=True, found=True, **context)

    # What they share

    def _guarded(self, view: Handler) -> Handler:
        return partial(self._guard, view)

    async def _guard(self, view: Handler, request: web.Request) -> web.StreamResponse:
        wait = self._limiter.wait(client(request, self._proxies))
        if wait:
            answer = self._problem(request, "busy", HTTPStatus.TOO_MANY_REQUESTS)
            answer.headers["Retry-After"] = str(int(wait) + 1)
            return answer
        try:
            return await view(request)
        except web.HTTPBadRequest:
            return self._problem(request, "foreign", HTTPStatus.BAD_REQUEST)
        except DatabaseDown:
            return self._problem(request, "down", HTTPStatus.SERVICE_UNAVAILABLE)

    async def _opened(
        self, request: web.Request, read: Callable[[str], Opened | None] | None = None
    ) -> _Asked | web.Response:
        """Return the notice that a request's link opens, or the page that says why it opens none."""
        token = request.match_info["token"]
        opened = (read or self._links.notice)(token)
        if opened is None:
            return self._problem(request, "unknown", HTTPStatus.NOT_FOUND)
        if opened.expires < now():
            return self._problem(request, "expired", HTTPStatus.GONE)
        async with self._database.reading() as tx:
            asked = await self._read(tx, token, opened.number)
        if asked is None or not asked.notice.kind.to_customer:
            return self._problem(request, "unknown", HTTPStatus.NOT_FOUND)
        return asked

    async def _read(self, tx: Transaction, token: str, notice_id: int) -> _Asked | None:
        found = await parcels.told(tx, notice_id)
        if found is None:
            return None
        last = await answers.last(tx, notice_id)
        return _Asked(token=token, notice=found[0], sightings=found[1], last=last)

    def _notice(
        self, asked: _Asked, *, answered: bool = False, problem: str = "", status: HTTPStatus = HTTPStatus.OK
    ) -> web.Response:
        speech = language(asked.notice.locale)
        context: dict[str, Any] = self._composer.context(asked.notice, asked.sightings, speech)
        context |= {
            "form": self._links.form(asked.last, asked.notice.id, now() + _SHOWN),
            "reference": self._links.reference(asked.notice.id),
            "answered": answered and asked.last > 0,
            "problem": problem,
            "longest": _REMARK,
        }
        return self._rendering.page("notice", speech, status, **context)

    def _problem(
        self, request: web.Request, what: str, status: HTTPStatus, notice: Notice | None = None
    ) -> web.Response:
        speech = language(notice.locale) if notice else asked_for(request)
        return self._rendering.page("problem", speech, status, what=what)


async def _form(request: web.Request) -> Fields:
    """Return the fields of a form, as our pages send it. Raises HTTPBadRequest for any other."""
    if request.content_type != _FORM or (request.charset or "utf-8").lower() != "utf-8":
        raise web.HTTPBadRequest
    try:
        return await request.post()
    except ValueError as error:  # not UTF-8 after all
        raise web.HTTPBadRequest from error


def _chosen(notice: Notice, keys: Sequence[Any]) -> list[int]:
    """Return the findings that an answer is about: of one there is no choice."""
    ours = [exposure.finding_id for exposure in notice.exposures]
    return ours if len(ours) == 1 else [number for number in ours if str(number) in keys]


def _is_foreign(request: web.Request) -> bool:
    """Whether a browser says that another site has sent this form. What says nothing is no browser of today."""
    return request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")
