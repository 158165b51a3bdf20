"""SQL scripts of a migration, run as they are: a prepared statement would take only one statement at a time."""

from importlib import resources

from alembic import op


def run_scripts(*names: str) -> None:
    """Runs scripts of the folder of migrations within the migration's transaction."""
    folder = resources.files("outcry.adapters.postgres") / "migrations" / "versions"
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None
    for name in names:
        script = (folder / name).read_text(encoding="utf-8")
        connection.run_async(lambda plain, script=script: plain.execute(script))
