#!/usr/bin/env bash
# Outside a run `op` and `context` raise NameError, which says so. Once a run has ended in the process they raise AttributeError, about None.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check alembic==1.20.1 sqlalchemy==2.1.9

venv/bin/python - <<'PYTHON'
import io
from pathlib import Path

from alembic import command, op
from alembic.config import Config

config = Config(stdout=io.StringIO(), output_buffer=io.StringIO())
config.set_main_option("script_location", "scripts")
config.set_main_option("sqlalchemy.url", "postgresql://")
Path("scripts/versions").mkdir(parents=True)
# As many a history has it: the file may be loaded without a database, too.
Path("scripts/versions/a1.py").write_text(
    "from alembic import op\n"
    "revision, down_revision = 'a1', None\n"
    "try:\n    bind = op.get_bind()\nexcept NameError:\n    bind = None\n"
    "def upgrade(): pass\n"
)
Path("scripts/env.py").write_text(
    "from alembic import context\n"
    "context.configure(dialect_name='postgresql')\n"
    "with context.begin_transaction(): context.run_migrations()\n"
)


def told():
    try:
        op.get_bind()
    except Exception as error:
        return type(error).__name__
    return "nothing"


before = told()
command.history(config)
command.upgrade(config, "head", sql=True)
after = told()
try:
    command.history(config)
    again = "loaded"
except AttributeError as error:
    again = str(error)
print("op.get_bind() before a run:", before)
print("op.get_bind() after one:", after)
print("a file that catches NameError, loaded after one:", again)
assert (before, after) == ("NameError", "AttributeError"), (before, after)
assert again == "'NoneType' object has no attribute 'get_bind'", again
PYTHON
