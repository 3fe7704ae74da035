"""A boot override can be the set-up menu of firmware."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

CHECK = "ck_hf_systems_boot_device"
BEFORE = "boot_device IN ('disk', 'cd', 'network', 'usb', 'floppy')"
AFTER = "boot_device IN ('disk', 'cd', 'network', 'usb', 'floppy', 'setup')"


def upgrade() -> None:
    _change(BEFORE, AFTER)


def downgrade() -> None:
    op.execute("UPDATE hf_systems SET boot_enabled = 'Disabled', boot_device = NULL WHERE boot_device = 'setup'")
    _change(AFTER, BEFORE)


def _change(old: str, new: str) -> None:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        op.drop_constraint(op.f(CHECK), "hf_systems", type_="check")
        op.create_check_constraint(op.f(CHECK), "hf_systems", new)
        return
    # SQLite changes a CHECK by making the table anew, or by its text, as https://sqlite.org/lang_altertable.html#otheralter
    # has it for changes that no stored row is affected by. A batch of Alembic would lose the other constraints.
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = connection.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'hf_systems' AND instr(sql, ?)",
        (old, new, old),
    )
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
    if changed.rowcount != 1:
        raise RuntimeError(f"The table hf_systems has no {CHECK} as revision {down_revision} left it.")
    # Other connections read the schema anew when its number has changed.
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
