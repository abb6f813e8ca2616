#include "graft/models/generate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "graft/core/error.h"
#include "graft/data/batches.h"
#include "graft/kernels/api.h"

namespace graft {
namespace {

HostBatch prompt_batch(const std::vector<std::vector<int32_t>>& prompts) {
  HostBatch batch;
  batch.rows = static_cast<int64_t>(prompts.size());
  for (const auto& prompt : prompts) batch.columns = std::max(batch.columns, static_cast<int64_t>(prompt.size()));
  for (int64_t r = 0; r < batch.rows; ++r) {
    const auto& prompt = prompts[static_cast<size_t>(r)];
    for (int64_t t = 0; t < batch.columns; ++t) {
      const bool real = t < static_cast<int64_t>(prompt.size());
      batch.ids.push_back(real ? prompt[static_cast<size_t>(t)] : 0), batch.positions.push_back(t), batch.segments.push_back(real ? r : -1);
    }
  }
  return batch;
}

/// The next token of one row. log_p: fp32 [vocab]. The random number is a function of (seed, row, position).
int64_t pick(const Tensor& logits, const GenerateOptions& options, int64_t row, int64_t position) {
  if (options.temperature == 0) return logits.argmax().item<int64_t>();
  const int64_t k = options.top_k > 0 ? std::min(options.top_k, logits.size(0)) : logits.size(0);
  auto [values, ids] = (logits / options.temperature).topk(k);
  Tensor p = at::softmax(values, 0).to(at::kDouble);
  Tensor below = p.cumsum(0);
  const int64_t kept = options.top_p >= 1 ? k : std::min<int64_t>(k, (below - p).lt(options.top_p).sum().item<int64_t>());
  float random[2];
  kernels::uniform_cpu(random, 2, 0.5f, options.seed + static_cast<uint64_t>(position), static_cast<uint32_t>(row));
  const double target = (random[0] + 0.5) * below[kept - 1].item<double>();
  const int64_t chosen = std::min<int64_t>(kept - 1, below.le(target).sum().item<int64_t>());
  return ids[chosen].item<int64_t>();
}

/// Rows that grow a token at a time over a cache.
struct Decoding {
  Transformer& model;
  const std::string& adapter;
  VirtualTokens extra = model.virtual_tokens(adapter);
  Batch batch;                    // what the model has not seen yet
  Cache cache;
  std::vector<int64_t> lengths;   // of the rows' texts, slots counted
  Tensor last;                    // where in `batch` each row's newest token lies

  void begin(const std::vector<std::vector<int32_t>>& texts, int64_t new_tokens) {
    batch = to_batch(with_virtual_tokens(prompt_batch(texts), extra), model.device());
    batch.adapter = adapter;
    cache = model.new_cache(batch.ids.size(0), batch.ids.size(1) + extra.prefix + new_tokens);
    lengths.clear();
    for (const auto& text : texts) lengths.push_back(static_cast<int64_t>(text.size()) + extra.slots);
    last = at::tensor(lengths, at::kLong) - 1;
  }
  /// Each row's next token, -1 where it has ended; a row's position goes on all the same.
  void append(const std::vector<int64_t>& tokens) {
    const Tensor ids = at::tensor(tokens, at::kLong).unsqueeze(1), rows = at::arange(ids.size(0), at::kLong).unsqueeze(1);
    batch.ids = ids.clamp_min(0).to(model.device()), batch.segments = at::where(ids.lt(0), -1, rows).to(model.device());
    batch.positions = (at::tensor(lengths, at::kLong).unsqueeze(1) + extra.prefix).to(model.device());
    for (int64_t& length : lengths) ++length;
    last = at::zeros({ids.size(0)}, at::kLong);
  }
  /// fp32 [rows, vocabulary] on the CPU.
  Tensor logits() {
    const Tensor hidden = model.hidden(batch, &cache), where = last.to(model.device());
    return model.predict(hidden.index({at::arange(where.size(0), where.options()), where}), batch).to(at::kFloat).cpu();
  }
  bool holds() const {
    return std::ranges::all_of(lengths, [&](int64_t length) { return model.cache_holds(length - 1 + extra.prefix, length + extra.prefix); });
  }
};

void check_positions(const Transformer& model, const Decoding& decoding, int64_t new_tokens) {
  const int64_t longest = *std::ranges::max_element(decoding.lengths) + decoding.extra.prefix;
  require(!model.has_position_table() || longest + new_tokens <= model.max_positions() + 1,
          "generate: {} tokens and max_new_tokens {} are more than the model's table of {} positions holds", longest, new_tokens, model.max_positions());
}

}  // namespace

std::vector<std::vector<int32_t>> generate(Transformer& model, const std::string& adapter, const std::vector<std::vector<int32_t>>& prompts,
                                           const std::vector<int32_t>& stop_ids, const GenerateOptions& options,
                                           const std::function<void(size_t row, int32_t id)>& on_token, std::stop_token stop) {
  at::NoGradGuard no_grad;
  if (prompts.empty()) return {};
  for (const auto& prompt : prompts) require(!prompt.empty(), "generate: an empty prompt");
  Decoding decoding{.model = model, .adapter = adapter};
  decoding.begin(prompts, options.max_new_tokens);
  check_positions(model, decoding, options.max_new_tokens);
  std::vector<std::vector<int32_t>> out(prompts.size()), texts = prompts;
  std::vector<int64_t> next(prompts.size(), 0);   // -1: the row has ended
  for (int64_t n = 0; n < options.max_new_tokens; ++n) {
    if (stop.stop_requested()) throw Stopped("stopped while generating");
    const Tensor logits = decoding.logits();
    for (size_t row = 0; row < prompts.size(); ++row) {
      if (next[row] < 0) continue;
      const auto r = static_cast<int64_t>(row);
      next[row] = pick(logits[r], options, r, static_cast<int64_t>(prompts[row].size()) + n);
      if (std::ranges::find(stop_ids, next[row]) != stop_ids.end()) next[row] = -1;
      if (next[row] < 0) continue;
      out[row].push_back(static_cast<int32_t>(next[row])), texts[row].push_back(out[row].back());
      if (on_token) on_token(row, out[row].back());
    }
    if (std::ranges::all_of(next, [](int64_t token) { return token < 0; })) break;
    decoding.append(next);
    if (!decoding.holds()) decoding.begin(texts, options.max_new_tokens - n);   // rotary frequencies depend on the length: the keys are made again
  }
  return out;
}

}  // namespace graft
