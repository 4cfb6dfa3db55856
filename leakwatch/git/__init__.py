"""Any repository of git: mirrored within limits, each new object read once, what is found named by its commit."""

from leakwatch.git.history import History, history
from leakwatch.git.objects import Blob
from leakwatch.git.pointers import Pointers, may_point, pointers

__all__ = ["Blob", "History", "Pointers", "history", "may_point", "pointers"]
