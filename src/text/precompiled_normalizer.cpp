#include "edit_characters.h"
#include "graft/text/charsmap.h"
#include "graft/text/normalizer.h"

namespace graft {
namespace {

constexpr size_t short_cluster = 6;  // bytes: longer ones are not looked up as a whole

/// text[begin, end) becomes `now`: the k-th new character comes from the k-th old one, those too many from the last.
void replace_characters(std::string_view text, size_t begin, size_t end, std::string_view now, std::vector<TextEdit>& edits) {
  size_t done = 0;
  for (size_t at = begin; at < end;) {
    const size_t character = at;
    next_code_point(text, at);
    const size_t from = done;
    if (done < now.size()) next_code_point(now, done);
    if (at == end) done = now.size();
    const std::string_view part = now.substr(from, done - from);
    if (part != text.substr(character, at - character)) edits.push_back({character, at, std::string(part)});
  }
}

void normalize(const Charsmap& map, AlignedText& aligned) {
  const std::string_view text = aligned.text();
  std::vector<TextEdit> edits;
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end) {
    end = grapheme_end(text, begin);
    const std::string_view cluster = text.substr(begin, end - begin);
    if (cluster.size() < short_cluster) {
      if (const auto now = map.replacement(cluster)) {
        replace_characters(text, begin, end, *now, edits);
        continue;
      }
    }
    for (size_t at = begin; at < end;) {
      const size_t character = at;
      next_code_point(text, at);
      if (const auto now = map.replacement(text.substr(character, at - character)))
        replace_characters(text, character, at, *now, edits);
    }
  }
  aligned.apply(edits);
}

}  // namespace

std::function<void(AlignedText&)> precompiled_normalizer(const TokenizerJson& json, const std::string& where) {
  const std::string bytes = base64_bytes(need_string(json, "precompiled_charsmap", where), where);
  return [map = std::make_shared<const Charsmap>(bytes, where)](AlignedText& text) { normalize(*map, text); };
}

}  // namespace graft
