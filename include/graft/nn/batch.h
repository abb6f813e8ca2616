#pragma once
// What a forward pass is told about its tokens. Handed down by const reference (captured by value where a block is recomputed): no layer
// reads anything from elsewhere.
#include <memory>
#include <string>
#include <vector>

#include "graft/core/tensor.h"
#include "graft/kernels/api.h"
#include "graft/ops/attention.h"
#include "graft/ops/rope.h"

namespace graft {

struct HostBatch;

struct Batch {
  Tensor ids;          // int64 [batch, time]; -1 - k: the slot of virtual token k, which the embedding's adapter fills
  Tensor positions;    // int64 [batch, time]: of each token in its sample
  Tensor segments;     // int64 [batch, time]: which sample; -1: padding
  Tensor types;        // int64 [batch, time]: 1 in the second text of a pair; undefined: all 0
  std::string adapter; // which adapter the seats use; "": the base alone
  bool packed = false; // a row may hold several samples
  Texts texts;         // ... which lie here, padding as texts of its own; undefined: only segments tell
  bool training = false;
  uint64_t seed = 0;   // of dropout
  int64_t step = 0;    // the optimizer step: dropout's masks change with it ...
  Tensor step_at;      // ... and a pass that is replayed reads it here: int64 scalar; undefined: it is `step`
  /// Rows of several adapters: the same batch cut into runs of rows, in order, each with its own adapter, seed and step. Null: all rows
  /// use `adapter`.
  std::shared_ptr<const std::vector<Batch>> parts;

  // Set by the model at the start of a pass, the same for every layer of a kind.
  Rotation rotation;
  AttentionMask mask;
};

Batch to_batch(const HostBatch& host, at::Device device);
/// Of what is dropped at a site in a pass. It refers to the batch's step_at.
kernels::DropoutKey dropout_key(const Batch& batch, uint32_t site);

/// Where the texts of packed rows lie (Texts, on the host), their number and the length of the longest rounded up to a few sizes.
struct TextPlaces {
  std::vector<int32_t> starts;
  int64_t longest = 0, columns = 0, shared = 0;
  /// What is shared ends with its row.
  std::vector<int32_t> bounds() const;
};
TextPlaces text_places(const HostBatch& host);
/// The next of a few sizes, steps of an eighth: so that shapes come again.
int64_t in_few_sizes(int64_t size);

/// What an adapter adds to each sequence: slots for vectors in front of its tokens, and keys and values in front of every attention's. The
/// tokens' positions begin behind both.
struct VirtualTokens {
  int64_t slots = 0, prefix = 0;
  int64_t count() const { return slots + prefix; }
};
/// The rows with room for them in front of each sample: targets move along, slots have none.
HostBatch with_virtual_tokens(const HostBatch& host, const VirtualTokens& tokens);

/// Rows of several batches as one, padded to the longest.
Batch mixed(std::vector<Batch> parts);

/// How long the text is that each token is in, its last position counted: int64 as `positions`.
Tensor text_lengths(const Tensor& segments, const Tensor& positions);

/// Single tokens, as `indices` (int64) number them in the flattened batch, as [tokens, 1]: what a head is told, which sees only some states.
Batch tokens_of(const Batch& batch, const Tensor& indices);

}  // namespace graft
