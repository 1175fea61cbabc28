"""Name -> class registries that find their members by importing the sibling modules once, on first use."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Generic, TypeVar

from mvideo_core.base.errors import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """Plugins of one kind. To add one, add one file to `package` with a `@REGISTRY.register("name")`.

    Args:
        kind: what messages call a member ("detector").
        package: dotted package whose direct modules are imported on first use. Modules starting with "_" are skipped.
    """

    def __init__(self, kind: str, package: str):
        self.kind = kind
        self.package = package
        self._members: dict[str, T] = {}
        self._scanned = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that adds a member under `name`; a second member of that name is a programming error."""

        def add(member: T) -> T:
            if name in self._members and self._members[name] is not member:
                raise RuntimeError(f"two {self.kind}s are called {name!r}")
            self._members[name] = member
            return member

        return add

    def get(self, name: str) -> T:
        """The member called `name`.

        Raises:
            ConfigError: no such member; the message lists the known names.
        """
        self._scan()
        if name not in self._members:
            raise ConfigError(f"no {self.kind} called {name!r}; known: {', '.join(self.names())}")
        return self._members[name]

    def names(self) -> list[str]:
        """Sorted names of all members."""
        self._scan()
        return sorted(self._members)

    def _scan(self) -> None:
        if self._scanned:
            return
        package = importlib.import_module(self.package)
        for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
            if not module.startswith("_"):
                importlib.import_module(f"{self.package}.{module}")
        self._scanned = True
