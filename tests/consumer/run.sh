#!/usr/bin/env bash
# Installs graft into an empty prefix and builds and runs another project against it. usage: run.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >/dev/null
if grep -rlF "$PWD/" "$work/prefix/lib/cmake" "$work/prefix/include"; then echo "consumer: the files above name this checkout" >&2; exit 1; fi
torch=${LIBTORCH_DIR:-$(echo "$PWD"/.deps/venv/lib/python3*/site-packages/torch)}
cmake -S tests/consumer -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" -DLIBTORCH_DIR="$torch" >/dev/null
cmake --build "$work/build" >"$work/log" 2>&1 || { tail -n 20 "$work/log"; echo "consumer: the build failed" >&2; exit 1; }
golden=tests/golden
mkdir "$work/trained"; cp $golden/training/init/adapter_config.json $golden/training/adapter_model.safetensors "$work/trained/"
out=$("$work/build/consumer" $golden/tiny_chat $golden/training/init "$work/trained")
echo "$out"
# init's B is zero: the base's own answer; the trained adapter's is another, and switching back gives the first again.
[[ $(sed -n 's/^\[\] //p' <<<"$out") == "$(sed -n 's/^\[one\] //p' <<<"$out" | head -n 1)" ]] || { echo "consumer: a zero adapter changed the answer" >&2; exit 1; }
[[ $(grep -c '^\[one\]' <<<"$(sort -u <<<"$out")") == 1 ]] || { echo "consumer: switching back changed the answer" >&2; exit 1; }
[[ $(sed -n 's/^\[one\] //p' <<<"$out" | head -n 1) != "$(sed -n 's/^\[two\] //p' <<<"$out")" ]] || { echo "consumer: the trained adapter changed nothing" >&2; exit 1; }
echo "consumer: built, linked and ran against the installed library"
