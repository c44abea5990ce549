"""The snippets for servers, given to the real server."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from focus.service import config_text
from focus.service.config import Settings
from focus.service.lua import quoted
from focus.service.prosody import Prosody
from focus.service.sections.http import HttpSettings
from focus.service.sections.xmpp import XmppSettings

pytestmark = pytest.mark.interop

#: The modules of Debian's configuration, but for those that need what a test has not: a group or a syslog of its own.
DEBIAN = (
    *(
        "disco",
        "roster",
        "saslauth",
        "tls",
        "blocklist",
        "bookmarks",
        "carbons",
        "dialback",
        "limits",
        "pep",
        "private",
    ),
    *("smacks", "vcard4", "vcard_legacy", "csi_simple", "invites", "invites_adhoc", "invites_register", "ping"),
    *("register", "time", "uptime", "version", "admin_adhoc", "posix"),
)


@pytest.fixture
def settings(free_tcp_port: Callable[[], int]) -> Settings:
    return Settings(
        xmpp=XmppSettings(
            jid="focus.example.org", muc="rooms.example.org", secret=SecretStr('quo"ted\\'), port=free_tcp_port()
        ),
        http=HttpSettings(websocket=f"ws://127.0.0.1:{free_tcp_port()}/xmpp-websocket"),
    )


class Configured(Prosody):
    """A Prosody as an operator runs it: a configuration of its own that includes the snippet."""

    def __init__(self, state: Path, snippet: str) -> None:
        super().__init__(state)
        self._snippet = snippet

    def _write_configuration(self) -> None:
        self._write(self.state / "focus.cfg.lua", self._snippet.encode())
        self._write(
            self.state / "prosody.cfg.lua",
            "\n".join(
                [
                    f'pidfile = "{self.state}/prosody.pid"',
                    f'data_path = "{self.state}/data"',
                    f'certificates = "{self.state}/certificates"',
                    f'plugin_paths = {{ "{self.state}/modules" }}',
                    f"modules_enabled = {{ {', '.join(map(quoted, DEBIAN))} }}",
                    'modules_disabled = { "s2s" }',
                    f'c2s_interfaces = {{ "127.0.0.1" }} c2s_ports = {{ {self.c2s[1]} }} c2s_direct_tls_ports = {{ }}',
                    "https_ports = { }",
                    'log = { { levels = { min = "info" }, to = "console" } }',
                    'VirtualHost "example.org"',
                    f'Include "{self.state}/focus.cfg.lua"',
                    "",
                ]
            ).encode(),
        )

    async def check(self) -> tuple[int, str]:
        return await self._run("prosodyctl", "--config", str(self.state / "prosody.cfg.lua"), "check", "config")


async def log_in_as_component(settings: Settings) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    xmpp = settings.xmpp
    reader, writer = await asyncio.open_connection(xmpp.host, xmpp.port)
    writer.write(
        f"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' "
        f"to='{xmpp.jid}'>".encode()
    )
    head = (await reader.readuntil(b"<stream:stream") + await reader.readuntil(b">")).decode()
    identity = re.search(r"\bid=['\"]([^'\"]+)", head)
    assert identity is not None
    digest = hashlib.sha1((identity[1] + xmpp.secret.get_secret_value()).encode()).hexdigest()
    writer.write(f"<handshake>{digest}</handshake>".encode())
    assert await asyncio.wait_for(reader.readuntil(b">"), 60) == b"<handshake/>"
    return reader, writer


async def test_prosody_takes_the_snippet(state_dir: Path, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    server = Configured(state_dir / "prosody", config_text.prosody(settings))
    await server.start()
    try:
        code, output = await server.check()
        assert (code, "All checks passed" in output) == (0, True), output
        reader, writer = await log_in_as_component(settings)
        # The occupant's JID makes it the owner of the room, and of every other.
        writer.write(
            b"<presence from='focus@focus.example.org/tea' to='tea@rooms.example.org/focus'>"
            b"<x xmlns='http://jabber.org/protocol/muc'/></presence>"
        )
        presence = await asyncio.wait_for(reader.readuntil(b"</presence>"), 60)
        assert b"affiliation='owner'" in presence or b'affiliation="owner"' in presence
        writer.close()
        await writer.wait_closed()
    finally:
        await server.stop()
    assert [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
