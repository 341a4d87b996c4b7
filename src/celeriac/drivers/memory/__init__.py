"""A store inside one process: tests, and runs with real semantics that leave nothing behind."""
