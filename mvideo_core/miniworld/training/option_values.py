"""Options on the command line of a mini training: NAME=VALUE, the value as JSON."""

import json
from collections.abc import Iterable
from typing import Any

from mvideo_core.base.errors import ConfigError


def option_values(given: Iterable[str], flag: str) -> dict[str, Any]:
    """{"minutes": 2.5} of ["minutes=2.5"].

    Args:
        flag: what the message calls the option of the command line.

    Raises:
        ConfigError: no NAME=VALUE, or a value that is not JSON.
    """
    values = {}
    for item in given:
        name, _, value = item.partition("=")
        try:
            values[name] = json.loads(value)  # without "=", the value is empty, which is not JSON either
        except ValueError:
            raise ConfigError(
                f"{flag} {item}: NAME=VALUE is expected, the value as JSON: minutes=2.5, bfloat16=false"
            ) from None
    return values
