#!/usr/bin/env bash
# run.sh HISTORY.csv NEXT.csv: the whole way, in an environment with requirements.txt
set -euo pipefail
history=$(realpath "$1") next=$(realpath "$2")
cd "$(dirname "$0")"
export CASE_DATA=${CASE_DATA:-$PWD/state} PREFECT_HOME=${PREFECT_HOME:-$PWD/state/prefect} PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW=ignore
export PREFECT_SERVER_ANALYTICS_ENABLED=false FEAST_USAGE=False DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true GIT_PYTHON_REFRESH=quiet
python -m pytest -q -c /dev/null --rootdir . -p no:cacheprovider tests
python land.py history "$history"
python land.py later "$next"
(cd feature_repo && feast apply)
python train.py
python approve.py 1 "Somebody Else"
python score.py later
python monitor.py later
uvicorn serve:app --host 127.0.0.1 --port "${PORT:-8000}" & server=$!
trap 'kill $server' EXIT
until curl -sf "http://127.0.0.1:${PORT:-8000}/ready"; do sleep 0.5; done
curl -sf "http://127.0.0.1:${PORT:-8000}/predict" -H "Content-Type: application/json" -d '{"parts": [{"type": "L", "air_temperature": 300.1,
  "process_temperature": 310.2, "rotational_speed": 1350, "torque": 62.0, "tool_wear": 210}]}'
