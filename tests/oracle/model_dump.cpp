// What the oracles compare: a model's logits (GRAFT_DUMP_DTYPE, else fp32) and greedy tokens in fp32.
//   model_dump logits MODEL ids.json out.safetensors [ADAPTER]     tensors logits_0, logits_1, ...: [time, vocab], a row for each token given
//   model_dump logits RUN ids.json out.safetensors                 a run's last step, with the adapter as it was trained
//   model_dump hidden MODEL|RUN ids.json out.safetensors [ADAPTER]  tensors hidden_0, hidden_1, ...: [time, dim], before any head
//   model_dump greedy MODEL ids.json COUNT out.json [ADAPTER]
#include <ATen/ATen.h>
#include <fmt/format.h>

#include "../../recipes/session.h"
#include "../../recipes/task.h"
#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/data/batches.h"
#include "graft/io/atomic_file.h"
#include "graft/io/tensors.h"
#include "graft/models/generate.h"
#include "graft/models/load.h"
#include "graft/peft/adapter_file.h"

using namespace graft;

namespace {

std::vector<std::vector<int32_t>> read_ids(const std::string& file) { return read_json(file).get<std::vector<std::vector<int32_t>>>(); }

std::string seat(Transformer& model, const char* folder) {
  if (!folder) return "";
  load_adapter(model, "default", folder);
  return "default";
}

void dump_states(const std::string& verb, const std::string& path, const std::string& ids_file, const std::string& out, const std::string& adapter) {
  at::NoGradGuard no_grad;
  const char* dtype = std::getenv("GRAFT_DUMP_DTYPE");
  const Target target = open_target(path, adapter, "", {});
  const auto files = open_grown_files(open_model_files(target.model.path), target.model.new_tokens);
  const auto model = load_model(*files, {at::kCPU, dtype_from_name(dtype ? dtype : "fp32", at::kCPU), target.quantization, task_of(target, *files)});
  const std::string name = seat_target(*model, target, {});
  const VirtualTokens extra = model->virtual_tokens(name);
  TensorMap tensors;
  for (const auto& ids : read_ids(ids_file)) {
    HostBatch host;
    host.rows = 1, host.columns = static_cast<int64_t>(ids.size());
    host.ids.assign(ids.begin(), ids.end()), host.segments.assign(ids.size(), 0);
    for (int64_t t = 0; t < host.columns; ++t) host.positions.push_back(t);
    Batch batch = to_batch(with_virtual_tokens(host, extra), at::kCPU);
    batch.adapter = name;
    const Tensor states = verb == "logits" ? logits(*model, batch) : model->hidden(batch);
    tensors[fmt::format("{}_{}", verb, tensors.size())] = states[0].slice(0, extra.slots).contiguous();
  }
  save_tensors(out, tensors);
}

void dump_greedy(const std::string& path, const std::string& ids_file, int64_t count, const std::string& out, const char* adapter) {
  const auto files = open_model_files(path);
  const auto model = load_model(*files, {});
  std::vector<int32_t> stop;
  if (const Json eos = files->config().value("eos_token_id", Json()); eos.is_number_integer()) stop.push_back(eos.get<int32_t>());
  GenerateOptions options;
  options.max_new_tokens = count;
  write_file(out, Json(generate(*model, seat(*model, adapter), read_ids(ids_file), stop, options)).dump());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string verb = argc > 1 ? argv[1] : "";
    if ((verb == "logits" || verb == "hidden") && argc >= 5) return dump_states(verb, argv[2], argv[3], argv[4], argc > 5 ? argv[5] : ""), 0;
    if (verb == "greedy" && argc >= 6) return dump_greedy(argv[2], argv[3], std::atoll(argv[4]), argv[5], argc > 6 ? argv[6] : nullptr), 0;
    fmt::print(stderr, "usage: model_dump logits|hidden|greedy ...\n");
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
