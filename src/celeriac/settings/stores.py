"""Settings of single stores, mostly of Celery's result backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celeriac.settings.table import setting


class RedisSettings:
    """A Redis result store in the old way, by parts, and its sockets."""

    redis_host: str | None = setting(None, "Host, in the old way of naming it by parts.")
    redis_port: int | None = setting(None, "Port, in the old way of naming it by parts.")
    redis_db: int | str | None = setting(None, "Database number, in the old way of naming it by parts.")
    redis_username: str | None = setting(None, "User, in the old way of naming it by parts.")
    redis_password: str | None = setting(None, "Password, in the old way of naming it by parts.", secret=True)
    redis_max_connections: int | None = setting(None, "Most connections to the result store.")
    redis_retry_on_timeout: bool = setting(False, "Try again after a timeout of the socket.")
    redis_socket_connect_timeout: float | None = setting(None, "Longest wait for a connection.", unit="seconds")
    redis_socket_timeout: float | None = setting(120.0, "Longest wait for an answer.", unit="seconds")
    redis_socket_keepalive: bool = setting(False, "Keep idle connections alive.")


class DatabaseSettings:
    """SQL databases."""

    database_url: str | None = setting(None, "Where the database is.", secret=True)
    database_create_tables_at_setup: bool = setting(True, "Make the tables at start.")
    database_engine_callback: str | Callable[..., Any] | None = setting(None, "Called with each new engine.")
    database_engine_options: dict[str, Any] | None = setting(
        {"pool_pre_ping": True, "pool_recycle": 3600}, "Options of SQLAlchemy's engine."
    )
    database_short_lived_sessions: bool = setting(False, "Close the session after each use.")
    database_table_names: dict[str, Any] | None = setting(None, "Names of the tables.")
    database_table_schemas: dict[str, Any] | None = setting(None, "Schemas of the tables.")
    db_reuse_max: int | None = setting(None, "Django's database connections are closed after so many tasks.")


class OtherStoreSettings:
    """Stores that only Celery has."""

    mongodb_backend_settings: dict[str, Any] | None = setting(None, "MongoDB.", secret=True)
    cache_backend: str | None = setting(None, "Memcached.")
    cache_backend_options: dict[str, Any] = setting({}, "Memcached.")
    arangodb_backend_settings: dict[str, Any] | None = setting(None, "ArangoDB.", secret=True)
    couchbase_backend_settings: dict[str, Any] | None = setting(None, "Couchbase.", secret=True)
    azureblockblob_container_name: str = setting("celery", "Azure Blob Storage.")
    azureblockblob_base_path: str = setting("", "Azure Blob Storage.")
    azureblockblob_connection_timeout: float = setting(20, "Azure Blob Storage.", unit="seconds")
    azureblockblob_read_timeout: float = setting(120, "Azure Blob Storage.", unit="seconds")
    azureblockblob_retry_increment_base: float = setting(2, "Azure Blob Storage.")
    azureblockblob_retry_initial_backoff_sec: float = setting(2, "Azure Blob Storage.", unit="seconds")
    azureblockblob_retry_max_attempts: int = setting(3, "Azure Blob Storage.")
    cassandra_servers: tuple[str, ...] | None = setting(None, "Cassandra.")
    cassandra_keyspace: str | None = setting(None, "Cassandra.")
    cassandra_table: str | None = setting(None, "Cassandra.")
    cassandra_port: int | str | None = setting(None, "Cassandra.")
    cassandra_auth_provider: str | None = setting(None, "Cassandra.")
    cassandra_auth_kwargs: dict[str, Any] | str | None = setting(None, "Cassandra.", secret=True)
    cassandra_bundle_path: str | None = setting(None, "Cassandra.")
    cassandra_entry_ttl: float | None = setting(None, "Cassandra.", unit="seconds")
    cassandra_options: dict[str, Any] | str | None = setting({}, "Cassandra.")
    cassandra_read_consistency: str | None = setting(None, "Cassandra.")
    cassandra_write_consistency: str | None = setting(None, "Cassandra.")
    cosmosdbsql_database_name: str = setting("celerydb", "Cosmos DB.")
    cosmosdbsql_collection_name: str = setting("celerycol", "Cosmos DB.")
    cosmosdbsql_consistency_level: str = setting("Session", "Cosmos DB.")
    cosmosdbsql_max_retry_attempts: int = setting(9, "Cosmos DB.")
    cosmosdbsql_max_retry_wait_time: float = setting(30, "Cosmos DB.", unit="seconds")
    elasticsearch_max_retries: int | None = setting(None, "Elasticsearch.")
    elasticsearch_retry_on_timeout: bool | None = setting(None, "Elasticsearch.")
    elasticsearch_save_meta_as_text: bool = setting(True, "Elasticsearch.")
    elasticsearch_timeout: float | None = setting(None, "Elasticsearch.", unit="seconds")
    gcs_bucket: str | None = setting(None, "Google Cloud Storage.")
    gcs_base_path: str = setting("", "Google Cloud Storage.")
    gcs_project: str | None = setting(None, "Google Cloud Storage.")
    gcs_ttl: float = setting(0, "Google Cloud Storage.", unit="seconds")
    s3_bucket: str | None = setting(None, "Amazon S3.")
    s3_base_path: str | None = setting(None, "Amazon S3.")
    s3_endpoint_url: str | None = setting(None, "Amazon S3.")
    s3_region: str | None = setting(None, "Amazon S3.")
    s3_access_key_id: str | None = setting(None, "Amazon S3.", secret=True)
    s3_secret_access_key: str | None = setting(None, "Amazon S3.", secret=True)
