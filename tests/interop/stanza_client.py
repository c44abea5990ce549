"""stanza.js in a real Chromium: a Jingle stack that shares nothing with ours, neither signalling nor media."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

from playwright.async_api import Browser, Page

from focus.wire.jid import JID
from tests.interop.browser import open_page
from tests.interop.running import PATIENCE

WEB = Path(__file__).parents[2] / "web"
BUNDLE = WEB / "node_modules" / ".stanza" / "client.js"
#: Where its page seems to come from: browsers give microphones to such.
ORIGIN = "http://stanza.localhost/"

#: Those by which a pair of candidates has been found that is in use.
USER_FRAGMENTS = """(async () => {
  const { pc } = client.session;
  const stats = [...(await pc.getStats()).values()];
  const transport = stats.find((each) => each.type === 'transport');
  const pair = stats.find((each) => each.id === transport?.selectedCandidatePairId);
  const local = stats.find((each) => each.id === pair?.localCandidateId);
  const remote = /a=ice-ufrag:(\\S+)/.exec(pc.remoteDescription?.sdp ?? '');
  const found = ['connected', 'completed'].includes(transport?.iceState) && pc.signalingState === 'stable';
  return found && remote && local?.usernameFragment ? [local.usernameFragment, remote[1]] : [];
})()"""


async def bundle() -> Path:
    """The script with the client in it, made if there is none that is new enough."""
    sources = [WEB / "tests" / "stanza-client.ts", WEB / "tests" / "stanza.config.ts", WEB / "package-lock.json"]
    if BUNDLE.exists() and BUNDLE.stat().st_mtime > max(source.stat().st_mtime for source in sources):
        return BUNDLE
    vite, node = WEB / "node_modules" / ".bin" / "vite", shutil.which("node")
    assert vite.exists(), "the tests need the page's packages; ./dev test installs them"
    assert node is not None, "the tests need node; ./dev test finds one"
    process = await asyncio.create_subprocess_exec(
        *(node, vite, "build", "--config", "tests/stanza.config.ts"),
        cwd=WEB,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return BUNDLE


class StanzaJs:
    """One person with that client."""

    def __init__(self, page: Page, jid: JID) -> None:
        self.page = page
        self.jid = jid

    @classmethod
    async def log_in(
        cls, browser: Browser, jid: str, password: str, websocket: str, frequency: float, *, invitations: bool
    ) -> StanzaJs:
        """Logged in and available, with a tone for a voice. `invitations`: whether it knows of XEP-0353."""
        page = await open_page(browser, ORIGIN, frequency, serve="<!doctype html><title>stanza.js</title>")
        await page.add_script_tag(path=await bundle())
        arguments = json.dumps([jid, password, websocket, invitations])
        async with asyncio.timeout(PATIENCE):
            return cls(page, JID.parse(await page.evaluate(f"logIn(...{arguments})")))

    async def call(self, address: JID) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.page.evaluate(f"client.call({json.dumps(str(address))})")

    async def end(self) -> None:
        """End the call, and forget what has happened so far."""
        await self.page.evaluate("client.end()")
        await self.page.evaluate("client.events.length = 0")

    async def hears_nothing_of(self, frequency: float) -> None:
        """Until what was heard of this tone has faded."""
        await self.page.wait_for_function(f"decibelsAt({frequency}) < -80", timeout=PATIENCE * 1000)

    async def mute(self, muted: bool) -> None:
        await self.page.evaluate(f"client.mute({json.dumps(muted)})")

    async def restart_ice(self) -> None:
        """Until the browser has new credentials of both sides, and has found a path by them."""
        former = await self._credentials()
        await self.page.evaluate("client.session.restartIce()")
        async with asyncio.timeout(PATIENCE):
            while not (now := await self._credentials()) or set(now) & set(former):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)

    async def _credentials(self) -> list[str]:
        """The user fragments of both sides, once they have been checked; none where they have not."""
        return await self.page.evaluate(USER_FRAGMENTS)  # type: ignore[no-any-return]

    async def told(self, event: str) -> None:
        """Until its signalling has come to this."""
        try:
            await self.page.wait_for_function(f"client.events.includes({json.dumps(event)})", timeout=PATIENCE * 1000)
        except TimeoutError:
            raise AssertionError(f"no {event!r}, but {await self.page.evaluate('client.events')}") from None
