#pragma once
// A causal language model as the trainer, the methods and the generator see it.
#include <vector>

#include "graft/nn/layers.h"

namespace graft {

/// Keys and values of earlier tokens, with the segment and position of each, so that rows of different lengths live in one cache.
struct Cache {
  std::vector<Tensor> keys, values;   // a layer: [batch, capacity, kv_heads, head_dim]
  Tensor segments, positions;         // int64 [batch, capacity]
  int64_t length = 0;                 // slots filled
};

class LanguageModel : public torch::nn::Module {
 public:
  /// [batch, time] -> [batch, time, dim], after the last norm. With a cache: appends this batch's keys and values and sees the earlier.
  virtual Tensor hidden(const Batch& batch, Cache* cache = nullptr) = 0;
  /// Apart, so that a loss is taken in chunks of labelled rows and full logits never exist.
  virtual Linear& head() = 0;
  virtual Cache new_cache(int64_t rows, int64_t capacity) const = 0;
  virtual int64_t vocab_size() const = 0;
  virtual int64_t max_positions() const = 0;
  virtual bool tied_head() const = 0;
  virtual at::Device device() const = 0;
  virtual at::ScalarType dtype() const = 0;
  virtual void set_recompute(bool on) = 0;

  const std::vector<Site*>& sites() const { return sites_; }
  Site* find_site(const std::string& path) const;

 protected:
  std::vector<Site*> sites_;
};

/// logits of every token: [batch, time, vocab] fp32. For tests and scoring of short texts.
Tensor logits(LanguageModel& model, const Batch& batch);

}  // namespace graft
