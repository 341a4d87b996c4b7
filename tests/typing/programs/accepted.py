"""What users write, with the types that they may count on."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from celeriac import (
    AsyncResult,
    Celeriac,
    Celery,
    Exchange,
    Queue,
    Signature,
    Task,
    chain,
    chord,
    group,
    shared_task,
    signature,
)
from celeriac.exceptions import Retry
from celeriac.result import GroupResult, allow_join_result

app = Celeriac("proj", broker="memory://", backend="memory://", task_acks_late=True)
celery: Celeriac = Celery("proj")

# -- plain functions ---------------------------------------------------------------------------------------------------


@app.task
def add(x: int, y: int = 1, *, scale: float = 1.0) -> float:
    return (x + y) * scale


@app.task()
def empty_brackets(x: str) -> list[str]:
    return [x]


@app.task(
    name="proj.with.options",
    queue="images",
    max_retries=None,
    autoretry_for=(OSError, ValueError),
    retry_backoff=2.5,
    retry_kwargs={"max_retries": 5},
    time_limit=30,
    soft_time_limit=20.5,
    expires=timedelta(minutes=5),
    acks_late=False,
    priority=3,
    throws=(KeyError,),
    ignore_result=False,
)
def with_options(path: str) -> dict[str, int]:
    return {path: 1}


assert_type(add(1, 2, scale=0.5), float)
assert_type(add.delay(1), AsyncResult[float])
add.delay(1).then(lambda result: assert_type(result.get(), float))
assert_type(add.delay(1, 2, scale=2.0).get(timeout=3), float)
assert_type(empty_brackets.delay("a").get(), list[str])
assert_type(with_options.delay("p").get(), dict[str, int])
assert_type(add.apply_async((1, 2), {"scale": 2.0}), AsyncResult[float])
assert_type(add.delay_many([(1,), (2, 3)]), list[AsyncResult[float]])
assert_type(add.apply_async_many([((1,), {"y": 2})], queue="bulk"), list[AsyncResult[float]])
assert_type(add.AsyncResult("id").get(), float)
assert_type(add.name, str)

add.apply_async(
    (1,),
    countdown=3,
    expires=datetime.now(UTC),
    queue=Queue("images", Exchange("media", "topic"), "image.#"),
    priority=9,
    headers={"trace": "1"},
    serializer="json",
    compression="zlib",
    ignore_result=True,
    retry=False,
    retry_policy={"max_retries": 1},
    task_id="mine",
    time_limit=10,
)
add.apply_async(args=[1], kwargs={"y": 2}, eta="2026-01-31T12:00Z")

# -- functions that get their task -------------------------------------------------------------------------------------


@app.task(bind=True, max_retries=5)
def bound(self: Task[[str], int], name: str) -> int:
    assert_type(self.request.retries, int)
    assert_type(self.request.id, str | None)
    self.update_state(state="PROGRESS", meta={"done": 1})
    try:
        return len(name)
    except OSError as error:
        raise self.retry(exc=error, countdown=2**self.request.retries, queue="slow") from error


assert_type(bound.delay("x"), AsyncResult[int])
assert_type(bound("x"), int)
assert_type(bound.retry(throw=False), Retry)

# -- coroutines --------------------------------------------------------------------------------------------------------


@app.task
async def fetch(url: str) -> bytes:
    return url.encode()


@app.task(bind=True)
async def bound_fetch(self: Task[[str], bytes], url: str) -> bytes:
    return (self.name + url).encode()


assert_type(fetch.delay("u").get(), bytes)
assert_type(bound_fetch.delay("u").get(), bytes)


async def caller() -> None:
    result = await add.adelay(1, scale=2.0)
    assert_type(result, AsyncResult[float])
    assert_type(await result.aget(timeout=5), float)
    assert_type(await (await fetch.adelay("u")).aget(), bytes)
    assert_type(await add.aapply_async((1,), countdown=3), AsyncResult[float])


# -- shared tasks, classes, names --------------------------------------------------------------------------------------


@shared_task
def shared(x: int) -> str:
    return str(x)


@shared_task(bind=True, name="library.bound")
def shared_bound(self: Task[[int], str], x: int) -> str:
    return self.name + str(x)


assert_type(shared.delay(1), AsyncResult[str])
assert_type(shared_bound.delay(1).get(), str)


class Connected(Task[[int], str]):
    """Celery's idiom: one connection for all runs of a process."""

    name = "proj.connected"
    max_retries = 1

    def run(self, x: int) -> str:
        return str(x)

    def on_failure(self, exc: BaseException, task_id: str, args: object, kwargs: object, einfo: object) -> None:
        print(exc, task_id)


connected = Connected()
app.register_task(connected)
assert_type(connected.delay(5), AsyncResult[str])


class Base(Task[..., object]):
    """A class that other tasks are made of."""


@app.task(base=Base)
def with_base(x: int) -> bool:
    return x > 0


assert_type(with_base.delay(3).get(), bool)

by_name = app.send_task("elsewhere.task", args=[1], kwargs={"a": 2}, queue="q", countdown=1.5)
by_name.get().anything_at_all()
assert_type(by_name.state, str)


def decorated_by_others(function: Callable[[int], str]) -> Task[[int], str]:
    return app.task(function)


# -- results -----------------------------------------------------------------------------------------------------------


def wants_any(result: AsyncResult[object]) -> None:
    """Take any result: a handle on a narrower type is one."""
    with allow_join_result():
        result.get(propagate=False)


wants_any(add.delay(1))
assert_type(add.delay(1).ready(), bool)
assert_type(add.delay(1).date_done, datetime | None)


# -- workflows ---------------------------------------------------------------------------------------------------------


@app.task
def count(text: str) -> int:
    return len(text)


@app.task
def shout(number: int, sign: str) -> str:
    return f"{number}{sign}"


@app.task
def longest(numbers: list[int]) -> int:
    return max(numbers)


assert_type(chain(count.s("a"), shout.s("!")).apply_async().get(), str)
assert_type(chain(count.s("a"), shout.s("!"), count.s()).delay(), AsyncResult[int])
assert_type(shout.si(1, "!").apply_async(), AsyncResult[str])
assert_type(group(count.s("a"), count.s("b"))().get(), list[int])
assert_type(chord([count.s("a"), count.s("b")])(longest.s()).get(), int)
assert_type(chord([count.s("a")], longest.s()).apply_async(), AsyncResult[int])
assert_type(~count.s("a"), int)
count.s("a").set(queue="slow").on_error(shout.si(1, "!")).link(longest.s())
(group(count.s("a"), count.s("b")) | longest.s() | shout.s("?")).apply_async()


@app.task
def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


@app.task
def largest(numbers: Sequence[int]) -> int:
    return max(numbers)


@app.task
def loose(value: Any, more: Any = None) -> Any:
    return value or more


follow = shout.s("!")
assert_type((count.s("a") | shout.s("!"))(), AsyncResult[str])
assert_type((count.s("a") | follow | count.s()).delay(), AsyncResult[int])
assert_type((count.s("a") | follow).apply_async(countdown=1).get(), str)
assert_type((shout.s(1, "!") | bound.s() | shout.si(2, "?"))().get(), str)
assert_type((shout.s(1, "!") | fetch.s())().get(), bytes)
assert_type((count.s("a") | loose.s() | signature("by.name") | count.s())().get(), int)
assert_type(chain(count.s("a"), shout.s("!"))(), AsyncResult[str])
assert_type((chain(count.s("a"), shout.s("!")) | count.s())(), AsyncResult[int])

counts = group(count.s(text) for text in "abc")
assert_type(counts.delay(), GroupResult[int])
assert_type((counts | longest.s())(), AsyncResult[int])
assert_type((counts | mean.s())().get(), float)
assert_type((counts | largest.s() | shout.s("!")).delay(), AsyncResult[str])
assert_type((shout.s(1, "!") | group(count.s(), count.s()) | mean.s()).delay(), AsyncResult[float])
assert_type(chain(counts, mean.s())(), AsyncResult[float])
assert_type(chain(shout.s(1, "!"), group(count.s(), count.s()), mean.s())(), AsyncResult[float])
assert_type(chain(counts, longest.s(), shout.s("!"))(), AsyncResult[str])
assert_type((shout.s(1, "!") | group(count.s(), count.s())).delay().get(), list[int])


# What replaces a task gives its value.
@app.task(bind=True)
def replaced_by_chain(self: Task[[str], str], text: str) -> str:
    return self.replace(count.s(text) | shout.s("!"))


@app.task(bind=True)
def replaced_by_group(self: Task[[list[str]], list[int]], texts: list[str]) -> list[int]:
    return self.replace(group(count.s(text) for text in texts))


@app.task(bind=True)
def replaced_by_chord(self: Task[[list[str]], int], texts: list[str]) -> int:
    return self.replace(chord([count.s(text) for text in texts], longest.s()))


@app.task(bind=True)
def replaced_by_itself(self: Task[[int], int], number: int) -> int:
    return self.replace(self.s(number - 1)) if number else 0


(shout.s(1, "!") | group(count.s(), count.s()))().completed_count()

header = chord(count.s(text) for text in "abc")
assert_type(header(mean.s()), AsyncResult[float])
assert_type(chord(counts, longest.s())(), AsyncResult[int])
assert_type(chord(counts, longest.s()).delay().get(), int)
assert_type(chord(header=counts, body=mean.s())().get(), float)
assert_type((chord([count.s("a")], longest.s()) | shout.s("!"))(), AsyncResult[str])

assert_type(count.chunks([("a",), ("b",)], 1)(), GroupResult[list[int]])
assert_type(count.chunks([("a",), ("b",)], 1).delay().get(), list[list[int]])
assert_type(count.map(["a"]).delay().get(), list[int])
assert_type(count.starmap([("a",)]).apply_async(), AsyncResult[list[int]])

growing: Signature[Any, Any] = count.s("a")
growing |= shout.s("!")
