#include "run_facts.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include "graft/core/error.h"
#include "graft/core/runtime.h"
#include "graft/core/table.h"

namespace graft {
namespace {

/// "a.jsonl changed, b.jsonl is new"; files that are the same leave a change of how they are read.
std::string changed_files(const Json& then, const Json& now) {
  std::vector<std::string> changes;
  for (const auto& [file, hash] : then.items())
    if (!now.contains(file))
      changes.push_back(file + " is not among them any more");
    else if (now.at(file) != hash)
      changes.push_back(file + " changed");
  for (const auto& [file, hash] : now.items())
    if (!then.contains(file)) changes.push_back(file + " is new");
  return changes.empty() ? "its files are the same, but not how they are read" : join(changes);
}

}  // namespace

Json facts_of(const Base& base, const Job& job, const PreparedData& data, at::Device device, at::ScalarType dtype) {
  return {{"graft", GRAFT_VERSION},
          {"base_fingerprint", fmt::format("{:016x}", base.files->fingerprint())},
          {"data_hash", fmt::format("{:016x}", data.train.hash())},
          {"data_files", data.train_files},
          {"device", device.is_cuda() ? "cuda" : "cpu"},
          {"dtype", dtype_to_name(dtype)},
          {"deterministic", job.deterministic},
          {"threads", at::get_num_threads()},
          {"cpu_capability", at::get_cpu_capability()}};
}

void check_facts(const Json& then, const Json& now, bool allow_change, const Log& log) {
  ErrorList refused;
  const auto differs = [&](const char* key) { return then.value(key, Json()) != now.value(key, Json()); };
  if (differs("base_fingerprint"))
    refused.add("the base model's files changed since the checkpoint was written: put those back that it was trained on");
  if (differs("data_hash"))
    refused.add(
        "the training data changed since the checkpoint was written ({}): put it back as it was, or start another run in a new "
        "output_dir",
        changed_files(then.value("data_files", Json::object()), now.at("data_files")));
  if (!allow_change) refused.raise("the run cannot go on exactly (--allow-change goes on all the same):");
  for (const auto& text : refused.errors()) log.warn("{}", text);
  for (const char* key : {"device", "dtype", "deterministic", "cpu_capability", "threads"})
    if (then.contains(key) && differs(key))
      log.warn("{} was {} and is {}: results will not be equal to the bit", key, to_line(then.value(key, Json())),
               to_line(now.value(key, Json())));
}

}  // namespace graft
