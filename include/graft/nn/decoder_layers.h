#pragma once
// The parts of a decoder's block.
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "graft/nn/decoder_shape.h"
#include "graft/nn/fused_block.h"
#include "graft/nn/model_dropout.h"
#include "graft/nn/transformer.h"

namespace graft {

/// Writes `fresh` behind the `length` slots that are filled and returns all of them.
Tensor extend(Tensor& cached, const Tensor& fresh, int64_t length);

class DecoderAttention : public torch::nn::Module {
 public:
  DecoderAttention(TensorSource& source, const std::string& path, const DecoderShape& shape);
  Tensor forward(const Tensor& x, const Batch& batch, Cache* cache, int64_t layer) const;
  std::vector<Site*> sites() const;
  const KeyValueSeat& prefix() const { return *prefix_; }
  /// Its part of a fused block; false: it is of another kind.
  bool add_to(BlockParts& parts) const;

 private:
  /// [batch, time, heads, head_dim] each, normed and turned.
  std::array<Tensor, 3> queries_keys_values(const Tensor& x, const Batch& batch) const;
  int64_t heads_, kv_heads_, head_dim_;
  QkNorm qk_norm_;
  ScoreRule scores_;
  std::shared_ptr<KeyValueSeat> prefix_;
  std::vector<std::shared_ptr<Linear>> qkv_;   // three, or one fused
  std::shared_ptr<Linear> output_;
  std::shared_ptr<RmsNorm> q_norm_, k_norm_;   // null without qk_norm
  ModelDropout dropout_;
};

class DecoderMlp : public torch::nn::Module {
 public:
  DecoderMlp(TensorSource& source, const std::string& path, const DecoderShape& shape);
  Tensor forward(const Tensor& x, const Batch& batch) const;
  std::vector<Site*> sites() const;
  bool add_to(BlockParts& parts) const;

 private:
  bool gated_;
  Activation activation_;
  std::vector<std::shared_ptr<Linear>> input_;   // gate and up, or one: fused, or without a gate
  std::shared_ptr<Linear> output_;
};

class DecoderLayer : public torch::nn::Module {
 public:
  DecoderLayer(TensorSource& source, const std::string& path, const DecoderShape& shape);
  Tensor forward(const Tensor& x, const Batch& batch, Cache* cache, int64_t layer) const;
  std::vector<Site*> sites() const;
  const KeyValueSeat& prefix() const { return attention_->prefix(); }
  /// What a fused block is made of; nullopt where this one is of another kind.
  std::optional<BlockParts> fused_parts() const;

 private:
  std::shared_ptr<Norm> before_attention_, after_attention_, before_mlp_, after_mlp_;   // null where the family has none
  std::shared_ptr<DecoderAttention> attention_;
  std::shared_ptr<DecoderMlp> mlp_;
  std::shared_ptr<ResidualAdd> attention_sum_, mlp_sum_;
  ModelDropout attention_dropout_, mlp_dropout_;
};

}  // namespace graft
