"""/healthz, /readyz and /metrics, on a listener of their own that the public does not reach."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from focus.http.server import Listener

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HealthServer(Listener):
    """`ready` says whether calls can be taken now, and in a few words why not; `metrics` is Prometheus' text."""

    def __init__(self, ready: Callable[[], tuple[bool, str]], metrics: Callable[[], bytes]) -> None:
        application = web.Application()
        application.router.add_get("/healthz", self._alive)
        application.router.add_get("/readyz", self._ready)
        application.router.add_get("/metrics", self._metrics)
        super().__init__(application)
        self._is_ready = ready
        self._render = metrics

    async def _alive(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, request: web.Request) -> web.Response:
        ready, reason = self._is_ready()
        return web.Response(text=f"{reason or 'ok'}\n", status=200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._render(), headers={"Content-Type": METRICS_TYPE})
