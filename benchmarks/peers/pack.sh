#!/usr/bin/env bash
# The rivals' wheels as one small archive, for a machine without a network that has torch, triton, transformers and accelerate for Python 3.12.
#   pack.sh OUT.tar.gz          here, with a network
#   mkdir /tmp/rivals_site && tar -xzf OUT.tar.gz -C /tmp/rivals_site && export PYTHONPATH=/tmp/rivals_site          there
set -euo pipefail
(($# == 1)) || { sed -n '2,4p' "$0" >&2; exit 2; }
out=$(realpath -m "$1")
python=${GRAFT_VENV_PYTHON:-python3}
# bitsandbytes and Unsloth with what they import (xformers' wheel does not load with CUDA 13), Liger, PEFT.
wheels=(peft==0.21.0 liger_kernel==0.8.5 bitsandbytes==0.50.2 unsloth==2026.10.9 unsloth_zoo==2026.10.9 trl==1.15.0 datasets==4.8.5 torchao
        cut_cross_entropy tyro typeguard docstring_parser msgspec nest_asyncio dill multiprocess pydantic==2.14.4 pydantic_core==2.50.5 annotated_types)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
platforms=()
for glibc in 17 24 28; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done
"$python" -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp "${platforms[@]}" --platform manylinux2014_x86_64 \
  -d "$work/wheels" "${wheels[@]}"
for wheel in "$work"/wheels/*.whl; do "$python" -m zipfile -e "$wheel" "$work/site"; done
cd "$work/site"
# What is never used here: Unsloth's studio, command line, torchao's own kernels, other CUDA versions, tests.
rm -rf studio unsloth_cli test ./*/tests ./*/test torchao/_C*.so
find . -name 'libbitsandbytes_*' ! -name 'libbitsandbytes_cuda130.so' -delete
find . \( -name '__pycache__' -o -name '*.pyi' \) -prune -exec rm -rf {} +
tar -czf "$out" --owner=0 --group=0 .
echo "pack: $out, $(du -m "$out" | cut -f1) MiB of ${#wheels[@]} wheels"
