"""Alembic's entry: runs revisions on the connection that `Database` lends."""

from typing import Any, Literal

from alembic import context

from hawkfish.db import models
from hawkfish.db.base import Base, JsonType, UtcDateTime


def render_item(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Has new revisions name our own column types, so that they stay short and import what they need."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "base.UtcDateTime()"
    if kind == "type" and isinstance(item, type(JsonType)):
        return "base.JsonType"
    return False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    transaction_per_migration=True,
    render_as_batch=connection.dialect.name == "sqlite",
    render_item=render_item,
    compare_type=True,
)
assert models.ALL  # noqa: S101  imported for its effect: every model is in the metadata
with context.begin_transaction():
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET lock_timeout = '30s'")
    context.run_migrations()
