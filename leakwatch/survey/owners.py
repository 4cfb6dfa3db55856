"""What is registered, asked of the configured database by a process of its own.

Root becomes the service's user for the database, and must remain root for the files that it wants to be scanned.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import batched
from multiprocessing import get_context
from pathlib import Path
from typing import final
