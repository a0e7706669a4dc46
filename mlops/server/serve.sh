#!/bin/sh
# The tracking server, in a container or not. Everything that differs comes from the environment (.env.example).
set -eu
export MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
: "${MLFLOW_FLASK_SERVER_SECRET_KEY:?}" "${MLFLOW_AUTH_ADMIN_PASSWORD:?}"
# Logins live in a database of their own beside the runs'.
MLFLOW_AUTH_CONFIG_PATH=$(mktemp)
export MLFLOW_AUTH_CONFIG_PATH
cat > "$MLFLOW_AUTH_CONFIG_PATH" <<CONFIG
[mlflow]
default_permission = READ
database_uri = ${DATABASE_URI:?}_auth
admin_username = admin
auth_cache_ttl_seconds = 60
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
CONFIG
exec mlflow server --host "${HOST:-0.0.0.0}" --port "${PORT:-5000}" --workers "${WORKERS:-2}" --app-name basic-auth \
    --backend-store-uri "$DATABASE_URI" --artifacts-destination "${ARTIFACTS:?}" \
    --allowed-hosts "${ALLOWED_HOSTS:?}" --cors-allowed-origins "${ALLOWED_ORIGINS:?}"
