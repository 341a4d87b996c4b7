"""Where tasks run: `inline` in the engine's main thread, `threads` in a pool, `coroutines` on the event loop."""
