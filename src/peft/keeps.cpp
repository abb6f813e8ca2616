#include "graft/peft/keeps.h"

#include "graft/nn/layers.h"

namespace graft {
namespace {

/// The shape of a site's weight, and of what a site without one passes on.
struct Widths {
  int64_t in = 0, out = 0;
  explicit Widths(const Site& site) {
    if (const Weight* weight = site.weight()) in = weight->in_features(), out = weight->out_features();
    if (const auto* residual = dynamic_cast<const ResidualSite*>(&site)) in = out = residual->dim();
  }
};

/// The update keeps its input and A x; dropout puts a copy in the input's place.
Keeps low_rank(const Site& site, int64_t rank, double dropout, int64_t bytes) {
  const Widths width(site);
  if (site.kind() == SiteKind::embedding) return {.token = 2 * rank * bytes};
  return {.input = dropout == 0, .token = (rank + (dropout > 0 ? width.in : 0)) * bytes};
}

struct Case {
  const Site& site;
  int64_t bytes;

  Keeps operator()(const std::monostate&) const { return {}; }
  Keeps operator()(const LoraOptions& o) const { return low_rank(site, o.rank_at(site.path()), o.dropout, bytes); }
  Keeps operator()(const PissaOptions& o) const { return low_rank(site, o.rank_at(site.path()), o.dropout, bytes); }
  Keeps operator()(const LoftqOptions& o) const { return low_rank(site, o.rank_at(site.path()), o.dropout, bytes); }
  /// The result before the bias, too; with dropout the readable sum: its three terms.
  Keeps operator()(const DoraOptions& o) const {
    const Widths width(site);
    const int64_t rank = o.rank_at(site.path());
    Keeps keeps = low_rank(site, rank, o.dropout, bytes);
    keeps.fixed = (rank * width.in + width.out) * bytes;
    if (o.dropout > 0 || site.bias().defined())
      keeps.token += (o.dropout > 0 ? 2 : 1) * width.out * bytes;
    else
      keeps.output = true;
    return keeps;
  }
  /// Its factors are products, made anew in each pass.
  Keeps operator()(const VeraOptions& o) const {
    const Widths width(site);
    Keeps keeps = low_rank(site, o.rank, o.dropout, bytes);
    keeps.fixed = o.rank * (width.in + width.out) * 4;
    return keeps;
  }
  /// What it scales: the input of a feed-forward's last layer, the output of others.
  Keeps operator()(const Ia3Options&) const {
    if (site.role() == Role::mlp_output) return {.input = true};
    return {.token = Widths(site).out * bytes};
  }
  Keeps bottleneck(const BottleneckOptions& o, int64_t inputs) const {
    if (site.kind() == SiteKind::norm) return kept_by_values(site, bytes);
    const int64_t dim = Widths(site).in,
                  width = std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(dim) / o.reduction_factor));
    const int64_t norms = (o.ln_before ? 2 : 0) + (o.ln_after ? 1 : 0) + (o.learn_scaling ? 1 : 0);
    return {.token = (2 * width + (inputs + norms) * dim) * bytes, .fixed = bytes < 4 ? 2 * width * dim * bytes : 0};
  }
  Keeps operator()(const HoulsbyOptions& o) const { return bottleneck(o, 1); }
  Keeps operator()(const PfeifferOptions& o) const { return bottleneck(o, 1); }
  Keeps operator()(const ParallelOptions& o) const {
    return bottleneck(o, 0);
  }  // the residual stream is its input: kept by the norm
  Keeps operator()(const PromptTuningOptions&) const { return {.token = 1}; }  // which slots it fills
  Keeps operator()(const PTuningOptions&) const { return {.token = 1}; }
  Keeps operator()(const PrefixTuningOptions&) const { return {}; }
  Keeps operator()(const DeepPromptOptions&) const { return {}; }
  Keeps operator()(const FullOptions&) const { return kept_by_values(site, bytes); }
  Keeps operator()(const HeadOptions&) const { return kept_by_values(site, bytes); }
};

}  // namespace

Keeps kept_by(const AdapterOptions& options, const Site& site, int64_t bytes) {
  return std::visit(Case{site, bytes}, options.options);
}

/// A product keeps its input and, in 16 bits, the cast weight; a norm what it normed, besides.
Keeps kept_by_values(const Site& site, int64_t bytes) {
  if (site.kind() == SiteKind::norm) return {.input = true, .token = site.values().weight.numel() * bytes};
  if (site.kind() == SiteKind::embedding) return {};
  const Widths width(site);
  return {.input = true, .fixed = bytes < 4 ? width.in * width.out * bytes : 0};
}

}  // namespace graft
