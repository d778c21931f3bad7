#!/bin/sh
# Starts the server inside the chroot image and returns; FIRE calls it when a measurement begins.
#
#   start.sh [LOG [KEY=VALUE ...]]    the log file, and further words of `mrirecon serve`
#
# What the server is to do stands in options.yaml, as for the container.
set -eu

here=${MRIRECON:-/opt/mrirecon}
scratch=${SCRATCH:-/tmp/share}  # shared with the host, so that the image itself is never filled
export PATH="/usr/local/bin:$PATH"  # where the image has its Python
export HOME="$scratch" TMPDIR="$scratch" XDG_CACHE_HOME="$scratch" PYTHONDONTWRITEBYTECODE=1

if "${PYTHON:-python3}" "$here/start.py" --probe 2>/dev/null; then
  exit 0  # it runs already: sessions are served one after the other, or at once
fi
log=${1:-"$scratch/mrirecon.log"}
[ $# -eq 0 ] || shift
nohup "${PYTHON:-python3}" "$here/start.py" "$@" </dev/null >>"$log" 2>&1 &
echo $! >"$scratch/mrirecon.pid"
