#pragma once
// Verbs that look and tell: inspect, show, evaluate, doctor.
#include <iosfwd>
#include <stop_token>
#include <string>

#include "graft/core/log.h"
#include "job.h"
#include "session.h"

namespace graft {

/// What a path is: a model's folder or GGUF, an adapter, a run, a checkpoint, a safetensors file. `tensors`: list them all.
std::string inspect(const std::string& path, bool tensors);

/// The first `count` samples of the job's training data as tokens: what is learnt in brackets, special tokens by name.
std::string show_samples(const Job& job, int64_t count, const Log& log);

/// Loss, perplexity and label accuracy of a run or model on files, as a few lines of text.
std::string evaluate_target(const Target& target, const DataOptions& data, const std::string& device, const std::string& dtype,
                            int64_t batch_size, const Log& log, std::stop_token stop);

/// A run's own held-out files, as data to evaluate on.
DataOptions held_out_data(const std::string& run);

}  // namespace graft
