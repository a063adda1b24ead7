"""Checkpoints from the model hub, at a pinned commit: each file is the one that the commit lists, or none is taken.

What huggingface_hub honours is honoured: HF_ENDPOINT (a mirror), HF_HOME and HF_HUB_CACHE, HF_HUB_OFFLINE, HF_TOKEN,
the proxies of the environment, SSL_CERT_FILE; and REQUESTS_CA_BUNDLE, which it does not read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import time
from pathlib import Path

from vitbench.errors import UserError, one_line
from vitbench.files import sha256
from vitbench.inputs.checkpoints import FILES

HUB = re.compile(r"((?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*)@([0-9a-f]{40})")
NOT_BELOW = "*/*"
# Seconds to wait before another try; huggingface_hub itself goes on where a file was cut.
PAUSES = (2, 10, 30)


def fetch(hub: str, by_hand: Path) -> Path:
    """The folder that holds the checkpoint `hub` (NAME@COMMIT): `by_hand` if it exists, else in the hub's own cache.

    Nothing is asked of the network for what is there. Files are checked against the sizes and hashes that the commit
    lists; one that differs is fetched once more.

    Raises:
        UserError: `hub` is not NAME@COMMIT, or a file is missing and cannot be downloaded, or is not the one listed.
    """
    match = HUB.fullmatch(hub)
    if not match:
        raise UserError(
            f"model: hub: {hub!r} is not NAME@COMMIT with the 40 digits of a commit (a branch moves); `python -c "
            "\"from huggingface_hub import model_info; print(model_info('NAME').sha)\"` tells the latest"
        )
    name, commit = match.groups()
    if by_hand.is_dir():
        if lacking := missing(by_hand):
            raise UserError(f"model {hub}: {by_hand} has no {lacking[0]}: put it there, or remove that folder")
        return by_hand
    _trust_own_certificates()
    folder = _cached(name, commit)
    if folder is None:
        folder = _download(name, commit, by_hand)
    if wrong := _wrong_files(folder, commit):
        for path in wrong:
            _forget(path)
        folder = _download(name, commit, by_hand)
        if wrong := _wrong_files(folder, commit):
            for path in wrong:
                _forget(path)
            raise UserError(
                f"model {hub}: {wrong[0].name} is not the file that the commit lists (its hash differs), twice: the "
                f"mirror or a proxy alters it; try another, or {_how_by_hand(by_hand)}"
            )
    return folder


def _trust_own_certificates() -> None:
    """An organisation's certificates, given as `requests` and curl read them, count here too."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if bundle and not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & os.environ.keys():
        os.environ["SSL_CERT_DIR" if Path(bundle).is_dir() else "SSL_CERT_FILE"] = bundle


def _cached(name: str, commit: str) -> Path | None:
    """The commit's folder in the hub's cache if it is complete; asks no one."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(
                name, revision=commit, allow_patterns=list(FILES), ignore_patterns=NOT_BELOW, local_files_only=True
            )
        )
    except LocalEntryNotFoundError:
        return None
    return folder if not missing(folder) else None


def missing(folder: Path) -> list[str]:
    """Names of the files of a checkpoint that a folder lacks, by its index where the weights are in parts."""
    lacking = [name for name in FILES[:2] if not (folder / name).is_file()]
    index = next(folder.glob("*.safetensors.index.json"), None)
    if index is not None:
        try:
            parts = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            return [*lacking, f"usable {index.name}"]
        return lacking + [part for part in parts if not (folder / part).is_file()]
    return lacking + ([] if any(folder.glob("*.safetensors")) else ["model.safetensors"])


def _download(name: str, commit: str, by_hand: Path) -> Path:
    import httpx2
    from huggingface_hub import snapshot_download

    for pause in (*PAUSES, None):
        try:
            folder = Path(
                snapshot_download(name, revision=commit, allow_patterns=list(FILES), ignore_patterns=NOT_BELOW)
            )
            if lacking := missing(folder):
                raise UserError(
                    f"model {name}@{commit} has no {lacking[0]} at the hub: choose a checkpoint that has it, or "
                    + _how_by_hand(by_hand)
                )
            return folder
        except (OSError, httpx2.HTTPError) as error:
            # What could not be found "locally" could not be fetched before that, which is the reason.
            cause = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error
            what, may_pass = _explain(cause)
            if pause is None or not may_pass:
                raise UserError(f"model {name}@{commit}: {what}; or {_how_by_hand(by_hand)}") from error
        time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _explain(error: BaseException) -> tuple[str, bool]:
    """What went wrong and what to do, in one line, and whether another try may succeed."""
    import httpx2
    from huggingface_hub import constants, errors

    where, cache = constants.ENDPOINT, constants.HF_HUB_CACHE
    said = one_line(error)
    if isinstance(error, errors.GatedRepoError):
        return f"{where} gives it only to those who accepted its terms: do so there, then `hf auth login`", False
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{where} has no such model: correct the name (a private one needs `hf auth login`)", False
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{where} has no such commit of it: correct the 40 digits", False
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if status == 429:
            return f"{where} asks to wait (status 429): run again later, or log in with `hf auth login`", True
        if status >= 500:
            return f"{where} fails (status {status}): run again later, or set HF_ENDPOINT to a mirror", True
        return f"{where} answers with status {status}: correct the name, or log in with `hf auth login`", False
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"it is not in {cache}, and HF_HUB_OFFLINE forbids to download it: unset that", False
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return f"the certificate of {where} is not trusted: set SSL_CERT_FILE to your organisation's bundle", False
    if isinstance(error, httpx2.ProxyError):
        return f"the proxy does not let it through ({said}): correct HTTPS_PROXY or NO_PROXY", True
    if isinstance(error, (httpx2.TransportError, ConnectionError)):
        return (
            f"it is not in {cache}, and {where} cannot be reached ({said}): check the network, set HTTPS_PROXY, or "
            "HF_ENDPOINT to a mirror"
        ), True
    if isinstance(error, errors.FileMetadataError):
        return f"{where} does not answer as a model hub does: correct HF_ENDPOINT, or see what the proxy does", False
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"no room left in {cache}: free some, or set HF_HOME to a folder on another disk", False
    return f"what {where} sends is not what it announced ({said}): run again", True


def _how_by_hand(by_hand: Path) -> str:
    """What to do without a network, as the end of a sentence."""
    return f"put its config.json, preprocessor_config.json and model.safetensors into {by_hand}"


def _wrong_files(folder: Path, commit: str) -> list[Path]:
    """Files in a commit's folder of the hub's cache whose size or hash is not the one that the commit lists.

    The listing is kept in the cache; where it is not, the hash is the name of the file that the link points to. Large
    files have a SHA-256, others the SHA-1 of git's blobs.
    """
    listing = folder.parents[1] / "trees" / f"{commit}.json"
    listed = json.loads(listing.read_text(encoding="utf-8"))["files"] if listing.exists() else {}
    wrong = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        entry = listed.get(path.name, {})
        expected = entry.get("lfs_sha256") or entry.get("blob_id") or path.resolve().name
        if re.fullmatch("[0-9a-f]{64}", expected):
            found = sha256(path)
        elif re.fullmatch("[0-9a-f]{40}", expected):
            content = path.read_bytes()
            found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        else:
            continue  # a mirror's own mark, which says nothing of the content
        if found != expected:
            wrong.append(path)
    return wrong


def _forget(path: Path) -> None:
    """Take a file out of the hub's cache, with the content that its link points to."""
    content = path.resolve()
    path.unlink()
    content.unlink(missing_ok=True)
