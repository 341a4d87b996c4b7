"""The worker: a node (`worker`) and its engines (`engine`).

A delivery's way through an engine: `consumer` -> `admission` -> `executors` -> `run` -> `completion`.
"""
