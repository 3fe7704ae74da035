"""The database: models, units of work, repositories and migrations; the only package that sees queries."""

from hawkfish.db.database import Database, SchemaStatus
from hawkfish.db.unit_of_work import UnitOfWork

__all__ = ["Database", "SchemaStatus", "UnitOfWork"]
