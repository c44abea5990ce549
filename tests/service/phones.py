"""Ears for phones."""

from __future__ import annotations

import numpy as np

from focus.media.tones import SAMPLE_RATE
from focus.service.phone import Phone

SECONDS = 1.0


async def listened(phone: Phone, seconds: float = SECONDS) -> np.ndarray:
    """The next `seconds` that the phone hears."""
    call = phone.current
    assert call is not None
    phone.heard()
    wanted = call.ear.total + int(seconds * SAMPLE_RATE)
    await call.ear.wait_until(wanted)
    return phone.heard()[-int(seconds * SAMPLE_RATE) :]
