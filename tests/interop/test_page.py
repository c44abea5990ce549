"""The page in a real Chromium: people talk, see each other, mute, and leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.interop.browser import chromium, hears, join, open_page, participant
from tests.interop.callers import CallerFactory, assert_hears
from tests.interop.running import RunningFocus, eventually

pytestmark = [pytest.mark.interop, pytest.mark.browser]

ARTIFACTS = Path(__file__).parents[2] / "artifacts"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    ARTIFACTS.mkdir(exist_ok=True)
    async with chromium() as running:
        yield running


async def test_two_pages_and_a_caller_meet(focus: RunningFocus, caller: CallerFactory, browser: Browser) -> None:
    anna = await open_page(browser, f"{focus.http}/tea", 300)
    await join(anna, "Anna")
    bert = await open_page(browser, f"{focus.http}/tea", 440)
    await join(bert, "Bert")
    carol = await caller("carol", 660)
    await carol.call(focus.mixer("tea"))

    for page in (anna, bert):
        for name in ("Anna", "Bert", "carol"):
            await expect(page.locator(participant(page, name))).to_have_count(1)
    await carol.document_of("Anna", "Bert", "carol")
    await hears(anna, 440, 660, not_=300)
    await hears(bert, 300, 660, not_=440)
    await assert_hears(carol, [300, 440], 660)
    for name in ("Bert", "carol"):
        await expect(anna.locator(participant(anna, name, "[data-speaking=true]"))).to_have_count(1)
    await anna.screenshot(path=ARTIFACTS / "meeting.png")

    await bert.get_by_role("button", name="Mute").click()
    await expect(anna.locator(participant(anna, "Bert", "[data-muted=true]"))).to_have_count(1, timeout=5000)
    await expect(bert.get_by_role("button", name="Unmute")).to_be_visible()
    await bert.screenshot(path=ARTIFACTS / "muted.png")
    await bert.get_by_role("button", name="Unmute").click()
    await expect(anna.locator(participant(anna, "Bert", "[data-muted=true]"))).to_have_count(0)

    await bert.close(run_before_unload=False)
    await expect(anna.locator(participant(anna, "Bert"))).to_have_count(0)
    await carol.document_of("Anna", "carol")
    await hears(anna, 660, not_=440)

    await anna.get_by_role("button", name="Leave").click()
    await carol.document_of("carol")
    await anna.screenshot(path=ARTIFACTS / "left.png")
    await carol.hang_up()
    await eventually(lambda: focus.service.calls() == 0)
