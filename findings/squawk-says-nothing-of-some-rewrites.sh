#!/usr/bin/env bash
# squawk warns of ALTER TABLE ... SET NOT NULL, and says nothing of locks at statements that rewrite a whole table.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check squawk-cli==2.70.0

{
    echo "SET lock_timeout = '1s'; SET statement_timeout = '1s';"
    echo "VACUUM FULL t;"
    echo "CLUSTER t USING i;"
    echo "REFRESH MATERIALIZED VIEW v;"
    echo "ALTER TABLE IF EXISTS t SET UNLOGGED;"
    echo "ALTER TABLE IF EXISTS t SET TABLESPACE x;"
} >rewrites.sql
{ echo "SET lock_timeout = '1s'; SET statement_timeout = '1s';"; echo "ALTER TABLE t ALTER c SET NOT NULL;"; } >known.sql
venv/bin/squawk --version
said=$(venv/bin/squawk --pg-version 16 --reporter gcc --exclude prefer-robust-stmts rewrites.sql || true)
known=$(venv/bin/squawk --pg-version 16 --reporter gcc --exclude prefer-robust-stmts known.sql || true)
echo "of five rewrites under ACCESS EXCLUSIVE: ${said:-nothing}"
echo "of SET NOT NULL: $known"
case $said in *warning* | *error*) echo CHANGED; exit 1 ;; esac
case $known in *adding-not-nullable-field*) ;; *) echo CHANGED; exit 1 ;; esac
