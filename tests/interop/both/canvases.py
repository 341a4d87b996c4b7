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


class On:
    """Signatures of tasks on one queue, which write down under one key."""

    def __init__(self, queue, key):
        self.queue, self.key = queue, key

    def q(self, sig):
        return sig.set(queue=self.queue)

    def plus(self, *args):
        return self.q(add.s(*args))

    def pair(self):
        return group(self.plus(0, 1), self.plus(0, 2))

    def sums(self):
        return self.q(total.s())

    def shows(self):
        return self.q(flat.s())

    def marked(self):
        return self.q(mark.s(self.key))


def build(kind, queue, key):
    """Return the workflow of that name."""
    on = On(queue, key)
    return (ending_well(on) | failing(on))[kind]()


def ending_well(on):
    return {
        "chain": lambda: chain(on.plus(1, 1), on.plus(10), on.plus(100)),
        "pipe": lambda: on.plus(1, 1) | on.plus(2),
        "immutable in a chain": lambda: on.plus(1, 1) | on.q(add.si(5, 5)) | on.plus(1),
        "group": lambda: group(on.plus(n, n) for n in range(5)),
        "chord": lambda: chord([on.plus(n, n) for n in range(5)], on.sums()),
        "a group becomes a chord": lambda: on.pair() | on.sums() | on.plus(1),
        "in the middle": lambda: on.plus(1, 1) | group(on.plus(1), on.plus(2)) | on.sums() | on.plus(1),
        "group after group": lambda: on.pair() | group(on.sums(), on.sums()),
        "three levels": lambda: on.pair() | group(on.sums(), on.sums()) | on.sums() | on.plus(1),
        "chains in a header": lambda: chord([chain(on.plus(1, 1), on.plus(1)), on.plus(5, 5)], on.shows()),
        "a chord in a header": lambda: chord(
            [chord([on.plus(1, 1), on.plus(2, 2)], on.sums()), on.plus(5, 5)], on.shows()
        ),
        "a group in a header": lambda: chord(
            [chain(on.plus(1, 1), group(on.plus(1), on.plus(2))), on.plus(9, 9)], on.shows()
        ),
        "a chain as a body": lambda: chord([on.plus(1, 1), on.plus(2, 2)], on.sums() | on.plus(1) | on.plus(1)),
        "one in a chain": lambda: chain(group(on.plus(1, 1)), on.plus(5)),
        "one in a chord": lambda: chord([on.plus(1, 1)], on.shows()),
        "nothing in a chord": lambda: chord([], on.shows()),
        "links": lambda: _linked(on.plus(1, 1), on.marked()),
        "links of a chain": lambda: _linked(chain(on.plus(1, 1), on.plus(1)), on.marked()),
        "links of a chord": lambda: _linked(chord([on.plus(1, 1), on.plus(2, 2)], on.sums()), on.marked()),
        "replaced by a task": lambda: on.plus(1, 1) | on.q(swap.s("task", on.queue)) | on.plus(1),
        "replaced by a chain": lambda: on.plus(1, 1) | on.q(swap.s("chain", on.queue)) | on.plus(1),
        "replaced by a group": lambda: on.plus(1, 1) | on.q(swap.s("group", on.queue)) | on.sums(),
        "replaced in a header": lambda: chord([on.q(swap.s(1, "group", on.queue)), on.plus(2, 2)], on.shows()),
        "added to a chord": lambda: chord([on.q(grow.s(1, on.queue)), on.plus(2, 2)], on.sums()),
        "map": lambda: on.q(total.map([[1, 2], [3, 4]])),
        "starmap": lambda: on.q(add.starmap([(1, 2), (3, 4)])),
        "chunks": lambda: on.q(add.chunks([(1, 2), (3, 4), (5, 6)], 2).group()),
    }


def failing(on):
    return {
        "a failure in a chain": lambda: on.plus(1, 1) | on.q(fail.si("value")) | on.plus(1) | on.marked(),
        "a failure in a header": lambda: chord([on.plus(1, 1), on.q(fail.si("value"))], on.sums()),
        "a failure in a chain in a header": lambda: chord(
            [chain(on.q(fail.si("value")), on.plus(1)), on.plus(1, 1)], on.sums()
        ),
        "a failure in a header in a chain": lambda: (
            group(on.plus(1, 1), on.q(fail.si("key"))) | on.sums() | on.marked()
        ),
        "an old errback": lambda: on.q(fail.s("value")).on_error(on.q(old_errback.s(on.key))),
        "a new errback": lambda: on.q(fail.s("value")).on_error(on.q(new_errback.s(on.key))),
        "an errback of a chord": lambda: _on_error(
            chord([on.plus(1, 1), on.q(fail.s("value"))], on.sums()), on.q(new_errback.s(on.key))
        ),
    }


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
