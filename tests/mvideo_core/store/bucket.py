"""An object store in memory that behaves like s3fs where it matters: buckets, refusals, and a count of requests."""

from collections import Counter

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class BucketFileSystem(MemoryFileSystem):
    """s3://BUCKET/...; `refusal` is raised by every request, `read_only` by those that write."""

    protocol = ("s3", "s3a")
    store: dict = {}
    pseudo_dirs = [""]
    buckets: set[str] = set()
    requests: Counter = Counter()
    waits: list[int] = [0]
    """Number of times that a caller waited for an answer; many files asked for at once count once."""
    refusal: Exception | None = None
    read_only = False
    uploads: list[dict] = []
    """Unfinished uploads in parts, as S3 lists them; two a page."""

    @classmethod
    def fresh(cls, *buckets: str) -> None:
        cls.store.clear()
        cls.pseudo_dirs[:] = [""]
        cls.buckets, cls.refusal, cls.read_only, cls.uploads = set(buckets), None, False, []
        cls.count()

    @classmethod
    def count(cls) -> None:
        cls.requests.clear()
        cls.waits[0] = 0

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).removeprefix("s3://").removeprefix("s3a://"))

    def _ask(self, what: str, path: str, n: int = 1, writes: bool = False) -> None:
        BucketFileSystem.requests[what] += n
        BucketFileSystem.waits[0] += 1
        if self.refusal is not None:
            raise self.refusal
        if writes and self.read_only:
            raise PermissionError("Access Denied")
        if writes and path.lstrip("/").split("/")[0] not in self.buckets:
            raise FileNotFoundError("The specified bucket does not exist")

    def makedirs(self, path, exist_ok=False):
        self._ask("HEAD", path)
        BucketFileSystem.buckets.add(self._strip_protocol(path).lstrip("/").split("/")[0])

    def info(self, path, **how):
        self._ask("HEAD", path)
        return super().info(path, **how)

    def exists(self, path, **how):
        self._ask("HEAD", path)
        return super().exists(path, **how)

    def ls(self, path, detail=True, **how):
        self._ask("LIST", path)
        return super().ls(path, detail=detail, **how)

    def find(self, path, maxdepth=None, withdirs=False, detail=False, **how):
        root = self._strip_protocol(path).rstrip("/") + "/"
        found = {name: file for name, file in sorted(self.store.items()) if name.startswith(root)}
        self._ask("LIST", path, 1 + len(found) // 1000)
        facts = {name: {"name": name, "size": file.size, "LastModified": file.created} for name, file in found.items()}
        return facts if detail else list(facts)

    def cat_file(self, path, start=None, end=None, **how):
        self._ask("GET", path)
        return self._content(path)[start:end]

    def cat(self, path, recursive=False, on_error="raise", **how):
        self._ask("GET", "", len(path))
        out = {}
        for name in path:
            try:
                out[self._strip_protocol(name)] = self._content(name)
            except FileNotFoundError as error:
                out[self._strip_protocol(name)] = error
        return out

    def call_s3(self, method, **asked):
        """The two calls about uploads in parts, as s3fs passes them on."""
        self._ask(method, f"/{asked['Bucket']}")
        if method == "abort_multipart_upload":
            BucketFileSystem.uploads = [one for one in self.uploads if one["UploadId"] != asked["UploadId"]]
            return {}
        assert method == "list_multipart_uploads"
        after = (asked.get("KeyMarker", ""), asked.get("UploadIdMarker", ""))
        left = sorted(
            (one for one in self.uploads if one["Key"].startswith(asked["Prefix"])),
            key=lambda one: (one["Key"], one["UploadId"]),
        )
        left = [one for one in left if (one["Key"], one["UploadId"]) > after]
        page = {"Uploads": left[:2], "IsTruncated": len(left) > 2}
        return page | ({"NextKeyMarker": left[1]["Key"], "NextUploadIdMarker": left[1]["UploadId"]} if left[2:] else {})

    def _content(self, path) -> bytes:
        try:
            return self.store[self._strip_protocol(path)].getvalue()
        except KeyError:
            raise FileNotFoundError(path) from None

    def pipe_file(self, path, value, mode="overwrite", **how):
        self._ask("PUT", self._strip_protocol(path), writes=True)
        if mode == "create" and self._strip_protocol(path) in self.store:
            raise FileExistsError("At least one of the pre-conditions you specified did not hold")
        with super().open(path, "wb") as out:
            out.write(value)

    def put_file(self, lpath, rpath, mode="overwrite", **how):
        with open(lpath, "rb") as stream:
            self.pipe_file(rpath, stream.read(), mode)

    def rm(self, path, recursive=False, maxdepth=None):
        for name in [path] if isinstance(path, str) else path:
            name = self._strip_protocol(name)
            gone = [known for known in self.store if known == name or (recursive and known.startswith(f"{name}/"))]
            for known in gone:
                del self.store[known]
        self._ask("DELETE", "")


def register() -> None:
    fsspec.register_implementation("s3", BucketFileSystem, clobber=True)


def age(seconds: float) -> None:
    """Make everything older."""
    from datetime import timedelta

    for file in BucketFileSystem.store.values():
        file.created -= timedelta(seconds=seconds)
