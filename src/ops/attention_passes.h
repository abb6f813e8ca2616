#pragma once
// The kinds of attention_pass.h. Each takes what attention() does.
#include "graft/ops/attention_pass.h"

namespace graft {

/// By graft's own kernels (kernels/attention.h), where they are the fastest: rows that are one text each, or texts side by side. Null: elsewhere.
std::unique_ptr<AttentionPass> tiles_pass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule);
/// Texts side by side by LibTorch's flash attention.
std::unique_ptr<AttentionPass> texts_pass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule);
/// Rows without a mask by the operator that LibTorch would take, cuDNN's or flash attention. Null: it would take neither.
std::unique_ptr<AttentionPass> rows_pass(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionMask& mask, const ScoreRule& rule);

}  // namespace graft
