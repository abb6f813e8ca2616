// A fused block's tensors in the order of their making: nn/fused_block.cpp and fused_block_back.cpp without the arithmetic.
#include <algorithm>

#include "graft/nn/fused_block.h"
#include "plan_layer.h"
#include "plan_linears.h"

namespace graft {
namespace {

constexpr const char *input_kind = "kept: layers' inputs", *attention_kind = "kept: attention", *mlp_kind = "kept: feed-forward", *narrow_kind = "kept: narrow products";
constexpr const char *work_kind = "a layer's work", *matrix_kind = "a layer's matrices";

class FusedLayer : public PlannedLayer {
 public:
  FusedLayer(const std::vector<SeatedSite>& sites, const BlockSetting& setting, bool& flows)
      : s_(setting), tokens_(setting.shape.rows * setting.shape.columns), element_(static_cast<int64_t>(at::elementSize(setting.shape.dtype))), wants_x_(flows),
        qkv_(sites, in_qkv, s_.storage), output_(sites, in_output, s_.storage), gate_up_(sites, in_gate_up, s_.storage), down_(sites, in_down, s_.storage) {
    SiteKind before = SiteKind::linear;
    for (const SeatedSite& seated : sites) {
      const Site& site = *seated.site;
      const bool of_heads = site.path().ends_with("q_norm") || site.path().ends_with("k_norm");
      head_norms_ = head_norms_ || of_heads;
      if (site.kind() == SiteKind::after_attention) output_normed_ = before == SiteKind::norm;
      if (site.kind() == SiteKind::after_mlp) down_normed_ = before == SiteKind::norm;
      before = of_heads ? SiteKind::linear : site.kind();
    }
    for (const Linears* all : {&qkv_, &output_, &gate_up_, &down_}) flows = flows || all->trains();
    keeps_ = flows;
    dim_ = qkv_.in, width_ = s_.facts.heads * s_.facts.head_dim, kv_ = s_.facts.kv_heads * s_.facts.head_dim, hidden_ = down_.in;
  }

  void forward(Tally& tally) override {
    const Recompute mode = s_.shape.recompute;
    run(tally, mode == Recompute::offload && !s_.shape.on_cpu ? tally.hold(work_kind, matrix(dim_)) : tally.hold(input_kind, matrix(dim_)));
    if (!keeps_ || (mode == Recompute::offload && !s_.shape.on_cpu)) tape_ = {};
    if (mode == Recompute::gate_up) tape_.gate_up.reset();
    if (mode >= Recompute::layer) tape_ = {.x = tape_.x};
  }

  void backward(Tally& tally, Tally::Room& side, bool first) override {
    Tally::Room below;   // fetched from the host's memory meanwhile
    if (s_.shape.recompute == Recompute::offload && !s_.shape.on_cpu) below = tally.hold(input_kind, matrix(dim_)), tape_.x = tally.hold(input_kind, matrix(dim_));
    if (s_.shape.recompute >= Recompute::layer) run(tally, tape_.x);
    const auto d_middle = back_to_middle(tally, side, first);
    if (wants_x_ || qkv_.trains() || output_.trains()) back(tally, side);
    begin_sums(tally, side);
    tape_ = {};
  }

 private:
  using Room = Tally::Room;
  struct Tape {
    Room x, norms, qkv, turned, attended, attention, scores, attention_output, middle, gate_up, down;
    std::vector<Room> narrow;
  };

  int64_t matrix(int64_t columns) const { return tokens_ * columns * element_; }
  Room work(Tally& tally, int64_t columns) const { return tally.hold(work_kind, matrix(columns)); }
  /// Dequantised, as long as its product takes; a dense one lies there always.
  Room dense(Tally& tally, const Linears& of) const {
    return of.dense ? Room() : tally.hold(matrix_kind, of.matrix() * element_);
  }
  /// What the CPU's readable text makes on the way, in fp32, and casts of what is narrower.
  void text(Tally& tally, int64_t columns, int64_t cast) const {
    if (s_.shape.on_cpu) tally.touch(work_kind, tokens_ * (columns + (element_ < 4 ? cast : 0)) * 4);
  }
  /// Of inputs that updates see dropped.
  void dropped(Tally& tally, const Linears& of, int64_t copies) const {
    if (of.drops) tally.touch(work_kind, matrix(copies * of.in));
  }
  /// Whether the gate's passes make what updates of its neighbours ask for (ops/gate_updates.h).
  bool gate_takes_updates(const Linears& of) const {
    return of.small && !of.drops && !of.in_gains && (s_.shape.on_cpu || (element_ == 2 && hidden_ % 64 == 0));
  }
  /// Their narrow products, in strips of columns, of so many halves.
  void gate_strips(Tally& tally, int64_t halves) const {
    if (!s_.shape.on_cpu) tally.touch(work_kind, (hidden_ + 511) / 512 * tokens_ * halves * most_gate_rank * 4);
  }
  /// Sums in some parts, of the product and of both halves, each at the rows of its own update.
  Room gate_sums(Tally& tally) const {
    constexpr int64_t parts = 16;
    if (s_.shape.on_cpu && element_ < 4) tally.touch(work_kind, tokens_ * (hidden_ + down_.pad) * 4);
    return tally.hold(work_kind, (s_.shape.on_cpu ? 1 : parts) * 5 * most_gate_rank * hidden_ * 4);
  }
  void keep_narrow(Tally& tally, const Linears& of) {
    dropped(tally, of, 1);
    tape_.narrow.push_back(tally.hold(narrow_kind, matrix(of.pad)));
  }

  void run(Tally& tally, Room x) {
    tape_ = {.x = std::move(x)};
    const auto attended = attend(tally), normed = output_normed_ ? work(tally, dim_) : Room();
    if (output_.gains || output_normed_) tape_.attention_output = attended;
    feed(tally);
  }

  Room attend(Tally& tally) {
    auto first = dense(tally, qkv_), second = dense(tally, output_);
    const auto input = work(tally, dim_ + qkv_.pad);
    tape_.norms = tally.hold("kept: norms", tokens_ * 8);
    text(tally, 2 * dim_, dim_);
    keep_narrow(tally, qkv_);
    tape_.qkv = tally.hold(attention_kind, matrix(qkv_.out));
    eight_bits(tally, qkv_, qkv_.in);
    first.reset();
    text(tally, 3 * qkv_.out, qkv_.out);
    if (head_norms_ || qkv_.gains) tape_.turned = tally.hold(attention_kind, matrix(width_ + kv_));
    auto attended = attention(tally);
    tape_.attended = tally.hold(attention_kind, matrix(width_ + output_.pad));
    attended.reset();
    return work(tally, dim_);
  }

  /// Its output, and what it keeps besides: on a tape of its own (the CPU, wide types, a mask) the output, too, and keys and values for each head where they
  /// must be as many.
  Room attention(Tally& tally) {
    const bool on_tape = s_.shape.on_cpu || equal_heads(s_) || masked(s_);
    const int64_t repeated = equal_heads(s_) && kv_ < width_ ? 2 * matrix(width_) : 0;
    if (s_.facts.text_attention()) tape_.scores = tally.hold("kept: attention scores", scores() * (1 + s_.facts.caps) + tokens_ * s_.shape.columns);
    tape_.attention = tally.hold(attention_kind, tokens_ * s_.facts.heads * 4 + kept_mask(s_) + repeated + (on_tape ? matrix(width_) : 0));
    return on_tape ? Room() : work(tally, width_);
  }

  void feed(Tally& tally) {
    auto first = dense(tally, gate_up_), second = dense(tally, down_);
    tape_.middle = tally.hold("kept: residuals", matrix(dim_));
    const auto input = work(tally, dim_ + gate_up_.pad);
    text(tally, 2 * dim_, dim_);
    keep_narrow(tally, gate_up_);
    tape_.gate_up = tally.hold(mlp_kind, matrix(gate_up_.out + gate_up_.pad));
    eight_bits(tally, gate_up_, gate_up_.in);
    first.reset();
    const auto product = work(tally, hidden_ + down_.pad);
    text(tally, 2 * hidden_, 2 * hidden_);
    if (gate_takes_updates(down_) && !s_.shape.fp8) gate_strips(tally, 1);
    keep_narrow(tally, down_);
    const auto out = work(tally, dim_);
    if (down_.gains || down_normed_) tape_.down = tally.hold(mlp_kind, matrix(dim_));
    eight_bits(tally, down_, down_.in);
    if (down_normed_) tally.touch(work_kind, matrix(dim_)), text(tally, 2 * dim_, dim_);
  }

  /// An input, or a gradient, in 8 bits; and the weights, if they are made anew.
  void eight_bits(Tally& tally, const Linears& of, int64_t columns) const {
    if (s_.shape.fp8) tally.touch(work_kind, tokens_ * columns + (of.dense ? 0 : of.in * of.out));
  }

  void make_gate_up_again(Tally& tally) {
    const auto input = work(tally, dim_ + gate_up_.pad), weights = dense(tally, gate_up_);
    tape_.gate_up = tally.hold(mlp_kind, matrix(gate_up_.out + gate_up_.pad));
  }

  /// Back through it.
  void product(Tally& tally, const Linears& of) const {
    const auto weights = dense(tally, of);
    dropped(tally, of, 2), eight_bits(tally, of, of.out);
  }

  /// The gradient of a product before its gains, from that behind them.
  void through_gains(Tally& tally, const Linears& of) const {
    if (of.gains) text(tally, 2 * of.out, 2 * of.out);
  }

  /// Sums over tokens, for which a GPU has a stream beside: what they read lies there until the next ones begin. Small ones wait for the block's others.
  void sums(Tally& tally, Room& side, const Linears& of, std::vector<Room> reads) { sums(tally, side, of, of.in, of.out, std::move(reads)); }
  void sums(Tally& tally, Room& side, const Linears& of, int64_t inputs, int64_t gradients, std::vector<Room> reads) {
    if (of.pad == 0) return;
    const int64_t sums = of.pad * (inputs + gradients) * 4;
    dropped(tally, of, 1);
    if (s_.shape.on_cpu) return tally.touch(work_kind, sums + (element_ < 4 ? tokens_ * (std::max(inputs, gradients) + of.pad) * 4 : 0));   // from casts
    waiting_.insert(waiting_.end(), reads.begin(), reads.end());
    waiting_bytes_ += matrix(inputs + of.out), waiting_sums_ += sums;
    if (waiting_bytes_ > little_factor_work) begin_sums(tally, side);
  }
  void begin_sums(Tally& tally, Room& side) {
    if (waiting_.empty()) return;
    tally.touch(work_kind, std::exchange(waiting_sums_, 0));
    side = std::make_shared<std::vector<Room>>(std::exchange(waiting_, {}));
    waiting_bytes_ = 0;
  }

  Room back_to_middle(Tally& tally, Room& side, bool first) {
    auto d_down = down_.gains || down_normed_ || (first && down_.pad > 0) ? work(tally, dim_ + down_.pad) : Room();
    through_gains(tally, down_), tape_.down.reset();
    if (!tape_.gate_up) make_gate_up_again(tally);
    auto d_product = work(tally, hidden_);
    product(tally, down_);
    if (down_.in_gains) work(tally, hidden_);
    const auto d_gate_up = gate_up_.gains ? work(tally, gate_up_.out + gate_up_.pad) : tape_.gate_up;
    const bool updates = gate_takes_updates(down_) && gate_takes_updates(gate_up_) && !gate_up_.gains;
    auto factors = updates ? dense(tally, gate_up_) : Room();
    text(tally, 8 * hidden_, 3 * hidden_);
    through_gains(tally, gate_up_);
    tape_.gate_up.reset();
    if (updates) gate_strips(tally, 2);
    const Room made = updates ? gate_sums(tally) : Room();
    if (made || down_.pad == 0) d_product.reset();
    sums(tally, side, down_, made ? 0 : down_.in, down_.out, {d_down, d_product, made});
    d_down.reset(), d_product.reset();
    const auto d_input = work(tally, dim_), input = gate_up_.pad > 0 ? work(tally, dim_) : Room();
    factors.reset(), product(tally, gate_up_);
    auto d_middle = work(tally, dim_ + output_.pad);
    text(tally, 4 * dim_, 2 * dim_);
    sums(tally, side, gate_up_, gate_up_.in, made ? 0 : gate_up_.out, {d_gate_up, input, made});
    return d_middle;
  }

  void back(Tally& tally, Room& side) {
    const auto d_attended = work(tally, width_);
    const auto d_output = output_.gains || output_normed_ ? work(tally, dim_ + output_.pad) : Room();
    through_gains(tally, output_), product(tally, output_), sums(tally, side, output_, {d_output});
    if (!wants_x_ && !qkv_.trains()) return;
    const auto d_qkv = work(tally, qkv_.out + qkv_.pad);
    auto d_heads = work(tally, width_ + 2 * kv_);
    attention_backward(tally);
    d_heads.reset(), tape_.attention.reset(), tape_.scores.reset();
    text(tally, 3 * qkv_.out, qkv_.out), through_gains(tally, qkv_);
    const auto input = qkv_.pad > 0 ? work(tally, dim_) : Room(), d_input = wants_x_ ? work(tally, dim_) : Room();
    product(tally, qkv_);
    const auto dx = wants_x_ ? work(tally, dim_ + down_.pad) : Room();
    text(tally, 4 * dim_, 2 * dim_), sums(tally, side, qkv_, {d_qkv, input});
  }

  /// Sums in fp32 and each head's gradients of shared keys and values.
  void attention_backward(Tally& tally) const {
    const int64_t sums = s_.shape.on_cpu ? 0 : tokens_ * (width_ + s_.facts.heads) * 4, shared = kv_ < width_ ? 2 * matrix(width_) : 0;
    tally.touch(work_kind, s_.facts.text_attention() ? 2 * scores() + 2 * matrix(width_) : sums + shared);
  }
  /// Products of queries and keys, where the readable text makes them.
  int64_t scores() const { return tokens_ * s_.shape.columns * s_.facts.heads * element_; }

  const BlockSetting& s_;
  int64_t tokens_, element_, dim_ = 0, width_ = 0, kv_ = 0, hidden_ = 0;
  bool wants_x_, keeps_ = false, head_norms_ = false, output_normed_ = false, down_normed_ = false;
  const Linears qkv_, output_, gate_up_, down_;
  Tape tape_;
  std::vector<Room> waiting_;
  int64_t waiting_bytes_ = 0, waiting_sums_ = 0;
};

}  // namespace

std::unique_ptr<PlannedLayer> fused_layer(const std::vector<SeatedSite>& sites, const BlockSetting& setting, bool& flows) {
  return std::make_unique<FusedLayer>(sites, setting, flows);
}

}  // namespace graft
