"""Any repository of git: mirrored within limits, each new object read once, what is found named by its commit."""

from leakwatch.fetch.git.objects import Blob
from leakwatch.fetch.git.pointers import Pointers, may_point, pointers
from leakwatch.fetch.git.work import Git, History, history

__all__ = ["Blob", "Git", "History", "Pointers", "history", "may_point", "pointers"]
