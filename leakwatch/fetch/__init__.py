"""Fetching: one polite session, one module per kind of listing, and a poll that ends in a `Batch`."""

from leakwatch.fetch import folder, kinds
from leakwatch.fetch.polling import Fetched, fetch, parse, poll
from leakwatch.fetch.session import Session
from leakwatch.fetch.source import Canary, Source, disabled, resolve
from leakwatch.fetch.trace import Poll, Step, Trace

__all__ = [
    "Canary",
    "Fetched",
    "Poll",
    "Session",
    "Source",
    "Step",
    "Trace",
    "disabled",
    "fetch",
    "folder",
    "kinds",
    "parse",
    "poll",
    "resolve",
]
