#include "graft/text/aligned_text.h"

namespace graft {

TextRange AlignedText::source(size_t begin, size_t end) const {
  if (!changed_) return {origin_ + begin, origin_ + end};
  if (begin < end) return {sources_[begin].begin, sources_[end - 1].end};
  const size_t at = begin < sources_.size() ? sources_[begin].begin : sources_.empty() ? origin_ : sources_.back().end;
  return {at, at};
}

AlignedText AlignedText::slice(size_t begin, size_t end) const {
  AlignedText part(text().substr(begin, end - begin), source(begin, end).begin);
  if (!changed_) return part;
  part.changed_ = true;
  part.owned_ = std::string(part.view_);
  part.sources_.assign(sources_.begin() + static_cast<ptrdiff_t>(begin), sources_.begin() + static_cast<ptrdiff_t>(end));
  return part;
}

void AlignedText::apply(const std::vector<TextEdit>& edits) {
  if (edits.empty()) return;
  const std::string_view old = text();
  std::string out;
  std::vector<Source> sources;
  out.reserve(old.size() + 4 * edits.size());
  sources.reserve(old.size() + 4 * edits.size());
  const auto keep = [&](size_t begin, size_t end) {
    out.append(old.substr(begin, end - begin));
    for (size_t i = begin; i < end; ++i) {
      const TextRange from = source(i, i + 1);
      sources.push_back({static_cast<uint32_t>(from.begin), static_cast<uint32_t>(from.end)});
    }
  };
  size_t done = 0;
  for (const TextEdit& edit : edits) {
    keep(done, edit.begin);
    const TextRange from = source(edit.begin, edit.end);
    out += edit.text;
    sources.insert(sources.end(), edit.text.size(), {static_cast<uint32_t>(from.begin), static_cast<uint32_t>(from.end)});
    done = edit.end;
  }
  keep(done, old.size());
  owned_ = std::move(out);
  sources_ = std::move(sources);
  changed_ = true;
}

}  // namespace graft
