#include "graft/train/checkpoint.h"

#include <algorithm>
#include <charconv>

#include "graft/io/atomic_file.h"
#include "graft/io/file_hash.h"
#include "graft/io/tensors.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
constexpr const char* manifest_name = "manifest.json";
constexpr const char* aside_prefix = ".writing-step-";

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

/// What a folder lacks of what its manifest lists: "" if nothing. Contents are read only if asked for.
std::string fault(const fs::path& folder, bool contents) {
  try {
    const Json manifest = read_json(folder / manifest_name);
    for (const auto& [name, facts] : manifest.at("files").items()) {
      const fs::path file = folder / name;
      if (!fs::exists(file)) return name + " is missing";
      if (fs::file_size(file) != facts.at("bytes").get<uint64_t>()) return name + " has another size than the manifest says";
      if (contents && file_hash(file) != facts.at("hash").get<std::string>()) return name + " is damaged (its hash differs)";
    }
    return "";
  } catch (const std::exception& e) {
    return std::string("its manifest cannot be used: ") + e.what();
  }
}

/// What a kill left in the middle of its writing.
void remove_unfinished(const fs::path& checkpoints) {
  for (const auto& entry : fs::directory_iterator(checkpoints))
    if (entry.path().filename().string().starts_with(aside_prefix)) fs::remove_all(entry.path());
}

void write_aside(const fs::path& aside, const Checkpoint& checkpoint) {
  fs::create_directory(aside);
  save_tensors(aside / "adapter.safetensors", checkpoint.adapter);
  save_tensors(aside / "optimizer.safetensors", checkpoint.optimizer);
  write_file(aside / "state.json", Json{{"state", checkpoint.state.to_json()}, {"facts", checkpoint.facts}}.dump(2) + "\n");
  write_file(aside / "job.yaml", checkpoint.job);
  write_manifest(aside);
  sync_folder(aside);
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
  const int64_t step = checkpoint.state.step;
  const fs::path final_path = path(step), aside = folder_ / fmt::format("{}{}", aside_prefix, step);
  try {
    make_folders(folder_);
    remove_unfinished(folder_);
    write_aside(aside, checkpoint);
    fs::remove_all(final_path);   // a damaged one of the same step
    fs::rename(aside, final_path);
    sync_folder(folder_);
  } catch (const std::exception& e) {
    std::error_code ignored;
    fs::remove_all(aside, ignored);
    throw NotWritten(fmt::format("the checkpoint of step {} could not be written: {}; earlier checkpoints are untouched", step, e.what()));
  }
  std::vector<int64_t> old = listed();
  old.resize(old.size() - std::min(old.size(), static_cast<size_t>(keep)));
  for (const int64_t other : old)
    if (other != checkpoint.state.best_step && other != step) fs::remove_all(path(other));
  return final_path;
}

std::vector<int64_t> CheckpointFolder::listed() const {
  std::vector<int64_t> all;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error))
    if (const int64_t step = step_of(entry.path().filename().string()); step >= 0) all.push_back(step);
  std::sort(all.begin(), all.end());
  return all;
}

std::vector<int64_t> CheckpointFolder::steps() const {
  std::vector<int64_t> all = listed();
  std::erase_if(all, [&](int64_t step) {
    const std::string why = fault(path(step), /*contents=*/false);
    if (!why.empty()) log_.warn("{}: not a complete checkpoint, skipped: {}", path(step).string(), why);
    return !why.empty();
  });
  return all;
}

Checkpoint CheckpointFolder::read(int64_t step) const {
  if (const std::string why = fault(path(step), /*contents=*/true); !why.empty()) refuse("{}: {}", path(step).string(), why);
  const Json state = read_json(path(step) / "state.json");
  try {
    return {TrainState::from_json(state.at("state")), load_tensors(path(step) / "adapter.safetensors"),
            load_tensors(path(step) / "optimizer.safetensors"), state.at("facts"), read_text(path(step) / "job.yaml")};
  } catch (const Json::exception& e) {
    refuse("{}: state.json does not hold what it should: {}", path(step).string(), e.what());
  }
}

std::optional<Checkpoint> CheckpointFolder::read_last() const {
  std::vector<int64_t> all = steps();
  for (; !all.empty(); all.pop_back()) try {
      return read(all.back());
    } catch (const Error& e) {
      log_.warn("{}; the checkpoint before it is taken", e.what());
    }
  return std::nullopt;
}

}  // namespace graft
