"""The connect functions of the three drivers: each can be replaced for a while, now or when the driver is imported."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from typing import TYPE_CHECKING, Any

from airlock.drivers import DRIVERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from airlock.drivers.statements import Replacement


@contextlib.contextmanager
def replaced(replacement: Replacement, *, import_all: bool) -> Iterator[None]:
    """Replace the connect functions of the installed drivers until the block ends; patches modules of this process.

    With `import_all` the drivers are imported first (0.4 s); else one is seen to when it is imported inside the block.
    """
    with contextlib.ExitStack() as undo:
        for driver in DRIVERS:
            if driver not in sys.modules and import_all:
                with contextlib.suppress(ImportError):
                    importlib.import_module(driver)
            if driver in sys.modules:
                _replace(driver, replacement, undo)
        if not import_all:
            finder = _Finder(lambda driver: _replace(driver, replacement, undo))
            sys.meta_path.insert(0, finder)
            undo.callback(sys.meta_path.remove, finder)
        yield


def _replace(driver: str, replacement: Replacement, undo: contextlib.ExitStack) -> None:
    def patch(owner: Any, value: Any) -> None:
        undo.callback(setattr, owner, "connect", owner.__dict__["connect"])
        owner.connect = value

    own: Any = importlib.import_module(f"airlock.drivers.{driver}.connect")
    own.replace(replacement, patch)


class _Finder(MetaPathFinder):
    """See to a driver in the moment in which it has been imported."""

    def __init__(self, imported: Callable[[str], None]) -> None:
        self.imported = imported

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in DRIVERS:
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(fullname, path, target) if finder is not self else None
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, self.imported)
                return spec
        return None


class _Loader(Loader):
    def __init__(self, loader: Loader, imported: Callable[[str], None]) -> None:
        self.loader = loader
        self.imported = imported

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        self.imported(module.__name__)
