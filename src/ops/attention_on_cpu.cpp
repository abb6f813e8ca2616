#include "attention_on_cpu.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>

#include "graft/kernels/attention.h"
#include "graft/ops/launch.h"
#include "joined_attention.h"

namespace graft {
namespace {

constexpr int64_t fewest_queries = 8;

/// Heads of rows that may lie in wider ones: [tokens, heads, dim].
Tensor by_token(const Tensor& x) {
  const Tensor rows = x.stride(3) == 1 && (x.size(0) == 1 || x.stride(0) == x.size(1) * x.stride(1)) ? x : x.contiguous();
  return rows.flatten(0, 1);
}

kernels::Matrix head_at(const Tensor& x, int64_t token, int64_t head) {
  return {static_cast<char*>(const_cast<void*>(x.const_data_ptr())) + (token * x.stride(0) + head * x.stride(1)) * static_cast<int64_t>(x.element_size()), x.stride(0)};
}

/// Rows of queries that see the same rows of keys.
struct Text {
  int64_t query = 0, queries = 0, key = 0, keys = 0;
};

/// Who sees whom, beside the grouping of heads.
struct Sight {
  Tensor allowed, starts;   // bool [texts, queries, keys], int32 [texts + 1]: at most one of both is there
  bool causal = true;
  double scale = 1;
};

std::vector<Text> texts_of(const Tensor& q, const Tensor& k, const Tensor& starts) {
  std::vector<Text> texts;
  for (int64_t i = 0; !starts.defined() && i < q.size(0); ++i) texts.push_back({i * q.size(1), q.size(1), i * k.size(1), k.size(1)});
  for (int64_t i = 0; starts.defined() && i + 1 < starts.size(0); ++i) {
    const int32_t* const at = starts.const_data_ptr<int32_t>() + i;
    const int64_t begin = at[0], length = at[1] - at[0];
    if (length > 0) texts.push_back({begin, length, begin, length});
  }
  return texts;
}

/// Queries, keys and values by row, and what comes of them: lse is fp32 [heads, tokens].
struct Heads {
  Tensor q, k, v, out, lse;
};

/// f(head, text's, head's number) for each head of each text, cut over threads by heads: texts differ in length.
template <class F>
void for_heads(const Heads& in, const Sight& sight, F&& f) {
  const Tensor q = by_token(in.q), k = by_token(in.k), v = by_token(in.v), out = by_token(in.out);
  const std::vector<Text> texts = texts_of(in.q, in.k, sight.starts);
  const int64_t heads = q.size(1), group = heads / k.size(1), rows = std::ssize(texts);
  at::parallel_for(0, heads * rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t h = i / rows, row = i % rows;
      const Text& text = texts[static_cast<size_t>(row)];
      kernels::AttentionHead head;
      head.q = head_at(q, text.query, h), head.out = head_at(out, text.query, h);
      head.k = head_at(k, text.key, h / group), head.v = head_at(v, text.key, h / group);
      head.lse = in.lse.mutable_data_ptr<float>() + h * in.lse.size(1) + text.query;
      head.queries = text.queries, head.keys = text.keys, head.dim = q.size(2);
      head.scale = static_cast<float>(sight.scale), head.causal = sight.causal;
      if (const Tensor& allowed = sight.allowed; allowed.defined()) head.allowed = allowed.const_data_ptr<bool>() + row * allowed.stride(0), head.allowed_stride = allowed.stride(1);
      f(head, text, h);
    }
  });
}

Heads attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sight& sight) {
  const Heads heads{q, k, v, at::empty(q.sizes(), q.options()), at::empty({q.size(2), q.size(0) * q.size(1)}, q.options().dtype(at::kFloat))};
  for_heads(heads, sight, [&](const kernels::AttentionHead& head, const Text&, int64_t) { kernels::attention_cpu(head, real_type(q)); });
  return heads;
}

/// Of q, k and v.
std::array<Tensor, 3> attend_back(const Heads& heads, const Sight& sight, const Tensor& out_grad) {
  const auto& [q, k, v, out, lse] = heads;
  const int64_t group = q.size(2) / k.size(2);
  const Tensor grad = by_token(out_grad), dq = at::empty(out.sizes(), out.options());
  // A group's heads add to the same keys and values: each by itself first.
  const std::vector<int64_t> each{k.size(0), k.size(1), k.size(2), group, k.size(3)};
  const Tensor dk = at::empty(each, k.options()), dv = at::empty(each, v.options());
  const Tensor d_query = by_token(dq), d_key = by_token(dk.flatten(2, 3)), d_value = by_token(dv.flatten(2, 3));
  for_heads(heads, sight, [&](const kernels::AttentionHead& head, const Text& text, int64_t h) {
    kernels::attention_backward_cpu(head, {head_at(grad, text.query, h), head_at(d_query, text.query, h), head_at(d_key, text.key, h), head_at(d_value, text.key, h)}, real_type(q));
  });
  const auto grouped = [&](const Tensor& d) { return group == 1 ? d.squeeze(3) : d.sum(3); };
  return {dq, grouped(dk), grouped(dv)};
}

class AttentionOnCpu : public torch::autograd::Function<AttentionOnCpu> {
 public:
  using Context = torch::autograd::AutogradContext;
  static Tensor forward(Context* context, const Tensor& q, const Tensor& k, const Tensor& v, const Sight& sight, int64_t shared) {
    const Heads own = attend(q, k, v, sight);
    if (shared > 0) {
      const Heads more = attend(behind(q, shared), before(k, shared), before(v, shared), of_shared(sight));
      join_attention({behind(own.out, shared), behind(by_query(own.lse, q), shared)}, {more.out, by_query(more.lse, more.q)});
    }
    context->save_for_backward({q, k, v, own.out, own.lse, sight.allowed, sight.starts});
    context->saved_data["causal"] = sight.causal, context->saved_data["scale"] = sight.scale, context->saved_data["shared"] = shared;
    return own.out.flatten(2);
  }
  static torch::autograd::variable_list backward(Context* context, torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const Heads heads{saved[0], saved[1], saved[2], saved[3], saved[4]};
    const Sight sight{saved[5], saved[6], context->saved_data["causal"].toBool(), context->saved_data["scale"].toDouble()};
    const Tensor grad = grads[0].unflatten(2, {heads.q.size(2), -1});
    const auto [dq, dk, dv] = attend_back(heads, sight, grad);
    if (const int64_t shared = context->saved_data["shared"].toInt(); shared > 0) {
      const Tensor lse = behind(by_query(heads.lse, heads.q), shared).permute({2, 0, 1}).flatten(1).contiguous();
      const auto [more_q, more_k, more_v] =
          attend_back({behind(heads.q, shared), before(heads.k, shared), before(heads.v, shared), behind(heads.out, shared), lse}, of_shared(sight), behind(grad, shared));
      behind(dq, shared).add_(more_q), before(dk, shared).add_(more_k), before(dv, shared).add_(more_v);
    }
    return {dq, dk, dv, Tensor(), Tensor()};
  }

 private:
  /// What the texts of a row share is seen by all tokens behind it.
  static Sight of_shared(const Sight& own) { return {{}, {}, false, own.scale}; }
};

}  // namespace

bool has_cpu_attention(const Tensor& q, const AttentionMask& mask, const ScoreRule& rule) {
  return has_cpu_kernel(q) && rule.cap == 0 && (q.size(1) >= fewest_queries || mask.texts.starts.defined());
}

Tensor attention_on_cpu(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule) {
  Sight sight{{}, mask.texts.starts, true, rule.scale_of(q.size(3))};
  if (!sight.starts.defined() && mask.allowed.defined()) sight.allowed = mask.allowed.expand({q.size(0), 1, q.size(1), k.size(1)}).squeeze(1).contiguous();
  if (!sight.starts.defined()) sight.causal = mask.causal && !mask.allowed.defined();
  return AttentionOnCpu::apply(q, k, v, sight, mask.texts.shared);
}

}  // namespace graft
