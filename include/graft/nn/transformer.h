#pragma once
// A transformer as the trainer, the methods and the generator see it: hidden states, and a head that predicts from them.
#include <string>
#include <vector>

#include "graft/data/task.h"
#include "graft/nn/layers.h"
#include "graft/ops/recompute.h"

namespace graft {

/// Keys and values of earlier tokens, with the segment and position of each, so that rows of different lengths live in one cache.
struct Cache {
  std::vector<Tensor> keys, values;   // a layer: [batch, capacity, kv_heads, head_dim]
  Tensor segments, positions;         // int64 [batch, capacity]
  int64_t length = 0;                 // slots filled
};

class Transformer : public torch::nn::Module {
 public:
  /// [batch, time] -> [batch, time, dim], after the last norm. With a cache: appends this batch's keys and values and sees the earlier.
  virtual Tensor hidden(const Batch& batch, Cache* cache = nullptr) = 0;
  /// Logits of hidden states, [.., dim] -> [.., classes]: of the vocabulary, or of a task's classes. Apart from hidden(), so that a loss is
  /// taken in chunks of the states that have a target and full logits never exist.
  virtual Tensor predict(const Tensor& hidden, const Batch& batch) = 0;
  /// The vocabulary's head; null where a task has a head of its own.
  virtual Linear* vocabulary_head() { return nullptr; }
  /// Whether prediction is that head's product alone: no cap comes behind it.
  virtual bool predicts_by_product() const { return true; }
  /// Its weight, if with this adapter prediction is nothing but its product; else null.
  const Weight* frozen_head(const std::string& adapter);
  /// What it predicts; its pooling is never automatic.
  virtual const Task& task() const = 0;
  virtual Cache new_cache(int64_t rows, int64_t capacity) const = 0;
  virtual int64_t vocab_size() const = 0;
  virtual int64_t max_positions() const = 0;
  /// Positions come from a table: no text may have more than max_positions().
  virtual bool has_position_table() const { return false; }
  /// Whether keys that were cached in texts of `from` tokens hold in texts of `to`: not where rotary frequencies depend on the length.
  virtual bool cache_holds(int64_t from, int64_t to) const { return true; }
  /// Whether transformers keeps its blocks' matrices as [in, out] (Conv1D); PEFT's word for it.
  virtual bool fan_in_fan_out() const { return false; }
  virtual int64_t hidden_size() const = 0;
  virtual int64_t layers() const = 0;
  virtual bool tied_head() const { return false; }
  virtual at::Device device() const = 0;
  virtual at::ScalarType dtype() const = 0;
  /// Whether in training on such a device, texts of at most so many tokens may share a beginning that their row holds once (Texts::shared): nothing in
  /// the model drops, none of it depends on a text's length, and attention goes text by text.
  virtual bool shares_beginnings(at::Device device, at::ScalarType dtype, int64_t longest) const { return false; }
  virtual void set_recompute(Recompute mode) = 0;
  void set_recompute(bool on) { set_recompute(on ? Recompute::layer : Recompute::none); }
  /// Whether blocks may run as one node each (nn/fused_block.h), where they can: so on a GPU from the start.
  virtual void set_fused(bool on) {}
  /// Whether a training step runs that layer so, with these adapters' rows in one pass; and how many layers.
  virtual bool fuses(int64_t layer, const std::vector<std::string>& adapters) const { return false; }
  int64_t fused_layers(const std::vector<std::string>& adapters) const;
  int64_t fused_layers(const std::string& adapter) const { return fused_layers(std::vector{adapter}); }
  /// Frozen products of the layers that run so in 8 bits (ops/fp8_product.h), the first and the last too or not. Returns how many layers
  /// have them.
  virtual int64_t set_fp8(bool on, bool outer_layers) { return 0; }
  /// "30 layers of 576 (feed-forward 1536), 9 heads, ...": for people.
  virtual std::string describe() const = 0;

  const std::vector<Site*>& sites() const { return sites_; }
  Site* find_site(const std::string& path) const;
  /// The first site of a kind; null if there is none.
  Site* first_site(SiteKind kind) const;
  /// What an adapter adds to each sequence.
  VirtualTokens virtual_tokens(const std::string& adapter) const;

 protected:
  std::vector<Site*> sites_;
};

/// logits of every token: [batch, time, classes] fp32. For tests and scoring of short texts.
Tensor logits(Transformer& model, const Batch& batch);

}  // namespace graft
