"""Fetching: one polite session, one module per kind of listing, and a poll that ends in a `Batch`."""

from leakwatch.fetch.polling import Fetched, Poll, Trace, fetch, parse, poll
from leakwatch.fetch.session import Session
from leakwatch.fetch.source import Source, resolve

__all__ = ["Fetched", "Poll", "Session", "Source", "Trace", "fetch", "parse", "poll", "resolve"]
