"""Durable work: one protocol, with the embedded engine behind it (a job table, one node).

The protocol asks only for what a job queue of several nodes gives as well: enqueueing in the caller's
transaction, handlers by queue name, retry, dedupe, lanes with limited concurrency, dead letters. Handlers are
therefore idempotent: an engine whose completion is not in the handler's transaction may run a job twice.
"""

from leakwatch.engine.protocol import Bury, Dead, Engine, Handler, Job, NewJob, Queue, Retry

__all__ = ["Bury", "Dead", "Engine", "Handler", "Job", "NewJob", "Queue", "Retry"]
