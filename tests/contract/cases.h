#pragma once
// The tables walked: every method on every storage format on one family of each shape, and on every family with the base as it is.
#include <torch/csrc/autograd/autograd.h>

#include "graft/core/error.h"
#include "graft/data/batches.h"
#include "graft/models/family.h"
#include "graft/train/loss.h"
#include "support/models.h"

namespace graft::testing {

struct Case {
  std::string family, method, format;
};

/// Llama and BERT stand for their kin on every format; a decoder's own names and shapes meet one format.
inline bool is_walked(std::string_view family, std::string_view method, std::string_view format) {
  if (format == "none" || family == "llama" || family == "bert") return true;
  const bool first = family == "mistral" || family == "qwen2" || family == "qwen3";
  return format == "nf4" && family != "roberta" && (first || method == "lora");
}

inline std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Family* family : families())
    for (const MethodRow* method : methods())
      for (const auto format : format_names())
        if (is_walked(family->name, method->name, format)) all.push_back({std::string(family->name), std::string(method->name), std::string(format)});
  return all;
}

class Contract : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (GetParam().method == "loftq" && GetParam().format == "none") GTEST_SKIP() << "LoftQ is for quantised bases (RefusesADenseBase)";
  }
  std::shared_ptr<Transformer> model(at::ScalarType dtype = at::kFloat) const { return random_model(tiny_config(GetParam().family), {test_device(), dtype, quantization(), tiny_task(GetParam().family)}, 5); }
  QuantizationOptions quantization() const {
    QuantizationOptions quantization;
    quantization.format = GetParam().format;
    quantization.double_quantization = GetParam().format == "nf4";
    return quantization;
  }
  AdapterOptions options() const {
    AdapterOptions options;
    options.method = GetParam().method;
    options.select_options();
    std::visit([](auto& o) {   // small, and smooth enough for finite differences
      if constexpr (requires { o.non_linearity; }) o.non_linearity = "gelu";
      if constexpr (requires { o.num_virtual_tokens; }) o.num_virtual_tokens = 3;
      if constexpr (requires { o.encoder_hidden_size; }) o.encoder_hidden_size = 8;
    }, options.options);
    return options;
  }
  GraftSetting setting() const {
    GraftSetting setting{.seed = 1};
    const std::shared_ptr<Transformer> dense = random_model(tiny_config(GetParam().family), {.task = tiny_task(GetParam().family)}, 5);
    setting.original = [dense](const std::string& tensor) { return dense->find_site(module_of(tensor))->values().weight; };
    return setting;
  }
  std::shared_ptr<Transformer> grafted(at::ScalarType dtype = at::kFloat) const {
    const auto m = model(dtype);
    graft_adapter(*m, "a", options(), setting());
    randomize(*m, "a", GetParam().family.starts_with("gemma") ? 0.1 : 0.2);   // the norms' 1 + w is 2: scores are four times as large
    return m;
  }
};

/// Two rows of 9 and 6 tokens, the second padded; targets at a few.
inline HostBatch host_batch(uint64_t seed = 1) {
  const Batch batch = batch_of({9, 6}, 97, seed);
  HostBatch host;
  host.rows = 2, host.columns = 9;
  const auto flat = [](const Tensor& device_tensor) {
    const Tensor x = device_tensor.cpu();
    return std::vector<int64_t>(x.const_data_ptr<int64_t>(), x.const_data_ptr<int64_t>() + x.numel());
  };
  host.ids = flat(batch.ids), host.positions = flat(batch.positions), host.segments = flat(batch.segments);
  for (int64_t i = 0; i < 18; ++i) {
    const bool learnt = host.segments[static_cast<size_t>(i)] >= 0 && i % 9 >= 2;
    host.targets.push_back(learnt ? (host.ids[static_cast<size_t>(i)] * 7 + 3) % 97 : -100);
    host.target_count += learnt, host.token_count += host.segments[static_cast<size_t>(i)] >= 0;
  }
  return host;
}

/// ... as the model takes it with an adapter ("": the base).
inline Batch batch_for(const Transformer& model, const std::string& adapter, const HostBatch& host = host_batch()) {
  Batch batch = to_batch(with_virtual_tokens(host, model.virtual_tokens(adapter)), model.device());
  batch.adapter = adapter;
  return batch;
}

/// Logits of the real tokens' positions: [rows, 9, classes].
inline Tensor logits_of(Transformer& model, const std::string& adapter, const HostBatch& host = host_batch()) {
  return logits(model, batch_for(model, adapter, host)).slice(1, model.virtual_tokens(adapter).slots);
}

inline void clear_gradients(const Transformer& model, const std::string& name) {
  for (const auto& p : parameters(model, name)) Tensor(p.tensor).mutable_grad().reset();
}

}  // namespace graft::testing
