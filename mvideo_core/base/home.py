"""A home directory for users without one: containers often run under a user id with no entry in /etc/passwd.

Weights, digests, Prefect, torch and the Hugging Face client all keep files in the home directory, and each fails in its
own way if there is none.
"""

import logging
import os
import pwd
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from mvideo_core.base.errors import ConfigError

log = logging.getLogger(__name__)


def ensure_home(environment: MutableMapping[str, str] = os.environ) -> Path | None:
    """Set HOME, and USER if nothing names the user, for this process and its children.

    Call it before importing libraries that look for a home.

    Args:
        environment: changed in place.

    Returns:
        The folder below the temporary directory that HOME was set to; None if there was a home.

    Raises:
        ConfigError: that folder belongs to another user.
    """
    uid = os.getuid()
    entry = _entry(uid)
    if entry is None and not any(environment.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        environment["USER"] = f"uid{uid}"  # getpass.getuser, which torch names its compile cache after
    home = environment.get("HOME") or (entry.pw_dir if entry else "")
    if home and Path(home).is_dir() and (home != "/" or os.access(home, os.W_OK)):
        return None
    place = Path(tempfile.gettempdir()) / f"mvideo-home-{uid}"
    place.mkdir(mode=0o700, exist_ok=True)
    if place.is_symlink() or place.stat().st_uid != uid:
        raise ConfigError(f"user {uid} has no home directory, and {place} belongs to another user; set HOME")
    environment["HOME"] = str(place)
    log.warning(
        "user %d has no home directory (HOME is %s): using %s; set HOME, or MVIDEO_WEIGHTS and MVIDEO_STATE, to keep "
        "weights and server state elsewhere", uid, home or "not set", place,
    )  # fmt: skip
    return place


def _entry(uid: int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return None
