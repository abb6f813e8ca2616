// Any adapter folder, of PEFT or AdapterHub: load_adapter seats it in a tiny model or refuses it. An input is a folder in one
// piece: adapter_config.json, a NUL, the weights; those are AdapterHub's where the config does not say peft_type.
//
// The one reader that needs LibTorch, which is built by g++: this target comes from the ordinary build, with the calls that g++
// makes at every edge (-fsanitize-coverage=trace-pc) counted where libFuzzer looks.
#include <algorithm>

#include "graft/core/error.h"
#include "graft/models/load.h"
#include "graft/peft/adapter_file.h"
#include "scratch_file.h"

namespace {

__attribute__((section("__libfuzzer_extra_counters"))) uint8_t counters[1 << 16];

std::shared_ptr<graft::Transformer> tiny_model() {
  const auto files = graft::open_model_files(GRAFT_FUZZ_MODEL);
  return graft::load_model(*files, {at::kCPU, at::kFloat, {}, {}}, {}, {});
}

}  // namespace

/// The linker's --wrap brings the calls here: libFuzzer's own function of that name only says that it follows them no more.
extern "C" void __wrap___sanitizer_cov_trace_pc() {
  const auto edge = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  uint8_t& counter = counters[(edge * 0x9e3779b97f4a7c15ULL) >> 48];
  if (counter < 255) ++counter;
}
// What g++ tells of comparisons of floats, which libFuzzer has no ear for.
extern "C" void __sanitizer_cov_trace_cmpf(float, float) {}
extern "C" void __sanitizer_cov_trace_cmpd(double, double) {}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto model = tiny_model();
  static graft::ScratchFile config("adapter_config.json");
  static const auto peft = config.folder() / "adapter_model.safetensors", hub = config.folder() / "adapter.safetensors";
  const uint8_t* end = std::find(data, data + size, 0);
  const std::string_view text(reinterpret_cast<const char*>(data), static_cast<size_t>(end - data));
  config.fill(data, text.size());
  std::filesystem::remove(peft), std::filesystem::remove(hub);
  const size_t left = size - text.size();
  graft::ScratchFile::fill(text.find("peft_type") != std::string_view::npos ? peft : hub, left ? end + 1 : end,
                           left ? left - 1 : 0);
  try {
    graft::load_adapter(*model, "fuzzed", config.folder());
    graft::remove_adapter(*model, "fuzzed");
  } catch (const graft::Error&) {
  }
  return 0;
}
