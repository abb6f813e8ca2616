#!/usr/bin/env bash
# Builds llama.cpp's library, for the CPU, and the small program that asks it (llama_oracle.cpp) into .deps/llama.cpp-library: the oracle
# of what graft exports, needed by nothing else. From the sdist that setup.sh pins; some 20 minutes on two cores, once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${GRAFT_VENV_PYTHON:-.deps/venv/bin/python}
built=$PWD/.deps/llama.cpp-library
pinned() { sed -n "s/^$1=\([^ ]*\).*/\1/p" setup.sh; }
version=$(pinned llama_version)

if [[ ! -e $built/.ready-$version ]]; then
  rm -rf "$built" && mkdir -p "$built"
  "$python" -m pip install -q scikit-build-core
  "$python" -m pip download -q --no-deps --no-binary llama-cpp-python --no-build-isolation -d "$built" "llama-cpp-python==$version"
  archive=$built/llama_cpp_python-$version.tar.gz
  echo "$(pinned llama_sha256)  $archive" | sha256sum --check --status
  inner=llama_cpp_python-$version/vendor/llama.cpp
  tar -xzf "$archive" -C "$built" --strip-components=3 "$inner"/{CMakeLists.txt,LICENSE,cmake,ggml,include,src,vendor,conversion,gguf-py} \
    "$inner"/convert_{hf,lora}_to_gguf.py
  rm "$archive"
  launcher=()
  command -v ccache >/dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  cmake -S "$built" -B "$built/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON -DGGML_OPENMP=OFF -DLLAMA_OPENSSL=OFF \
    -DLLAMA_BUILD_{COMMON,TOOLS,TESTS,EXAMPLES,SERVER,APP}=OFF "${launcher[@]}"
  cmake --build "$built/build" -j "${JOBS:-2}" --target llama
  touch "$built/.ready-$version"
fi
lib=$built/build/bin
if [[ benchmarks/acceptance/llama_oracle.cpp -nt $built/llama_oracle ]]; then
  g++ -std=c++20 -O2 -I"$built/include" -I"$built/ggml/include" benchmarks/acceptance/llama_oracle.cpp -o "$built/llama_oracle" \
    -L"$lib" -lllama -lggml -lggml-base -lggml-cpu -Wl,-rpath,"$lib"
fi
echo "$built/llama_oracle"
