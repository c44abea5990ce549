"""Pictures of the page in each of its states, without a server: `python web/tests/screenshots.py FOLDER`.

Starts `vite preview` on the built page and shows <focus-meeting> views that are made up here.
"""

import asyncio
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from playwright.async_api import Page, async_playwright

WEB = Path(__file__).parents[1]
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 720}

SHOW = """
(view) => {
  const meeting = Object.assign(new EventTarget(), {
    view: {progress: 'media', signalling: 'online', media: 'connected', title: '', name: 'Ann', muted: false,
           hand: false, participants: [], audio: null, failure: null, notice: {serial: 0, text: ''}, ...view},
    join: async () => {}, leave: () => {}, setMuted: () => {}, raiseHand: () => {},
    useMicrophone: async () => {}, reset: () => {},
  });
  document.querySelector('focus-meeting').meeting = meeting;
  return document.querySelector('focus-meeting').updateComplete;
}
"""


def participant(name: str, **fields: object) -> dict[str, object]:
    given = {"self": False, "muted": False, "mutedByFocus": False, "speaking": False, "status": "connected"}
    return {"key": name, "name": name, **given, **fields}


SIX = [
    participant("Ann Fischer", self=True),
    participant("Bartholomäus von Hohenstein-Lindau", speaking=True),
    participant("Chiara", muted=True),
    participant("David Okafor"),
    participant("+49 30 1234567", status="ringing"),
    participant("木村 さくら", muted=True, mutedByFocus=True),
]
VIEWS: dict[str, tuple[str, dict[str, object] | None]] = {
    "rooms": ("/", None),
    "rooms-refused": ("/a@b", None),
    "lobby": ("/weekly planning", None),
    "connecting": ("/weekly planning", {"phase": "connecting", "progress": "calling"}),
    "alone": ("/weekly planning", {"phase": "joined", "participants": SIX[:1]}),
    "joined": (
        "/weekly planning",
        {
            "phase": "joined",
            "title": "Weekly planning",
            "participants": SIX,
            "notice": {"serial": 1, "text": "David Okafor has joined"},
        },
    ),
    "crowd": (
        "/weekly planning",
        {"phase": "joined", "participants": [*SIX, *(participant(f"Guest {n}") for n in range(19))]},
    ),
    "muted": (
        "/weekly planning",
        {"phase": "joined", "muted": True, "participants": [participant("Ann", self=True, muted=True), SIX[1]]},
    ),
    "hands": (
        "/weekly planning",
        {
            "phase": "joined",
            "hand": True,
            "participants": [
                participant("Ann", self=True, muted=True, mutedByFocus=True, hand=1),
                participant("Ophelia Long-Lastname", speaking=True, hand=2),
            ],
            "notice": {"serial": 1, "text": "A moderator has muted you"},
        },
    ),
    "reconnecting": (
        "/weekly planning",
        {"phase": "joined", "signalling": "waiting", "participants": SIX[:3], "title": "Weekly planning"},
    ),
    "refused": ("/weekly planning", {"phase": "failed", "failure": {"code": "microphone-refused", "detail": ""}}),
    "kicked": (
        "/weekly planning",
        {"phase": "failed", "failure": {"code": "kicked", "detail": "Please come back when it is quieter."}},
    ),
    "left": ("/weekly planning", {"phase": "left"}),
}


async def shoot(page: Page, origin: str, folder: Path, look: str) -> None:
    for name, (path, view) in VIEWS.items():
        await page.goto(origin + path)
        if view is not None:
            await page.evaluate(SHOW, view)
        await page.wait_for_timeout(350)
        wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            print(f"{name} {look}: {wide} px too wide")
        await page.screenshot(path=folder / f"{name}-{look}.png")


async def main(folder: Path) -> None:
    origin = "http://localhost:4173"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for look, size, scheme, forced in (
            ("light", DESKTOP, "light", "none"),
            ("dark", DESKTOP, "dark", "none"),
            ("forced", DESKTOP, "light", "active"),
            ("phone", PHONE, "light", "none"),
            ("phone-dark", PHONE, "dark", "none"),
        ):
            context = await browser.new_context(viewport=size, color_scheme=scheme, forced_colors=forced)
            await context.route("**/config.json", lambda route: route.fulfill(body=json.dumps({})))
            page = await context.new_page()
            page.on("pageerror", lambda error: print("page error:", error))
            await shoot(page, origin, folder, look)
            await context.close()
        await browser.close()


if __name__ == "__main__":
    pictures = Path(sys.argv[1])
    pictures.mkdir(parents=True, exist_ok=True)
    server = subprocess.Popen(
        ["node_modules/.bin/vite", "preview", "--port", "4173", "--strictPort"],
        cwd=WEB,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        while "Local" not in server.stdout.readline():
            assert server.poll() is None
        urllib.request.urlopen("http://localhost:4173/")
        asyncio.run(main(pictures))
    finally:
        server.terminate()
        server.wait()
