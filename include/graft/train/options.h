#pragma once
// The `train:`, `eval:` and `checkpoint:` sections.
#include <optional>
#include <string>

#include "graft/config/visit.h"
#include "graft/ops/recompute.h"
#include "graft/train/adamw.h"

namespace graft {

inline constexpr const char* automatic = "auto";

/// What train.recompute may say.
inline Choices recompute_choices() {
  Choices all{automatic};
  for (const auto name : recompute_names()) all.emplace_back(name);
  return all;
}

struct TrainOptions {
  double epochs = 1;
  std::optional<int64_t> max_steps;
  int64_t micro_batch_size = 4;
  int64_t gradient_accumulation_steps = 4;
  std::optional<double> learning_rate;
  std::string lr_scheduler = "cosine";
  std::string optimizer = "adamw";
  double warmup_ratio = 0.03;
  std::optional<int64_t> warmup_steps;
  double weight_decay = 0;
  double max_grad_norm = 1;
  double label_smoothing = 0;
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_epsilon = 1e-8;
  std::string dtype = "auto";
  bool fp8_outer_layers = true;
  std::string recompute = "auto";
  std::string graphs = "auto";
  bool share_rows = false;
  uint64_t seed = 42;
  int64_t max_skipped_steps = 10;
  int64_t log_every = 1;

  void visit(auto& v) {
    v("epochs", epochs, "how often all samples are seen", MoreThan(0));
    v("max_steps", max_steps, "optimizer steps, instead of epochs", AtLeast(1));
    v("micro_batch_size", micro_batch_size, "samples in one forward pass", AtLeast(1));
    v("gradient_accumulation_steps", gradient_accumulation_steps, "forward passes in one optimizer step", AtLeast(1));
    v("learning_rate", learning_rate, "the peak rate; default: the method's own", MoreThan(0));
    v("lr_scheduler", lr_scheduler, "how the rate falls after the warm-up", Choices{"constant", "linear", "cosine", "wsd"});
    v("optimizer", optimizer, "adamw_8bit keeps both moments of large tensors in 8 bits: 2 bytes a trained number instead of 8",
      Choices{"adamw", "adamw_8bit"});
    v("warmup_ratio", warmup_ratio, "share of the steps in which the rate rises from zero", Between(0, 1));
    v("warmup_steps", warmup_steps, "the same in steps; wins over warmup_ratio", AtLeast(0));
    v("weight_decay", weight_decay, "decoupled weight decay", AtLeast(0));
    v("max_grad_norm", max_grad_norm, "the gradients' global norm is clipped to this; 0: never", AtLeast(0));
    v("label_smoothing", label_smoothing, "the share of each target that is spread over all classes or tokens alike; evaluation reports the plain loss",
      Between(0, 0.9999999));
    v("adam_beta1", adam_beta1, "AdamW's decay of the average gradient", Between(0, 0.9999999));
    v("adam_beta2", adam_beta2, "AdamW's decay of the average square", Between(0, 0.9999999));
    v("adam_epsilon", adam_epsilon, "AdamW's term for small gradients", MoreThan(0));
    v("dtype", dtype, "what the frozen base computes in (fp8: its products in 8 bits, the rest in bf16); adapters train in fp32", Choices{"auto", "bf16", "fp16", "fp32", "fp8"});
    v("fp8_outer_layers", fp8_outer_layers, "with dtype fp8, the first and the last layer too; false: they stay in bf16");
    v("recompute", recompute, "keep all activations; all but the feed-forward's widest; each layer's input alone; or that in the host's memory: the rest is computed again. "
      "auto: the first of them whose plan fits in the free memory", recompute_choices());
    v("graphs", graphs, "passes as CUDA graphs, where launches would dominate: small models, short rows", Choices{"auto", "off"});
    v("share_rows", share_rows, "of several adapters: one pass over the base takes the micro-batches of all; faster where they are small, equal but for rounding");
    v("seed", seed, "of the adapter's first values, the order of samples and dropout");
    v("max_skipped_steps", max_skipped_steps, "stop after so many non-finite steps in a row", AtLeast(1));
    v("log_every", log_every, "steps between two lines of metrics", AtLeast(1));
  }

  /// Where nobody has chosen for `auto`, all is kept.
  Recompute recompute_mode() const { return recompute == automatic ? Recompute::none : recompute_named(recompute); }
  AdamWOptions adamw() const {
    return {adam_beta1, adam_beta2, adam_epsilon, weight_decay, optimizer == "adamw_8bit" ? MomentStorage::dynamic8 : MomentStorage::fp32};
  }
};

struct EvalOptions {
  int64_t every = 0;
  std::string metric = "loss";
  int64_t batch_size = 8;
  int64_t early_stop = 0;
  std::string prompts;
  int64_t max_new_tokens = 64;
  void visit(auto& v) {
    v("every", every, "steps between two evaluations; 0: only at the end, if there is held-out data", AtLeast(0));
    v("metric", metric, "what decides which checkpoint is best", Choices{"loss", "accuracy", "f1", "macro_f1", "matthews", "pearson", "spearman"});
    v("batch_size", batch_size, "samples in one forward pass of an evaluation", AtLeast(1));
    v("early_stop", early_stop, "stop after so many evaluations without a better one; 0: never", AtLeast(0));
    v("prompts", prompts, "a text file, a prompt a line: answered before, during and after training, into samples.jsonl");
    v("max_new_tokens", max_new_tokens, "longest of these answers, in tokens", AtLeast(1));
  }
};

struct CheckpointOptions {
  std::string every = "0";
  int64_t keep = 3;
  void visit(auto& v) {
    v("every", every, "steps (200) or time (10 minutes, 10m) between two checkpoints; 0: only at the end and when stopped");
    v("keep", keep, "how many of the latest are kept, the best one apart", AtLeast(1));
  }
};

}  // namespace graft
