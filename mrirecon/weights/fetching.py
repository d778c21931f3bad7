"""Fetches weights from where they were published, and makes sure that they are what was meant.

Nothing is trusted silently. Where the package pins a commit and checksums, they must be met. Where
it does not, because nobody could look at the files yet, the user has to name what is wanted: the
commit of a repository, whose own list of checksums the files must meet, or the checksum of a file
that an URL leads to. What was found is written beside the files either way.
"""

import http.client
import os
import re
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mrirecon.errors import ConfigError, DownloadError, OutputError
from mrirecon.files import atomic_folder
from mrirecon.terminal import draws_bars
from mrirecon.weights import hub
from mrirecon.weights.places import Receipt, changed, digest
from mrirecon.weights.registry import COMMIT, DIGEST, Entry, Origin

UNKNOWN = "unknown"
"""Checksum of who knows none and wants the file nevertheless."""
TIMEOUT, BLOCK = 30, 2**20


def fetch(entry: Entry, folder: Path, revision: str | None, sha256: str | None) -> Receipt:
    """Fetch the files of an entry into a folder that appears complete or not at all.

    A folder that holds them already stays as it is.

    Args:
        entry: Weights to fetch.
        folder: Folder that gets the files and a receipt, ``weights.json``.
        revision: Commit of the repository; None takes the pinned one.
        sha256: Checksum of the one file at an URL, or ``unknown``; None takes the pinned one.

    Raises:
        ConfigError: When nothing is pinned and nothing was named, or the files need no fetching.
        DownloadError: When the files cannot be fetched, or are others than those that were meant.
        OutputError: When something else lies at ``folder``.
    """
    if entry.kind is Origin.PACKAGE:
        raise ConfigError(f"{entry.name} comes with the package; there is nothing to fetch")
    if entry.kind is Origin.PAGE:
        raise ConfigError(
            f"{entry.name}: {entry.checkpoint} is not for programs to fetch; follow the link on "
            f"{entry.place} in a browser and give the file, checkpoint=FILE"
        )
    _refuse_option(entry, revision, sha256)
    if entry.kind is Origin.HUB:
        commit = _commit(entry, revision)
        expected = dict.fromkeys((file.name for file in entry.files), "")
        if commit == entry.revision:
            expected = {file.name: file.sha256 or "" for file in entry.files}
    else:
        commit, expected = "", _checksums(entry, sha256)
    if (there := _there(entry, folder, commit, expected)) is not None:
        return there
    with atomic_folder(folder) as part:
        if entry.kind is Origin.HUB:
            hub.download(entry, commit, part)
        else:
            for file in entry.files:
                _download(entry.origin + file.name, part / file.name)
        found = {file.name: digest(part / file.name) for file in entry.files}
        _refuse_others(entry, found, expected)
        checked = entry.pinned and all(expected.values()) and commit == (entry.revision or "")
        receipt = Receipt(entry.name, entry.origin, commit, found, checked)
        receipt.write(part)
    return receipt


def _refuse_option(entry: Entry, revision: str | None, sha256: str | None) -> None:
    """Refuse what has no meaning for an origin."""
    if entry.kind is Origin.URL and revision is not None:
        raise ConfigError(f"{entry.place} has no commits; leave out --revision")
    if entry.kind is Origin.HUB and sha256 is not None:
        raise ConfigError(f"files of {entry.place} are checked by its commit; leave out --sha256")


def _commit(entry: Entry, revision: str | None) -> str:
    if revision is None and entry.revision is not None:
        return entry.revision
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    now = hub.commit_of(entry, revision or "main")
    why = (
        f"{revision} may mean other files tomorrow"
        if revision
        else "the package pins no commit of it, for nobody has looked at these files yet"
    )
    raise ConfigError(
        f"{entry.name}: {why}; {revision or 'main'} of {entry.repository} is {now} now. "
        "Look at the repository, and if you trust what is there, fetch that commit:\n"
        f"  mrirecon models fetch {entry.name} --revision {now}"
    )


def _checksums(entry: Entry, sha256: str | None) -> dict[str, str]:
    """Return the checksums that files at an URL must have; empty where that is not known."""
    pinned = {file.name: file.sha256 for file in entry.files}
    if sha256 is None:
        if all(pinned.values()):
            return {name: value or "" for name, value in pinned.items()}
        raise ConfigError(
            f"{entry.name}: the package pins no checksum of {entry.origin}"
            f"{entry.checkpoint}, for nobody has looked at this file yet; give the one that you "
            f"know, --sha256 CHECKSUM, or --sha256 {UNKNOWN} to fetch it and be told"
        )
    if sha256 == UNKNOWN:
        return {name: value or "" for name, value in pinned.items()}
    if not DIGEST.fullmatch(sha256.lower()) or len(pinned) > 1:
        raise ConfigError(f"--sha256 wants 64 hexadecimal digits of one file, got {sha256}")
    return dict.fromkeys(pinned, sha256.lower())


def _there(entry: Entry, folder: Path, commit: str, expected: dict[str, str]) -> Receipt | None:
    """Return the receipt of what was fetched before; None where nothing is.

    Raises:
        OutputError: When something else is.
    """
    if not os.path.lexists(folder):
        return None
    receipt = Receipt.read(folder)
    if receipt is None or replace(receipt, sha256={}, checked=False) != Receipt(
        entry.name, entry.origin, commit, {}, False
    ):
        raise OutputError(
            f"{folder} exists already, and is not {entry.name} of {commit or entry.origin}; give a "
            f"new folder, such as {folder / entry.name}"
        )
    wrong = changed(folder, receipt)
    wrong += [
        name for name, value in expected.items() if value and receipt.sha256.get(name) != value
    ]
    if wrong:
        raise OutputError(
            f"{folder / wrong[0]} is not the file that was fetched; move the folder away yourself"
        )
    return receipt


def _refuse_others(entry: Entry, found: dict[str, str], expected: dict[str, str]) -> None:
    for name, value in expected.items():
        if value and found[name] != value:
            raise DownloadError(
                f"{name} of {entry.place} has the SHA-256 {found[name]}, expected {value}: "
                "this is another file than the one that was meant; nothing was kept"
            )


class OnlySecure(urllib.request.HTTPRedirectHandler):
    """Follows no redirection from an encrypted connection to another one."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """Refuse to leave https."""
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise DownloadError(f"{req.full_url} leads to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(url: str, path: Path) -> None:
    """Fetch a file from an URL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opener = urllib.request.build_opener(OnlySecure)
    try:
        with opener.open(url, timeout=TIMEOUT) as source, path.open("wb") as target:
            size = source.headers.get("Content-Length")
            total = int(size) if size and re.fullmatch(r"\d+", size) else None
            with tqdm(total=total, unit="B", unit_scale=True, desc=path.name,
                      disable=not draws_bars()) as bar:  # fmt: skip
                while block := source.read(BLOCK):
                    target.write(block)
                    bar.update(len(block))
    except DownloadError:
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise DownloadError(
            f"{url} cannot be fetched: {error}. Without a network, copy the file from where there "
            "is one, and give checkpoint= its path"
        ) from error
    if total is not None and path.stat().st_size != total:
        raise DownloadError(f"{url} broke off after {path.stat().st_size} of {total} bytes")
