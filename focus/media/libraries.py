"""What is taken for granted about aioice and aiortc, whose private parts transport.py and dtls.py use."""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import cast

import aioice.ice
import aiortc.rtcdtlstransport
from aiortc import RTCIceTransport

#: The minor versions whose private parts were read and are tested.
VERSIONS = {"aioice": "0.13", "aiortc": "1.16"}

#: Seconds until a task that goes on although it was cancelled is cancelled again.
CANCEL_AGAIN = 0.1


async def cancel(task: asyncio.Future[None]) -> None:
    """Cancel `task`, and return when it has ended.

    COMPAT Python 3.11: `asyncio.wait_for`, by which aioice and aiortc wait for datagrams, forgets a cancellation that
    comes together with what it waits for.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_AGAIN)


def check_libraries(ice_module: ModuleType, dtls_module: ModuleType, versions: Mapping[str, str]) -> None:
    """Raise ImportError, naming the versions found, unless aioice and aiortc are built as focus.media believes."""
    wrong = [
        f"{name} is not {minor}.x" for name, minor in VERSIONS.items() if not versions[name].startswith(f"{minor}.")
    ]
    methods: list[tuple[ModuleType, str, dict[str, str]]] = [
        (
            ice_module,
            "Connection",
            {
                "connect": "",
                "close": "",
                "recv": "",
                "recvfrom": "",
                "send": "data",
                "sendto": "data component",
                "data_received": "data component",
                "request_received": "message addr protocol",
                "build_request": "pair nominate",
                "query_consent": "",
                "check_complete": "pair",
            },
        ),
        (
            ice_module,
            "StunProtocol",
            {
                "__init__": "receiver",
                "connection_made": "transport",
                "connection_lost": "exc",
                "datagram_received": "data addr",
                "send_stun": "message addr",
            },
        ),
        (
            dtls_module,
            "RTCDtlsTransport",
            {
                "start": "remoteParameters",
                "stop": "",
                "_setup_srtp": "",
                "_set_role": "role",
                "_set_state": "state",
                "_validate_peer_identity": "remoteParameters",
            },
        ),
    ]
    for module, owner, signatures in methods:
        for name, expected in signatures.items():
            method = getattr(getattr(module, owner, None), name, None)
            if method is None or list(inspect.signature(method).parameters) != ["self", *expected.split()]:
                wrong.append(f"{owner}.{name} is not ({expected.replace(' ', ', ')})")
    attributes = {
        "Connection": "_check_list _check_list_done _check_list_state _closing _early_checks _local_candidates "
        "_local_candidates_start _local_candidates_end _local_password _local_username _nominated _nominating "
        "_protocols _query_consent_task _queue _remote_candidates",
        "RTCDtlsTransport": "_role _srtp_profiles _ssl _state _task _transport",
    }
    if not wrong:
        instances = {
            "Connection": ice_module.Connection(ice_controlling=True),
            "RTCDtlsTransport": dtls_module.RTCDtlsTransport(cast(RTCIceTransport, None), [None]),
        }
        for owner, names in attributes.items():
            wrong += [f"{owner}.{name} is gone" for name in names.split() if not hasattr(instances[owner], name)]
    if wrong:
        wanted = ", ".join(f"{name} {minor}.x" for name, minor in VERSIONS.items())
        found = ", ".join(f"{name} {version}" for name, version in versions.items())
        raise ImportError(f"focus.media is made for {wanted} and found {found}: {'; '.join(wrong)}")


check_libraries(aioice.ice, aiortc.rtcdtlstransport, {name: importlib.metadata.version(name) for name in VERSIONS})
