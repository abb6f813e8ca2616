#include "report.h"

#include <map>

#include "graft/config/yaml.h"
#include "graft/report/run_page.h"
#include "jobs.h"
#include "session.h"

namespace graft {
namespace {

RunHistory history_of(const std::filesystem::path& folder, const Job& job) {
  RunHistory run = read_run_history(folder);
  run.model = job.model.path;
  run.method = job.adapter.method;
  return run;
}

/// Every key in which a job is not as the first one.
std::vector<KeyDifference> key_differences(const std::vector<Job>& jobs) {
  std::vector<std::string> keys;  // in the order of their first difference
  std::map<std::string, std::vector<std::string>> values;
  for (size_t i = 1; i < jobs.size(); ++i) {
    for (const Difference& difference : differences(jobs[0], jobs[i])) {
      if (difference.key == "output_dir") continue;
      auto& row = values[difference.key];
      if (row.empty()) keys.push_back(difference.key), row.assign(jobs.size(), difference.before);
      row[i] = difference.after;
    }
  }
  std::vector<KeyDifference> rows;
  for (const std::string& key : keys) rows.push_back({key, values[key]});
  return rows;
}

}  // namespace

std::string report_page(const std::vector<std::filesystem::path>& folders) {
  std::vector<std::filesystem::path> runs;
  for (const auto& folder : folders) {
    const auto several = adapter_runs(folder);
    for (const auto& [name, run] : several) runs.push_back(run);
    if (several.empty()) runs.push_back(folder);
  }
  std::vector<Job> jobs;
  std::vector<RunHistory> histories;
  for (const auto& run : runs) {
    jobs.push_back(read_run_job(run));
    histories.push_back(history_of(run, jobs.back()));
  }
  return runs.size() == 1 ? run_page(histories.front()) : comparison_page(histories, key_differences(jobs));
}

}  // namespace graft
