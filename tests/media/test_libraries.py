"""What is taken for granted about aioice and aiortc."""

import subprocess
import sys
import types
from typing import Any

import aioice.ice
import aiortc.rtcdtlstransport
import pytest

from focus.media.libraries import check_libraries

GOOD = {"aioice": "0.13.0", "aiortc": "1.16.0"}


def test_the_installed_libraries_are_accepted() -> None:
    check_libraries(aioice.ice, aiortc.rtcdtlstransport, GOOD)


@pytest.mark.parametrize(
    "versions", [{"aioice": "0.14.0", "aiortc": "1.16.0"}, {"aioice": "0.13.0", "aiortc": "1.160.0"}]
)
def test_another_version_is_refused_by_name(versions: dict[str, str]) -> None:
    with pytest.raises(ImportError, match=r"found aioice 0\.1\d\.0, aiortc 1\.16") as refusal:
        check_libraries(aioice.ice, aiortc.rtcdtlstransport, versions)
    assert "is not" in str(refusal.value)


def test_a_method_with_other_parameters_is_refused() -> None:
    class Connection(aioice.ice.Connection):
        def check_complete(self, pair: object, when: float) -> None: ...  # type: ignore[override]

    changed = types.SimpleNamespace(Connection=Connection, StunProtocol=aioice.ice.StunProtocol)
    with pytest.raises(ImportError, match=r"Connection\.check_complete is not \(pair\)"):
        check_libraries(changed, aiortc.rtcdtlstransport, GOOD)  # type: ignore[arg-type]


def test_a_missing_class_is_refused() -> None:
    changed = types.SimpleNamespace(Connection=aioice.ice.Connection)
    with pytest.raises(ImportError, match=r"StunProtocol\.send_stun"):
        check_libraries(changed, aiortc.rtcdtlstransport, GOOD)  # type: ignore[arg-type]


def test_importing_with_a_changed_library_says_what_changed() -> None:
    script = "import aioice.ice; del aioice.ice.Connection.check_complete; import focus.media.leg"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "ImportError: focus.media is made for aioice 0.13.x, aiortc 1.16.x and found aioice 0.13" in run.stderr
    assert "Connection.check_complete" in run.stderr


def test_a_missing_attribute_is_refused() -> None:
    class Connection(aioice.ice.Connection):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            del self._nominated

    changed = types.SimpleNamespace(Connection=Connection, StunProtocol=aioice.ice.StunProtocol)
    with pytest.raises(ImportError, match=r"Connection\._nominated is gone"):
        check_libraries(changed, aiortc.rtcdtlstransport, GOOD)  # type: ignore[arg-type]
