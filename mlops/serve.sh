#!/bin/sh
# The champion behind REST, on this machine only: mlops/serve.sh [PORT]. No login is asked for.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
export PATH
exec lmtcnn serve --model models:/lmtcnn@champion --host 127.0.0.1 --port "${1:-5001}" --workers "${WORKERS:-2}"
