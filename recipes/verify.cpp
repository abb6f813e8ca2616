#include "verify.h"

#include <ATen/ATen.h>

#include "task.h"

namespace graft {
namespace {

constexpr const char* sample_text =
    "The quick brown fox jumps over the lazy dog. In 1969, three people flew to the Moon; 2 + 2 = 4, and def f(x): return x * x.";

Tensor sample_logits(const ModelFiles& files, const Target* target, const Task& task, const std::vector<int32_t>& ids,
                     at::ScalarType dtype, const std::stop_token& stop) {
  at::NoGradGuard no_grad;
  const auto model = load_model(files, {at::kCPU, dtype, target ? target->quantization : QuantizationOptions{}, task}, {}, stop);
  Batch batch;
  batch.ids = at::tensor(std::vector<int64_t>(ids.begin(), ids.end()), at::kLong).unsqueeze(0);
  if (model->has_position_table()) batch.ids = batch.ids.slice(1, 0, model->max_positions());
  batch.positions = at::arange(batch.ids.size(1), at::kLong).unsqueeze(0);
  batch.segments = at::zeros_like(batch.ids);
  if (target) batch.adapter = seat_target(*model, *target, {});
  return logits(*model, batch)[0];
}

}  // namespace

MergeDifference difference_from_live(const Target& target, const Base& base, const ModelFiles& merged, at::ScalarType dtype,
                                     const std::stop_token& stop) {
  const auto ids = base.tokenizer.encode(sample_text, {.add_special_tokens = true});
  // In fp32 the difference is the stored rounding alone; a large model is compared in its own type, which fits where it was
  // trained.
  const bool small = base.files->file_bytes() < (int64_t{4} << 30);
  const at::ScalarType compute = small || dtype == at::kHalf ? at::kFloat : dtype;
  const Task task = task_of(target, *base.files);
  const Tensor live = sample_logits(*base.files, &target, task, ids, compute, stop);
  const Tensor stored = sample_logits(merged, nullptr, task, ids, compute, stop);
  const Tensor difference = (live - stored).abs();
  const Tensor log_p = at::log_softmax(live, -1), log_q = at::log_softmax(stored, -1);
  return {.largest_difference = difference.max().item<double>(),
          .mean_difference = difference.mean().item<double>(),
          .kl = (log_p.exp() * (log_p - log_q)).sum(-1).mean().item<double>(),
          .argmax_agreement = live.argmax(-1).eq(stored.argmax(-1)).to(at::kDouble).mean().item<double>()};
}

void log_difference(const MergeDifference& difference, const Log& log) {
  log.info(
      "against the live model on sample text: a logit differs by at most {:.2g}, {:.2g} on average; KL divergence {:.2g}; same "
      "likeliest token at {:.1f} % of positions",
      difference.largest_difference, difference.mean_difference, difference.kl, 100 * difference.argmax_agreement);
}

}  // namespace graft
