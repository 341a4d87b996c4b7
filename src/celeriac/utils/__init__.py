"""Import paths that users of Celery know. Nothing is written here; each module re-exports."""
