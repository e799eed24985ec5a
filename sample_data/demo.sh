#!/bin/sh
# The whole of aster on the sample logs, as a newcomer would type it. See `make demo`.
set -eu
BIN=${BIN:-.venv/bin}
DEMO=${DEMO:-demo}
aster="$BIN/aster"

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold= plain=; fi
say() { printf '\n%s$ aster %s%s\n' "$bold" "$*" "$plain"; }
run() { say "$*"; "$aster" "$@"; }

rm -rf "$DEMO"
mkdir "$DEMO"
run inspect sample_data/normal.parquet --id-col pump
run backbone fetch
run train sample_data/normal.parquet --id-col pump -o "$DEMO/pumps.aster"
run inspect "$DEMO/pumps.aster"
run score sample_data/live.csv -m "$DEMO/pumps.aster" -o "$DEMO/scores.parquet" \
    --report "$DEMO/report.html"
run eval sample_data/live.csv --scores "$DEMO/scores.parquet" \
    --baseline knn --baseline pca --normal sample_data/normal.parquet --id-col pump \
    --report "$DEMO/judged.html"
run inspect "$DEMO/scores.parquet"
