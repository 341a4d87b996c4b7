"""RabbitMQ over AMQP 0-9-1: work, broadcasts, dead letters and `rpc://` results."""
