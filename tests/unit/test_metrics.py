from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import generate_latest

from leakwatch import metrics
from leakwatch.model import Document, NoticeKind, Reference, now

SECRET = "sk-" + "synthetic" * 3


@dataclass
class Scan:
    tried: int
    skipped: int
    disguised: int = 0


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"leakwatch_{name}", labels) or 0.0


def document(published: float | None) -> Document:
    at = None if published is None else now() - timedelta(seconds=published)
    return Document(reference=Reference(url="https://x.example/" + SECRET, id="1", published_at=at), text=SECRET)


def test_a_poll_is_counted_and_failures_in_a_row_are_shown() -> None:
    for outcome in ("timed_out", "timed_out", "ok", "blocked"):
        metrics.polled("pastes", outcome)
    assert value("polls_total", source="pastes", outcome="timed_out") == 2
    assert value("polls_total", source="pastes", outcome="ok") == 1
    assert value("source_failures", source="pastes") == 1
    metrics.forget_source("pastes")
    metrics.forget_source("never seen")
    assert metrics.REGISTRY.get_sample_value("leakwatch_source_failures", {"source": "pastes"}) is None


def test_an_outcome_is_ok_or_a_reason_and_nothing_else() -> None:
    metrics.polled("strange", SECRET)
    assert value("polls_total", source="strange", outcome="unexpected") == 1
    metrics.delivered("mailto", "mail_deferred")
    assert value("deliveries_total", scheme="mailto", outcome="mail_deferred") == 1


def test_a_request_is_counted_with_its_bytes() -> None:
    metrics.fetched("pastes", "ok", 1200)
    metrics.fetched("pastes", "gone")
    assert value("fetch_requests_total", source="pastes", outcome="gone") == 1
    assert value("fetch_bytes_total", source="pastes") == 1200


def test_a_scan_is_counted_and_the_age_of_what_was_scanned() -> None:
    counted = ("documents_total", "scan_seconds_count", "candidates_total", "candidates_skipped_total")
    before = {name: value(name) for name in (*counted, "disguised_bytes_skipped_total")}
    for scan in (Scan(2, 5, 700), Scan(0, 0), Scan(0, 0)):
        metrics.scanned(scan, 0.01)
    for age in (3.0, -60.0, None):  # the second comes from a clock that is ahead of ours
        metrics.aged("aged", document(age))
    assert value("documents_total") == before["documents_total"] + 3
    assert value("candidates_total") == before["candidates_total"] + 2
    assert value("candidates_skipped_total") == before["candidates_skipped_total"] + 5
    assert value("disguised_bytes_skipped_total") == before["disguised_bytes_skipped_total"] + 700
    assert value("scan_seconds_count") == before["scan_seconds_count"] + 3
    assert value("publication_to_scan_seconds_count", source="aged") == 2
    assert value("publication_to_scan_seconds_bucket", source="aged", le="1.0") >= 1
    assert value("publication_to_scan_seconds_bucket", source="aged", le="5.0") >= 2
    assert SECRET.encode() not in generate_latest(metrics.REGISTRY)


def test_matches_findings_and_notices_are_counted() -> None:
    before = {name: value(name) for name in ("matches_total", "findings_total")}
    opened = {held: value("notices_total", kind="exposure", held=held) for held in ("no", "breaker")}
    metrics.matched(3, 1)
    metrics.notice_opened(NoticeKind.EXPOSURE, None)
    metrics.notice_opened(NoticeKind.EXPOSURE, "breaker")
    assert value("matches_total") == before["matches_total"] + 3
    assert value("findings_total") == before["findings_total"] + 1
    assert all(value("notices_total", kind="exposure", held=held) == count + 1 for held, count in opened.items())


def test_jobs_are_shown_as_they_were_last_counted() -> None:
    metrics.jobs_counted({("fetch", "ready"): 4, ("fetch", "dead"): 1})
    metrics.jobs_counted({("fetch", "ready"): 2})
    assert value("jobs", queue="fetch", state="ready") == 2
    assert metrics.REGISTRY.get_sample_value("leakwatch_jobs", {"queue": "fetch", "state": "dead"}) is None


def test_a_run_of_a_job_is_timed() -> None:
    metrics.job_done("deliver", "ok", 0.3)
    assert value("jobs_done_total", queue="deliver", outcome="ok") == 1
    assert value("job_seconds_sum", queue="deliver") == 0.3


def test_the_version_and_the_process_are_told_of() -> None:
    told = generate_latest(metrics.REGISTRY).decode()
    assert 'leakwatch_build_info{version="' in told
    assert "process_resident_memory_bytes" in told
