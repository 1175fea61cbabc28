"""`python -m tests.s3_server HOST PORT BUCKET`: moto's S3 in memory, with atomic conditional puts as those of S3.

Moto looks whether an object exists and writes it in two steps; as it serves every request in a thread of its own, two
writers could both win. A lock around each request makes it as strict as S3.
"""

import importlib.util
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mvideo.deployments._ports import free_port
from tests.reference import REPOSITORY

INSTALLED = all(importlib.util.find_spec(name) for name in ("moto", "s3fs", "flask", "boto3"))
SKIP = "moto and s3fs are not installed: `make hosts` installs them in build/hosts and runs this test"


def settings(host: str, port: int) -> dict[str, str]:
    """Environment variables that point boto3 and s3fs at the server."""
    return {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def client(address: str) -> Any:
    """A boto3 client: a reader that is not ours."""
    import boto3

    known = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=address, **known)


def versions(address: str, bucket: str) -> dict[str, list[bytes]]:
    """Every content that an object of a versioned bucket ever had, by key."""
    s3 = client(address)
    found: dict[str, list[bytes]] = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for one in page.get("Versions", ()):
            got = s3.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
            found.setdefault(one["Key"], []).append(got["Body"].read())
    return found


@contextmanager
def s3_server(
    bucket: str, host: str = "127.0.0.1", port: int = 0, prefix: Sequence[str] = ()
) -> Iterator[dict[str, str]]:
    """A running server with an empty versioned bucket.

    Args:
        prefix: words before the command, such as `ip netns exec NAME`.

    Yields:
        The variables of `settings`.
    """
    port = port or free_port(0)
    known = settings(host, port)
    argv = [*prefix, sys.executable, "-m", "tests.s3_server", host, str(port), bucket]
    with tempfile.TemporaryFile("w+") as errors:
        server = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, cwd=REPOSITORY)
        try:
            assert server.stdout is not None
            if server.stdout.readline() != b"ready\n":
                errors.seek(0)
                raise AssertionError(f"the S3 server ended with {server.wait()}: {errors.read()[-2000:]}")
            yield known
        finally:
            server.kill()
            server.wait()


def main(host: str, port: str, bucket: str) -> None:
    """Serve until killed."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def one_by_one(environ: Any, start_response: Any) -> list[bytes]:
        with lock:
            return list(app(environ, start_response))

    server = make_server(host, int(port), one_by_one, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    s3 = client(f"http://{host}:{port}")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
