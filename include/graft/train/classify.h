#pragma once
// A classifier or a regression at work: what it gives for texts, and how good that is.
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "graft/data/batches.h"
#include "graft/nn/transformer.h"
#include "graft/train/observer.h"

namespace graft {

/// The outputs where the batch has targets, in their order: fp32 on the CPU [targets, classes], before any softmax.
Tensor outputs_at_targets(Transformer& model, const std::string& adapter, const HostBatch& host);

/// Loss (cross-entropy, or squared error) and the task's metrics over every sample.
EvalReport evaluate_labels(Transformer& model, const std::string& adapter, const Dataset& data, int64_t batch_size, std::stop_token stop = {});

/// Outputs of each sample's labelled places: [places, classes]. Samples may have any order of length.
std::vector<Tensor> classify(Transformer& model, const std::string& adapter, std::span<const SampleView> samples, int64_t batch_size,
                             std::stop_token stop = {});

}  // namespace graft
