"""Workflows that mean the same to both libraries. Each takes a queue for its tasks and a key to write down under."""

from project import add, app, fail, library, note

chain, chord, group = library.chain, library.chord, library.group


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def flat(values):
    return str(values)


@app.task
def mark(value, key):
    """Write down the value that came, and pass it on."""
    note.run(key, str(value))
    return value


@app.task
def said(key):
    note.run(key, "said")
    return "said"


@app.task
def old_errback(task_id, key):
    note.run(key, "old errback")


@app.task
def new_errback(request, error, trace, key):
    note.run(key, f"new errback {type(error).__name__}")


@app.task(bind=True)
def swap(self, value, kind, queue):
    one = add.s(1).set(queue=queue)
    raise self.replace(
        {
            "task": add.s(value, 100).set(queue=queue),
            "chain": chain(add.s(value, 100).set(queue=queue), one),
            "group": group(add.s(value, n).set(queue=queue) for n in range(3)),
        }[kind]
    )


@app.task(bind=True)
def grow(self, value, queue):
    self.add_to_chord(add.s(value, 1000).set(queue=queue))
    return value


def build(kind, queue, key):
    """Return the workflow of that name."""

    def q(sig):
        return sig.set(queue=queue)

    def plus(*args):
        return q(add.s(*args))

    def pair(n=0):
        return group(plus(n, 1), plus(n, 2))

    sums, shows = lambda: q(total.s()), lambda: q(flat.s())
    marked = lambda: q(mark.s(key))
    return {
        "chain": lambda: chain(plus(1, 1), plus(10), plus(100)),
        "pipe": lambda: plus(1, 1) | plus(2),
        "immutable in a chain": lambda: plus(1, 1) | q(add.si(5, 5)) | plus(1),
        "group": lambda: group(plus(n, n) for n in range(5)),
        "chord": lambda: chord([plus(n, n) for n in range(5)], sums()),
        "a group becomes a chord": lambda: pair() | sums() | plus(1),
        "in the middle": lambda: plus(1, 1) | group(plus(1), plus(2)) | sums() | plus(1),
        "group after group": lambda: pair() | group(sums(), sums()),
        "three levels": lambda: pair() | group(sums(), sums()) | sums() | plus(1),
        "chains in a header": lambda: chord([chain(plus(1, 1), plus(1)), plus(5, 5)], shows()),
        "a chord in a header": lambda: chord([chord([plus(1, 1), plus(2, 2)], sums()), plus(5, 5)], shows()),
        "a group in a header": lambda: chord([chain(plus(1, 1), group(plus(1), plus(2))), plus(9, 9)], shows()),
        "a chain as a body": lambda: chord([plus(1, 1), plus(2, 2)], sums() | plus(1) | plus(1)),
        "one in a chain": lambda: chain(group(plus(1, 1)), plus(5)),
        "one in a chord": lambda: chord([plus(1, 1)], shows()),
        "nothing in a chord": lambda: chord([], shows()),
        "links": lambda: _linked(plus(1, 1), marked()),
        "links of a chain": lambda: _linked(chain(plus(1, 1), plus(1)), marked()),
        "links of a chord": lambda: _linked(chord([plus(1, 1), plus(2, 2)], sums()), marked()),
        "a failure in a chain": lambda: plus(1, 1) | q(fail.si("value")) | plus(1) | marked(),
        "a failure in a header": lambda: chord([plus(1, 1), q(fail.si("value"))], sums()),
        "a failure in a chain in a header": lambda: chord([chain(q(fail.si("value")), plus(1)), plus(1, 1)], sums()),
        "a failure in a header in a chain": lambda: group(plus(1, 1), q(fail.si("key"))) | sums() | marked(),
        "an old errback": lambda: q(fail.s("value")).on_error(q(old_errback.s(key))),
        "a new errback": lambda: q(fail.s("value")).on_error(q(new_errback.s(key))),
        "an errback of a chord": lambda: _on_error(chord([plus(1, 1), q(fail.s("value"))], sums()), q(new_errback.s(key))),
        "replaced by a task": lambda: plus(1, 1) | q(swap.s("task", queue)) | plus(1),
        "replaced by a chain": lambda: plus(1, 1) | q(swap.s("chain", queue)) | plus(1),
        "replaced by a group": lambda: plus(1, 1) | q(swap.s("group", queue)) | sums(),
        "replaced in a header": lambda: chord([q(swap.s(1, "group", queue)), plus(2, 2)], shows()),
        "added to a chord": lambda: chord([q(grow.s(1, queue)), plus(2, 2)], sums()),
        "map": lambda: q(total.map([[1, 2], [3, 4]])),
        "starmap": lambda: q(add.starmap([(1, 2), (3, 4)])),
        "chunks": lambda: q(add.chunks([(1, 2), (3, 4), (5, 6)], 2).group()),
    }[kind]()


KINDS = [
    "chain", "pipe", "immutable in a chain", "group", "chord", "a group becomes a chord", "in the middle",
    "group after group", "three levels", "chains in a header", "a chord in a header", "a group in a header",
    "a chain as a body", "one in a chain", "one in a chord", "nothing in a chord", "links", "links of a chain",
    "links of a chord", "a failure in a chain", "a failure in a header", "a failure in a chain in a header",
    "a failure in a header in a chain", "an old errback", "a new errback", "an errback of a chord",
    "replaced by a task", "replaced by a chain", "replaced by a group", "replaced in a header", "added to a chord",
    "map", "starmap", "chunks",
]  # fmt: skip


def _linked(sig, callback):
    sig.link(callback)
    return sig


def _on_error(sig, errback):
    sig.link_error(errback)
    return sig
