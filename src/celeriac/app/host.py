"""What a task needs of the application that it belongs to; `Celeriac` is it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Unpack

from celeriac.app.dispatch import Dispatcher
from celeriac.app.options import SendOptions
from celeriac.canvas.host import Sender
from celeriac.interfaces.groups import GroupStore
from celeriac.result.groups import GroupKeeper
from celeriac.result.handle import AsyncResult
from celeriac.result.reader import ResultReader
from celeriac.result.writer import ResultWriter
from celeriac.settings.conf import Settings
from celeriac.types import Args, Kwargs


class Host(Protocol):
    """The application as its tasks see it."""

    @property
    def main(self) -> str | None: ...

    @property
    def conf(self) -> Settings: ...

    @property
    def tasks(self) -> Mapping[str, Any]: ...

    @property
    def dispatcher(self) -> Dispatcher: ...

    @property
    def reader(self) -> ResultReader: ...

    @property
    def writer(self) -> ResultWriter: ...

    @property
    def workflows(self) -> Sender: ...

    @property
    def keeper(self) -> GroupKeeper: ...

    @property
    def groups(self) -> GroupStore | None: ...

    def send_task(
        self, name: str, args: Args | None = None, kwargs: Kwargs | None = None, **options: Unpack[SendOptions]
    ) -> AsyncResult[Any]: ...
