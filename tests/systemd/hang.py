"""Installed as `sitecustomize` where a test wants a daemon that can be made to hang.

SIGUSR1 blocks the event loop; SIGUSR2 makes the engine's next turn wait for ever, while the event loop goes on.
"""

import asyncio
import signal
import time


def hang_here(*_: object) -> None:
    time.sleep(600)


def hang_engine(*_: object) -> None:
    from leakwatch.engine.embedded import EmbeddedEngine

    async def turn(_engine: EmbeddedEngine) -> None:
        await asyncio.Event().wait()

    setattr(EmbeddedEngine, "_turn", turn)  # noqa: B010 - a plain assignment is a type error, rightly


signal.signal(signal.SIGUSR1, hang_here)
signal.signal(signal.SIGUSR2, hang_engine)
