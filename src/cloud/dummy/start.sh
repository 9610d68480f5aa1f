#!/bin/sh
# The whole instance: it downloads cml, and runs it within its lifetime. Its folder and four values are its arguments.
cd "$1" || exit
url=$2 sha256=$3 lifetime=$4
trap 'echo $? >code' EXIT
curl -fsS -o program "$url" || exit
echo "$sha256  program" | sha256sum -c - || exit
chmod 700 program
timeout --foreground --kill-after=5 "$lifetime" ./program runner bootstrap --launch-file launch.json --lease-file lease
