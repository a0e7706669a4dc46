#!/bin/sh
# The tracking server, in a container or not. Everything that differs comes from the environment (.env.example).
# It listens on this machine only, unless HOST says otherwise.
set -eu
export MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
: "${DATABASE_URI:?}" "${ARTIFACTS:?}" "${MLFLOW_FLASK_SERVER_SECRET_KEY:?}"
MLFLOW_AUTH_CONFIG_PATH=$(mktemp) # holds the database's password: nobody else may read it
export MLFLOW_AUTH_CONFIG_PATH
python "$(dirname "$0")/auth.py" > "$MLFLOW_AUTH_CONFIG_PATH"
# By the environment and not as arguments, which every user of the machine can read.
export MLFLOW_BACKEND_STORE_URI="$DATABASE_URI" MLFLOW_ARTIFACTS_DESTINATION="$ARTIFACTS"
HOST="${HOST:-127.0.0.1}" PORT="${PORT:-5000}"
exec mlflow server --host "$HOST" --port "$PORT" --workers "${WORKERS:-2}" --app-name basic-auth \
    --allowed-hosts "${ALLOWED_HOSTS:-$HOST:$PORT,localhost:$PORT}" \
    --cors-allowed-origins "${ALLOWED_ORIGINS:-http://$HOST:$PORT,http://localhost:$PORT}"
