"""Chains in which a value does not fit the next parameter. mypy 2 cannot tell the first parameter of a function."""

from celeriac import Celeriac, chain

app = Celeriac("proj", broker="memory://")


@app.task
def count(text: str) -> int:
    return len(text)


@app.task
def shout(number: int, sign: str) -> str:
    return f"{number}{sign}"


chain(count.s("a"), shout.s("!"))
chain(shout.s(1, "!"), shout.s("!"))  # error
chain(count.s("a"), shout.s("!"), shout.s("!"))  # error
