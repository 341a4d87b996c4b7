"""Redis and Valkey as a store: broker, pub/sub, coordinator and results, in Celery's key layout."""
