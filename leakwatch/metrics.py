"""What Prometheus is told: one registry, and one function for each thing that happens.

No label ever holds a key, a URL or a stranger's words: a label names a source, queue, detector or channel scheme,
or is an outcome, which is ``ok`` or a reason from `leakwatch.errors`. Any thread may call any function.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from leakwatch.errors import JobFailed, LeakwatchError
from leakwatch.model import Document, now

OK: Final = "ok"
REGISTRY: Final = CollectorRegistry()
_SECONDS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0, 60.0, 300.0)
_LATENCY: Final = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)

_polls: Final = Counter("leakwatch_polls", "Polls of a source.", ["source", "outcome"], registry=REGISTRY)
_failures: Final = Gauge(
    "leakwatch_source_failures", "Polls failed in a row since the start.", ["source"], registry=REGISTRY
)
_fetches: Final = Counter("leakwatch_fetch_requests", "Requests.", ["source", "outcome"], registry=REGISTRY)
_bytes: Final = Counter("leakwatch_fetch_bytes", "Bytes of bodies read.", ["source"], registry=REGISTRY)
_missed: Final = Counter(
    "leakwatch_source_missed",
    "Documents that are known to exist and were not looked at: no room, too large, or not shown",
    ["source"],
    registry=REGISTRY,
)
_told: Final = Counter("leakwatch_pushes", "What sites told by themselves.", ["source", "outcome"], registry=REGISTRY)
_gaps: Final = Counter(
    "leakwatch_source_gaps",
    "Polls whose listing had nothing of what the one before saw.",
    ["source"],
    registry=REGISTRY,
)
_states: Final = Gauge(
    "leakwatch_source_state", "1 for the state that a source is in.", ["source", "state"], registry=REGISTRY
)
_quota: Final = Gauge("leakwatch_source_quota", "Requests left, where the site says.", ["source"], registry=REGISTRY)
_succeeded: Final = Gauge(
    "leakwatch_source_succeeded_timestamp_seconds", "When a poll last worked.", ["source"], registry=REGISTRY
)
_documents: Final = Counter("leakwatch_documents", "Documents scanned.", registry=REGISTRY)
_candidates: Final = Counter("leakwatch_candidates", "Strings with a marker that were tried.", registry=REGISTRY)
_skipped: Final = Counter(
    "leakwatch_candidates_skipped",
    "What was over a document's caps, or not read in all ways.",
    registry=REGISTRY,
)
_disguised: Final = Counter(
    "leakwatch_disguised_bytes_skipped", "Bytes under a disguise that were not laid bare.", registry=REGISTRY
)
_members: Final = Counter("leakwatch_members", "What was in containers and was scanned.", registry=REGISTRY)
_members_cut: Final = Counter(
    "leakwatch_members_cut",
    "Times that something in a container was left alone, or not read to its end.",
    ["reason"],
    registry=REGISTRY,
)
_scan_seconds: Final = Histogram(
    "leakwatch_scan_seconds", "Time to scan a document.", buckets=_SECONDS, registry=REGISTRY
)
_latency: Final = Histogram(
    "leakwatch_publication_to_scan_seconds",
    "Age of a document when it was scanned, where its source tells.",
    ["source"],
    buckets=_LATENCY,
    registry=REGISTRY,
)
_matches: Final = Counter("leakwatch_matches", "Candidates that are a customer's key.", registry=REGISTRY)
_findings: Final = Counter("leakwatch_findings", "Keys found for the first time.", registry=REGISTRY)
_notices: Final = Counter("leakwatch_notices", "Notices opened.", ["kind", "held"], registry=REGISTRY)
_deliveries: Final = Counter(
    "leakwatch_deliveries", "Attempts to deliver a notice.", ["scheme", "outcome"], registry=REGISTRY
)
_answers: Final = Counter("leakwatch_answers", "Answers of customers.", ["answer"], registry=REGISTRY)
_bounces: Final = Counter("leakwatch_bounces", "Mails that came back.", ["action"], registry=REGISTRY)
_jobs: Final = Gauge("leakwatch_jobs", "Jobs in the engine.", ["queue", "state"], registry=REGISTRY)
_jobs_done: Final = Counter("leakwatch_jobs_done", "Runs of a job.", ["queue", "outcome"], registry=REGISTRY)
_job_seconds: Final = Histogram(
    "leakwatch_job_seconds", "Time that a job ran.", ["queue"], buckets=_SECONDS, registry=REGISTRY
)


class Scanned(Protocol):
    """What a scan says of itself, as far as it is counted."""

    @property
    def tried(self) -> int:
        """How many strings with a marker there were."""

    @property
    def skipped(self) -> int:
        """How many there were beyond the cap."""

    @property
    def disguised(self) -> int:
        """How many bytes under disguises were not looked at."""


def polled(source: str, outcome: str) -> None:
    """Count a poll that ended."""
    _polls.labels(source, _word(outcome)).inc()
    failing = _failures.labels(source)
    failing.set(0) if outcome == OK else failing.inc()


def forget_source(name: str) -> None:
    """Leave out the failures of a source that is no longer watched, and the age of its documents."""
    for metric in (_failures, _latency):
        metric.remove_by_labels({"source": name})


def gap(source: str) -> None:
    """Count a poll that shared nothing with the one before."""
    _gaps.labels(source).inc()


def told(source: str, outcome: str) -> None:
    """Count a push to a source that takes them, `blocked` for one without its secret."""
    _told.labels(source, outcome).inc()


def missed(source: str, count: int) -> None:
    """Count documents that will not be looked at."""
    _missed.labels(source).inc(count)


def sources_judged(judged: Mapping[str, tuple[str, int | None, float | None]]) -> None:
    """Show of each source its state, the requests left, and when a poll last worked (seconds since 1970)."""
    for gauge in (_states, _quota, _succeeded):
        gauge.clear()
    for name, (state, quota, succeeded) in judged.items():
        _states.labels(name, state).set(1)
        if quota is not None:
            _quota.labels(name).set(quota)
        if succeeded is not None:
            _succeeded.labels(name).set(succeeded)


def fetched(source: str, outcome: str, size: int = 0) -> None:
    """Count a request that ended, with so many bytes of body."""
    _fetches.labels(source, _word(outcome)).inc()
    _bytes.labels(source).inc(size)


def scanned(scan: Scanned, seconds: float) -> None:
    """Count a document that was scanned, what was found in it, and the seconds that it took."""
    _documents.inc()
    _skipped.inc(scan.skipped)
    _disguised.inc(scan.disguised)
    _candidates.inc(scan.tried)
    _scan_seconds.observe(seconds)


def aged(source: str, document: Document) -> None:
    """Take down how old a document is that was scanned for the first time, where its source tells."""
    if (published := document.reference.published_at) is not None:
        _latency.labels(source).observe(max(0.0, (now() - published).total_seconds()))


def opened(members: int, cut: Mapping[str, int]) -> None:
    """Count what was in a container, and what of it was left alone, by the opener's words for why."""
    _members.inc(members)
    for reason, count in cut.items():
        _members_cut.labels(reason).inc(count)


def matched(matches: int, new_findings: int) -> None:
    """Count matches, and the keys among them that were not known to be public."""
    _matches.inc(matches)
    _findings.inc(new_findings)


def notice_opened(kind: str, held: str | None) -> None:
    """Count a notice, and why it is held, if it is."""
    _notices.labels(str(kind), held or "no").inc()


def answered(word: str) -> None:
    """Count what a customer answered."""
    _answers.labels(str(word)).inc()


def bounced(action: str) -> None:
    """Count a mail that came back: for good (``failed``), or for now (``delayed``)."""
    _bounces.labels(action).inc()


def delivered(scheme: str, outcome: str) -> None:
    """Count an attempt to deliver on a channel of this scheme (``mailto``, ``json`` …)."""
    _deliveries.labels(scheme, _word(outcome)).inc()


def job_done(queue: str, outcome: str, seconds: float) -> None:
    """Count a run of a job, and how long it took."""
    _jobs_done.labels(queue, _word(outcome)).inc()
    _job_seconds.labels(queue).observe(seconds)


def jobs_counted(counts: Mapping[tuple[str, str], int]) -> None:
    """Show how many jobs there are of each queue and state."""
    _jobs.clear()
    for (queue, state), count in counts.items():
        _jobs.labels(queue, state).set(count)


def _reasons(error: type[LeakwatchError] = LeakwatchError) -> Iterator[str]:
    yield error.reason
    for narrower in error.__subclasses__():
        yield from _reasons(narrower)


_WORDS: Final = frozenset({OK, *_reasons()})


def _word(outcome: str) -> str:
    """Keep what is no reason out of the labels: it would be a series of its own, and might be anything."""
    return outcome if outcome in _WORDS else JobFailed.reason


def _version() -> str:
    try:
        return version("leakwatch")
    except PackageNotFoundError:
        return "unknown"  # a checkout that was never installed


Info("leakwatch_build", "The version that runs.", registry=REGISTRY).info({"version": _version()})
ProcessCollector(registry=REGISTRY)
