"""What a poll met on its way, and what it yields."""

from dataclasses import dataclass, field

from leakwatch.fetch.listing import Listing
from leakwatch.fetch.page import Page
from leakwatch.model import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request of a poll, and what was in the answer."""

    url: str = field(repr=False)
    method: str = "GET"
    status: int = 0
    wire: int = 0  # bytes that came
    items: int | None = None  # None: nothing was read


@dataclass(slots=True, kw_only=True)
class Trace:
    """What a poll met on its way: filled as it goes, so that it tells something of a poll that raised as well."""

    url: str = ""  # of the listing, after redirects
    status: int = 0  # 0: no answer came
    content_type: str = ""
    charset: str = ""
    wire: int = 0  # bytes that came
    size: int = 0  # bytes decompressed
    redirects: int = 0
    seconds: float = 0.0  # until the page was there, waiting our turn included
    listing: Listing | None = field(default=None, repr=False)  # None: there was nothing to read, or it could not be
    steps: list[Step] = field(default_factory=list, repr=False)
    gap: bool = False  # nothing of what the last poll saw is there: documents were missed in between
    caught: int | None = None  # what gaps before have swallowed and was found now; None: it was not looked for
    left: int = 0  # listings or documents that wait for the next poll: there were more than one poll takes
    missed: int = 0  # documents that are there, and that the site does not let be had
    quota: int | None = None  # requests that are left, as far as the site says
    interval: float | None = None  # seconds between two polls that the site asks for
    text: str = field(default="", repr=False)  # of the first page: for recording it

    def met(self, page: Page, seconds: float, *, method: str = "GET") -> None:
        """Take down an answer; the first is the listing's own."""
        if not self.steps:
            self.url, self.status, self.redirects = page.url, page.status, page.redirects
            self.seconds = seconds
            self.content_type = page.content_type
            self.charset = "" if page.not_modified else page.charset
        self.wire += page.wire
        self.size += len(page.body)
        self.steps.append(Step(url=page.url, method=method, status=page.status, wire=page.wire))
        self.quota = page.quota.left if page.quota.left is not None else self.quota
        self.interval = page.quota.interval if page.quota.interval is not None else self.interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """What one poll yields, and how it came about."""

    batch: Batch
    trace: Trace
