"""The page in a real Chromium: people talk, see each other, mute, and leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from focus.service.prosody import Prosody
from focus.service.values import Address
from tests.interop.browser import chromium, hears, join, open_page, participant
from tests.interop.callers import CallerFactory, assert_hears
from tests.interop.running import RunningFocus, eventually, serve, settings_for

pytestmark = [pytest.mark.interop, pytest.mark.browser]

ARTIFACTS = Path(__file__).parents[2] / "artifacts"

# Shows two whose hands are up, one of them muted by a moderator, and tells which buttons cut off their words, how far
# it scrolls sideways, and where the entries are: before the page has time to hear what is really so.
SHOWN = """async ({speaking, text, serial}) => {
  const element = document.querySelector('focus-meeting');
  const {meeting} = element;
  const [self] = meeting.view.participants;
  const heard = {muted: false, mutedByFocus: false, speaking};
  const other = {...self, ...heard, key: 'bert', name: 'Bert', self: false, hand: 2};
  const participants = [{...self, muted: true, mutedByFocus: true, speaking: false, hand: 1}, other];
  meeting.view = {...meeting.view, participants, notice: {serial, text}};
  meeting.dispatchEvent(new Event('change'));
  await element.updateComplete;
  const list = element.shadowRoot.querySelector('focus-participants');
  await list.updateComplete;
  const words = [...list.shadowRoot.querySelectorAll('.state')].map((each) => each.textContent);
  const buttons = [...element.shadowRoot.querySelectorAll('.controls button')];
  const cut = buttons.filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.textContent.trim());
  const places = [...list.shadowRoot.querySelectorAll('li')].map((each) => each.getBoundingClientRect());
  const aside = Math.max(0, document.documentElement.scrollWidth - innerWidth);
  return [words[1].includes('speaking'), [...cut, aside], places.map(({top, height}) => [top, height])];
}"""

# The buttons of meetings in a page that are not within their meeting.
CUT_OFF = """() => [...document.querySelectorAll('focus-meeting')].flatMap((meeting) => {
  const right = meeting.getBoundingClientRect().right;
  const buttons = [...meeting.shadowRoot.querySelectorAll('.controls button')];
  return buttons.filter((each) => each.getBoundingClientRect().right > right).map((each) => each.textContent.trim());
})"""

# How far below the field for the name the form goes on.
BELOW_THE_NAME = """() => {
  const form = document.querySelector('focus-meeting').shadowRoot.querySelector('focus-lobby').shadowRoot;
  const top = (selector) => form.querySelector(selector).getBoundingClientRect().top;
  return top('focus-microphones') - top('#name');
}"""


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
    await expect(anna.locator(participant(anna, "Bert", "[data-muted=true]"))).to_have_count(1)
    await expect(bert.get_by_role("button", name="Unmute")).to_be_visible()
    await bert.screenshot(path=ARTIFACTS / "muted.png")
    await bert.get_by_role("button", name="Unmute").click()
    await expect(anna.locator(participant(anna, "Bert", "[data-muted=true]"))).to_have_count(0)

    for change, raised in (("Raise hand", 1), ("Lower hand", 0)):
        await bert.get_by_role("button", name=change).click()
        await expect(anna.locator(participant(anna, "Bert", "[data-hand=true]"))).to_have_count(raised)
        await bert.screenshot(path=ARTIFACTS / f"hand-{raised}.png")

    await bert.close(run_before_unload=False)
    await expect(anna.locator(participant(anna, "Bert"))).to_have_count(0)
    await carol.document_of("Anna", "carol")
    await hears(anna, 660, not_=440)

    await anna.get_by_role("button", name="Leave").click()
    await carol.document_of("carol")
    await anna.screenshot(path=ARTIFACTS / "left.png")
    await carol.hang_up()
    await eventually(lambda: focus.service.calls() == 0)


@pytest.mark.any_server
async def test_a_refused_microphone_is_explained(focus: RunningFocus, browser: Browser) -> None:
    page = await (await browser.new_context(permissions=[])).new_page()
    await page.goto(f"{focus.http}/tea?name=Anna")
    await page.get_by_role("button", name="Join").click()
    await expect(page.get_by_role("heading", name="The microphone is blocked")).to_be_visible()
    await page.screenshot(path=ARTIFACTS / "microphone.png")
    assert focus.service.calls() == 0


@pytest.mark.any_server
async def test_a_full_room_says_so(prosody: Prosody, browser: Browser) -> None:
    async with serve(prosody, settings_for(prosody, maximum_participants=1)) as focus:
        anna = await open_page(browser, f"{focus.http}/tea", 300)
        await join(anna, "Anna")
        await eventually(lambda: focus.service.participants() == 1)
        bert = await open_page(browser, f"{focus.http}/tea", 440)
        await bert.get_by_label("Your name").fill("Bert")
        await bert.get_by_role("button", name="Join").click()
        await expect(bert.get_by_role("heading", name="The room is full")).to_be_visible()


async def test_a_focus_that_takes_occupants_only_takes_the_page(prosody: Prosody, browser: Browser) -> None:
    async with serve(prosody, settings_for(prosody, strangers=False)) as focus:
        anna = await open_page(browser, f"{focus.http}/tea", 300)
        await join(anna, "Anna")
        await expect(anna.locator(participant(anna, "Anna"))).to_have_count(1)
        await anna.close()
        await eventually(lambda: focus.service.calls() == 0)


@pytest.mark.any_server
async def test_a_page_of_another_site_has_two_meetings_in_it(prosody: Prosody) -> None:
    site = "http://site.localhost"
    settings = settings_for(prosody)
    http = settings.http.model_copy(update={"origins": (site,)})
    # Browsers ask people before a site may reach what is on their own machine, as ours is here.
    unasked = chromium("--disable-features=LocalNetworkAccessChecks")
    async with serve(prosody, settings.model_copy(update={"http": http})) as focus, unasked as browser:
        meetings = "".join(
            f"<div><focus-meeting room=tea name={name} service={focus.http}></focus-meeting></div>"
            for name in ("Anna", "Bert")
        )
        document = (
            f"<!doctype html><script type=module src={focus.http}/focus-meeting.js></script>"
            f"<style>div {{ width: 20rem; float: left }}</style>{meetings}"
        )
        page = await open_page(browser, f"{site}/", 300, serve=document)
        for number in range(2):
            await page.locator("focus-meeting").nth(number).get_by_role("button", name="Join").click()
        await expect(page.locator("focus-meeting[data-state=joined]")).to_have_count(2)
        await expect(page.locator(participant(page, "Bert"))).to_have_count(2)
        assert await page.locator("focus-rooms").count() == 0
        assert await page.evaluate(CUT_OFF) == []


@pytest.mark.any_server
async def test_a_taken_name_gets_another_one(focus: RunningFocus, browser: Browser) -> None:
    pages = []
    for frequency in (300, 440):
        page = await open_page(browser, f"{focus.http}/tea", frequency)
        await join(page, "Anna")
        pages.append(page)
    for page in pages:
        await expect(page.get_by_role("listitem").filter(has_text="Anna")).to_have_count(2)
    await hears(pages[0], 440, not_=300)


async def test_the_page_comes_back_to_a_service_that_is_started_again(prosody: Prosody, browser: Browser) -> None:
    settings = settings_for(prosody)
    async with serve(prosody, settings) as focus:
        anna = await open_page(browser, f"{focus.http}/tea", 300)
        await join(anna, "Anna")
        await anna.get_by_role("button", name="Mute").click()
    await expect(anna.get_by_text("Reconnecting").first).to_be_visible()
    assert focus.ready.http is not None
    http = settings.http.model_copy(update={"listen": Address(*focus.ready.http)})
    async with serve(prosody, settings.model_copy(update={"http": http})):
        await expect(anna.get_by_text("Connected").first).to_be_visible()
        await expect(anna.locator(participant(anna, "Anna", "[data-muted=true]"))).to_have_count(1)
        await expect(anna.get_by_role("button", name="Unmute")).to_be_visible()


async def test_the_page_stays_in_the_call_while_the_server_restarts(
    focus: RunningFocus, prosody: Prosody, browser: Browser
) -> None:
    anna = await open_page(browser, f"{focus.http}/tea", 300)
    bert = await open_page(browser, f"{focus.http}/tea", 440)
    await join(anna, "Anna")
    await join(bert, "Bert")
    await hears(anna, 440, not_=300)
    prosody.kill()
    await prosody.wait()
    await expect(anna.get_by_text("Reconnecting").first).to_be_visible()
    await hears(anna, 440, not_=300)
    await prosody.start()
    for page in (anna, bert):
        for name in ("Anna", "Bert"):
            await expect(page.locator(participant(page, name))).to_have_count(1)
        await expect(page.get_by_text("Connected").first).to_be_visible(timeout=20_000)
    await hears(anna, 440, not_=300)
    await hears(bert, 300, not_=440)


@pytest.mark.any_server
async def test_the_page_fits_a_phone_in_the_dark(focus: RunningFocus, browser: Browser) -> None:
    anna = await open_page(browser, f"{focus.http}/tea", 300)
    await anna.set_viewport_size({"width": 360, "height": 640})
    await anna.emulate_media(color_scheme="dark", reduced_motion="reduce")
    await anna.screenshot(path=ARTIFACTS / "lobby-phone-dark.png")
    before = await anna.evaluate(BELOW_THE_NAME)
    await anna.get_by_role("button", name="Join").click()
    await expect(anna.get_by_text("Please enter your name.")).to_be_visible()
    assert await anna.evaluate(BELOW_THE_NAME) == before, "the form jumps when a name is missing"
    await join(anna, "Anna")
    await expect(anna.get_by_role("listitem")).to_have_count(1)
    await anna.screenshot(path=ARTIFACTS / "meeting-phone-dark.png")
    width = await anna.evaluate("document.documentElement.scrollWidth")
    assert width <= 360, "it scrolls sideways"
    await anna.keyboard.press("m")
    await expect(anna.get_by_role("button", name="Unmute")).to_be_visible()
    quiet = await anna.evaluate(SHOWN, {"speaking": False, "text": "", "serial": -1})
    loud = await anna.evaluate(SHOWN, {"speaking": True, "text": "Bert raised a hand", "serial": -2})
    assert (quiet[:2], loud[:2]) == ([False, [0]], [True, [0]]), "words are cut off"
    assert quiet[2] == loud[2], "the entries jump when somebody speaks, or when there is news"
    for width in (641, 761):  # around where the controls become one line
        await anna.set_viewport_size({"width": width, "height": 640})
        shown = await anna.evaluate(SHOWN, {"speaking": True, "text": "", "serial": -width})
        assert shown[1] == [0], "words are cut off, or it scrolls sideways"
