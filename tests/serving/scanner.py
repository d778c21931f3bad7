"""A server in this process, and a client that behaves as scanners do, well or badly."""

import queue
import socket
import struct
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from mrirecon import CgSense, Method, Normalize, ZeroFilled
from mrirecon.raw.messages import MessageId
from mrirecon.raw.mrd_images import IMAGE_HEADER
from mrirecon.sensitivity.low_resolution import LowResolutionMaps
from mrirecon.serving.budget import Budget
from mrirecon.serving.choosing import Chooser, Named
from mrirecon.serving.images import ImageChoice
from mrirecon.serving.limits import Limits
from mrirecon.serving.noise import NoiseStore
from mrirecon.serving.server import Place, Server
from mrirecon.serving.shared import Shared
from mrirecon.serving.wire import Wire, name_body, text_body
from tests.readers.mrd_files import XML

FLOATS = ImageChoice("float32")
PIXELS = {2: np.dtype("<i2"), 5: np.dtype("<f4"), 7: np.dtype("<c8")}


def zero_filled(_words=()):
    return Method(ZeroFilled(), Normalize())


def cg_sense(_words=()):
    return Method(CgSense(LowResolutionMaps(), iterations=5), Normalize())


@dataclass
class Answer:
    """What a server has sent."""

    texts: list = field(default_factory=list)
    images: list = field(default_factory=list)
    order: list = field(default_factory=list)
    closed: bool = False

    def told(self, kind):
        return [text[4:] for text in self.texts if text.startswith(kind)]


@contextmanager
def served(images=FLOATS, *, build=zero_filled, named=(), parameters=None, limits=None, sessions=8,
           total=256.0, folders=None):  # fmt: skip
    """Run a server; yields it with what it shares."""
    configurations = {"default": Named((), images), **dict(named)}
    shared = Shared(
        Chooser(configurations, parameters or {}, build),
        limits or Limits(memory=64, idle=5, stalled=2),
        Budget(total),
        NoiseStore(60),
        queue.Queue(),
    )
    server = Server(Place("127.0.0.1", 0, sessions), shared, folders)
    stop = threading.Event()
    thread = threading.Thread(target=server.serve, args=(stop.is_set,))
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        thread.join()
        server.close(5)


def connected(server, limits=None):
    return Wire(socket.create_connection(server.address), limits or Limits(idle=20, stalled=20))


def header_body(file):
    text = XML.format(**file.xml).encode()
    return struct.pack("<I", len(text) + 1) + text + b"\0"


def readout_body(head, samples):
    return head.tobytes() + np.ascontiguousarray(samples, np.complex64).tobytes()


def messages_of(file, config="default", settings=""):
    """Return all messages of a session, as pairs of an id and a body."""
    yield MessageId.CONFIG_FILE, name_body(config)
    yield MessageId.HEADER, header_body(file)
    if settings:
        yield MessageId.TEXT, text_body(settings)
    for head, samples in zip(file.heads, file.data, strict=True):
        yield MessageId.ACQUISITION, readout_body(head, samples)
    yield MessageId.CLOSE, b""


def collected(wire):
    """Receive until the end; returns what came."""
    answer = Answer()
    while (message := wire.receive()) is not None:
        answer.order.append(message.id)
        if message.id == MessageId.TEXT:
            answer.texts.append(message.text)
        elif message.id == MessageId.IMAGE:
            answer.images.append(image_of(message))
        elif message.id == MessageId.CLOSE:
            answer.closed = True
            break
    return answer


def image_of(message):
    """Return header, attributes and pixels of an IMAGE message."""
    size, body = IMAGE_HEADER.itemsize, message.body
    (length,) = struct.unpack("<Q", body[size : size + 8].tobytes())
    head = message.head
    text = body[size + 8 : size + 8 + length].tobytes().decode()
    pixels = np.frombuffer(body[size + 8 + length :].tobytes(), PIXELS[int(head["data_type"])])
    x, y, _ = head["matrix_size"].tolist()
    return head, text, pixels.reshape(y, x)


def session(server, messages):
    """Send messages and receive meanwhile; returns what came back."""
    wire = connected(server)
    answers = queue.Queue()
    thread = threading.Thread(target=lambda: answers.put(collected(wire)))
    thread.start()
    for number, body in messages:
        wire.send(number, body)
    thread.join()
    wire.close()
    return answers.get(timeout=1)
