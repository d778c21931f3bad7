#!/bin/sh
# Makes the file system image that FIRE mounts and starts, of the container image.
#
#   packaging/fire/chroot.sh IMAGE OUTPUT [FREE]
#
# IMAGE is a tag of packaging/openrecon/build.sh, OUTPUT the file to make, FREE the megabytes that
# are left free in it (256). Needs docker, mke2fs (e2fsprogs), and root for the owners of the files.
set -eu

image=${1:?usage: chroot.sh IMAGE OUTPUT [FREE]}
output=${2:?usage: chroot.sh IMAGE OUTPUT [FREE]}
free=${3:-256}
here=$(cd "$(dirname "$0")" && pwd)
docker=${DOCKER:-docker}

if [ -e "$output" ]; then
  echo "chroot.sh: $output exists already" >&2
  exit 1
fi
work=$(mktemp -d)
container=
trap '[ -z "$container" ] || "$docker" rm "$container" >/dev/null; rm -rf "$work"' EXIT
container=$("$docker" create "$image")
mkdir "$work/root"
"$docker" export "$container" | tar --extract --numeric-owner --directory "$work/root"
mkdir -p "$work/root/tmp/share"
install -m 755 "$here/start.sh" "$work/root/opt/mrirecon/start.sh"

size=$(($(du --summarize --block-size=1M "$work/root" | cut -f1) * 11 / 10 + free))
mke2fs -q -t ext3 -L mrirecon -d "$work/root" "$output.part" "${size}M"
mv "$output.part" "$output"
echo "$output: $size MB; FIRE's start command is /opt/mrirecon/start.sh LOG"
