#!/usr/bin/env bash
# run.sh HISTORY.csv NEXT.csv [FOLDER]: the whole way, in an environment with werk
set -euo pipefail
history=$(realpath "$1") next=$(realpath "$2") plan=$(realpath "$(dirname "$0")/plan.toml")
cd "${3:-.}"
werk init machine-failure --from "$history" --target "Machine failure" --key UID
cp "$plan" machine-failure/plan.toml && cd machine-failure
werk ingest raw.history "$history"
werk run training
token=$(werk actor add "Somebody Else" | grep -o "werk_[A-Za-z0-9_-]*")
WERK_TOKEN=$token werk approve machine-failure:1
werk ingest raw.later "$next" --contract raw.history
werk run batch_inference -p table=raw.later -p window=later
werk monitor
werk serve --port "${PORT:-8000}" & server=$!
trap 'kill $server' EXIT
until curl -s "http://127.0.0.1:${PORT:-8000}/v2/health/ready"; do sleep 0.2; done
curl -sf "http://127.0.0.1:${PORT:-8000}/invocations" -H "Authorization: Bearer $token" -H "Content-Type: application/json" -d '{"dataframe_records":
  [{"Type": "L", "Air temperature [K]": 300.1, "Process temperature [K]": 310.2, "Rotational speed [rpm]": 1350, "Torque [Nm]": 62.0, "Tool wear [min]": 210}]}'
