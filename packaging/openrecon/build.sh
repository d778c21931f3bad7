#!/bin/sh
# Makes wheel and label, and builds the image. Run it with the Python that has mrirecon[test].
#
#   TORCH_INDEX=URL packaging/openrecon/build.sh [OUTPUT]
#
# TORCH_INDEX is the package index of PyTorch's CPU builds, as PyTorch's installation page names it.
# OUTPUT, a folder that does not exist yet, gets what docker is given, the image as a tar file, and
# the name that the console expects. DOCKER=echo only shows the commands.
set -eu

: "${TORCH_INDEX:?set it to the index of the CPU builds of PyTorch}"
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
output=${1:-"$root/dist/openrecon"}
python=${PYTHON:-python3}
docker=${DOCKER:-docker}

mkdir -p "$(dirname "$output")"
mkdir "$output" "$output/context"
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$output/context" "$root"
cp "$here/Dockerfile" "$here/options.py" "$here/options.yaml" "$here/start.py" \
  "$here/requirements.txt" "$root/constraints.txt" "$output/context"
name=$("$python" "$here/label.py" --name)
image=$(echo "$name" | tr '[:upper:]' '[:lower:]')

"$docker" build --build-arg "TORCH_INDEX=$TORCH_INDEX" \
  --build-arg "METADATA=$("$python" "$here/label.py" --base64)" --tag "$image" "$output/context"
"$docker" save --output "$output/$name.tar" "$image"
echo "$output/$name.tar: put it with a PDF manual of the same name into $name.zip"
