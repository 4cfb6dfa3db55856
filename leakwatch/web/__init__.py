"""Over HTTP: whether the daemon lives and can work, what it has done, what customers answer, and what sites tell."""

from leakwatch.web.hooks import Hooks
from leakwatch.web.pages import Pages
from leakwatch.web.server import Check, Web

__all__ = ["Check", "Hooks", "Pages", "Web"]
