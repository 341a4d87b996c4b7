"""What users may write by mistake: each line that is marked must be an error, and no other."""

from celeriac import Celeriac, Task, shared_task

app = Celeriac("proj", broker="memory://")


@app.task
def add(x: int, y: int = 1) -> int:
    return x + y


@app.task(bind=True)
def bound(self: Task[[str], int], name: str) -> int:
    return len(name + self.name)


@app.task
async def fetch(url: str) -> bytes:
    return url.encode()


@shared_task
def shared(x: int) -> str:
    return str(x)


@app.task(bind=True)
def replaced(self: Task[[int], str], x: int) -> str:
    return self.replace(add.s(x))  # error


# Arguments are the function's.
add.delay("1")  # error
add.delay()  # error
add.delay(1, 2, 3)  # error
add.delay(1, z=2)  # error
add("1")  # error
bound.delay(5)  # error
bound.delay("name", "too many")  # error
fetch.delay(b"url")  # error
shared.delay("x")  # error


async def caller() -> None:
    await add.adelay("1")  # error
    await fetch.adelay()  # error
    text: str = await (await add.adelay(1)).aget()  # error
    print(text)


# Values are the function's.
text: str = add.delay(1).get()  # error
number: int = fetch.delay("u").get()  # error
flag: bytes = shared.delay(1).get()  # error
many: list[int] = add.delay_many([(1,)])  # error

# A step of a chain is a signature.
add.s(1) | add  # error
add | add.s(1)  # error

# Options of a call exist, and have their types.
add.apply_async((1,), contdown=3)  # error
add.apply_async((1,), countdown="3")  # error
add.apply_async((1,), priority="high")  # error
add.apply_async((1,), headers=["trace"])  # error
add.apply_async(5)  # error
app.send_task("name", quue="q")  # error
app.send_task(add)  # error

# So do those of a task.
app.task(max_retries="many")(print)  # error
app.task(autoretry_for=OSError)(print)  # error
app.task(max_retry=3)(print)  # error
app.task(bind="yes")(print)  # error
app.task(base=int)(print)  # error
app.task("proj.name")  # error


class Wrong(Task[[int], str]):
    max_retries = "many"  # error


# And those of a retry.
bound.retry(countdwn=3)  # error
bound.retry(exc="reason")  # error

# Applications take names and URLs.
Celeriac(5)  # error
Celeriac("proj", broker=5)  # error


# Arguments of signatures are the function's, its first one may be missing.
@app.task
def count(text: str) -> int:
    return len(text)


@app.task
def shout(number: int, sign: str) -> str:
    return f"{number}{sign}"


shout.s(5)  # error
count.s(5)  # error
shout.si(1)  # error
