"""A real Chromium whose pages have an oscillator for a microphone, and ears."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.interop.running import PATIENCE

expect.set_options(timeout=PATIENCE * 1000)

#: Before the page's own scripts: the microphone is a tone, and what the page receives can be measured.
EARS = """
(() => {
  const context = new AudioContext();
  navigator.mediaDevices.getUserMedia = async () => {
    await context.resume();
    const oscillator = new OscillatorNode(context, { frequency: FREQUENCY });
    const gain = new GainNode(context, { gain: 0.3 });
    const output = context.createMediaStreamDestination();
    oscillator.connect(gain).connect(output);
    oscillator.start();
    return output.stream;
  };
  const analyser = new AnalyserNode(context, { fftSize: 16384, smoothingTimeConstant: 0 });
  const Native = window.RTCPeerConnection;
  window.connections = [];
  window.RTCPeerConnection = class extends Native {
    constructor(...parameters) {
      super(...parameters);
      window.connections.push(this);
      this.addEventListener('track', (event) => {
        const stream = new MediaStream([event.track]);
        const element = new Audio();  // Chromium gives WebAudio nothing of a stream that no element plays
        element.muted = true;
        element.srcObject = stream;
        context.createMediaStreamSource(stream).connect(analyser);
      });
    }
  };
  window.decibelsAt = (frequency) => {
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    const at = Math.round((frequency * analyser.fftSize) / context.sampleRate);
    return Math.max(...bins.slice(at - 3, at + 4));
  };
})();
"""


@asynccontextmanager
async def chromium(*options: str) -> AsyncIterator[Browser]:
    """Debian's browser; it needs no sandbox in a container where all are root."""
    executable = shutil.which("chromium")
    assert executable is not None, "the tests need Debian's package chromium; ./dev test installs it"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--use-fake-device-for-media-stream",
                "--allow-loopback-in-peer-connection",
                "--autoplay-policy=no-user-gesture-required",
                *options,
            ],
        )
        try:
            yield browser
        finally:
            await browser.close()


async def open_page(
    browser: Browser, url: str, frequency: float, *, serve: str | None = None, clock: bool = False
) -> Page:
    """A page of its own person, with a tone for a voice; `serve` is the page itself, if no server has it. `clock`: its
    time can be moved on.
    """
    context = await browser.new_context(permissions=["microphone"], viewport={"width": 1000, "height": 700})
    page = await context.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    await page.add_init_script(EARS.replace("FREQUENCY", str(frequency)))
    if clock:
        await page.clock.install()
    if serve is not None:
        await page.route(url, lambda route: route.fulfill(body=serve, content_type="text/html"))
    await page.goto(url)
    return page


async def join(page: Page, name: str) -> None:
    """As a person does it: by label and button."""
    await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Join").click()
    await page.locator("focus-meeting[data-state=joined]").wait_for(state="attached")


async def hears(page: Page, *frequencies: float, not_: float | None = None) -> None:
    """Until the page receives all of these tones, and not that one."""
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                there = [await page.evaluate(f"decibelsAt({frequency})") for frequency in frequencies]
                absent = await page.evaluate(f"decibelsAt({not_})") if not_ else -200
                if min(there) > -45 and (absent or -200) < min(there) - 40:
                    return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"the page hears {there} dB of {frequencies} and {absent} dB of {not_}") from None


def participant(page: Page, name: str, attributes: str = "") -> str:
    """The selector of somebody's entry in the list."""
    return f'focus-meeting [role=listitem]{attributes}:has-text("{name}")'
