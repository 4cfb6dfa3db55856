"""The web server: `/healthz`, `/readyz` and `/metrics` for the machines that watch us, `/a/` for customers.

And `/hooks/` for sites that tell of what is new there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from leakwatch.errors import ConfigError, LeakwatchError
from leakwatch.web.hooks import Hooks
from leakwatch.web.pages import BODY, Pages

log: Final = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[str | None]]
"""Looks at one thing: None when it is well, else what is wrong with it, as anybody may read it."""

_PATIENCE: Final = 5.0  # seconds that a check may take
_CLOSING: Final = 2.0  # seconds that open requests have when we stop
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@final
class Web:
    """Listens on ``host:port``, given as one string; port 0 takes a free one.

    `/readyz` looks at all checks, `/healthz` only at those in `alive`: what a restart would mend. A database that is
    away is not among them, or its outage would become ours.
    """

    def __init__(  # noqa: PLR0913 - what is served, named once in app.py
        self,
        listen: str,
        checks: Mapping[str, Check],
        registry: CollectorRegistry,
        *,
        alive: Mapping[str, Check] | None = None,
        pages: Pages | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._host, _, self._port = listen.rpartition(":")
        self._checks = checks
        self._alive = alive or {}
        self._pages = pages
        self._hooks = hooks
        self._registry = registry
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where it listens, or will."""
        host, port = self._runner.addresses[0][:2] if self._runner else (self._host, int(self._port))
        return host, port

    async def start(self) -> None:
        """Begin to listen. Raises ConfigError when the address cannot be had."""
        app = web.Application(middlewares=[_plain], client_max_size=BODY)
        app.on_response_prepare.append(_dress)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._readiness)
        app.router.add_get("/metrics", self._metrics)
        if self._pages is not None:
            app.router.add_routes(self._pages.routes())
        if self._hooks is not None:
            app.router.add_routes(self._hooks.routes())
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_CLOSING)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host.strip("[]"), int(self._port)).start()
        except OSError as error:
            await self.stop()
            message = f"web.listen: {self._host}:{self._port} cannot be had: {error.strerror}"
            raise ConfigError(message, mend="another process may have it; write another one") from error
        log.info("listening", host=self.address[0], port=self.address[1])

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _health(self, _request: web.Request) -> web.Response:
        return await _report("alive", self._alive)

    async def _readiness(self, _request: web.Request) -> web.Response:
        return await _report("ready", {**self._alive, **self._checks})

    async def _metrics(self, _request: web.Request) -> web.Response:
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _report(word: str, checks: Mapping[str, Check]) -> web.Response:
    """Look at everything at once; 503 when anything is not well."""
    found = await asyncio.gather(*(_looked_at(check) for check in checks.values()))
    wrong = {name: what for name, what in zip(checks, found, strict=True) if what is not None}
    body = {word: not wrong, "checks": {name: wrong.get(name, "ok") for name in checks}}
    return web.json_response(body, status=503 if wrong else 200)


async def _looked_at(check: Check) -> str | None:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await check()
    except TimeoutError:
        return f"no answer within {_PATIENCE:g} s"
    except LeakwatchError as error:
        return error.reason
    except Exception:  # a check that fails finds something wrong; what, is for the log
        log.exception("a check failed")
        return "the check failed"


@web.middleware
async def _plain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer an error with its name alone: a request's path may hold anything."""
    try:
        return await handler(request)
    except web.HTTPRedirection:
        raise  # ours: to an address that we have made
    except web.HTTPException as refusal:
        allowed = {"Allow": refusal.headers["Allow"]} if "Allow" in refusal.headers else {}
        return web.Response(status=refusal.status, text=f"{refusal.reason}\n", headers=allowed)


async def _dress(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.pop("Server", None)  # by which aiohttp would tell its version
