#pragma once
// A method says which kinds of site it adapts and makes the adapters. Methods know nothing of families and storage formats.
#include <memory>
#include <string>
#include <string_view>

#include "graft/nn/site.h"

namespace graft {

class Method {
 public:
  virtual ~Method() = default;
  virtual bool adapts(SiteKind kind) const = 0;
  /// A fresh adapter on the site's device; its first values are a function of (seed, path).
  virtual std::shared_ptr<Adapter> make(const Site& site, uint64_t seed) const = 0;
  /// How much faster a parameter learns than the run's learning rate says (LoRA+).
  virtual double lr_scale(std::string_view parameter) const { return 1; }
};

/// What a method brings of its own: with another method's rate it learns nothing.
struct LearningRate {
  double usual = 1e-4;
  double low = 0, high = 1;   // outside of these a warning is due
};

}  // namespace graft
