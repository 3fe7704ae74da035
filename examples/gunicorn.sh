#!/usr/bin/env bash
# The API under a gunicorn of your own, and a worker beside it: two processes that share a data directory, or a PostgreSQL database.
#   HF_DATA_DIR=/srv/hawkfish examples/gunicorn.sh [HOST:PORT]
# Clear text: put a proxy with TLS in front of it, or use `hawkfish api`, which has TLS of its own.
set -euo pipefail
: "${HF_DATA_DIR:?the data directory}"
export HF_TLS=false HF_BIND=${1:-127.0.0.1:8000}

hawkfish admin db upgrade
hawkfish worker &
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
gunicorn -k geventwebsocket.gunicorn.workers.GeventWebSocketWorker --worker-connections 20000 --bind "$HF_BIND" \
  hawkfish.api.wsgi:app &
wait -n
