#pragma once
// A site is a frozen function in the model with a seat. An adapter is middleware at that seat: forward(x, base). Layers are born with a
// seat; every weight, norm and bias is reachable through one. A seat holds adapters by name; a batch says which row uses which.
#include <torch/nn/module.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "graft/core/tensor.h"
#include "graft/nn/batch.h"
#include "graft/quant/weight.h"

namespace graft {

enum class SiteKind {
  linear,
  embedding,         // of int64 ids; negative ids are the slots of virtual tokens (batch.h)
  norm,
  after_attention,   // a sub-layer's output meets the residual stream: (x, residual) -> x + residual, through the norm of a post-norm block
  after_mlp,
  key_value,         // what an attention's keys and values begin with, [batch, 0, 2, kv_heads, head_dim]: nothing, until an adapter says more
};

/// What a layer is to its block: methods name their usual places by it.
enum class Role { other, words, query, key, value, query_key_value, attention_output, gate, up, gate_up, mlp_output, head };

class Site;

/// The frozen function of a site, as an adapter sees it.
struct Frozen {
  const Site& site;
  Tensor residual;                        // after_attention, after_mlp: the sub-layer's input
  const Batch* batch;                     // ... and the pass, for a frozen function with seats inside (the norm of a post-norm block)
  Tensor operator()(const Tensor& x) const;
  Tensor linear(const Tensor& x) const;   // without the bias
};

struct WeightAndBias {
  Tensor weight;   // fp32 [out, in]
  Tensor bias;     // fp32 [out], or undefined
};

/// An update of a weight W by scale * B A (or none: no a and b); rows of the sum may be brought to trained lengths, rows and columns be rescaled.
struct LowRank {
  Tensor a = {}, b = {}; // fp32 [rank, in], [out, rank]
  double scale = 1;
  double dropout = 0;    // of what it sees in training, masked by ...
  uint32_t site = 0;     // ... this site's numbers (ops/dropout.h)
  Tensor magnitude = {}; // fp32, out numbers: the rows' lengths (DoRA), or without `squares` gains of the outputs, bias and all (IA3)
  Tensor squares = {};   // [out]: sums of the squares of W's rows
  Tensor in_gain = {};   // fp32, in numbers: gains of the input (IA3)
  Tensor a_gain = {}, b_gain = {};   // fp32 [rank], [out]: what a's and b's rows are multiplied by (VeRA), and train in their place; undefined: nothing
  int64_t rank() const { return a.defined() ? a.size(0) : 0; }
  const Tensor& trained_a() const { return a_gain.defined() ? a_gain : a; }
  const Tensor& trained_b() const { return b_gain.defined() ? b_gain : b; }
};

class Adapter : public torch::nn::Module {
 public:
  virtual Tensor forward(const Tensor& x, const Frozen& base, const Batch& batch) = 0;
  /// The rows of a mixed batch at once, adapters[i] for its part i, this being the first: for kinds that can share the base's product.
  virtual std::optional<Tensor> forward_parts(const Tensor& x, const std::vector<Adapter*>& adapters, const Frozen& base, const Batch& batch) { return std::nullopt; }
  /// What it is, if it is nothing but a low-rank update of the weight (dropout aside).
  virtual std::optional<LowRank> low_rank() const { return std::nullopt; }
  /// The same with its own parameters as factors or as their gains, where nothing else trains: a fused path runs it so, and adds to their gradients.
  virtual std::optional<LowRank> trained_factors() const { return std::nullopt; }
  /// The site's weight and bias with this adapter in them, accumulated in fp32; nullopt: it cannot be merged.
  virtual std::optional<WeightAndBias> merged(const WeightAndBias& base) const { return std::nullopt; }
  /// On an embedding whose weight is the head's too: whether the head follows it. If so, logits as this adapter makes them of hidden states; if not,
  /// the head is as it was.
  virtual bool ties_head() const { return false; }
  virtual Tensor predict_tied(const Tensor& hidden, const Site& head) const { return {}; }
  /// How many virtual tokens it adds to each sequence: slots that it fills (embedding), or keys and values in front (key_value).
  virtual int64_t virtual_tokens() const { return 0; }
};

class Site {
 public:
  Site(std::string path, SiteKind kind, Role role = Role::other) : path_(std::move(path)), kind_(kind), role_(role) {}
  virtual ~Site() = default;
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  const std::string& path() const { return path_; }   // as Hugging Face names the module: model.layers.0.self_attn.q_proj
  SiteKind kind() const { return kind_; }
  Role role() const { return role_; }
  virtual Tensor frozen(const Tensor& x) const = 0;
  virtual Tensor frozen_linear(const Tensor& x) const { return frozen(x); }
  /// after_attention, after_mlp.
  virtual Tensor frozen(const Tensor& x, const Tensor& residual, const Batch& batch) const { return frozen(x); }
  virtual const Weight* weight() const { return nullptr; }
  virtual Tensor bias() const { return {}; }
  /// What its weight's rows are multiplied by on the way out: an embedding's (Gemma).
  virtual double output_scale() const { return 1; }
  /// Whether its weight is another site's: a head that is the embedding.
  virtual bool shares_weight() const { return false; }
  /// What the site holds, in fp32; undefined where it holds nothing. And its function with other values in their place, differentiable
  /// in them: training a part of the base is an adapter too.
  virtual WeightAndBias values() const { return {}; }
  virtual Tensor apply(const Tensor& x, const WeightAndBias& values) const { return frozen(x); }
  /// Where its adapters live; an outline's weights lie nowhere, and its adapters hold real values on the CPU.
  virtual at::Device device() const = 0;

  void seat(const std::string& name, std::shared_ptr<Adapter> adapter);   // fails if the name is taken
  void unseat(const std::string& name) { adapters_.erase(name); }
  std::shared_ptr<Adapter> adapter(const std::string& name) const;        // null if none
  /// The frozen function through the batch's adapters, where they sit here.
  Tensor run(const Tensor& x, const Batch& batch, const Tensor& residual = {}) const;

 private:
  Tensor run_one(const Tensor& x, const Batch& batch, const Tensor& residual) const;
  std::string path_;
  SiteKind kind_;
  Role role_;
  std::map<std::string, std::shared_ptr<Adapter>> adapters_;
};

}  // namespace graft
