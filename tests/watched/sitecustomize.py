"""Imported by Python when it starts: says on standard error what a container would not allow.

That is: writing outside of a folder, connecting to anything, starting other programs than itself,
and, as they are missing there, imports of some packages. `WATCHED_FOLDER` and `WATCHED_ABSENT`
tell which.
"""

import importlib.abc
import os
import sys

FOLDER = os.path.realpath(os.environ["WATCHED_FOLDER"]) + os.sep
ABSENT = frozenset(os.environ["WATCHED_ABSENT"].split(","))
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = (
    "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate",
    "os.chmod", "os.chown", "os.utime",
)  # fmt: skip
REFUSED = (
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
    "subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.posix_spawn", "pty.spawn",
    "urllib.Request",
)  # fmt: skip


READERS = ("uname", "git")
"""Programs that only tell something: of the platform, and of a checkout, which the image is not."""


def told(what):
    os.write(2, f"WATCHED {what}\n".encode())


def outside(path):
    if isinstance(path, int) or path is None:  # a descriptor that was opened before
        return False
    path = os.path.realpath(os.fsdecode(path))
    return not (path + os.sep).startswith(FOLDER) and path != os.devnull


def watch(event, arguments):
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & WRITING and outside(path):
            told(f"open {path} {flags:#x}")
    elif event in CHANGES:
        paths = [one for one in arguments[:2] if isinstance(one, str | bytes | os.PathLike)]
        if any(outside(path) for path in paths):
            told(f"{event} {paths}")
    elif event == "os.exec" and arguments[0] == sys.executable:
        pass  # the start script becomes the server
    elif event == "subprocess.Popen" and arguments[0] in READERS:
        pass
    elif event in (*REFUSED, "os.exec"):
        told(f"{event} {arguments[:2]}")


class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path, target=None):  # noqa: ARG002 - the protocol's
        if fullname.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


sys.meta_path.insert(0, Absent())
sys.addaudithook(watch)
