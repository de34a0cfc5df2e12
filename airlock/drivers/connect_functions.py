"""What is done to a driver as soon as it is imported, which a project may do late: above all, its connect functions replaced."""

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
def replaced(replacement: Replacement) -> Iterator[None]:
    """Replace the connect functions of the installed drivers until the block ends; patches modules of this process."""
    with contextlib.ExitStack() as undo, when_imported(lambda driver: _replace(driver, replacement, undo)):
        yield


@contextlib.contextmanager
def when_imported(act: Callable[[str], None]) -> Iterator[None]:
    """Call `act` with the name of each driver that is there, at once, or in the moment in which the block has imported it.

    Whoever imports a driver meets it as the acts have left it, in their order.
    """
    for driver in DRIVERS:
        if driver in sys.modules:
            act(driver)
    _finder.acts.append(act)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    try:
        yield
    finally:
        _finder.acts.remove(act)
        if not _finder.acts:
            sys.meta_path.remove(_finder)


def _replace(driver: str, replacement: Replacement, undo: contextlib.ExitStack) -> None:
    def patch(owner: Any, value: Any) -> None:
        undo.callback(setattr, owner, "connect", owner.__dict__["connect"])
        owner.connect = value

    own: Any = importlib.import_module(f"airlock.drivers.{driver}.connect")
    own.replace(replacement, patch)


class _Finder(MetaPathFinder):
    """See to a driver in the moment in which it has been imported."""

    def __init__(self) -> None:
        self.acts: list[Callable[[str], None]] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in DRIVERS:
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(fullname, path, target) if finder is not self else None
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, self._imported)
                return spec
        return None

    def _imported(self, driver: str) -> None:
        for act in tuple(self.acts):
            act(driver)


_finder = _Finder()


class _Loader(Loader):
    def __init__(self, loader: Loader, imported: Callable[[str], None]) -> None:
        self.loader = loader
        self.imported = imported

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Whoever asks the module where it comes from is told what it would be told anywhere.
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        self.imported(module.__name__)
