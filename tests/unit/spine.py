"""An application on a memory store of its own with a scripted clock, and a worker's parts by hand."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from celeriac import Celeriac, Task
from celeriac.drivers.memory import store as memory
from celeriac.interfaces.broker import Delivery, Terms
from celeriac.testing.clock import FakeClock
from celeriac.wire import tasks as wire
from celeriac.wire.content import accepted
from celeriac.wire.message import Message
from celeriac.wire.tasks import TaskCall
from celeriac.worker.admission import Admission, Admitted, Job
from celeriac.worker.chords import sequels_of
from celeriac.worker.completion import Completer
from celeriac.worker.holdings import Holdings
from celeriac.worker.limits import ThreadLimits
from celeriac.worker.outcome import Completion
from celeriac.worker.renewals import Claim
from celeriac.worker.revoked import Revoked
from celeriac.worker.run import TaskRunner
from celeriac.worker.task_log import TaskLog

NODE = "celery@here"
LEASE = 30.0


class Spine:
    """What a test needs of an application: to send, to see what was sent, and to run it."""

    def __init__(self, **settings: Any) -> None:
        self.store = uuid.uuid4().hex
        self.clock = FakeClock()
        self.revoked = Revoked(None)
        self.app = self.another(**settings)

    def another(self, **settings: Any) -> Celeriac:
        """Return an application on the same store."""
        options = {"main": "spine", "broker": f"memory://{self.store}", "clock": self.clock, "set_as_current": False}
        return Celeriac(**{**options, **settings})

    def close(self) -> None:
        self.app.close()
        memory.reset(self.store)

    # -- what was sent --------------------------------------------------------------------------------------------

    def taken(self, *queues: str) -> Sequence[Delivery]:
        """Receive what is ready on the queues (the default one)."""
        return self.app.broker.receive(queues or ("celery",), Terms(limit=1000, lease=LEASE, owner=NODE), wait=0)

    def delivery(self, *queues: str) -> Delivery:
        """Receive the one message that is there."""
        (delivery,) = self.taken(*queues)
        return delivery

    def message(self, *queues: str) -> Message:
        message = self.delivery(*queues).message
        assert isinstance(message, Message)
        return message

    def call(self, *queues: str) -> TaskCall:
        """Receive and decode the one call that is there."""
        return wire.decode(self.message(*queues), accept=accepted(["json", "pickle", "yaml"]))

    # -- running --------------------------------------------------------------------------------------------------

    def runner(self, task: Task[..., Any]) -> TaskRunner:
        app = self.app
        return TaskRunner(
            task,
            app.conf,
            writer=app.writer,
            log=TaskLog(),
            hostname=NODE,
            clock=self.clock,
            sequels=sequels_of(app)[0],
            revoked=self.revoked,
        )

    def admit(self, delivery: Delivery) -> Admitted:
        runners = {name: self.runner(task) for name, task in self.app.tasks.items()}
        admission = Admission(runners, self.app.conf, clock=self.clock, revoked=self.revoked)
        return admission.admit(delivery, Claim(self.clock.boottime(), 1))

    def job(self, *queues: str) -> Job:
        """Receive the one call that is there and admit it."""
        job = self.admit(self.delivery(*queues))
        assert isinstance(job, Job), job
        return job

    def run(self, *queues: str) -> Completion:
        """Run the one call that is there, and carry out what follows; return it."""
        job = self.job(*queues)
        completion = job.runner.run(job, ThreadLimits())
        self.carry_out(completion)
        return completion

    def carry_out(self, completion: Completion) -> None:
        """Store, send and settle what comes of a run."""
        completer = Completer(
            self.app.broker, self.app.writer, Holdings(), clock=self.clock, chords=sequels_of(self.app)[1]
        )
        completer.add(completion)
        assert completer.flush()
