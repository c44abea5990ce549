"""What tests of several layers share: free ports, and real private XMPP servers on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from focus.service.prosody import Prosody, free_port
from tests.interop.ejabberd import Ejabberd
from tests.interop.servers import NAMES, Server, running_server

# Each TLS context loads what the machine trusts, which takes 40 ms of CPU, also that of a component, which has no TLS.
# No server of ours has a certificate that any of those have signed.
os.environ["SSL_CERT_FILE"] = os.environ["SSL_CERT_DIR"] = os.devnull

# A machine that is busy is no fault of what is tested.
hypothesis.settings.register_profile(
    "patient", parent=hypothesis.settings(), deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

#: Tests in here talk to every server if nobody chooses one, unless they are of `any_server`; all others to Prosody.
TO_EVERY_SERVER = (Path(__file__).parent / "interop",)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--server",
        choices=(*NAMES, "all"),
        help="the XMPP server of the tests; without this, those in tests/interop talk to each, all others to Prosody",
    )
    parser.addoption("--slow", action="store_true", help="run also what takes minutes, such as faxes of whole pages")
    parser.addoption("--desktop", action="store_true", help="run also what drives a desktop client of Debian's")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker in ("slow", "desktop"):
        if not config.getoption(f"--{marker}"):
            left_out = [item for item in items if item.get_closest_marker(marker) is not None]
            items[:] = [item for item in items if item not in left_out]
            config.hook.pytest_deselected(items=left_out)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server_name" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("server")
        if chosen is None:
            every = any(metafunc.definition.path.is_relative_to(folder) for folder in TO_EVERY_SERVER)
            is_of_any = metafunc.definition.get_closest_marker("any_server") is not None
            chosen = "all" if every and not is_of_any else "prosody"
        metafunc.parametrize("server_name", NAMES if chosen == "all" else (chosen,), indirect=True, scope="session")


@pytest.fixture
def free_tcp_port() -> Callable[[], int]:
    """Gives a TCP port of 127.0.0.1 that nobody has, another one at each call."""
    return free_port


@pytest.fixture
def free_udp_port() -> Callable[[], int]:
    """Gives a UDP port of 127.0.0.1 that nobody has, another one at each call."""
    return lambda: free_port(kind=socket.SOCK_DGRAM)


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A folder that another user can enter: pytest's own tmp_path is closed to the unprivileged user of Prosody."""
    folder = Path(tempfile.mkdtemp(prefix="focus-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def prosody(state_dir: Path) -> AsyncIterator[Prosody]:
    """A running Prosody of domain `localhost`.

    `.domain .rooms .focus .guests .secret`, `.c2s` and `.component` as (host, port), `.websocket` as URL,
    `await .add_user(jid, password)`, `await .stop()` and `.start()` (on the same ports), `.kill()` as a crash.
    """
    server = Prosody(state_dir / "prosody")
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture(scope="session")
def ejabberd() -> Iterator[Ejabberd]:
    """The one of all tests that want one. It is not started yet."""
    folder = Path(tempfile.mkdtemp(prefix="focus-test-"))
    folder.chmod(0o755)
    made = Ejabberd(folder / "ejabberd")
    yield made
    made.kill()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def server_name(request: pytest.FixtureRequest) -> str:
    """Each of those that were chosen."""
    name: str = request.param
    return name


@pytest.fixture
async def server(server_name: str, state_dir: Path, ejabberd: Ejabberd) -> AsyncIterator[Server]:
    """The running server that the test is about, of domain `localhost`; what it has is what `prosody` says."""
    async with running_server(server_name, state_dir / "server", ejabberd) as running:
        yield running
