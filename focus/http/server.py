"""A listener: one aiohttp application on one address."""

from __future__ import annotations

import socket

from aiohttp import web

# How long a request that is being answered may take to end when the listener stops.
SHUTDOWN_TIMEOUT = 1.0


class Listener:
    """Serves an application between `start` and `stop`."""

    def __init__(self, application: web.Application) -> None:
        self.application = application
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen, port 0 being any free one; the address as bound. Raises OSError if that cannot be."""
        runner = web.AppRunner(self.application, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT)
        await runner.setup()
        # One socket of our own: for a name with two addresses aiohttp would make two, and port 0 two ports.
        bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if bound.family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((host, port))
            await web.SockSite(runner, bound).start()
        except BaseException:
            bound.close()
            await runner.cleanup()
            raise
        self._runner = runner
        name = bound.getsockname()
        return str(name[0]), int(name[1])

    async def stop(self) -> None:
        """Stop listening, end what is open. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
