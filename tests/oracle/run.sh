#!/usr/bin/env bash
# Every oracle that CI can afford. usage: run.sh BUILD_FOLDER [--list]      --list: only their commands, a line each; none waits for another
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=$1 python=.deps/venv/bin/python golden=tests/golden
oracles=(   # the long ones first
  "tests/oracle/adapterhub_setup.sh && .deps/adapterhub/bin/python tests/oracle/hub_adapters.py $build"
  "$python tests/oracle/tokenizer_oracle.py $build/tests/tokenizer_dump .deps/llama.cpp/models .deps/models/SmolLM2-135M-Instruct.Q4_1.gguf 2000"
  "$python tests/oracle/families.py $build"
  "$python tests/oracle/peft_adapters.py $build"
  "KILLS=1 benchmarks/acceptance/main_job.sh --only exports"
  "$python tests/oracle/io_oracle.py --dump $build/tests/io_dump"
  "$python tests/oracle/compare_model.py $build/tests/model_dump $golden/llama $golden/llama_untied_bias $golden/llama3_rope $golden/qwen2 $golden/qwen3"
  "$python tests/oracle/trained_oracle.py $build/tests/tokenizer_dump .deps/llama.cpp/models"
  "$python tests/oracle/chat_template_oracle.py $build/tests/chat_template_dump"
  "$python tests/oracle/bitsandbytes_bytes.py $build/tests/quant_dump cpu 200"
  "$python tests/oracle/encoder_oracle.py $build/tests/model_dump"
  "$python tests/oracle/wordpiece_oracle.py $build/tests/tokenizer_dump 2000"
  "$python tests/oracle/quantization_error.py $build/tests/quant_dump"
  "$python tests/oracle/tensorboard_events.py $build/graft"
)
if command -v chromium >/dev/null; then oracles+=("$python tests/oracle/report_browser.py $build/graft"); else echo "report_browser.py: not run, no chromium here" >&2; fi
if [[ ${2:-} == --list ]]; then printf '%s\n' "${oracles[@]}"; exit; fi
for oracle in "${oracles[@]}"; do echo "-- $oracle"; bash -c "$oracle"; done
