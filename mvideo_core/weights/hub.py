"""The Hugging Face hub through its own client: a repository's contents, the local cache, and errors.

HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE and the proxy variables mean the same as for the client.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mvideo_core.base.errors import ModelError
from mvideo_core.weights.records import Fetched, WeightsEntry, WeightsFile

PUBLIC = "https://huggingface.co"
API_TIMEOUT_S = 30.0


def endpoint() -> str:
    """Address of the hub: HF_ENDPOINT, else the public one."""
    return (os.environ.get("HF_ENDPOINT") or PUBLIC).rstrip("/")


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    from huggingface_hub import is_offline_mode

    return is_offline_mode()


def file_url(repository: str, commit: str, path: str) -> str:
    """Download address of one file at a commit."""
    from huggingface_hub import hf_hub_url

    return hf_hub_url(repository, path, revision=commit, endpoint=endpoint())


def request_headers(url: str) -> dict[str, str]:
    """The client's headers, with the user's token, for addresses of the hub; none for others."""
    from huggingface_hub.utils import build_hf_headers

    return dict(build_hf_headers(library_name="mvideo")) if url.startswith(endpoint() + "/") else {}


def list_repository(item: WeightsEntry, revision: str) -> Fetched:
    """The needed files of an entry's repository, with size and digest, at the commit that a revision currently names.

    Offline, they come from the local cache.

    Raises:
        ModelError: unreachable, refused, gated, no such repository or revision, or files of the entry are missing in
            it.
    """
    assert item.repository is not None
    name = item.repository.name
    found = _list_cache(item, revision) if offline() else _list_files(name, revision)
    required = list(item.needs.files)
    files = [file for file in found.files if item.repository.takes(file.path, required)]
    paths = {file.path for file in files}
    for stem in item.repository.weights:
        shards = re.compile(rf"{re.escape(stem)}(-\d+-of-\d+\.safetensors|\.safetensors\.index\.json)")
        if f"{stem}.safetensors" in paths:  # the loaders prefer it to shards
            files = [file for file in files if not shards.fullmatch(file.path)]
        elif f"{stem}.safetensors.index.json" not in paths:
            required.append(f"{stem}.safetensors")
    if absent := sorted(set(required) - paths):
        where = "the local cache, the only source while HF_HUB_OFFLINE is set," if offline() else endpoint()
        raise ModelError(f"weights: {item.name}: {name} at {found.commit[:12]} on {where} lacks {', '.join(absent)}")
    return found.model_copy(update={"files": files})


def check_access(repository: str, commit: str, path: str) -> None:
    """Request the head of one file, which the hub refuses if the terms of a gated repository are not accepted.

    Raises:
        ModelError: refused or unreachable.
    """
    from huggingface_hub import get_hf_file_metadata

    url = file_url(repository, commit, path)
    with plain_errors(repository, commit):
        get_hf_file_metadata(url, endpoint=endpoint(), timeout=API_TIMEOUT_S)


def with_hub_digest(file: WeightsFile) -> WeightsFile:
    """The file with its HF_ENDPOINT address, size and digest, if it is published on the hub.

    Raises:
        ModelError: from `check_access`.
    """
    from huggingface_hub import get_hf_file_metadata

    if not file.url.startswith(PUBLIC + "/"):
        return file
    url = endpoint() + file.url.removeprefix(PUBLIC)
    if file.sha256 and not offline():
        return file.model_copy(update={"url": url})
    owner, name = url.removeprefix(endpoint() + "/").split("/")[:2]
    with plain_errors(f"{owner}/{name}", "main"):
        stated = get_hf_file_metadata(url, endpoint=endpoint(), timeout=API_TIMEOUT_S)
    return file.model_copy(update={"url": url, "size_bytes": stated.size} | _digest(stated.etag or ""))


def _digest(etag: str) -> dict[str, str]:
    """What a hub ETag, which is also the name of a blob in its cache, says about the content."""
    if not re.fullmatch("[0-9a-f]+", etag):
        return {}
    kind = {64: "sha256", 40: "git_sha1"}.get(len(etag))
    return {kind: etag} if kind else {}


def find_in_cache(item: WeightsEntry, commit: str, path: str) -> Path | None:
    """The file in the local Hugging Face cache, under the repository's current or former name."""
    from huggingface_hub import try_to_load_from_cache

    assert item.repository is not None
    for name in (item.repository.name, *item.repository.former):
        found = try_to_load_from_cache(name, path, revision=commit)
        if isinstance(found, str):
            return Path(found)
    return None


@contextmanager
def plain_errors(repository: str, revision: str) -> Iterator[None]:
    """Turn the client's errors into one line that says what to do.

    Raises:
        ModelError: for each of them.
    """
    import httpx2
    from huggingface_hub import errors, get_token

    place = endpoint()
    token = "the token in use is not allowed to" if get_token() else "no token is set"
    try:
        yield
    except errors.GatedRepoError:
        raise ModelError(
            f"weights: {repository} is gated ({token}): accept its terms at {place}/{repository}, create a token at "
            f"{place}/settings/tokens, set HF_TOKEN to it and rerun the command"
        ) from None
    except errors.RevisionNotFoundError:
        raise ModelError(
            f"weights: {repository} has no revision {revision} at {place}; use another with --revision, such as main"
        ) from None
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"weights: {place} shows no repository {repository} (status {error.response.status_code}, {token}); if it "
            "is private, set HF_TOKEN to a token that may read it; else check HF_ENDPOINT"
        ) from None
    except errors.OfflineModeIsEnabled:
        raise ModelError(
            f"weights: {repository} is not on this machine, and HF_HUB_OFFLINE forbids network access; unset it"
        ) from None
    except errors.HfHubHTTPError as error:
        raise ModelError(_status_line(place, repository, error.response.status_code)) from None
    except httpx2.HTTPError as error:
        raise ModelError(
            f"weights: cannot reach {place}: {_first_line(error)}; check the network, HF_ENDPOINT and HTTPS_PROXY, or "
            "copy the files from another machine"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, errors.FileMetadataError) as error:
        raise ModelError(
            f"weights: {place} does not respond like the hub ({_first_line(error)}); check HF_ENDPOINT and the proxy"
        ) from None


def _status_line(place: str, repository: str, status: int) -> str:
    if status == 401:
        return f"weights: {place} refuses the token (status 401); set HF_TOKEN to a valid one, or unset it"
    if status == 403:
        return (
            f"weights: the token may not read {repository} (status 403); give it that right at {place}/settings/tokens"
        )
    again = "too many requests; wait a few minutes" if status == 429 else "the hub has a fault; wait"
    return f"weights: {place} returns status {status} for {repository}: {again}, then rerun the command"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _list_files(name: str, revision: str) -> Fetched:
    from huggingface_hub import HfApi

    with plain_errors(name, revision):
        info = HfApi(endpoint=endpoint(), library_name="mvideo").model_info(
            name, revision=revision, files_metadata=True, timeout=API_TIMEOUT_S
        )
        if not info.sha or not info.siblings:
            raise ValueError("no commit or no files in its response")
        if outside := [one.rfilename for one in info.siblings if {"", ".."} & set(one.rfilename.split("/"))]:
            raise ValueError(f"it lists {outside[0]!r}, which leaves the folder")
        files = [
            WeightsFile(
                path=one.rfilename,
                size_bytes=one.size,
                sha256=one.lfs.sha256 if one.lfs else None,
                git_sha1=None if one.lfs else one.blob_id,
            )
            for one in info.siblings
        ]
    return Fetched(repository=name, revision=revision, commit=info.sha, files=files)


def _list_cache(item: WeightsEntry, revision: str) -> Fetched:
    """Files of a snapshot in the local cache; the names of its blobs are their digests."""
    assert item.repository is not None
    first = item.files[0].path
    found = find_in_cache(item, revision, first)
    if found is None:
        raise ModelError(
            f"weights: {item.name}: HF_HUB_OFFLINE is set, and the local Hugging Face cache has no "
            f"{item.repository.name} at {revision}; unset it, or copy the repository to {item.folder}"
        )
    snapshot = found.parents[first.count("/")]
    files = []
    for path in sorted(snapshot.rglob("*")):
        if path.is_file():
            known = {"path": path.relative_to(snapshot).as_posix(), "size_bytes": path.stat().st_size}
            files.append(WeightsFile.model_validate(known | _digest(path.resolve().name)))
    return Fetched(repository=item.repository.name, revision=revision, commit=snapshot.name, files=files)
