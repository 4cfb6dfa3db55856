"""Everything that can go wrong, as one tree.

Each class carries a ``reason``: the one word that the exception, the log line, the metric's label and the
database column share. ``transient`` says whether trying again can help; ``retry_after`` (seconds) says when
the other side asked us to.

::

    LeakwatchError
    ├── ConfigError            config               the operator's files: what to change
    │   ├── DefinitionError    definition           a source's or detector's TOML
    │   └── SecretError        secret               a credential that is missing or unusable
    ├── InputError             input                a row, a digest or an argument that cannot be used
    ├── StoreError
    │   ├── SchemaOutdated     schema_outdated      run `leakwatch db upgrade`
    │   ├── DatabaseDown       database_down        transient: away, locked or full
    │   └── WrongPepper        wrong_pepper         the registry was built under another pepper
    ├── FetchError
    │   ├── Unreachable        unreachable          transient: DNS, connection, TLS
    │   ├── TimedOut           timed_out            transient
    │   ├── RateLimited        rate_limited         transient: 429, or 503 with Retry-After
    │   ├── ServerFault        server_fault         transient: 5xx
    │   ├── Blocked            blocked              401, 403, 451: they do not want us, or not like this
    │   ├── Gone               gone                 404, 410
    │   ├── BadStatus          bad_status           any other status
    │   ├── ForbiddenAddress   forbidden_address    a private, loopback or link-local address
    │   ├── BadRedirect        bad_redirect         too many, or to a place that we do not go
    │   ├── TooLarge           too_large            over the size cap, on the wire or decompressed
    │   ├── BadContent         bad_content          not what the definition promises (HTML for JSON, …)
    │   └── EmptyListing       empty_listing        a listing in which the selectors found nothing
    ├── CanaryLost             canary_lost          a document that must be found was not: the source is blind
    ├── NotWatched             not_watched          transient: work for a source that is not configured
    ├── ContainerError         container            a container could not be opened to its end
    │   ├── OpenerCrashed      opener_crashed       the process that opens it died, and so did the next
    │   └── OpenerTimedOut     opener_timed_out     it took longer than we wait
    ├── ScanFailed             scan_failed          transient: a document on which the scan raised
    ├── JobCrashed             crashed              the process died under the job, more than once
    ├── JobFailed              unexpected           transient: an exception that nobody foresaw (a bug)
    └── DeliveryError
        ├── MailUnreachable    mail_unreachable     transient: no connection, TLS, time-out
        ├── MailDeferred       mail_deferred        transient: 4xx
        ├── MailRefused        mail_refused         5xx for this recipient or message
        ├── MailBounced        mail_bounced         a server took it, and says later that it did not arrive
        ├── ChannelFailed      channel_failed       transient: another channel did not take it
        └── ChannelUnusable    channel_unusable     an address or scheme that we do not send to
"""

from typing import ClassVar


class LeakwatchError(Exception):
    """Something went wrong that has a name.

    ``message`` says what happened and ``mend`` what to change or who acts next; neither may hold a key.
    """

    reason: ClassVar[str] = "error"
    transient: ClassVar[bool] = False

    def __init__(self, message: str, *, mend: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message}: {self.mend}" if self.mend else self.message


def whereabouts(error: BaseException) -> str:
    """Return an exception's type and where it was raised: its own words may hold a key."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "?" if trace is None else f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}"
    return f"{type(error).__qualname__} in {place}"


class ConfigError(LeakwatchError):
    """The operator's files cannot be used as they are."""

    reason = "config"


class DefinitionError(ConfigError):
    """A source's or detector's definition cannot be used as it is."""

    reason = "definition"


class SecretError(ConfigError):
    """A credential is missing or unusable."""

    reason = "secret"


class InputError(LeakwatchError):
    """A row, a digest or an argument cannot be used."""

    reason = "input"


class StoreError(LeakwatchError):
    """The database cannot be used."""

    reason = "store"


class SchemaOutdated(StoreError):
    """The database's schema is not the one that this version needs."""

    reason = "schema_outdated"


class DatabaseDown(StoreError):
    """The database is away, locked or full."""

    reason = "database_down"
    transient = True


class WrongPepper(StoreError):
    """The registry was built under another pepper, so nothing would ever match."""

    reason = "wrong_pepper"


class FetchError(LeakwatchError):
    """A page could not be had."""

    reason = "fetch"


class Unreachable(FetchError):
    """DNS, connection or TLS failed."""

    reason = "unreachable"
    transient = True


class TimedOut(FetchError):
    """The server took longer than we wait."""

    reason = "timed_out"
    transient = True


class RateLimited(FetchError):
    """The server asked us to come back later."""

    reason = "rate_limited"
    transient = True


class ServerFault(FetchError):
    """The server failed (5xx)."""

    reason = "server_fault"
    transient = True


class Blocked(FetchError):
    """The server does not want us, or not like this (401, 403, 451)."""

    reason = "blocked"


class Gone(FetchError):
    """There is nothing at that address (404, 410)."""

    reason = "gone"


class BadStatus(FetchError):
    """The server answered with a status that means nothing to us."""

    reason = "bad_status"


class ForbiddenAddress(FetchError):
    """The name leads to a private, loopback or link-local address that the operator has not allowed."""

    reason = "forbidden_address"


class BadRedirect(FetchError):
    """Too many redirects, or one to a place that we do not go."""

    reason = "bad_redirect"


class TooLarge(FetchError):
    """The body is over the size cap, on the wire or decompressed."""

    reason = "too_large"


class BadContent(FetchError):
    """The body is not what the definition promises."""

    reason = "bad_content"


class EmptyListing(FetchError):
    """The selectors found nothing in a listing that should never be empty."""

    reason = "empty_listing"


class CanaryLost(LeakwatchError):
    """A document that the operator has published in a source was read, and its key was not found in it."""

    reason = "canary_lost"


class NotWatched(LeakwatchError):
    """Work waits for a source that is not configured, or not enabled."""

    reason = "not_watched"
    transient = True


class ContainerError(LeakwatchError):
    """A container could not be opened to its end: what came before that is used."""

    reason = "container"


class OpenerCrashed(ContainerError):
    """The process that opens containers died."""

    reason = "opener_crashed"


class OpenerTimedOut(ContainerError):
    """A container took longer to open than we wait."""

    reason = "opener_timed_out"


class ScanFailed(LeakwatchError):
    """The scan of a document raised, or a process that works for one has died."""

    reason = "scan_failed"
    transient = True


class JobCrashed(LeakwatchError):
    """The process died under a job, more than once."""

    reason = "crashed"


class JobFailed(LeakwatchError):
    """A job met an exception that nobody foresaw: a bug, tried again a counted number of times."""

    reason = "unexpected"
    transient = True


class DeliveryError(LeakwatchError):
    """A notice was not accepted."""

    reason = "delivery"

    def __init__(
        self, message: str, *, mend: str = "", retry_after: float | None = None, code: int | None = None
    ) -> None:
        super().__init__(message, mend=mend, retry_after=retry_after)
        self.code = code


class MailUnreachable(DeliveryError):
    """No SMTP connection, TLS refused, or a time-out."""

    reason = "mail_unreachable"
    transient = True


class MailDeferred(DeliveryError):
    """The SMTP server deferred the recipient or the message (4xx)."""

    reason = "mail_deferred"
    transient = True


class MailRefused(DeliveryError):
    """The SMTP server refused the recipient or the message for good (5xx)."""

    reason = "mail_refused"


class MailBounced(DeliveryError):
    """A mail that was taken came back."""

    reason = "mail_bounced"


class ChannelFailed(DeliveryError):
    """A channel other than mail did not take the notice."""

    reason = "channel_failed"
    transient = True


class ChannelUnusable(DeliveryError):
    """An address or scheme that we do not send to."""

    reason = "channel_unusable"
