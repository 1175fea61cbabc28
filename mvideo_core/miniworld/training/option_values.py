"""Command-line options of the mini models' training runs: NAME=VALUE, with the value as JSON."""

import json
from collections.abc import Iterable
from typing import Any

from mvideo_core.base.errors import ConfigError


def option_values(given: Iterable[str], flag: str) -> dict[str, Any]:
    """{"minutes": 2.5} of ["minutes=2.5"].

    Args:
        flag: name of the command-line flag, for messages.

    Raises:
        ConfigError: not NAME=VALUE, or the value is not JSON.
    """
    values = {}
    for item in given:
        name, _, value = item.partition("=")
        try:
            values[name] = json.loads(value)  # without "=", the value is empty, which is not JSON either
        except ValueError:
            raise ConfigError(
                f"{flag} {item}: expected NAME=VALUE with a JSON value, such as minutes=2.5, bfloat16=false"
            ) from None
    return values
