"""``celeriac demo``: a real worker, a few dozen real tasks of several kinds, and a table of what became of them."""
