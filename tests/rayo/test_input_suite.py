"""The grammar suite by keys: what each of its inputs comes to when nothing more comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import accumulate

import pytest

from focus.client.interpretation import Interpretation
from focus.engines.grammar import Match as Matching
from focus.engines.grammar import Matcher, Mode, of_input
from focus.media.plane import MediaPlane
from focus.rayo.component import Facilities
from focus.wire.dtmf import KEYS
from focus.wire.rayo_input import Input, Match, NoInput, NoMatch
from tests.engines.grammar.test_suite import CASES, SUITE, grammar

from .at_work import Scene
from .test_input import here, outcome, there

#: Milliseconds until there is nothing more, once all keys have been pressed.
SOON = 1


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    plane = MediaPlane([("127.0.0.1", 0)])
    await plane.start()
    scene = Scene(plane, Facilities(plane))
    yield scene
    await scene.close()
    await plane.stop()


async def ends_early(name: str, keys: list[str]) -> bool:
    """Whether they match before the last one, and nothing longer does."""
    machine = await grammar(name)
    return any(
        Matcher([machine]).feed_all(some) is Matching.MATCH_END for some in accumulate([[key] for key in keys[:-1]])
    )


@pytest.mark.parametrize("name", SUITE)
async def test_an_input_of_the_suite_ends_as_it_should_when_nothing_more_comes(scene: Scene, name: str) -> None:
    if (await grammar(name)).mode is not Mode.DTMF:
        return
    document = SUITE[name][0]
    grammars = there(document.strip()) if document.startswith("builtin:") else here(document)
    command = Input(mode="dtmf", grammars=grammars, initial_timeout=SOON, inter_digit_timeout=SOON)
    for case, text, match, meaning in CASES:
        keys = of_input(text, Mode.DTMF)
        if case != name or not KEYS.issuperset(keys) or await ends_early(name, keys):
            continue
        scene.events.clear()
        reason = await outcome(scene, command, "".join(keys))
        if match.startswith("match"):
            assert isinstance(reason, Match)
            found = Interpretation.parse(reason.result)
            assert (found.mode, found.input) == ("dtmf", " ".join(keys)), text
            assert (found.input if found.instance is None else found.instance) == meaning, text
        else:
            assert reason == (NoMatch() if keys else NoInput()), text
