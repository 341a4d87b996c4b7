"""Sending with confirms: many messages in one piece, and a wait for the server's word about all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from celeriac.drivers.rabbitmq.channel import Channel, Confirm
from celeriac.drivers.rabbitmq.contents import content_frames, publish_method
from celeriac.drivers.rabbitmq.errors import Blocked, NoAnswer, TooLarge, WireError
from celeriac.drivers.rabbitmq.link import Link
from celeriac.drivers.rabbitmq.links import Links

__all__ = ["Answer", "Answers", "Post", "Refused", "most_properties", "publish"]

_PATIENCE: Final = 1.0
"""Seconds that an alarm may last before a send is given up: a garbage collection ends many."""


_FRAME_OF_HEADERS: Final = 20
"""Bytes of the frame that has the headers, beside them."""


def most_properties(link: Link) -> int:
    """Return how many bytes the properties of a message may have."""
    return link.frame_max - _FRAME_OF_HEADERS


class Post(Struct, frozen=True):
    """What to publish: `properties` is what `contents.write_properties` wrote.

    `answered_as` is the id under which a result may come to this process, which proves that the message has arrived.
    """

    exchange: str
    routing_key: str
    properties: bytes
    body: bytes
    answered_as: str | None = None


class Answer(Struct, frozen=True):
    """What may come about a task: by which connection, and whether it has come by now."""

    link: Link
    has_come: Callable[[], bool]


class Answers(Protocol):
    """What comes to this process about the tasks that it sends."""

    def expect(self, task_id: str) -> Answer | None:
        """Return the first word about a task, which is to come; None where one is there, or none can come."""
        ...


class Refused(Struct, frozen=True):
    """Positions of what the server has not: no queue takes it, or a queue did not want it (it is full)."""

    unroutable: Sequence[int] = ()
    unwanted: Sequence[int] = ()


_NONE: Final = Refused()


def publish(links: Links, posts: Sequence[Post], *, mandatory: bool = True, answers: Answers | None = None) -> Refused:
    """Return when the server has said of each message whether it has it. Raises `WireError` kin.

    With `mandatory` a message that no queue takes is refused; otherwise it is gone. Of one that is sent alone its
    answer is as good: on an idle worker it comes before the confirmation, which waits for the server's disk.
    """
    link = links.link()
    if link.blocked is not None:
        link.wait(lambda: link.blocked is None, time.monotonic() + _PATIENCE)
        if link.blocked is not None:
            raise Blocked(link.blocked)
    most = most_properties(link)
    for post in posts:
        if len(post.properties) > most:  # the server would end the connection, and with it what others do on it
            raise TooLarge(f"its headers of {len(post.properties)} bytes are larger than a frame of {link.frame_max}")
    channel = links.borrow_confirming(link)
    try:
        if len(posts) == 1:
            refused = _publish_one(channel, posts[0], mandatory=mandatory, answers=answers)
        else:
            refused = _Publication(channel, posts).run(mandatory=mandatory)
    except BaseException as error:
        channel.abandon()
        if isinstance(error, NoAnswer) and links.connector.has_choice:
            channel.link.fail(error)  # a node that was parted from the others takes messages and confirms none
        raise
    if refused.unwanted:  # 3.10: a channel opened while a quorum queue had no leader never finds one
        channel.close()
    links.return_confirming(channel)
    return refused


def _publish_one(channel: Channel, post: Post, *, mandatory: bool, answers: Answers | None) -> Refused:
    """Publish what is alone: that is what callers wait for."""
    link, confirms = channel.link, channel.confirms
    method = publish_method(post.exchange, post.routing_key, mandatory=mandatory)
    answer = answers.expect(post.answered_as) if answers is not None and post.answered_as is not None else None
    channel.returned.clear()
    channel.published += 1
    channel.send(b"".join(content_frames(channel.number, method, post.properties, post.body, link.frame_max)))
    words: list[Confirm] = []

    def is_known() -> bool:
        while confirms and not words:
            word = confirms.popleft()
            if word.number >= channel.published:  # others were answered first
                words.append(word)
        return bool(words) or (answer is not None and answer.has_come())

    until = time.monotonic() + link.timeout
    if not channel.wait_until(is_known, until, beside=None if answer is None else answer.link):
        raise _unconfirmed(channel, 1)
    if channel.returned:
        return Refused(unroutable=(0,))
    return Refused(unwanted=(0,)) if words and words[0].is_refused else _NONE


def _unconfirmed(channel: Channel, count: int) -> WireError:
    """Return the error for what was not confirmed in time; the channel is of no use then."""
    link = channel.link
    error: WireError = NoAnswer(f"{count} messages were not confirmed in {link.timeout:g} s")
    if link.blocked is not None:
        error = Blocked(link.blocked)
    channel.fail(error)
    return error


class _Publication:
    """One batch on its way, on a channel that nobody else uses meanwhile."""

    def __init__(self, channel: Channel, posts: Sequence[Post]) -> None:
        self._channel = channel
        self._posts = posts
        self._first = channel.published + 1
        self._open = set(range(self._first, self._first + len(posts)))
        self._lowest = self._first
        self._refused: list[int] = []

    def run(self, *, mandatory: bool) -> Refused:
        channel, link = self._channel, self._channel.link
        methods: dict[tuple[str, str], bytes] = {}
        frames: list[bytes] = []
        for post in self._posts:
            route = (post.exchange, post.routing_key)
            method = methods.get(route)
            if method is None:
                method = methods[route] = publish_method(*route, mandatory=mandatory)
            frames += content_frames(channel.number, method, post.properties, post.body, link.frame_max)
        channel.confirms.clear()
        channel.returned.clear()
        channel.published += len(self._posts)
        channel.send(b"".join(frames))
        self._wait()
        returned = {(each.exchange, each.routing_key) for each in channel.returned}
        unroutable = [place for place, post in enumerate(self._posts) if (post.exchange, post.routing_key) in returned]
        unwanted = [number - self._first for number in sorted(self._refused)]
        return Refused(unroutable, unwanted)

    def _wait(self) -> None:
        channel, link = self._channel, self._channel.link
        until = time.monotonic() + link.timeout
        if self._open:
            heard = channel.wait_until(self._settle_what_came, until)
            if not heard:
                raise _unconfirmed(channel, len(self._open))

    def _settle_what_came(self) -> bool:
        """Take in the confirms that have come. True when no message is open any more, or none can be confirmed."""
        confirms = self._channel.confirms
        while confirms:
            confirm = confirms.popleft()
            if confirm.multiple:
                numbers = [n for n in range(self._lowest, confirm.number + 1) if n in self._open]
                self._lowest = max(self._lowest, confirm.number + 1)
            else:
                numbers = [confirm.number] if confirm.number in self._open else []
            self._open.difference_update(numbers)
            if confirm.is_refused:
                self._refused += numbers
        return not self._open
