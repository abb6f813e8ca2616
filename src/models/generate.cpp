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

}  // namespace

std::vector<std::vector<int32_t>> generate(Transformer& model, const std::string& adapter, const std::vector<std::vector<int32_t>>& prompts,
                                           const std::vector<int32_t>& stop_ids, const GenerateOptions& options,
                                           const std::function<void(size_t row, int32_t id)>& on_token, std::stop_token stop) {
  at::NoGradGuard no_grad;
  if (prompts.empty()) return {};
  for (const auto& prompt : prompts) require(!prompt.empty(), "generate: an empty prompt");
  const auto rows = static_cast<int64_t>(prompts.size());
  const VirtualTokens extra = model.virtual_tokens(adapter);
  Batch batch = to_batch(with_virtual_tokens(prompt_batch(prompts), extra), model.device());
  batch.adapter = adapter;
  Cache cache = model.new_cache(rows, batch.ids.size(1) + extra.prefix + options.max_new_tokens);
  std::vector<int64_t> lengths;   // slots counted
  for (const auto& prompt : prompts) lengths.push_back(static_cast<int64_t>(prompt.size()) + extra.slots);
  Tensor last = at::tensor(lengths, at::kLong) - 1;   // where each row's newest hidden state lies
  std::vector<std::vector<int32_t>> out(prompts.size());
  std::vector<bool> done(prompts.size(), false);
  for (int64_t n = 0; n < options.max_new_tokens; ++n) {
    if (stop.stop_requested()) throw Stopped("stopped while generating");
    const Tensor hidden = model.hidden(batch, &cache);
    const Tensor where = last.to(model.device());
    const Tensor ends = hidden.index({at::arange(rows, where.options()), where});
    const Tensor logits = model.predict(ends, batch).to(at::kFloat).cpu();
    Tensor next = at::zeros({rows, 1}, at::kLong), segments = at::zeros({rows, 1}, at::kLong);
    for (int64_t r = 0; r < rows; ++r) {
      const auto row = static_cast<size_t>(r);
      if (!done[row]) {
        const int64_t id = pick(logits[r], options, r, lengths[row] - extra.slots + n);
        done[row] = std::find(stop_ids.begin(), stop_ids.end(), id) != stop_ids.end();
        if (!done[row]) {
          out[row].push_back(static_cast<int32_t>(id));
          if (on_token) on_token(row, static_cast<int32_t>(id));
          next[r][0] = id;
        }
      }
      segments[r][0] = done[row] ? -1 : r;
    }
    if (std::all_of(done.begin(), done.end(), [](bool d) { return d; })) break;
    batch.ids = next.to(model.device()), batch.segments = segments.to(model.device());
    batch.positions = (at::tensor(lengths, at::kLong).unsqueeze(1) + extra.prefix + n).to(model.device());
    last = at::zeros({rows}, at::kLong);
  }
  return out;
}

}  // namespace graft
