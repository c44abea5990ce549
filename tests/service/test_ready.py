"""What the service says when it is up."""

from __future__ import annotations

from focus.service.ready import ServiceReady


def test_it_is_written_for_people() -> None:
    ready = ServiceReady((("192.0.2.1", 10000), ("::1", 10000)), ("127.0.0.1", 8080), None)
    assert str(ready) == "audio on 192.0.2.1:10000, [::1]:10000; page on 127.0.0.1:8080"
