#include "plan_block.h"

#include "graft/nn/layers.h"
#include "graft/nn/norm.h"

namespace graft {
namespace {

/// Walks a block's sites in the order in which they are run, and notes what each node keeps.
class Walk {
 public:
  Walk(const BlockSetting& setting, bool& flows)
      : s_(setting),
        flows_(flows),
        tokens_(setting.shape.rows * setting.shape.columns),
        element_(static_cast<int64_t>(at::elementSize(setting.shape.dtype))) {}

  void visit(const SeatedSite& seated) {
    const Site& site = *seated.site;
    switch (site.kind()) {
      case SiteKind::norm:
        return norm(seated);
      case SiteKind::linear:
        return linear(seated);
      case SiteKind::after_attention:
      case SiteKind::after_mlp:
        return sum(seated);
      case SiteKind::key_value:
        flows_ = flows_ || seated.taken != Taken::no;
        return;
      case SiteKind::embedding:
        seat(seated, "ids", "words", 0, 0);
        return;
    }
  }
  BlockBytes finish() {
    for (const auto& [name, part] : tensors_) result_.kept[part.kind] += part.bytes;
    return result_;
  }

 private:
  struct Part {
    std::string kind;
    int64_t bytes;
  };

  void keep(const std::string& name, const std::string& kind, int64_t bytes) {
    if (bytes > 0 && tensors_.emplace(name, Part{kind, bytes}).second && in_mlp_) result_.mlp += bytes;
  }
  void keep_tensor(const std::string& name, const std::string& kind, int64_t width) {
    keep(name, kind, tokens_ * width * element_);
  }
  std::string fresh(const char* what) { return fmt::format("{} {}", what, ++made_); }

  /// What the adapter there keeps; from here on a gradient is wanted.
  void seat(const SeatedSite& seated, const std::string& in, const std::string& out, int64_t in_width, int64_t out_width) {
    const Site& site = *seated.site;
    Keeps keeps;
    if (seated.taken == Taken::values) keeps = kept_by_values(site, element_);
    if (seated.taken == Taken::method) keeps = kept_by(s_.adapter, site, element_);
    if (const auto qat = scheme_of(s_.quantization.qat);
        qat && site.kind() == SiteKind::linear && scheme_for_qat(s_.quantization, site.path())) {
      const int64_t count = site.weight()->in_features() * site.weight()->out_features();
      keeps = {.input = true, .fixed = count * qat->format->code_bits / 8 + 5 * count / qat->block_size};
      if (seated.taken == Taken::no && !flows_) return;
    } else if (seated.taken == Taken::no) {
      return;
    }
    flows_ = true;
    if (keeps.input) keep_tensor(in, "adapters' inputs", in_width);
    if (keeps.output) keep_tensor(out, "adapters' own", out_width);
    keep(site.path(), "adapters' own", tokens_ * keeps.token + keeps.fixed);
  }

  void norm(const SeatedSite& seated) {
    const auto& site = dynamic_cast<const Norm&>(*seated.site);
    const int64_t dim = site.values().weight.numel();
    const bool of_query = site.path().ends_with("q_norm"), of_key = site.path().ends_with("k_norm");
    const int64_t width = of_query ? s_.facts.heads * s_.facts.head_dim : of_key ? s_.facts.kv_heads * s_.facts.head_dim : dim;
    const std::string in = of_query ? "query" : of_key ? "key" : stream_, out = fresh("normed");
    if (flows_ || seated.taken != Taken::no) {
      const bool layer = dynamic_cast<const LayerNorm*>(&site) != nullptr;
      const bool kernel = layer || (s_.shape.on_cpu && seated.taken == Taken::no && (element_ == 4 || !s_.facts.wide_gain));
      if (kernel || element_ == 4)
        keep_tensor(in, "norms", width);
      else
        keep(in + " in fp32", "norms", tokens_ * width * 4);
      keep(site.path() + " statistics", "norms", tokens_ * (width / dim) * (layer ? 8 : 4));
    }
    seat(seated, in, out, width, width);
    if (!of_query && !of_key) stream_ = out;
  }

  void linear(const SeatedSite& seated) {
    const Site& site = *seated.site;
    const int64_t in = site.weight()->in_features(), out = site.weight()->out_features();
    switch (site.role()) {
      case Role::query:
      case Role::key:
      case Role::value:
      case Role::query_key_value:
        return seat(seated, stream_,
                    site.role() == Role::query   ? "query"
                    : site.role() == Role::key   ? "key"
                    : site.role() == Role::value ? "value"
                                                 : "qkv",
                    in, out),
               void(fused_qkv_ = fused_qkv_ || site.role() == Role::query_key_value);
      case Role::attention_output:
        attention(in);
        seat(seated, "attended", "attention output", in, out), stream_ = "attention output";
        return;
      case Role::gate:
      case Role::up:
      case Role::gate_up:
        in_mlp_ = true;
        seat(seated, stream_, site.role() == Role::gate ? "gate" : site.role() == Role::up ? "up" : "gate and up", in, out);
        gated_ = gated_ || site.role() != Role::up;
        fused_gate_ = site.role() == Role::gate_up;
        return;
      case Role::mlp_output:
        return feed_forward(seated, in, out);
      default:
        return seat(seated, stream_, site.path(), in, out), void(stream_ = site.path());
    }
  }

  void attention(int64_t width) {
    const ModelFacts& f = s_.facts;
    const StepShape& shape = s_.shape;
    const int64_t keys = shape.columns + s_.prefix, scores = shape.rows * shape.columns * keys,
                  kv = shape.rows * keys * f.kv_heads * f.head_dim;
    if (!flows_) return;
    const bool repeats = f.kv_heads < f.heads && equal_heads(s_);
    const int64_t key_bytes = (repeats ? shape.rows * keys * width : kv) * element_;
    if (fused_qkv_ && !repeats && s_.prefix == 0)
      keep_tensor("qkv", "attention", width + 2 * f.kv_heads * f.head_dim);
    else
      keep(repeats || s_.prefix > 0 ? "values repeated" : "value", "attention", key_bytes);
    if (f.rotary || !fused_qkv_ || f.text_attention()) {
      keep_tensor(f.rotary || f.text_attention() ? "query rotated" : "query", "attention", width);
      keep(f.rotary || repeats || s_.prefix > 0 ? "keys rotated" : "key", "attention", key_bytes);
    }
    if (f.text_attention()) {
      keep("weights", "attention scores",
           scores * f.heads * element_ * (1 + 2 * f.drops + f.caps));  // softmax, dropout's mask and product, the cap's tanh
      keep("mask", "attention scores", scores);
      result_.attention_backward = 2 * scores * f.heads * element_;
    } else {
      keep_tensor("attended", "attention", width);
      keep("log-sum-exp", "attention", tokens_ * f.heads * 4);
      if (masked(s_)) keep("mask", "attention scores", kept_mask(s_));
    }
    result_.attention_backward += 4 * tokens_ * width * element_;
  }

  void feed_forward(const SeatedSite& seated, int64_t in, int64_t out) {
    const bool kernel = s_.shape.on_cpu && s_.facts.silu && gated_;
    if (flows_) {
      if (gated_)
        keep_tensor(fused_gate_ ? (kernel ? "gate and up apart" : "gate and up") : "gate", "feed-forward",
                    fused_gate_ ? 2 * in : in);
      if (!fused_gate_) keep_tensor("up", "feed-forward", in);
      if (gated_ && !kernel) keep_tensor("activated gate", "feed-forward", in);
    }
    const int64_t before = result_.mlp;
    seat(seated, "product", "feed-forward output", in, out);
    // The fullest moment of its backward pass: the activation's, whose input's gradients are there while its own inputs still
    // are.
    const int64_t product = result_.mlp > before && tensors_.contains("product") ? in : 0;
    const int64_t width = (gated_ ? 3 : 2) * in - product;
    const auto weight = [&](int64_t n) { return tokens_ * n * element_; };
    result_.backward = weight(out) + std::max(weight(width), weight(in) + scratch_of(*seated.site));
    stream_ = "feed-forward output";
  }

  /// A matrix of codes is made dense for its product.
  int64_t scratch_of(const Site& site) const {
    if (!s_.storage(site.path())) return 0;
    return site.weight()->in_features() * site.weight()->out_features() * element_;
  }

  void sum(const SeatedSite& seated) {
    const int64_t dim = dynamic_cast<const ResidualSite&>(*seated.site).dim();
    seat(seated, stream_, "summed", dim, dim);
    stream_ = fresh("residual");
  }

  const BlockSetting& s_;
  bool& flows_;
  int64_t tokens_, element_, made_ = 0;
  std::string stream_ = "residual";
  bool in_mlp_ = false, gated_ = false, fused_gate_ = false, fused_qkv_ = false;
  std::map<std::string, Part> tensors_;
  BlockBytes result_;
};

}  // namespace

int64_t BlockBytes::total() const {
  int64_t sum = 0;
  for (const auto& [kind, bytes] : kept) sum += bytes;
  return sum;
}

/// Packed texts are attended one by one, but by a GPU in fp32.
bool masked(const BlockSetting& s) {
  return s.facts.encoder || s.prefix > 0 || (s.shape.packed && !s.shape.on_cpu && s.shape.dtype == at::kFloat) || (s.facts.window > 0 && s.shape.shared == 0 && s.shape.columns > s.facts.window);
}

bool equal_heads(const BlockSetting& s) { return (!s.shape.on_cpu && at::elementSize(s.shape.dtype) > 2) || s.facts.text_attention(); }

int64_t kept_mask(const BlockSetting& s) {
  const bool kept = masked(s) && !s.shape.on_cpu;
  return kept ? s.shape.rows * s.shape.columns * (s.shape.columns + s.prefix) * static_cast<int64_t>(at::elementSize(s.shape.dtype)) : 0;
}

BlockBytes plan_block(const std::vector<SeatedSite>& sites, const BlockSetting& setting, bool& flows) {
  Walk walk(setting, flows);
  for (const SeatedSite& site : sites) walk.visit(site);
  return walk.finish();
}

}  // namespace graft
