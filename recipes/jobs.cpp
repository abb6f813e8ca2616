#include "jobs.h"

#include <algorithm>
#include <filesystem>

#include "graft/core/error.h"
#include "graft/train/trainer.h"

namespace graft {
namespace {

constexpr const char* key = "adapters";
constexpr const char* own_sections[] = {"adapter", "data", "train", "eval", "checkpoint"};
constexpr const char* shared_keys[] = {"train.dtype", "train.recompute", "train.share_rows"};

/// Names become folders and part of checkpoints' and TensorBoard's names.
void check_name(const ConfigNode& entry) {
  const auto is_plain = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-'; };
  require(!entry.key.empty() && std::all_of(entry.key.begin(), entry.key.end(), is_plain), "{}: adapters: '{}' is no name: letters, digits, _ and - make one",
          entry.key_mark.text(), entry.key);
  for (const auto& section : entry.children)
    require(std::find(std::begin(own_sections), std::end(own_sections), section.key) != std::end(own_sections),
            "{}: adapters.{}: '{}' belongs to the whole job; an adapter has sections of its own: {}", section.key_mark.text(), entry.key, section.key,
            fmt::join(own_sections, ", "));
}

NamedJob job_of(const ConfigTree& config, const ConfigNode& shared, const ConfigNode& entry) {
  check_name(entry);
  ConfigTree own{config.name + ": adapters." + entry.key, shared, config.faults};
  ConfigNode over = entry;
  over.key = shared.key;
  merge_into(own.root, std::move(over));
  NamedJob named{entry.key, read_job<Job>(own)};
  if (!named.job.output_dir.empty()) named.job.output_dir = (std::filesystem::path(named.job.output_dir) / entry.key).string();
  return named;
}

void check_shared(const std::vector<NamedJob>& jobs) {
  ErrorList errors;
  for (size_t i = 1; i < jobs.size(); ++i)
    for (const auto& difference : differences(jobs[0].job, jobs[i].job))
      if (std::find(std::begin(shared_keys), std::end(shared_keys), difference.key) != std::end(shared_keys))
        errors.add("{}: {} has {} and {} has {}", difference.key, jobs[0].name, difference.before, jobs[i].name, difference.after);
  errors.raise("adapters over one base compute alike:");
}

}  // namespace

Jobs alone(const Job& job) { return {{{sole_adapter, job}}, job.output_dir, ""}; }

Jobs read_jobs(const ConfigTree& config) {
  if (!config.root.find(key)) return alone(read_job<Job>(config));
  ConfigNode shared = config.root;
  const ConfigNode adapters = shared.take(key);
  require(adapters.kind == ConfigNode::Kind::map && !adapters.children.empty(), "{}: adapters: expected a map by name, got {}", adapters.key_mark.text(),
          adapters.described());
  Jobs jobs;
  jobs.config = to_yaml(config);
  if (const ConfigNode* folder = shared.find("output_dir")) jobs.output_dir = folder->text;
  ErrorList errors;
  for (const auto& entry : adapters.children) errors.guard([&] { jobs.each.push_back(job_of(config, shared, entry)); });
  errors.raise(config.name + ": its adapters' jobs cannot run:");
  check_shared(jobs.each);
  return jobs;
}

std::vector<std::pair<std::string, std::filesystem::path>> adapter_runs(const std::filesystem::path& folder) {
  std::vector<std::pair<std::string, std::filesystem::path>> runs;
  if (!std::filesystem::exists(folder / "job.yaml")) return runs;
  const ConfigTree config = read_config(folder / "job.yaml");
  if (const ConfigNode* adapters = config.root.find(key))
    for (const auto& entry : adapters->children) runs.emplace_back(entry.key, folder / entry.key);
  return runs;
}

}  // namespace graft
