"""Ears for phones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from focus.media.tones import SAMPLE_RATE
from focus.service.phone import Phone
from tests.interop.running import PATIENCE
from tests.media.peers import level

SECONDS = 0.5
#: dB: from the first on a tone is there; where there is none, all are below the second.
SOUND, SILENCE = -35, -60


async def listened(phone: Phone, seconds: float = SECONDS) -> np.ndarray:
    """The next `seconds` that the phone hears."""
    call = phone.current
    assert call is not None
    phone.heard()
    wanted = call.ear.total + int(seconds * SAMPLE_RATE)
    await call.ear.wait_until(wanted)
    return phone.heard()[-int(seconds * SAMPLE_RATE) :]


async def hears(phone: Phone, *frequencies: float, without: Sequence[float] = (), seconds: float = SECONDS) -> None:
    """Until for so long the phone hears all of these, and `without` 40 dB below them, or nowhere near.

    There may be bad times before it: whoever loses the processor for a moment leaves a gap that is no fault of ours.
    """
    levels: dict[float, float] = {}
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                heard = await listened(phone, seconds)
                levels = {each: level(heard, each) for each in (*frequencies, *without)}
                least = min((levels[each] for each in frequencies), default=SILENCE + 40)
                if (not frequencies or least > SOUND) and all(levels[each] < least - 40 for each in without):
                    return
    except TimeoutError:
        raise AssertionError(f"{frequencies} should be heard without {without}; there are {levels}") from None
