"""Listening to remote control: one thread per node hears what is broadcast, and answers who asks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from celeriac.exceptions import CeleriacError, DecodeError, OperationalError
from celeriac.interfaces.pubsub import Channel, Post, PubSub, Subscription
from celeriac.types import Seconds
from celeriac.wire import control as wire
from celeriac.wire.control import Request
from celeriac.worker.commands import Answer

logger = logging.getLogger(__name__)

_PATIENCE: Final[Seconds] = 60.0
"""For so long a dead connection may go unnoticed: what is missed meanwhile is looked for then."""
_LOOK: Final[Seconds] = 0.25
"""Between two looks on a store where a listener would be woken by every change (see `PubSub.wakes_all`)."""
_FIRST_PAUSE: Final[Seconds] = 0.5
_LONGEST_PAUSE: Final[Seconds] = 5.0
_AT_ONCE: Final = 100


class RemoteControl:
    """A thread that listens, has requests obeyed (None for one that is not answered), and has missed ones looked for.

    That it does when it begins to listen, and after each `refresh_every` seconds. With `pubsub` None nothing is heard,
    and only that is left.
    """

    def __init__(  # noqa: PLR0913  the composition root hands in every part
        self,
        pubsub: PubSub | None,
        *,
        nodename: str,
        prefix: str,
        obey: Callable[[Request], Answer | None],
        refresh: Callable[[], None],
        refresh_every: Seconds,
    ) -> None:
        self._pubsub = pubsub
        self._nodename = nodename
        self._channel = Channel(wire.exchange(prefix))
        self._obey = obey
        self._refresh = refresh
        self._refresh_every = refresh_every
        self._refresh_at = self._pause = 0.0
        self._stopped = threading.Event()
        self._subscription: Subscription | None = None
        self._thread = threading.Thread(target=self._run, name="celeriac-control", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        subscription = self._subscription
        if subscription is not None:
            subscription.close()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._stopped.wait(self._pause):
            try:
                self._listen()
            except OperationalError as error:
                if not self._pause:
                    logger.warning("Remote control is not heard; trying again until it is: %s", error)
                self._pause = min(_LONGEST_PAUSE, self._pause * 2 or _FIRST_PAUSE)
            except Exception:
                self._pause = _LONGEST_PAUSE  # this thread must outlive any surprise
                logger.exception("Listening to remote control met an error and goes on")

    def _listen(self) -> None:
        """Hear and obey until told to stop. Raises when the connection is lost."""
        self._refresh_at = 0.0  # what was said meanwhile is looked for, once it is listened
        pubsub = self._pubsub
        if pubsub is None:
            while not self._stopped.wait(self._look_for_missed()):
                pass
            return
        subscription = self._subscription = pubsub.subscribe([self._channel], patience=_PATIENCE)
        self._pause = 0.0
        try:
            while not self._stopped.is_set():
                left = self._look_for_missed()
                if pubsub.wakes_all:
                    self._stopped.wait(_LOOK)
                    left = 0.0
                for post in subscription.get(limit=_AT_ONCE, wait=left):
                    self._hear(pubsub, post)
        finally:
            self._subscription = None
            subscription.close()

    def _look_for_missed(self) -> Seconds:
        """Look if it is time to; return the seconds until the next time."""
        now = time.monotonic()
        if now >= self._refresh_at:
            self._refresh_at = now + self._refresh_every
            try:
                self._refresh()
            except OperationalError as error:
                logger.debug("What was missed of remote control cannot be read: %s", error)
        return max(0.0, self._refresh_at - now)

    def _hear(self, pubsub: PubSub, post: Post) -> None:
        try:
            request = wire.decode(post.message)
        except DecodeError as error:
            logger.warning("A message of remote control is passed over: %s", error)
            return
        if not request.is_for(self._nodename):
            return
        answer = self._obey(request)
        if answer is None or request.reply_to is None:
            return
        reply = wire.encode_reply(self._nodename, answer, ticket=request.ticket)
        place = Channel(request.reply_to.exchange, "direct", request.reply_to.routing_key)
        try:
            pubsub.publish([Post(place, reply)])
        except CeleriacError as error:
            logger.warning("Remote command %s could not be answered: %s", request.method, error)
