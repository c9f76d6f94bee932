#!/bin/bash
# Runs once, when PostgreSQL's volume is empty: a role and a database for Airflow and one for MLflow.
set -euo pipefail

for name in airflow mlflow; do
    variable="${name^^}_DB_PASSWORD"
    psql --username "$POSTGRES_USER" --set ON_ERROR_STOP=1 --set "name=$name" --set "password=${!variable}" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
SQL
done
