#pragma once
// Evaluation: loss and perplexity over target tokens (independent of the batch size), and label accuracy where the data has labels.
#include <stop_token>
#include <vector>

#include "graft/data/dataset.h"
#include "graft/nn/transformer.h"
#include "graft/train/observer.h"

namespace graft {

/// Mean loss, perplexity and token accuracy over every sample of the data set; of a task with labels, loss and metrics (classify.h).
EvalReport evaluate_loss(Transformer& model, const std::string& adapter, const Dataset& data, int64_t batch_size, std::stop_token stop = {});

/// The distinct references of the samples, if there are at least 2 and at most 64 and each is short: the labels of a classification.
std::vector<std::vector<int32_t>> find_labels(const std::vector<PromptSample>& samples);

/// log p(candidate | prompt) of each candidate for each prompt: [prompts][candidates], sums over the candidate's tokens.
std::vector<std::vector<double>> score_candidates(Transformer& model, const std::string& adapter, const std::vector<PromptSample>& prompts,
                                                  const std::vector<std::vector<int32_t>>& candidates, int64_t batch_size,
                                                  std::stop_token stop = {});

/// Share of prompts whose likeliest label is the reference.
double label_accuracy(Transformer& model, const std::string& adapter, const std::vector<PromptSample>& prompts,
                      const std::vector<std::vector<int32_t>>& labels, int64_t batch_size, std::stop_token stop = {});

}  // namespace graft
