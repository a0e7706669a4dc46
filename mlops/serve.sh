#!/bin/sh
# The champion behind REST, on this machine only: mlops/serve.sh [PORT]. MLflow's server checks no login.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"  # `mlflow models serve` runs uvicorn from PATH
export PATH MLFLOW_DISABLE_TELEMETRY=true MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false
export MLFLOW_TRACKING_URI="${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"
exec mlflow models serve -m models:/lmtcnn@champion --env-manager local --host 127.0.0.1 --port "${1:-5001}"
