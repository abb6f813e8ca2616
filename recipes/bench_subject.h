#pragma once
// What `graft bench` measures: a job made ready to be stepped, on weights and samples of its own or on random ones.
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "graft/models/plan.h"
#include "sample_lengths.h"
#include "session.h"

namespace graft {

/// Full rows of random ids, instead of the job's data.
struct BenchRows {
  int64_t rows = 0, columns = 0;
};

struct BenchSubject {
  Job job;
  Json config;
  Storage storage;                        // of the base's matrices
  std::shared_ptr<Transformer> outline;
  std::shared_ptr<Transformer> model;     // the adapter seated
  std::optional<Dataset> data;
  SampleLengths lengths;
  bool full_rows = false;
  StepPlan plan;                          // of a step of it
};

/// The job of a named shape or a config.json (configs/shapes/lora.yaml on random weights), or of a config, whose model.path may be such too.
Job bench_job(const std::string& what, const std::vector<std::string>& overrides);

/// `lengths`: a file of samples' lengths, one a line, for samples of random ids; empty: none. Without either, a job on a model's files trains
/// on its own data and one on a config.json on full rows of data.max_length. A random sample's ids are kept in `scratch`.
BenchSubject bench_subject(Job job, const std::optional<BenchRows>& rows, const std::filesystem::path& lengths, const std::filesystem::path& scratch,
                           const Log& log, std::stop_token stop);

}  // namespace graft
