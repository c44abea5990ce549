"""Well-formed inputs for each target, made by what makes packets here: a fuzzer that begins with them need not find
out what Opus or a report looks like.
"""

import itertools
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from fuzz.targets import FRAME, OPUS, UFRAG
from mixer_ext import Companded, Opus, rtp_build

REPORT = struct.pack("!BBHI", 0x81, 201, 7, 5) + struct.pack("!IIIIII", 101, 64 << 24 | 12, 7, 480, 1, 2)
SENDER = struct.pack("!BBHIQIII", 0x80, 200, 6, 5, 1 << 40, 960, 3, 300)
NAMES = struct.pack("!BBHIBB", 0x81, 202, 3, 5, 1, 4) + b"name\0\0"
GOODBYE = struct.pack("!BBHI", 0x81, 203, 1, 5)


def block(data: bytes) -> bytes:
    """As Script.block() reads it."""
    return (bytes([len(data)]) if len(data) < 255 else b"\xff" + struct.pack("!H", len(data))) + data


def sound(frames: int) -> Iterator[np.ndarray]:
    """Something like a voice: a buzz that comes and goes."""
    noise = np.random.default_rng(1)
    for n in range(frames):
        time = np.arange(n * FRAME, (n + 1) * FRAME) / 48000
        buzz = np.sign(np.sin(2 * np.pi * 140 * time)) * 4000 * abs(np.sin(3 * time))
        yield (buzz + noise.normal(0, 200, FRAME)).astype(np.int16)


def payloads() -> list[bytes]:
    """Opus of several kinds: SILK with FEC, hybrid, comfort, and made by hand: codes 1 to 3, padded, stereo."""
    made = []
    for bitrate, fec in ((8000, True), (16000, True), (32000, False), (120000, False)):
        codec = Opus(bitrate=bitrate, fec=fec)
        made += [codec.encode(frame) for frame in sound(4)][2:]
    silk = made[0]
    toc, rest = silk[0] & 0xFC, silk[1:]
    made += [
        b"\xf8\xff\xfe",
        bytes([toc | 1]) + rest + rest,
        bytes([toc | 2, len(rest)]) + rest + rest[:20] if len(rest) < 252 else silk,
        bytes([toc | 3, 0x03]) + rest * 3,
        bytes([toc | 3, 0x83, len(rest) & 127, len(rest) & 127]) + rest * 3,
        bytes([toc | 3, 0x42, 3]) + rest * 2 + bytes(3),
        bytes([toc | 4]) + rest,
        bytes([0xE3, 0x30]) + bytes(480),
    ]
    return made


def rtp() -> Iterator[bytes]:
    build = partial(rtp_build, payload_type=OPUS, sequence=7, timestamp=960, ssrc=5, payload=b"payload")
    yield build()
    yield build(csrcs=(1, 2, 3), level_extension=3, level=20, voice=True)
    yield build(level_extension=16, level=20)
    header = struct.pack("!BBHII", 0xB0, OPUS, 7, 960, 5)
    yield header + struct.pack("!HH", 0xBEDE, 2) + b"\x10\x01\x32\x01\x02\x03\0\xf0" + b"payload\0\0\0\4"


def opus() -> Iterator[bytes]:
    made = payloads()
    yield from (block(payload) for payload in made)
    yield b"".join(block(payload) for payload in made[:6])


def jitter() -> Iterator[bytes]:
    made = payloads()
    played = b"".join(b"\xa0" + block(payload) + b"\1" for payload in made[:8])
    yield played
    yield b"".join(b"\xa0" + block(payload) for payload in made) + bytes(20)
    yield played + bytes(8) + b"\xe0\0\5\0\5" + block(made[0]) + bytes(4)
    yield b"".join(bytes([196 + n % 24]) + block(payload) + b"\1" for n, payload in enumerate(made))


def g711() -> Iterator[bytes]:
    for law, name in enumerate(("pcmu", "pcma")):
        codec = Companded(name)
        frames = [codec.encode(frame) for frame in sound(4)]
        yield bytes([law]) + b"\x80" + block(frames[0]) + b"\7" + b"\x80" + block(frames[1]) + b"\x80" + block(b"\x30")


def dtmf() -> Iterator[bytes]:
    key = b"".join(b"\x41" + block(struct.pack("!BBH", 5, 10, 160 * n)) + b"\0" for n in range(1, 5))
    over = b"\x41" + block(struct.pack("!BBH", 5, 0x8A, 800)) + b"\1"
    again = b"\xc3\0\1\0\x64" + block(struct.pack("!BBHBBH", 11, 0x8A, 400, 12, 10, 400)) + b"\x20"
    yield b"\0" + key + over + over + again
    yield b"\3" + key + b"\xc1\0\1\x0c\xcc" + block(struct.pack("!BBH", 5, 10, 65535)) + over + bytes([63])


def srtp() -> Iterator[bytes]:
    packet = next(iter(rtp()))
    for kind in range(8):
        inside = REPORT + NAMES if kind & 4 else packet
        yield bytes([kind]) + b"\x40" + block(inside) + b"\x41" + block(inside) + b"\0\x0c\1" + b"\0" + block(bytes(60))


def rtcp() -> Iterator[bytes]:
    yield block(REPORT + NAMES)
    yield block(SENDER + NAMES + GOODBYE)
    yield block(REPORT) + block(SENDER) + block(GOODBYE)


def message(kind: int, username: bytes = b"") -> bytes:
    body = struct.pack("!HH", 6, len(username)) + username + bytes(-len(username) % 4) if username else b""
    return struct.pack("!HHI", kind, len(body), 0x2112A442) + bytes(12) + body


def stun() -> Iterator[bytes]:
    name = UFRAG.encode()
    hello = b"\x16\xfe\xfd" + bytes(40)
    yield b"\0" + block(message(1, name + b":theirs"))
    yield b"\1" + block(message(0x101)) + b"\0" + block(message(0x111))
    yield b"\0" + block(message(1, name + b":theirs")) + b"\0" + block(hello) + b"\1" + block(hello)
    yield b"\2" + block(message(1, b"theirs:" + name))
    role = struct.pack("!HHQHHI", 0x802A, 8, 7, 0x24, 4, 1234)
    yield b"\5" + block(message(1, name + b":theirs")) + b"\5" + block(message(1, name + b":theirs") + role)


def plane() -> Iterator[bytes]:
    opus = payloads()[0]
    # a room of three legs and a mixer, who talk; see Actions.run for the numbers
    room = b"\0\x08\x01\x08\x11\x08\x21\x0a" + b"".join(b"\x0c\3" + bytes([n, 3]) for n in range(3))
    talk = b"".join(b"\x05" + bytes([who, 2, 136 + n, n]) + block(opus) + b"\0" for n in range(6) for who in range(3))
    ticks = bytes(4)
    yield room + (talk + ticks) * 2
    yield room + talk + b"\x19\3\x1a\0\0\x1a\0\x1b\0" + b"\x18\3\4\0" + ticks + b"\x0b\1\x0b\3" + ticks
    yield (
        room + b"\x0f\0\1\x0f\1\1" + talk + b"\x11\0" + ticks + b"\x07\0\0\x18" + block(REPORT[8:])[1:] + b"\0" + ticks
    )
    yield room + b"\x0f\2\0" + b"\2\x45\0" + ticks * 8 + b"\x0f\1\0" + ticks
    # one hears another less, all are levelled, the loudest one is mixed; one at a fixed delay, another sleeps
    turned = b"\x1e\0\1\x0a" + b"".join(b"\x1f" + bytes([n, 1]) for n in range(3)) + b"\x21\3\1"
    yield room + turned + (talk + ticks) * 2 + b"\x1e\0\1\x3c" + b"\x20\1\x32" + talk + ticks * 2
    # the room linked with one on the other side, where a leg hears it; taps of it both ways
    over = b"\x22\x0c\3\3\4\x23" + b"\x08\x31\x0c\3\0\1\x19\1\1\x19\1\0\x18\1\1\0"
    yield room + over + b"\x23" + (talk + ticks) * 2 + b"\x23\x1a\0\x1a\1\x1d\0\x23\x0b\4" + talk + ticks
    yield b"\xff" + room[1:] + talk + b"\x26\x14" + ticks + b"\x24\x21\0\x25\0" + talk + b"\x26\xff" + ticks
    yield (
        b"\xff"
        + room[1:]
        + b"\x03\0"
        + block(message(1, b"u1:x"))
        + ticks
        + b"\x1c\x17\0"
        + block(message(1, b"x:u1"))
        + ticks
    )


SEEDS = {seed.__name__: seed for seed in (rtp, opus, jitter, g711, dtmf, srtp, rtcp, stun, plane)}


SUITE = Path(__file__).parent.parent / "tests" / "engines" / "grammar"
START = '<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="dtmf" root="r">'


def grammars() -> list[bytes]:
    """The grammar suite: what is read, with its inputs, and what is refused."""
    read = [path.read_bytes() for path in sorted((SUITE / "suite").glob("*.txt"))]
    groups = itertools.groupby((SUITE / "refused.txt").read_text().splitlines(), lambda line: line.startswith("|"))
    refused = ["\n".join(line[1:] for line in lines) for is_document, lines in groups if is_document]
    return [*read, *(f"{each.replace('<G>', START)}\n---\n1 | nomatch\n".encode() for each in refused)]


def builtins() -> list[bytes]:
    names = ["boolean", "boolean?y=7;n=9", "digits", "digits?length=4", "digits?minlength=2;maxlength=4", "number"]
    names += ["currency", "phone", "date", "time", "colour"]
    return [f"dtmf/{name}\n1\n12*5\n20260229\n1830\n555*22\n*\n".encode() for name in names]


def speeches() -> list[bytes]:
    around = "<speak version='1.1' xmlns='http://www.w3.org/2001/10/synthesis' xml:lang='en'>{}</speak>"
    inner = (
        "Hello <sub alias='World Wide Web'>WWW</sub> &amp; <say-as interpret-as='date'>2026-11-21</say-as>.",
        "<p xml:lang='de'><prosody rate='-20%'>one<audio src='a.wav'/>two<audio src='b.wav'/></prosody></p>three",
        "<audio src='a'>no <desc>a bell</desc><emphasis>bell<audio src='b'>nor this</audio></emphasis></audio>",
        "<meta name='x' content='y'/><lexicon uri='x'/><metadata><x>no</x></metadata>yes<break time='1s'/>",
        "<s>It is <say-as interpret-as='digits'>42</say-as></s><break strength='weak'/><break time='250ms'/>",
        "<prosody rate='+50%' volume='-6dB'>a<prosody rate='2' volume='40'>b</prosody></prosody><p>c</p>",
        "<voice name='de'><mark name='m'/><![CDATA[<d>]]></voice><x xmlns='urn:x'>foreign</x>",
    )
    return [around.format(each).encode() for each in inner]


def results() -> list[bytes]:
    inner = (
        "<interpretation><input mode='dtmf' confidence='100'>1 2 3 4</input></interpretation>",
        "<interpretation grammar='g' confidence='0.75'><instance>a<b>c</b></instance><input>new york</input>"
        "</interpretation><interpretation><input mode='speech'>newark</input></interpretation>",
    )
    return [f"<result xmlns='http://www.ietf.org/xml/ns/mrcpv2' grammar='x'>{each}</result>".encode() for each in inner]


DOCUMENTS = {"grammar": grammars, "builtin": builtins, "speech": speeches, "result": results}
