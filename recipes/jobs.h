#pragma once
// What a config asks for: one job, or with `adapters:`, a map by name, several over one base:
//
//   adapters:
//     support: {adapter: {method: lora, rank: 8}, data: {train: [{path: support.jsonl}]}}
//     triage:  {adapter: {method: prompt_tuning}, data: {train: [{path: triage.jsonl}]}, train: {seed: 7}}
//
// Each entry's sections are laid over the config's own, and what comes out is a job of its own in output_dir/NAME, with its own method, data,
// schedule and seed: the run gives each what it would come to alone.
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "graft/config/yaml.h"
#include "job.h"

namespace graft {

struct NamedJob {
  std::string name;   // under which its adapter is seated
  Job job;
};

struct Jobs {
  std::vector<NamedJob> each;   // one, "default", without `adapters:`
  std::string output_dir;
  std::string config;           // with `adapters:`, the config as YAML; else empty
  bool several() const { return !config.empty(); }
};

/// One job, by itself.
Jobs alone(const Job& job);

/// Raises all faults of all jobs, and what they must share and do not: model, quantization, device, train.dtype, recompute and share_rows.
Jobs read_jobs(const ConfigTree& config);

/// The runs of a folder's adapters, by name; none if it holds no run of several.
std::vector<std::pair<std::string, std::filesystem::path>> adapter_runs(const std::filesystem::path& folder);

}  // namespace graft
