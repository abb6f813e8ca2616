#pragma once
// The decoder of Llama (Touvron et al. 2023) and its kin: blocks of grouped-query attention and a feed-forward. What differs between families
// (names, norms and where they stand, positions, windows, caps, activations) is in DecoderShape.
#include <memory>
#include <vector>

#include "graft/nn/decoder_layers.h"
#include "graft/nn/task_head.h"

namespace graft {

class Decoder : public Transformer {
 public:
  /// A task with classes puts its own head in the vocabulary's place.
  Decoder(const DecoderShape& shape, const Task& task, TensorSource& source);
  Tensor hidden(const Batch& batch, Cache* cache = nullptr) override;
  Tensor predict(const Tensor& hidden, const Batch& batch) override;
  Linear* vocabulary_head() override { return head_.get(); }
  bool predicts_by_product() const override { return shape_.logit_cap == 0; }
  const Task& task() const override { return task_; }
  Cache new_cache(int64_t rows, int64_t capacity) const override;
  bool cache_holds(int64_t from, int64_t to) const override;
  int64_t vocab_size() const override { return shape_.vocab_size; }
  int64_t max_positions() const override { return shape_.max_positions; }
  bool has_position_table() const override { return shape_.positions == PositionKind::table; }
  int64_t hidden_size() const override { return shape_.hidden_size; }
  int64_t layers() const override { return shape_.layers; }
  bool tied_head() const override { return head_ && shape_.tied_head; }
  bool fan_in_fan_out() const override { return shape_.fan_in_fan_out; }
  at::Device device() const override { return embed_->device(); }
  at::ScalarType dtype() const override { return embed_->weight()->dtype(); }
  using Transformer::set_recompute;
  void set_recompute(Recompute mode) override { recompute_ = mode; }
  void set_fused(bool on) override;
  int64_t set_fp8(bool on, bool outer_layers) override;
  bool fuses(int64_t layer, const std::vector<std::string>& adapters) const override;
  bool shares_beginnings(at::Device device, at::ScalarType dtype, int64_t longest) const override;
  std::string describe() const override;
  const DecoderShape& shape() const { return shape_; }

 private:
  /// Layers whose attention sees alike share masks and rotations.
  struct Kind {
    LayerView view;
    Tensor frequencies;   // undefined without rotary positions
    int64_t layers = 0;
  };
  /// Whose keys a pass's queries meet, and where they stand: the cache's, a prefix's and the batch's own.
  struct Keys {
    Tensor segments, positions;
  };
  void make_kinds();
  void make_head(TensorSource& source);
  Tensor embedded(const Batch& batch) const;
  /// Null: this pass goes through the layer's own text.
  const FusedBlock* fused_block(size_t layer, const Batch& own) const;
  Tensor through(size_t layer, const Tensor& x, const Batch& own, Cache* cache) const;
  Tensor tied_logits(const Tensor& hidden, const Batch& batch) const;
  Keys keys_of(const Batch& batch, Cache* cache) const;
  /// The pass as layers of a kind are told of it.
  Batch seen_by(const Kind& kind, const Batch& batch, const Keys& keys) const;

  DecoderShape shape_;
  Task task_;
  std::shared_ptr<Embedding> embed_, positions_;   // positions_: null but for a table
  ModelDropout embedding_dropout_;
  std::vector<std::shared_ptr<DecoderLayer>> layers_;
  std::vector<std::unique_ptr<FusedBlock>> fused_;   // one a layer, null where it is of another kind; empty: the plain path alone
  std::shared_ptr<BetweenBlocks> between_ = std::make_shared<BetweenBlocks>();
  std::vector<Kind> kinds_;
  std::vector<size_t> kind_of_layer_;
  std::shared_ptr<Norm> norm_;
  std::shared_ptr<Linear> head_;          // the vocabulary's, or null ...
  std::shared_ptr<TaskHead> task_head_;   // ... where this one is
  Recompute recompute_ = Recompute::none;
};

}  // namespace graft
