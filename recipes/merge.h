#pragma once
// A trained model's weights, one tensor at a time: the base's value and the adapter's update, added in fp32 and rounded once.
#include <map>
#include <string>

#include "graft/core/log.h"
#include "session.h"

namespace graft {

/// What an update is added to where the base was quantised.
enum class MergeInto {
  dequantized,   // the numbers that training saw
  original,      // the file's own, before quantising
  requantized,   // the numbers that training saw; the sum is quantised again
};

class Merger {
 public:
  Merger(const Target& target, const ModelFiles& files, MergeInto into);
  /// One of the head and the embedding, whose weight is the same, has an adapter that the other does not follow: the merged model stores both apart.
  bool unties_head() const;
  bool tied() const { return outline_->tied_head(); }
  const Transformer& outline() const { return *outline_; }   // with the adapter in its seats
  /// The tensor of the files whose base value `name` has: an untied head's is the embedding's.
  std::string source_of(const std::string& name) const;

  /// Dense and rounded once. An Error if it is not finite or cannot be merged.
  Tensor tensor(const std::string& name, at::ScalarType dtype);
  /// requantized: the scheme in which a tensor is stored; nullopt: dense.
  std::optional<Scheme> scheme(const std::string& name) const;
  QuantizedTensor quantized(const std::string& name);

  /// An adapter that is not zero must have changed something that is stored.
  void check_effect() const;
  int64_t tensors() const { return tensors_; }
  int64_t merged() const { return merged_; }
  /// requantized: by module, the share of the update that quantising again left, <stored - base, update> / <update, update>.
  const std::map<std::string, double>& survived() const { return survived_; }

 private:
  struct Sum {
    Tensor base, merged;   // fp32; the same tensor where no adapter sits
  };
  Sum sum(const std::string& name);

  const Target& target_;
  const ModelFiles& files_;
  MergeInto into_;
  std::shared_ptr<Transformer> outline_;
  std::string adapter_;
  int64_t tensors_ = 0, merged_ = 0;
  bool changed_ = false, nonzero_ = false;
  std::map<std::string, double> survived_;
};

}  // namespace graft
