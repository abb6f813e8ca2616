#pragma once
// A site is a frozen function in the model with a seat. An adapter is middleware at that seat: forward(x, base). Layers are born with a
// seat; every weight, norm and bias is reachable through one. A seat holds adapters by name; a batch says which one it uses.
#include <torch/nn/module.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "graft/core/tensor.h"
#include "graft/nn/batch.h"
#include "graft/quant/weight.h"

namespace graft {

enum class SiteKind { linear, embedding, norm };

class Site;

/// The frozen function of a site, as an adapter sees it.
struct Frozen {
  const Site& site;
  Tensor operator()(const Tensor& x) const;
  Tensor linear(const Tensor& x) const;   // without the bias
};

struct WeightAndBias {
  Tensor weight;   // fp32 [out, in]
  Tensor bias;     // fp32 [out], or undefined
};

/// An update of a weight W by scale * B A.
struct LowRank {
  Tensor a, b;           // fp32 [rank, in], [out, rank]
  double scale = 1;
};

class Adapter : public torch::nn::Module {
 public:
  virtual Tensor forward(const Tensor& x, const Frozen& base, const Batch& batch) = 0;
  /// What it is, if it is nothing but a low-rank update of the weight (dropout aside).
  virtual std::optional<LowRank> low_rank() const { return std::nullopt; }
  /// The site's weight and bias with this adapter in them, accumulated in fp32; nullopt: it cannot be merged.
  virtual std::optional<WeightAndBias> merged(const WeightAndBias& base) const = 0;
};

class Site {
 public:
  Site(std::string path, SiteKind kind) : path_(std::move(path)), kind_(kind) {}
  virtual ~Site() = default;
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  const std::string& path() const { return path_; }   // as Hugging Face names the module: model.layers.0.self_attn.q_proj
  SiteKind kind() const { return kind_; }
  virtual Tensor frozen(const Tensor& x) const = 0;
  virtual Tensor frozen_linear(const Tensor& x) const { return frozen(x); }
  virtual const Weight* weight() const { return nullptr; }
  virtual Tensor bias() const { return {}; }

  void seat(const std::string& name, std::shared_ptr<Adapter> adapter);   // fails if the name is taken
  void unseat(const std::string& name) { adapters_.erase(name); }
  std::shared_ptr<Adapter> adapter(const std::string& name) const;        // null if none
  /// The frozen function through the batch's adapter, if one of that name sits here.
  Tensor run(const Tensor& x, const Batch& batch) const;

 private:
  std::string path_;
  SiteKind kind_;
  std::map<std::string, std::shared_ptr<Adapter>> adapters_;
};

}  // namespace graft
