"""What the core asks of a store, cut by concern.

`broker` moves work, `pubsub` broadcasts, `coordinator` locks and counts, `results` keeps results, `groups` counts what
belongs together, `revocations` keeps what must not run, `store` puts together those that one store can serve. All calls
take batches, block, and may be made from several threads at once. Failures are `celeriac.exceptions.OperationalError`
kin and nothing else.
"""
