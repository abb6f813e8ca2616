#!/usr/bin/env bash
# Every oracle that CI can afford. usage: run.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=$1 python=.deps/venv/bin/python
run() { echo "-- $*"; "$@"; }
for case in llama llama_untied_bias llama3_rope qwen2 qwen3; do run $python tests/oracle/compare_model.py "$build/tests/model_dump" tests/golden/$case; done
run $python tests/oracle/families.py "$build"
run $python tests/oracle/encoder_oracle.py "$build/tests/model_dump"
run $python tests/oracle/io_oracle.py --dump "$build/tests/io_dump"
run $python tests/oracle/tokenizer_oracle.py "$build/tests/tokenizer_dump" .deps/llama.cpp/models .deps/models/SmolLM2-135M-Instruct.Q4_1.gguf 2000
run $python tests/oracle/wordpiece_oracle.py "$build/tests/tokenizer_dump" 2000
run $python tests/oracle/trained_oracle.py "$build/tests/tokenizer_dump" .deps/llama.cpp/models
run $python tests/oracle/chat_template_oracle.py "$build/tests/chat_template_dump"
run $python tests/oracle/bitsandbytes_bytes.py "$build/tests/quant_dump" cpu 200
run $python tests/oracle/quantization_error.py "$build/tests/quant_dump"
KILLS=1 benchmarks/acceptance/main_job.sh --only exports
run $python tests/oracle/peft_adapters.py "$build"
run $python tests/oracle/tensorboard_events.py "$build/graft"
if command -v chromium >/dev/null; then run $python tests/oracle/report_browser.py "$build/graft"; else echo "-- report_browser.py: not run, no chromium here"; fi
run tests/oracle/adapterhub_setup.sh
run .deps/adapterhub/bin/python tests/oracle/hub_adapters.py "$build"
