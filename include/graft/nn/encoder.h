#pragma once
// The encoder of BERT (Devlin et al. 2019) and RoBERTa (Liu et al. 2019): learnt positions, post-norm blocks of attention in both directions
// and a GELU feed-forward, with dropout of its own in training. What differs between families is in EncoderShape.
#include <memory>
#include <string>
#include <vector>

#include "graft/nn/norm.h"
#include "graft/nn/model_dropout.h"
#include "graft/nn/task_head.h"
#include "graft/nn/transformer.h"
#include "graft/ops/activation.h"

namespace graft {

struct EncoderShape {
  std::string path;                // in front of every module's: "bert"
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, layers = 0, heads = 0;
  int64_t positions = 0;           // rows of the table of positions
  int64_t first_position = 0;      // the first token's: RoBERTa's stand behind the padding's
  int64_t types = 2;
  double norm_eps = 1e-12;
  Activation activation = Activation::gelu;
  double hidden_dropout = 0.1, attention_dropout = 0.1;
};

class EncoderEmbeddings : public torch::nn::Module {
 public:
  EncoderEmbeddings(TensorSource& source, const EncoderShape& shape);
  Tensor forward(const Batch& batch) const;
  std::vector<Site*> sites() const { return {words_.get(), positions_.get(), types_.get(), norm_.get()}; }
  const Weight& words() const { return *words_->weight(); }

 private:
  int64_t first_position_;
  std::shared_ptr<Embedding> words_, positions_, types_;
  std::shared_ptr<LayerNorm> norm_;
  ModelDropout dropout_;
};

class EncoderAttention : public torch::nn::Module {
 public:
  EncoderAttention(TensorSource& source, const std::string& path, const EncoderShape& shape);
  Tensor forward(const Tensor& x, const Batch& batch) const;
  std::vector<Site*> sites() const { return {prefix_.get(), query_.get(), key_.get(), value_.get()}; }
  const KeyValueSeat& prefix() const { return *prefix_; }

 private:
  int64_t head_dim_;
  std::shared_ptr<KeyValueSeat> prefix_;
  std::shared_ptr<Linear> query_, key_, value_;
  ModelDropout dropout_;
};

/// The end of a sub-layer: dense, dropout, and the norm of the sum with the sub-layer's input.
class EncoderOutput : public torch::nn::Module {
 public:
  EncoderOutput(TensorSource& source, const std::string& path, int64_t in, Role role, SiteKind kind, const EncoderShape& shape);
  Tensor forward(const Tensor& x, const Tensor& residual, const Batch& batch) const;
  std::vector<Site*> sites() const { return {dense_.get(), sum_.get(), norm_.get()}; }

 private:
  std::shared_ptr<Linear> dense_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<ResidualNorm> sum_;
  ModelDropout dropout_;
};

class EncoderLayer : public torch::nn::Module {
 public:
  EncoderLayer(TensorSource& source, const std::string& path, const EncoderShape& shape);
  Tensor forward(const Tensor& x, const Batch& batch) const;
  std::vector<Site*> sites() const;
  const KeyValueSeat& prefix() const { return attention_->prefix(); }

 private:
  Activation activation_;
  std::shared_ptr<EncoderAttention> attention_;
  std::shared_ptr<EncoderOutput> after_attention_, after_mlp_;
  std::shared_ptr<Linear> up_;
};

class Encoder : public Transformer {
 public:
  /// Without a task (causal_lm) it has hidden states alone.
  Encoder(const EncoderShape& shape, const Task& task, const HeadShape& head, TensorSource& source);
  /// With pooling by mean every position holds its segment's mean.
  Tensor hidden(const Batch& batch, Cache* cache = nullptr) override;
  Tensor predict(const Tensor& hidden, const Batch& batch) override;
  Cache new_cache(int64_t rows, int64_t capacity) const override;
  const Task& task() const override { return task_; }
  int64_t vocab_size() const override { return shape_.vocab_size; }
  int64_t max_positions() const override { return shape_.positions - shape_.first_position; }
  bool has_position_table() const override { return true; }
  int64_t hidden_size() const override { return shape_.hidden_size; }
  int64_t layers() const override { return shape_.layers; }
  at::Device device() const override { return embeddings_->words().device(); }
  at::ScalarType dtype() const override { return embeddings_->words().dtype(); }
  using Transformer::set_recompute;
  void set_recompute(Recompute mode) override { recompute_ = mode; }
  std::string describe() const override;

 private:
  EncoderShape shape_;
  Task task_;
  std::shared_ptr<EncoderEmbeddings> embeddings_;
  std::vector<std::shared_ptr<EncoderLayer>> layers_;
  std::shared_ptr<TaskHead> head_;   // null without a task
  Recompute recompute_ = Recompute::none;
};

}  // namespace graft
