#include "graft/train/classify.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "graft/core/error.h"
#include "graft/train/metrics.h"

namespace graft {
namespace {

void obey(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Stopped("stopped while evaluating");
}

/// What was predicted and what was right, of all samples so far.
struct Answers {
  std::vector<int64_t> predicted, right;
  std::vector<double> predicted_values, right_values;
  double loss = 0;   // a sum
};

void add_classes(Answers& answers, const Tensor& outputs, const HostBatch& host) {
  const Tensor log_p = at::log_softmax(outputs, -1), best = outputs.argmax(-1).contiguous();
  int64_t row = 0;
  for (const int64_t target : host.targets) {
    if (target == -100) continue;
    answers.loss -= log_p[row][target].item<double>();
    answers.predicted.push_back(best.const_data_ptr<int64_t>()[row++]), answers.right.push_back(target);
  }
}

void add_values(Answers& answers, const Tensor& outputs, const HostBatch& host) {
  int64_t row = 0;
  for (size_t i = 0; i < host.targets.size(); ++i) {
    if (host.targets[i] == -100) continue;
    const double predicted = outputs[row++][0].item<double>(), right = host.values[i];
    answers.loss += (predicted - right) * (predicted - right);
    answers.predicted_values.push_back(predicted), answers.right_values.push_back(right);
  }
}

}  // namespace

Tensor outputs_at_targets(Transformer& model, const std::string& adapter, const HostBatch& given) {
  at::NoGradGuard no_grad;
  const HostBatch host = with_virtual_tokens(given, model.virtual_tokens(adapter));
  Batch batch = to_batch(host, model.device());
  batch.adapter = adapter;
  const Tensor labelled = at::tensor(host.targets, at::kLong).to(model.device()).ne(-100).nonzero().squeeze(1);
  const Tensor rows = model.hidden(batch).flatten(0, 1).index_select(0, labelled);
  return model.predict(rows, tokens_of(batch, labelled)).to(at::kFloat).cpu();
}

EvalReport evaluate_labels(Transformer& model, const std::string& adapter, const Dataset& data, int64_t batch_size, std::stop_token stop) {
  const auto start = std::chrono::steady_clock::now();
  const bool of_values = model.task().kind == TaskKind::regression;
  EvalReport report;
  Answers answers;
  for (const auto& samples : evaluation_batches(data, batch_size)) {
    obey(stop);
    const HostBatch host = make_batch(data, samples, 0);
    const Tensor outputs = outputs_at_targets(model, adapter, host);
    of_values ? add_values(answers, outputs, host) : add_classes(answers, outputs, host);
    report.samples += host.rows, report.targets += host.target_count;
  }
  check(report.targets > 0, "nothing to evaluate: the held-out data has no labels");
  report.loss = answers.loss / static_cast<double>(report.targets);
  report.metrics = of_values ? value_metrics(answers.predicted_values, answers.right_values)
                             : class_metrics(answers.predicted, answers.right, model.task().labels.size());
  report.labels = static_cast<int64_t>(model.task().labels.size());
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

std::vector<Tensor> classify(Transformer& model, const std::string& adapter, std::span<const SampleView> samples, int64_t batch_size, std::stop_token stop) {
  std::vector<size_t> order(samples.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return samples[i].ids.size(); });
  std::vector<Tensor> results(samples.size());
  for (size_t begin = 0; begin < order.size(); begin += static_cast<size_t>(batch_size)) {
    obey(stop);
    const auto rows = std::span(order).subspan(begin, std::min(order.size() - begin, static_cast<size_t>(batch_size)));
    std::vector<SampleView> views;
    for (const size_t row : rows) views.push_back(samples[row]);
    const Tensor outputs = outputs_at_targets(model, adapter, make_batch(views, model.task(), 0));
    int64_t at = 0;
    for (const size_t row : rows) {
      const auto count = static_cast<int64_t>(std::ranges::count_if(samples[row].labels, [](int32_t label) { return label != no_label; }));
      results[row] = outputs.narrow(0, at, count);
      at += count;
    }
  }
  return results;
}

}  // namespace graft
