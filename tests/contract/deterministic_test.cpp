// Under Deterministic a run comes out the same to the bit however its passes are made: as graphs or not, whatever is computed again, with dense copies of a
// quantised base or without.
#include <gtest/gtest.h>

#include "cases.h"
#include "graft/core/runtime.h"
#include "graft/quant/quantized_weight.h"
#include "graft/train/adamw.h"
#include "graft/train/step_graphs.h"

namespace graft::testing {
namespace {

struct Way {
  std::string name;
  bool replays = false;
  Recompute recompute = Recompute::none;
  bool cache = false;
};

/// Two rows of two to twenty tokens, other lengths in each step.
HostBatch rows_of_step(int64_t step) {
  HostBatch host;
  host.rows = 2, host.columns = 3 + step * 7 % 18;
  for (int64_t i = 0; i < 2 * host.columns; ++i) {
    const int64_t row = i / host.columns, column = i % host.columns;
    const bool real = row == 0 || column < host.columns - step % 3;
    host.ids.push_back(real ? (i * 31 + step * 17) % 97 : 0);
    host.positions.push_back(column);
    host.segments.push_back(real ? row : -1);
    host.targets.push_back(real && i % 3 != 0 ? (i * 5 + step) % 97 : -100);
    host.target_count += host.targets.back() >= 0;
  }
  return host;
}

/// The adapter after 50 steps.
TensorMap trained(const std::string& format, const Way& way) {
  QuantizationOptions quantization;
  quantization.format = format;
  Json config = tiny_config("llama");
  if (format == "none") config["head_dim"] = 64;   // graft's own attention on Hopper
  const auto m = random_model(config, {test_device(), at::kBFloat16, quantization}, 5);
  AdapterOptions options;
  options.method = "lora";
  options.select_options();
  options.target_modules = "all-linear";
  graft_adapter(*m, "a", options, 1);
  m->set_fused(true), m->set_recompute(way.recompute);
  if (way.cache)
    for (const Site* site : m->sites())
      if (const auto* weight = dynamic_cast<const QuantizedWeight*>(site->weight())) weight->keep_dense(true);
  std::vector<OptimizedParameter> list;
  for (const auto& [name, tensor] : parameters(*m, "a")) list.push_back({name, tensor});
  AdamW optimizer(list, {});
  StepGraphs graphs(*m, way.replays);
  for (int64_t s = 0; s < 50; ++s) {
    optimizer.zero_grad();
    const Tensor loss = backward(*m, "a", {rows_of_step(s), rows_of_step(s + 50)}, {.step = s}, &graphs);
    optimizer.step(1e-2, {.max_norm = 1, .loss = loss});
  }
  TensorMap all;
  for (const auto& [name, tensor] : parameters(*m, "a")) all[name] = tensor.detach().clone();
  return all;
}

TEST(Deterministic, NoWayOfMakingPassesChangesARun) {
  const graft::Deterministic deterministic(true);
  for (const std::string format : {"none", "nf4"}) {
    const TensorMap expected = trained(format, {"plainly"});
    for (const Way& way : {Way{"again"}, Way{"graphs", true}, Way{"gate_up", true, Recompute::gate_up}, Way{"layer", true, Recompute::layer},
                           Way{"layer without graphs", false, Recompute::layer}, Way{"offload", false, Recompute::offload}, Way{"cache", true, Recompute::none, true}}) {
      const TensorMap got = trained(format, way);
      for (const auto& [name, tensor] : expected) EXPECT_TRUE(tensor.equal(got.at(name))) << format << " " << way.name << " " << name;
    }
  }
}

}  // namespace
}  // namespace graft::testing
