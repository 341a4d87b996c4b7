"""Chains in which a value does not fit the next parameter: each line that is marked must be an error, and no other."""

from celeriac import Celeriac, chain, chord, group

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


@app.task
def longest(numbers: list[int]) -> int:
    return max(numbers)


follow = shout.s("!")
(count.s("a") | shout.s("!") | count.s()).delay()
(shout.s(1, "!") | shout.s("!")).delay()  # error
(shout.s(1, "!") | follow).delay()  # error
(count.s("a") | longest.s()).delay()  # error
(count.s("a") | shout.s("!") | shout.s("!")).delay()  # error
(chain(count.s("a"), shout.s("!")) | shout.s("!")).delay()  # error
(group(count.s("a"), count.s("b")) | shout.s("!")).delay()  # error
(chord([count.s("a")], longest.s()) | count.s()).delay()  # error
