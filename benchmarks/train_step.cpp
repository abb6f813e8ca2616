// Seconds of one optimizer step of an adapter (LoRA of rank 16 on all linear layers) on full rows of random tokens, every token a target.
//   train_step MODEL ROWS COLUMNS DTYPE DEVICE [STEPS [WORD ...]]     MODEL: a model's path, or a config.json for random weights
// WORD: a storage format, `double` (quantisation of its constants), `recompute`, a method, `together=N` (N adapters in one pass, each with ROWS),
// `plain` (no fused blocks), `graphs`.
// Prints one JSON line: the median step, tokens/s, memory in a step and between steps (and what a plan says of it), first and last loss.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <malloc.h>

#include <algorithm>
#include <chrono>

#include "graft/core/error.h"
#include "graft/core/json.h"
#include "graft/core/runtime.h"
#include "graft/models/load.h"
#include "graft/models/plan.h"
#include "graft/peft/graft_adapter.h"
#include "graft/train/adamw.h"
#include "graft/train/loss.h"
#include "graft/train/step_graphs.h"
#include "graft/core/tensor_peak.h"

using namespace graft;

namespace {

HostBatch full_rows(int64_t rows, int64_t columns, int64_t vocab) {
  at::manual_seed(1);
  const Tensor ids = at::randint(vocab, {rows * columns + 1}, at::kLong);
  HostBatch batch;
  batch.rows = rows, batch.columns = columns;
  batch.target_count = batch.token_count = rows * columns;
  for (int64_t i = 0; i < rows * columns; ++i) {
    batch.ids.push_back(ids[i].item<int64_t>());
    batch.targets.push_back(ids[i + 1].item<int64_t>());
    batch.positions.push_back(i % columns);
    batch.segments.push_back(i / columns);
  }
  return batch;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) return fmt::print(stderr, "usage: train_step MODEL ROWS COLUMNS DTYPE DEVICE [STEPS [WORD ...]]\n"), 2;
  mallopt(M_MMAP_THRESHOLD, 1 << 30);   // as the program does
  mallopt(M_TRIM_THRESHOLD, 2'000'000'000);
  try {
    const std::string path = argv[1];
    const int64_t rows = std::atoll(argv[2]), columns = std::atoll(argv[3]), steps = argc > 6 ? std::atoll(argv[6]) : 6;
    const at::Device device = device_from_name(argv[5]);
    const at::ScalarType dtype = dtype_from_name(argv[4], device);
    LoadOptions load{device, dtype, {}};
    Recompute mode = Recompute::none;
    bool plain = false, replayed = false;
    int64_t together = 1;
    AdapterOptions options;
    for (int i = 7; i < argc; ++i) {
      const std::string word = argv[i];
      if (word == "recompute") mode = Recompute::layer;
      else if (std::ranges::count(recompute_names(), word) > 0 && word != "none") mode = recompute_named(word);
      else if (word == "plain") plain = true;
      else if (word == "graphs") replayed = true;
      else if (word.starts_with("together=")) together = std::atoll(word.c_str() + 9);
      else if (std::any_of(methods().begin(), methods().end(), [&](const MethodRow* row) { return row->name == word; })) options.method = word;
      else if (word == "double") load.quantization.double_quantization = true;
      else load.quantization.format = word;
    }
    TensorPeak tensors;
    const auto model = path.ends_with(".json") ? random_model(read_json(path), load, 1) : load_model(*open_model_files(path), load);
    const double loaded = static_cast<double>(device_memory(device).allocated) / (1 << 30), loading_peak = static_cast<double>(device_memory(device).allocated_peak) / (1 << 30);
    model->set_recompute(mode);
    if (plain) model->set_fused(false);
    options.select_options();
    std::visit([](auto& o) {
      if constexpr (requires { o.alpha; }) o.rank = 16, o.alpha = 32;
    }, options.options);
    std::vector<OptimizedParameter> list;
    std::vector<Share> shares;
    const HostBatch batch = full_rows(rows, columns, model->vocab_size());
    for (int64_t i = 0; i < together; ++i) {
      const std::string name = "adapter" + std::to_string(i);
      graft_adapter(*model, name, options, static_cast<uint64_t>(i + 1));
      for (const auto& [key, tensor] : parameters(*model, name))
        if (tensor.requires_grad()) list.push_back({name + "." + key, tensor});
      shares.push_back({name, {batch}, {}});
    }
    AdamW optimizer(list, {});
    const bool can_replay = replayed && StepGraphs::can_capture(*model, "adapter0");
    const auto graphs = can_replay ? std::make_unique<StepGraphs>(*model) : nullptr;
    std::vector<double> seconds, losses;
    reset_peak_memory(device), tensors.reset();
    int64_t between = 0;
    for (int64_t s = 0; s < steps + 3; ++s) {   // three to warm up: graphs replay from the third
      synchronize(device);
      const auto start = std::chrono::steady_clock::now();
      optimizer.zero_grad();
      for (Share& share : shares) share.context.step = s;
      const Tensor loss = backward_together(*model, shares, graphs.get()).front();
      optimizer.step(1e-3, {.max_norm = 1, .loss = loss});
      losses.push_back(loss.item<double>());
      synchronize(device);
      optimizer.zero_grad();
      between = std::max(between, device_memory(device).allocated);
      if (s >= 3) seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    std::sort(seconds.begin(), seconds.end());
    const double median = seconds[seconds.size() / 2];
    const Json config = path.ends_with(".json") ? read_json(path) : open_model_files(path)->config();
    const auto outline = outline_model(config);
    const StepPlan plan = plan_step(*outline, config, [&](const std::string& module) { return scheme_for(load.quantization, module); }, options, load.quantization,
                                    {.rows = rows, .columns = columns, .dtype = dtype, .on_cpu = device.is_cpu(), .fused = device.is_cuda() && !plain, .recompute = mode});
    Json parts = Json::object();
    for (const auto& part : plan.memory) parts[part.kind] = part.bytes;
    fmt::print("{}\n", to_line({{"program", "graft"}, {"model", path}, {"rows", rows}, {"columns", columns}, {"dtype", dtype_to_name(dtype)},
                                {"device", device.str()}, {"seconds", median}, {"tokens_per_second", static_cast<double>(rows * columns) / median},
                                {"format", load.quantization.format}, {"recompute", recompute_names()[static_cast<size_t>(mode)]}, {"fused_layers", model->fused_layers("adapter0")}, {"graphs", can_replay},
                                {"peak_gib", static_cast<double>(device_memory(device).allocated_peak) / (1 << 30)},
                                {"reserved_gib", static_cast<double>(device_memory(device).reserved_peak) / (1 << 30)},
                                {"loaded_gib", loaded}, {"loading_peak_gib", loading_peak},
                                {"between_steps_gib", static_cast<double>(between) / (1 << 30)},
                                {"driver_gib", static_cast<double>(device_memory(device).total - device_memory(device).free) / (1 << 30)},
                                {"planned_bytes", plan.bytes()}, {"planned", parts}, {"planned_moment", plan.moment}, {"token_flops", plan.token_flops},
                                {"tensor_peak_bytes", device.is_cpu() ? tensors.peak() : device_memory(device).allocated_peak},
                                {"first_loss", losses.front()}, {"last_loss", losses.back()}}));
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "train_step: {}\n", e.what());
    return 1;
  }
}
