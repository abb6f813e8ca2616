#pragma once
// The decoder of Llama (Touvron et al. 2023) and its kin: pre-norm blocks of grouped-query attention with rotary positions and SwiGLU.
// What differs between families (biases, norms on q and k, head sizes, rotary scaling, a tied head) is in DecoderShape.
#include <memory>
#include <vector>

#include "graft/nn/task_head.h"
#include "graft/nn/transformer.h"

namespace graft {

struct DecoderShape {
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int64_t max_positions = 0;
  double norm_eps = 1e-6;
  RopeSpec rope;
  bool tied_head = false;
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool qk_norm = false;
  double classifier_dropout = 0.1;   // in front of a token classifier's matrix
};

class DecoderAttention : public torch::nn::Module {
 public:
  DecoderAttention(TensorSource& source, const std::string& path, const DecoderShape& shape);
  Tensor forward(const Tensor& x, const Batch& batch, Cache* cache, int64_t layer) const;
  std::vector<Site*> sites() const;
  const KeyValueSeat& prefix() const { return *prefix_; }

 private:
  int64_t head_dim_;
  std::shared_ptr<KeyValueSeat> prefix_;
  std::shared_ptr<Linear> q_, k_, v_, o_;
  std::shared_ptr<RmsNorm> q_norm_, k_norm_;   // null without qk_norm
};

class DecoderMlp : public torch::nn::Module {
 public:
  DecoderMlp(TensorSource& source, const std::string& path, const DecoderShape& shape);
  Tensor forward(const Tensor& x, const Batch& batch) const;
  std::vector<Site*> sites() const;

 private:
  std::shared_ptr<Linear> gate_, up_, down_;
};

class DecoderLayer : public torch::nn::Module {
 public:
  DecoderLayer(TensorSource& source, const std::string& path, const DecoderShape& shape);
  Tensor forward(const Tensor& x, const Batch& batch, Cache* cache, int64_t layer) const;
  std::vector<Site*> sites() const;
  const KeyValueSeat& prefix() const { return attention_->prefix(); }

 private:
  std::shared_ptr<RmsNorm> attention_norm_, mlp_norm_;
  std::shared_ptr<DecoderAttention> attention_;
  std::shared_ptr<DecoderMlp> mlp_;
  std::shared_ptr<ResidualAdd> after_attention_, after_mlp_;
};

class Decoder : public Transformer {
 public:
  /// A task with classes puts its own head in the vocabulary's place.
  Decoder(const DecoderShape& shape, const Task& task, TensorSource& source);
  Tensor hidden(const Batch& batch, Cache* cache = nullptr) override;
  Tensor predict(const Tensor& hidden, const Batch& batch) override;
  Linear* vocabulary_head() override { return head_.get(); }
  const Task& task() const override { return task_; }
  Cache new_cache(int64_t rows, int64_t capacity) const override;
  int64_t vocab_size() const override { return shape_.vocab_size; }
  int64_t max_positions() const override { return shape_.max_positions; }
  int64_t hidden_size() const override { return shape_.hidden_size; }
  int64_t layers() const override { return shape_.layers; }
  bool tied_head() const override { return head_ && shape_.tied_head; }
  at::Device device() const override { return frequencies_.device(); }
  at::ScalarType dtype() const override { return embed_->weight()->dtype(); }
  void set_recompute(bool on) override { recompute_ = on; }
  std::string describe() const override;

 private:
  void make_head(TensorSource& source);
  AttentionMask mask_for(const Batch& batch, Cache* cache) const;
  DecoderShape shape_;
  Task task_;
  std::shared_ptr<Embedding> embed_;
  std::vector<std::shared_ptr<DecoderLayer>> layers_;
  std::shared_ptr<RmsNorm> norm_;
  std::shared_ptr<Linear> head_;          // the vocabulary's, or null ...
  std::shared_ptr<TaskHead> task_head_;   // ... where this one is
  Tensor frequencies_;
  bool recompute_ = false;
};

}  // namespace graft
