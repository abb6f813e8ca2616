#include "graft/train/evaluate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <set>

#include "graft/core/error.h"
#include "graft/data/batches.h"
#include "graft/ops/linear_cross_entropy.h"
#include "graft/train/classify.h"

namespace graft {
namespace {

void obey(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Stopped("stopped while evaluating");
}

/// Prompts as one right-padded batch; `rows` index into `prompts`.
HostBatch lay_out(const std::vector<PromptSample>& prompts, const std::vector<size_t>& rows) {
  HostBatch batch;
  batch.rows = static_cast<int64_t>(rows.size());
  for (const size_t row : rows) batch.columns = std::max(batch.columns, static_cast<int64_t>(prompts[row].prompt.size()));
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto& prompt = prompts[rows[r]].prompt;
    for (int64_t t = 0; t < batch.columns; ++t) {
      const bool real = t < static_cast<int64_t>(prompt.size());
      batch.ids.push_back(real ? prompt[static_cast<size_t>(t)] : 0);
      batch.positions.push_back(t);
      batch.segments.push_back(real ? static_cast<int64_t>(r) : -1);
    }
  }
  return batch;
}

/// Every candidate but its last token, once for each prompt, at positions from `begins` on.
HostBatch lay_out(const std::vector<std::vector<int32_t>>& candidates, const std::vector<int64_t>& begins) {
  HostBatch batch;
  for (const auto& candidate : candidates) batch.columns = std::max(batch.columns, static_cast<int64_t>(candidate.size()) - 1);
  batch.rows = static_cast<int64_t>(candidates.size() * begins.size());
  for (size_t r = 0; r < begins.size(); ++r) {
    for (const auto& candidate : candidates) {
      for (int64_t t = 0; t < batch.columns; ++t) {
        const bool real = t + 1 < static_cast<int64_t>(candidate.size());
        batch.ids.push_back(real ? candidate[static_cast<size_t>(t)] : 0);
        batch.positions.push_back(begins[r] + t);
        batch.segments.push_back(real ? static_cast<int64_t>(r) : -1);
      }
    }
  }
  return batch;
}

void repeat_rows(Cache& cache, int64_t times) {
  const auto repeat = [&](Tensor& tensor) { tensor = tensor.repeat_interleave(times, 0); };
  for (auto& keys : cache.keys) repeat(keys);
  for (auto& values : cache.values) repeat(values);
  repeat(cache.segments), repeat(cache.positions);
}

/// fp32 [rows, vocab]
Tensor log_probabilities(Transformer& model, const Tensor& hidden, const Batch& batch) {
  return at::log_softmax(model.predict(hidden, batch).to(at::kFloat), -1);
}

/// Scores of some prompts' candidates: [rows, candidates], fp64.
Tensor score_rows(Transformer& model, const std::string& adapter, const std::vector<PromptSample>& prompts,
                  const std::vector<size_t>& rows, const std::vector<std::vector<int32_t>>& candidates) {
  const auto count = static_cast<int64_t>(candidates.size()), prompts_here = static_cast<int64_t>(rows.size());
  const VirtualTokens extra = model.virtual_tokens(adapter);
  std::vector<int64_t> lengths, ends_at;
  for (const size_t row : rows) lengths.push_back(static_cast<int64_t>(prompts[row].prompt.size()) + extra.slots), ends_at.push_back(lengths.back() + extra.prefix);
  Batch prompt_batch = to_batch(with_virtual_tokens(lay_out(prompts, rows), extra), model.device());
  prompt_batch.adapter = adapter;
  const HostBatch tails = lay_out(candidates, ends_at);
  Cache cache = model.new_cache(prompts_here, prompt_batch.ids.size(1) + extra.prefix + tails.columns);
  const Tensor hidden = model.hidden(prompt_batch, &cache);  // [rows, time, dim]
  const Tensor last = at::tensor(lengths, at::kLong).to(model.device()) - 1;
  const Tensor ends = hidden.index({at::arange(prompts_here, last.options()), last});
  std::vector<int64_t> firsts;
  for (const auto& candidate : candidates) firsts.push_back(candidate.front());
  Tensor scores = log_probabilities(model, ends, prompt_batch).index_select(1, at::tensor(firsts, last.options())).to(at::kDouble).cpu();
  if (tails.columns == 0) return scores;

  repeat_rows(cache, count);
  Batch tail_batch = to_batch(tails, model.device());
  tail_batch.adapter = adapter;
  const Tensor tail_hidden = model.hidden(tail_batch, &cache);
  for (int64_t t = 0; t < tails.columns; ++t) {
    const Tensor log_p = log_probabilities(model, tail_hidden.select(1, t), tail_batch);
    for (int64_t c = 0; c < count; ++c) {
      const auto& candidate = candidates[static_cast<size_t>(c)];
      if (t + 1 >= static_cast<int64_t>(candidate.size())) continue;
      const Tensor of_candidate = log_p.slice(0, c, std::nullopt, count).select(1, candidate[static_cast<size_t>(t) + 1]);
      scores.select(1, c).add_(of_candidate.to(at::kDouble).cpu());
    }
  }
  return scores;
}

int64_t shared_in_evaluation(const Transformer& model, const std::string& adapter, const Dataset& data, int64_t batch_size) {
  const bool may = model.virtual_tokens(adapter).count() == 0 && model.shares_beginnings(model.device(), model.dtype(), longest_sample(data));
  return may ? shared_beginning(data, batch_size) : 0;
}

}  // namespace

EvalReport evaluate_loss(Transformer& model, const std::string& adapter, const Dataset& data, int64_t batch_size, std::stop_token stop) {
  if (model.task().kind != TaskKind::causal_lm) return evaluate_labels(model, adapter, data, batch_size, std::move(stop));
  at::NoGradGuard no_grad;
  const auto start = std::chrono::steady_clock::now();
  EvalReport report;
  double sum = 0, correct = 0;
  const int64_t shared = shared_in_evaluation(model, adapter, data, batch_size);
  for (const auto& samples : evaluation_batches(data, batch_size)) {
    obey(stop);
    const HostBatch host = with_virtual_tokens(make_batch(data, samples, 0, shared), model.virtual_tokens(adapter));
    Batch batch = to_batch(host, model.device());
    batch.adapter = adapter;
    const Tensor targets = at::tensor(host.targets, at::kLong).to(model.device());
    const Tensor labelled = targets.ne(-100).nonzero().squeeze(1);
    const Tensor rows = model.hidden(batch).flatten(0, 1).index_select(0, labelled);
    const auto head = [&](const Tensor& h, int64_t begin) { return model.predict(h, tokens_of(batch, labelled.narrow(0, begin, h.size(0)))); };
    const TokenScores scores = token_scores(rows, head, targets.index_select(0, labelled));
    sum -= scores.log_probability.sum(at::kDouble).item<double>();
    correct += scores.correct.sum().item<double>();
    report.samples += std::ssize(samples), report.targets += host.target_count;
  }
  check(report.targets > 0, "nothing to evaluate: the held-out data has no target tokens");
  report.loss = sum / static_cast<double>(report.targets);
  report.perplexity = std::exp(report.loss);
  report.token_accuracy = correct / static_cast<double>(report.targets);
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

std::vector<std::vector<int32_t>> find_labels(const std::vector<PromptSample>& samples) {
  std::set<std::vector<int32_t>> distinct;
  for (const auto& sample : samples) {
    if (sample.reference_ids.empty() || sample.reference_ids.size() > 16) return {};
    distinct.insert(sample.reference_ids);
    if (distinct.size() > 64) return {};
  }
  // A handful of free answers is no classification: labels come back.
  if (distinct.size() < 2 || distinct.size() * 3 > samples.size()) return {};
  return {distinct.begin(), distinct.end()};
}

std::vector<std::vector<double>> score_candidates(Transformer& model, const std::string& adapter, const std::vector<PromptSample>& prompts,
                                                  const std::vector<std::vector<int32_t>>& candidates, int64_t batch_size,
                                                  std::stop_token stop) {
  at::NoGradGuard no_grad;
  std::vector<size_t> order(prompts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return prompts[a].prompt.size() < prompts[b].prompt.size(); });
  std::vector<std::vector<double>> scores(prompts.size());
  for (size_t begin = 0; begin < order.size(); begin += static_cast<size_t>(batch_size)) {
    obey(stop);
    const std::vector<size_t> rows(order.begin() + static_cast<int64_t>(begin),
                                   order.begin() + static_cast<int64_t>(std::min(order.size(), begin + static_cast<size_t>(batch_size))));
    const Tensor batch_scores = score_rows(model, adapter, prompts, rows, candidates).contiguous();
    const double* values = batch_scores.const_data_ptr<double>();
    for (size_t r = 0; r < rows.size(); ++r) scores[rows[r]].assign(values + r * candidates.size(), values + (r + 1) * candidates.size());
  }
  return scores;
}

double label_accuracy(Transformer& model, const std::string& adapter, const std::vector<PromptSample>& prompts,
                      const std::vector<std::vector<int32_t>>& labels, int64_t batch_size, std::stop_token stop) {
  const auto scores = score_candidates(model, adapter, prompts, labels, batch_size, std::move(stop));
  int64_t right = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto best = static_cast<size_t>(std::max_element(scores[i].begin(), scores[i].end()) - scores[i].begin());
    right += labels[best] == prompts[i].reference_ids;
  }
  return static_cast<double>(right) / static_cast<double>(prompts.size());
}

}  // namespace graft
