#!/usr/bin/env bash
# AdapterHub's own virtual environment: it pins another transformers than PEFT's. The large packages (torch, numpy, safetensors ...) are
# taken from .deps/venv, which ./setup.sh test makes. usage: adapterhub_setup.sh [FOLDER]     FOLDER: .deps/adapterhub if not given
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
shared=.deps/venv/bin/python venv=${1:-.deps/adapterhub}
[[ -x $shared ]] || { echo "adapterhub_setup.sh: no $shared; run ./setup.sh test first" >&2; exit 1; }
wanted=(adapters==1.3.0 transformers==4.57.6 tokenizers==0.22.1 huggingface_hub==0.36.0)
made=$venv/.made-$(printf '%s\n' "${wanted[@]}" | sha256sum | cut -c1-16)
[[ -e $made ]] && exit 0
rm -rf "$venv"
"$shared" -m venv --without-pip "$venv"
packages() { "$1" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])'; }
"$shared" -m pip install -q --no-deps --disable-pip-version-check --target "$(packages "$venv/bin/python")" "${wanted[@]}"
packages "$shared" > "$(packages "$venv/bin/python")/shared.pth"   # searched after its own packages
"$venv/bin/python" -c 'import adapters, torch; print("AdapterHub", adapters.__version__, "on torch", torch.__version__)'
touch "$made"
