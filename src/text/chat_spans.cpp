// Where an assistant's turn begins and ends. Primary: the rendering of the messages before it with the generation prompt is a prefix
// of the whole text, and so is the rendering up to and with it. Where later messages change how earlier ones look, the bytes that came
// from the message itself are the anchor, and what the template writes round them is compared.
#include <algorithm>

#include "chat_output.h"
#include "graft/core/error.h"

namespace graft {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

size_t common_prefix(std::string_view a, std::string_view b) {
  const auto [end, other] = std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin());
  return static_cast<size_t>(end - a.begin());
}

std::string_view without_trailing_space(std::string_view s) {
  while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
  return s;
}

/// The last place at or before `at` where markup may have ended.
size_t markup_boundary(std::string_view text, size_t at, size_t lowest) {
  while (at > lowest && text[at - 1] != '>' && text[at - 1] != ']' && !is_space(text[at - 1])) --at;
  return at;
}

/// Whether there is a word outside <tags>: then it is more of a turn's header than an opener.
bool names_something(std::string_view text) {
  bool inside = false;
  for (const char c : text) {
    inside = c == '<' || (inside && c != '>');
    if (!inside && std::isalnum(static_cast<unsigned char>(c))) return true;
  }
  return false;
}

class SpanFinder {
 public:
  SpanFinder(const ChatOutput& whole, size_t messages, const std::string& eos, const RenderPrefix& render)
      : whole_(whole), text_(whole.text), messages_(messages), eos_(eos), render_(render) {}

  std::optional<TextRange> find(size_t message) {
    const std::optional<TextRange> own = whole_.extent(message);
    const std::optional<ChatOutput> prompt = render_(message, true);
    const std::optional<ChatOutput> turn = render_(message + 1, false);
    const size_t earliest = end_of_earlier(message, own);
    std::optional<size_t> begin = begin_after(prompt, own, earliest);
    if (!begin) begin = begin_at_marker(own, earliest);
    if (!begin) return std::nullopt;
    const TextRange span{*begin, end_of_turn(message, turn, own, *begin)};
    if (span.end <= span.begin || whole_.has_others(span, message) || whole_.is_interrupted(message)) return std::nullopt;
    return span;
  }

 private:
  /// Behind everything that earlier messages wrote before this one.
  size_t end_of_earlier(size_t message, const std::optional<TextRange>& own) const {
    size_t end = 0;
    for (const auto& piece : whole_.pieces) {
      const int from = Origin::message_of(piece.origin);
      if (from >= 0 && static_cast<size_t>(from) < message && (!own || piece.end <= own->begin)) end = std::max(end, piece.end);
    }
    return end;
  }

  std::optional<size_t> begin_after(const std::optional<ChatOutput>& prompt, const std::optional<TextRange>& own, size_t earliest) {
    if (!prompt) return std::nullopt;
    size_t same = common_prefix(prompt->text, text_);
    if (same < prompt->text.size()) {
      // The prompt may end in what only an unfinished turn has, such as a tag that opens thoughts: up to there it counts.
      same = markup_boundary(text_, same, earliest);
      if (same <= earliest || names_something(std::string_view(prompt->text).substr(same))) return std::nullopt;
    }
    if (same < earliest) return std::nullopt;
    return own ? std::min(same, own->begin) : same;
  }

  /// Behind the generation prompt's text, as far as it is found before the message's own bytes.
  std::optional<size_t> begin_at_marker(const std::optional<TextRange>& own, size_t earliest) {
    if (!own) return std::nullopt;
    const std::string_view gap = std::string_view(text_).substr(earliest, own->begin - earliest);
    for (std::string_view marker = generation_prompt(); !marker.empty();) {
      const size_t at = gap.rfind(marker);
      if (at != std::string_view::npos) return earliest + at + marker.size();
      marker = marker.substr(0, markup_boundary(marker, marker.size() - 1, 0));
    }
    return own->begin;
  }

  std::string_view generation_prompt() {
    if (!asked_) {
      asked_ = true;
      const auto with = render_(messages_, true), without = render_(messages_, false);
      if (with && without && with->text.starts_with(without->text)) generation_prompt_ = with->text.substr(without->text.size());
    }
    return generation_prompt_;
  }

  size_t end_of_turn(size_t message, const std::optional<ChatOutput>& turn, const std::optional<TextRange>& own, size_t begin) const {
    const std::optional<TextRange> alone = turn ? turn->extent(message) : std::nullopt;
    if (turn && text_.starts_with(turn->text)) return closed(std::max(begin, alone ? alone->end : 0), turn->text.size());
    const size_t content_end = std::max(begin, own ? own->end : 0);
    const std::string_view rest = std::string_view(text_).substr(content_end);
    const std::string_view tail = alone ? std::string_view(turn->text).substr(alone->end) : std::string_view();
    size_t same = common_prefix(tail, rest);
    if (same < without_trailing_space(tail).size()) same = markup_boundary(tail, same, 0);
    return closed(content_end, content_end + (same > 0 ? same : lone_token(rest)));
  }

  /// The end of the template's text in [content_end, turn_end): its first EOS, also one that follows; else without the white space
  /// behind its end token.
  size_t closed(size_t content_end, size_t turn_end) const {
    const std::string_view all(text_);
    const std::string_view tail = all.substr(content_end, turn_end - content_end);
    size_t next = turn_end;
    while (next < all.size() && is_space(all[next])) ++next;
    if (!eos_.empty()) {
      const size_t inside = tail.find(eos_);
      if (inside != std::string_view::npos) return content_end + inside + eos_.size();
      if (all.substr(next).starts_with(eos_) && !whole_.has_input({turn_end, next + eos_.size()})) return next + eos_.size();
    }
    const std::string_view written = without_trailing_space(tail);
    return written.empty() ? turn_end : content_end + written.size();
  }

  /// The length of a token such as <|end|> at the front, if another one follows, which opens the next turn.
  static size_t lone_token(std::string_view rest) {
    if (!rest.starts_with("<")) return 0;
    const size_t close = rest.find('>');
    if (close == std::string_view::npos || close > 40) return 0;
    size_t next = close + 1;
    while (next < rest.size() && is_space(rest[next])) ++next;
    return next < rest.size() && rest[next] == '<' ? close + 1 : 0;
  }

  const ChatOutput& whole_;
  const std::string& text_;
  size_t messages_;
  const std::string& eos_;
  const RenderPrefix& render_;
  bool asked_ = false;
  std::string generation_prompt_;
};

}  // namespace

std::vector<TextRange> assistant_spans(const ChatOutput& whole, const Json& messages, const std::string& eos,
                                       const RenderPrefix& render) {
  std::vector<size_t> assistants;
  for (size_t i = 0; i < messages.size(); ++i)
    if (messages[i]["role"] == "assistant") assistants.push_back(i);
  if (!assistants.empty() && whole.generation.size() == assistants.size()) return whole.generation;
  SpanFinder finder(whole, messages.size(), eos, render);
  std::vector<TextRange> out;
  for (const size_t i : assistants) {
    const auto span = finder.find(i);
    require(span && (out.empty() || out.back().end <= span->begin),
            "message {} (assistant): its place in the rendered text cannot be told, so it cannot be trained on with this chat template", i);
    out.push_back(*span);
  }
  return out;
}

}  // namespace graft
