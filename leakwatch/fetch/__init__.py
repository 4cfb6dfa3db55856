"""Fetching: one polite session, one module per kind of listing, and a poll that ends in a `Batch`."""

from leakwatch.fetch.polling import Fetched, fetch, parse, poll
from leakwatch.fetch.session import Session
from leakwatch.fetch.source import Source, disabled, resolve
from leakwatch.fetch.trace import Poll, Step, Trace

__all__ = ["Fetched", "Poll", "Session", "Source", "Step", "Trace", "disabled", "fetch", "parse", "poll", "resolve"]
