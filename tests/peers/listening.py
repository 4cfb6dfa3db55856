"""Whether a server that was started is there yet."""

import asyncio
from pathlib import Path

import pytest


async def listens(port: int, log: Path) -> None:
    """Wait until something listens on a port of loopback; else fail with what the server said."""
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            await writer.wait_closed()
            return
    pytest.fail(f"nothing listens on {port}: {log.read_text()[-2000:] if log.exists() else 'no log'}")
