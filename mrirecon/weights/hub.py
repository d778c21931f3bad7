"""Files of a repository on Hugging Face, each checked against the repository's own list."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

from mrirecon.errors import ConfigError, DownloadError
from mrirecon.missing import needs
from mrirecon.terminal import draws_bars
from mrirecon.weights.places import digest
from mrirecon.weights.registry import Entry

SHOWN = 12
"""Names that a message lists."""


def commit_of(entry: Entry, revision: str) -> str:
    """Return the commit that a branch or a tag is now.

    Raises:
        ConfigError: When the library is not installed.
        DownloadError: When the repository cannot be asked.
    """
    return str(_information(entry, revision).sha)


def download(entry: Entry, commit: str, folder: Path) -> None:
    """Fetch the files of an entry as they are in a commit.

    Large files must have the SHA-256 that the repository lists for the commit, others the checksum
    by which git knows them.

    Args:
        entry: Entry of a repository.
        commit: Commit in full.
        folder: New folder that gets the files; one beside it is used meanwhile.

    Raises:
        ConfigError: When the library is not installed.
        DownloadError: When the repository has no such commit or file, cannot be reached, or sends
            something else than it lists.
    """
    library = _library()
    information = _information(entry, commit)
    if information.sha != commit:
        raise DownloadError(f"{entry.place}: asked for the commit {commit}, got {information.sha}")
    listed = {one.rfilename: one for one in information.siblings or []}
    if missing := [file.name for file in entry.files if file.name not in listed]:
        there = ", ".join(sorted(listed)[:SHOWN]) or "nothing"
        raise DownloadError(
            f"{entry.place} has no {missing[0]} in commit {commit[:12]}; it has {there}"
        )
    between = folder.with_name(f"{folder.name}.hub")
    for file in entry.files:
        try:
            fetched = library.hf_hub_download(
                repo_id=entry.repository, filename=file.name, revision=commit, local_dir=between
            )
        except Exception as error:  # of the library, of what it is built on, or of the system
            raise _failed(entry, error) from error
        target = folder / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fetched, target)
        Path(fetched).unlink()
        _refuse_unlisted(entry, listed[file.name], target)


def _refuse_unlisted(entry: Entry, listed: Any, path: Path) -> None:
    """Compare a file with what its repository says of it."""
    large = getattr(listed, "lfs", None)
    if large:
        wanted = large["sha256"] if isinstance(large, dict) else large.sha256
        found = digest(path)
    else:
        wanted, content = listed.blob_id, path.read_bytes()
        found = hashlib.sha1(
            b"blob %d\0" % len(content) + content, usedforsecurity=False
        ).hexdigest()
    if wanted != found:
        raise DownloadError(
            f"{listed.rfilename} of {entry.place} arrived with the checksum {found}, the "
            f"repository lists {wanted}; nothing was kept, try again"
        )


def _information(entry: Entry, revision: str) -> Any:
    library = _library()
    try:
        return library.HfApi().model_info(entry.repository, revision=revision, files_metadata=True)
    except Exception as error:  # of the library, of what it is built on, or of the system
        raise _failed(entry, error) from error


def _failed(entry: Entry, error: Exception) -> DownloadError:
    reason = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
    names = ", ".join(file.name for file in entry.files)
    return DownloadError(
        f"{entry.place} could not be read: {reason}. Without a network, copy {names} from "
        f"where there is one, and give checkpoint={Path(entry.checkpoint).name} with its path"
    )


def _library() -> Any:
    try:
        import huggingface_hub
        from huggingface_hub import utils
    except ImportError as error:
        raise ConfigError(f"{needs(error)}, or pip install 'mrirecon[hub]'") from error
    if not draws_bars():
        utils.disable_progress_bars()
    return huggingface_hub
