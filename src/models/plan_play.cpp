// A step from its first layer to its embedding: what lies there all the time, what each layer leaves, the loss, and back.
#include <algorithm>

#include "graft/nn/layers.h"
#include "graft/ops/linear_cross_entropy.h"
#include "plan_layer.h"
#include "plan_parts.h"

namespace graft {
namespace {

constexpr int64_t cublas_workspace = int64_t{32} << 20;  // LibTorch's for a thread and a stream, on Hopper; less on older cards
constexpr const char *gradient_kind = "gradients of activations", *states_kind = "hidden states", *logits_kind = "logits and their gradient";

/// Whether prediction is the frozen head's product: no adapter sits in its way.
bool plain_head(const Transformer& outline, const Adapters& adapters) {
  return outline.task().kind == TaskKind::causal_lm && outline.predicts_by_product() && std::ranges::none_of(adapters.seats, [&](const auto& seat) {
           const Site& site = *seat.first;
           const bool follows = seat.second.taken == Taken::values && site.role() == Role::words && outline.tied_head();
           return site.role() == Role::head || follows;
         });
}

class Play {
 public:
  Play(const PlanSubject& subject, const StepShape& shape)
      : s_(subject),
        shape_(shape),
        setting_{s_.facts, s_.adapter, s_.quantization, s_.storage, shape_, s_.adapters.prefix},
        element_(static_cast<int64_t>(at::elementSize(shape.dtype))),
        tokens_(shape.rows * shape.columns),
        states_(tokens_ * s_.outline.hidden_size() * element_) {}

  void run(StepPlan& plan) {
    Parts always = everlasting();
    for (const auto& [kind, bytes] : always) keep(kind, bytes), plan.between_steps += bytes;
    keep("the batch", tokens_ * 32 + (s_.facts.rotary ? tokens_ * s_.facts.head_dim * 4 : 0) + (masked(setting_) ? tokens_ * shape_.columns : 0));
    make_layers();
    for (size_t i = 0; i < layers_.size(); ++i) tally_.begin(fmt::format("the forward pass of layer {}", i)), layers_[i]->forward(tally_);
    tally_.begin("the loss");
    Room gradient = loss();
    for (size_t i = layers_.size(); i-- > first_trained_;) {
      tally_.begin(fmt::format("the backward pass of layer {}", i));
      layers_[i]->backward(tally_, side_, i + 1 == layers_.size());
      gradient = tally_.hold(gradient_kind, states_);
    }
    tally_.begin("the embedding's backward pass");
    if (s_.adapters.tied) tally_.touch("gradients", s_.adapters.head_gradient);
    plan.memory = tally_.fullest(), plan.moment = tally_.fullest_moment();
  }

 private:
  using Room = Tally::Room;
  void keep(const std::string& kind, int64_t bytes) { kept_.push_back(tally_.hold(kind, bytes)); }

  Parts everlasting() const {
    Parts parts;
    add_base(parts, s_.outline, s_.storage, element_);
    for (const LayerSites& layer : s_.blocks.layers) {
      if (!shape_.fused || !layer.fusable) continue;
      const bool outer = &layer == &s_.blocks.layers.front() || &layer == &s_.blocks.layers.back();
      add(parts, "room for updates beside the base", settled_room(layer.sites, s_.storage, element_));
      if (shape_.fp8 && (shape_.fp8_outer_layers || !outer)) add(parts, "the base in 8 bits", eight_bit_copies(layer.sites, s_.storage));
    }
    add(parts, "adapters", s_.adapters.held * 4), add(parts, "gradients", s_.adapters.flat * 4);
    add(parts, "AdamW's moments", shape_.moments_in_8_bits ? s_.adapters.flat * 2 + s_.adapters.flat / 32 : s_.adapters.flat * 8);   // codes, and a scale a block of 256
    const bool fused = std::ranges::any_of(s_.blocks.layers, [&](const LayerSites& layer) { return shape_.fused && layer.fused; });
    const int64_t users = 2 + (fused && element_ > 2);   // as measured: two threads, or streams of fused blocks, a third where no kernel takes the sums beside them
    if (!shape_.on_cpu) add(parts, "cuBLAS's workspaces", users * cublas_workspace);
    return parts;
  }

  /// Layers below the first one with an adapter get no gradient.
  void make_layers() {
    for (const auto& [kind, bytes] : plan_block(s_.blocks.outer_front, setting_, flows_).kept) keep("kept: " + kind, bytes);
    for (const LayerSites& layer : s_.blocks.layers) {
      if (shape_.fused && layer.fused)
        layers_.push_back(fused_layer(layer.sites, setting_, flows_));
      else
        layers_.push_back(plain_layer(plan_block(layer.sites, setting_, flows_), shape_.recompute, states_));
      if (!flows_) first_trained_ = layers_.size();
    }
  }

  /// The last hidden states, those with a target, their gradient and a chunk's logits; then back through the last norm. What comes is the
  /// gradient for the last layer.
  Room loss() {
    const bool plain = plain_head(s_.outline, s_.adapters), flowed = flows_, picks = shape_.targets < tokens_;
    const int64_t rows = shape_.targets * s_.outline.hidden_size() * element_;
    std::vector<Room> norm;
    for (const auto& [kind, bytes] : plan_block(s_.blocks.outer_back, setting_, flows_).kept) norm.push_back(tally_.hold("kept: " + kind, bytes));
    Room hidden = tally_.hold(states_kind, (plain ? states_ : 0) + (plain && !picks ? 0 : rows));
    Room gradient = tally_.hold(states_kind, flowed ? rows : 0);
    plain ? chunk_of_product() : chunk_made_again();
    hidden.reset();
    const Room scaled = tally_.hold(states_kind, rows);
    gradient.reset();
    return tally_.hold(gradient_kind, states_);
  }

  int64_t chunk_logits() const {
    const int64_t classes = s_.outline.task().kind == TaskKind::causal_lm ? s_.outline.vocab_size() : s_.outline.task().outputs();
    return std::min(shape_.targets, loss_chunk_rows) * classes;
  }

  /// The gradient takes the logits' place. A head of codes is made dense for its two products.
  void chunk_of_product() {
    int64_t scratch = 0;
    for (const Site* site : s_.outline.sites())
      if (site->role() == Role::head && s_.storage(site->path())) scratch = site->weight()->in_features() * site->weight()->out_features() * element_;
    const int64_t product = std::min(shape_.targets, loss_chunk_rows) * s_.outline.hidden_size() * element_;
    const Room logits = tally_.hold(logits_kind, chunk_logits() * element_);
    tally_.touch(logits_kind, scratch + product);
  }

  /// Its log-softmax and two gradients; the head's own gradient before it is added to the others.
  void chunk_made_again() { tally_.touch(logits_kind, chunk_logits() * 12 + s_.adapters.head_gradient); }

  const PlanSubject& s_;
  StepShape shape_;
  BlockSetting setting_;
  int64_t element_, tokens_, states_;
  bool flows_ = false;
  size_t first_trained_ = 0;
  Tally tally_;   // outlives what is held in it
  std::vector<Room> kept_;
  Room side_;
  std::vector<std::unique_ptr<PlannedLayer>> layers_;
};

}  // namespace

void play_step(const PlanSubject& subject, const StepShape& shape, StepPlan& plan) { Play(subject, shape).run(plan); }

}  // namespace graft
