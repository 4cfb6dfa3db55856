"""Over HTTP: whether the daemon lives, whether it can do its work, and what it has done."""

from leakwatch.web.server import Check, Web

__all__ = ["Check", "Web"]
