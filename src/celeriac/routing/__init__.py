"""Where a message goes: queues as they are configured, and the route of one task among them. Pure rules, no I/O."""

from celeriac.routing.queues import Binding, Exchange, Queue, Queues, QueueSpec, Route, RoutingConf
from celeriac.routing.router import Routed, Router

__all__ = ["Binding", "Exchange", "Queue", "QueueSpec", "Queues", "Route", "Routed", "Router", "RoutingConf"]
