#include "graft/train/checkpoint.h"

#include <algorithm>
#include <charconv>

#include "graft/core/error.h"
#include "graft/core/hash.h"
#include "graft/io/atomic_file.h"
#include "graft/io/file_hash.h"
#include "graft/io/tensors.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
constexpr const char* manifest_name = "manifest.json";

/// N of "step-N", or -1.
int64_t step_of(const std::string& name) {
  int64_t step = -1;
  if (!name.starts_with("step-")) return -1;
  const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
  return error == std::errc() && end == name.data() + name.size() ? step : -1;
}

void write_manifest(const fs::path& folder) {
  Json files = Json::object();
  for (const auto& entry : fs::directory_iterator(folder))
    files[entry.path().filename().string()] = {{"bytes", entry.file_size()}, {"hash", file_hash(entry.path())}};
  write_file(folder / manifest_name, Json{{"format", 1}, {"files", files}}.dump(2) + "\n");
}

}  // namespace

Json TrainState::to_json() const {
  return {{"step", step}, {"epoch", cursor.epoch}, {"step_in_epoch", cursor.step_in_epoch}, {"skipped", skipped},
          {"skipped_in_row", skipped_in_row}, {"loss_scale", loss_scale}, {"good_steps", good_steps},
          {"best", best ? Json(*best) : Json()}, {"best_step", best_step}, {"worse_evals", worse_evals}, {"trained_targets", trained_targets},
          {"norms", norms.to_json()}};
}

TrainState TrainState::from_json(const Json& json) {
  TrainState state;
  state.step = json.at("step").get<int64_t>();
  state.cursor = {json.at("epoch").get<int64_t>(), json.at("step_in_epoch").get<int64_t>()};
  state.skipped = json.at("skipped").get<int64_t>();
  state.skipped_in_row = json.at("skipped_in_row").get<int64_t>();
  state.loss_scale = json.at("loss_scale").get<double>();
  state.good_steps = json.at("good_steps").get<int64_t>();
  if (!json.at("best").is_null()) state.best = json.at("best").get<double>();
  state.best_step = json.at("best_step").get<int64_t>();
  state.worse_evals = json.at("worse_evals").get<int64_t>();
  state.trained_targets = json.at("trained_targets").get<double>();
  if (json.contains("norms")) state.norms = NormWatch::from_json(json.at("norms"));   // older checkpoints watched none
  return state;
}

CheckpointFolder::CheckpointFolder(fs::path folder, Log log) : folder_(std::move(folder)), log_(std::move(log)) {}

fs::path CheckpointFolder::path(int64_t step) const { return folder_ / fmt::format("step-{}", step); }

fs::path CheckpointFolder::write(const Checkpoint& checkpoint, int64_t keep) const {
  const fs::path final_path = path(checkpoint.state.step), aside = folder_ / fmt::format(".writing-step-{}", checkpoint.state.step);
  try {
    fs::remove_all(aside);
    fs::create_directories(aside);
    save_tensors(aside / "adapter.safetensors", checkpoint.adapter);
    save_tensors(aside / "optimizer.safetensors", checkpoint.optimizer);
    write_file(aside / "state.json", Json{{"state", checkpoint.state.to_json()}, {"facts", checkpoint.facts}}.dump(2) + "\n");
    write_file(aside / "job.yaml", checkpoint.job);
    write_manifest(aside);
    sync_folder(aside);
    fs::remove_all(final_path);   // an incomplete one of the same step
    fs::rename(aside, final_path);
    sync_folder(folder_);
  } catch (const std::exception& e) {
    std::error_code ignored;
    fs::remove_all(aside, ignored);
    fail("the checkpoint of step {} could not be written: {}; earlier checkpoints are untouched", checkpoint.state.step, e.what());
  }
  std::vector<int64_t> old = steps();
  old.resize(old.size() - std::min(old.size(), static_cast<size_t>(keep)));
  for (const int64_t step : old)
    if (step != checkpoint.state.best_step) fs::remove_all(path(step));
  return final_path;
}

std::string CheckpointFolder::fault(int64_t step) const {
  const fs::path folder = path(step);
  try {
    const Json manifest = read_json(folder / manifest_name);
    for (const auto& [name, facts] : manifest.at("files").items()) {
      const fs::path file = folder / name;
      if (!fs::exists(file)) return name + " is missing";
      if (fs::file_size(file) != facts.at("bytes").get<uint64_t>()) return name + " has another size than the manifest says";
      if (file_hash(file) != facts.at("hash").get<std::string>()) return name + " is damaged (its hash differs)";
    }
    return "";
  } catch (const std::exception& e) {
    return std::string("its manifest cannot be used: ") + e.what();
  }
}

std::vector<int64_t> CheckpointFolder::steps() const {
  std::vector<int64_t> all;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    const int64_t step = step_of(entry.path().filename().string());
    if (step < 0) continue;
    if (const std::string why = fault(step); !why.empty())
      log_.warn("{}: not a complete checkpoint, skipped: {}", entry.path().string(), why);
    else
      all.push_back(step);
  }
  std::sort(all.begin(), all.end());
  return all;
}

Checkpoint CheckpointFolder::read(int64_t step) const {
  if (const std::string why = fault(step); !why.empty()) refuse("{}: {}", path(step).string(), why);
  const Json state = read_json(path(step) / "state.json");
  try {
    return {TrainState::from_json(state.at("state")), load_tensors(path(step) / "adapter.safetensors"),
            load_tensors(path(step) / "optimizer.safetensors"), state.at("facts"), read_text(path(step) / "job.yaml")};
  } catch (const Json::exception& e) {
    refuse("{}: state.json does not hold what it should: {}", path(step).string(), e.what());
  }
}

}  // namespace graft
