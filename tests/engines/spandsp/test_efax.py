"""Faxes with efax, whose T.30 and T.4 have nothing in common with libspandsp's. It knows no error correction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from focus.engines.fax import FaxTerminal
from focus.engines.spandsp.fax import SpandspFax
from tests.engines.faxes import FINE, page, pages_of, same, write
from tests.engines.spandsp.modem import Modem, converse

#: Fine, 14400 bit/s, 1728 columns, any length, one-dimensional.
_CAPABILITIES = "1,5,0,2,0,0,0,0"
PAGE = page(1, height=300)


@asynccontextmanager
async def efax(modem: Modem, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *("efax", "-d", modem.device, "-o1", "-l", "+1 555 1234", "-c", _CAPABILITIES, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def talk(terminal: FaxTerminal, *arguments: str) -> str:
    """What efax says of it, if it ends well."""
    with closing(Modem()) as modem, closing(terminal):
        async with efax(modem, *arguments) as process:
            log = Log(process)
            await asyncio.wait_for(converse(process, modem, terminal, log.is_clear), 60)
            said = await log.read()
    assert process.returncode == 0, said
    return said


class Log:
    """What efax says.

    It divides by the time that a page that it sends took, in whole seconds, and here one takes less: so the line stands
    still from its beginning until the second after the next.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._clear = 0
        self._reading = asyncio.create_task(self._read(process))

    def is_clear(self) -> bool:
        return time.time() >= self._clear

    async def read(self) -> str:
        return await self._reading

    async def _read(self, process: asyncio.subprocess.Process) -> str:
        assert process.stderr is not None
        said = ""
        async for line in process.stderr:
            said += line.decode(errors="replace")
            if b"header:" in line:
                self._clear = int(time.time()) + 2
        return said


@pytest.mark.timeout(90)
async def test_efax_receives_what_we_send(tmp_path: Path) -> None:
    document = write(tmp_path / "sent.tiff", [PAGE])
    terminal = SpandspFax().send(document, identity="+49 30 100")
    log = await talk(terminal, "-r", str(tmp_path / "got"))
    result = terminal.result()
    assert result.is_success  # efax has hung up: our last frame may never have got out
    assert (result.pages, result.transfer_rate, result.ecm) == (1, 14400, False)
    assert result.remote_identity == "+1 555 1234"
    assert "+49 30 100" in log
    assert same(pages_of(tmp_path / "got.001")[0], PAGE)


@pytest.mark.timeout(90)
async def test_we_receive_what_efax_sends(tmp_path: Path) -> None:
    document = tmp_path / "sent.tiff"
    PAGE.save(document, compression="group3", dpi=FINE, tiffinfo={278: PAGE.height})  # in one strip, as efax reads it
    terminal = SpandspFax().receive(tmp_path / "received.tiff", identity="+49 30 200")
    log = await talk(terminal, "-h", "", "-t", "123", str(document))
    result = terminal.result()
    assert result.is_success
    assert (result.pages, result.transfer_rate, result.ecm, result.bad_rows) == (1, 14400, False, 0)
    assert result.remote_identity == "+1 555 1234"
    assert "+49 30 200" in log
    [received] = pages_of(tmp_path / "received.tiff")
    assert contains(received, PAGE)


def contains(image: Image.Image, part: Image.Image) -> bool:
    """Whether `part` is in there whole, as wide as it is; efax puts empty rows above and below."""
    rows, wanted = np.asarray(image), np.asarray(part)
    return any(
        np.array_equal(rows[top : top + len(wanted)], wanted) for top in range(max(0, len(rows) - len(wanted) + 1))
    )
