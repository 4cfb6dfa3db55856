"""Over HTTP: whether the daemon lives and can do its work, what it has done, and what customers answer."""

from leakwatch.web.pages import Pages
from leakwatch.web.server import Check, Web

__all__ = ["Check", "Pages", "Web"]
