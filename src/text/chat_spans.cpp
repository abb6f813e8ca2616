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
    const size_t content_end = std::max(*begin, own ? own->end : 0);
    const size_t end = end_of_turn(turn, message, *begin, content_end, own.has_value());
    if (end <= *begin) return std::nullopt;
    return TextRange{*begin, end};
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
    if (same < prompt->text.size()) same = markup_boundary(text_, same, earliest);
    if (same < earliest) return std::nullopt;
    // The prompt may end in what only an unfinished turn has, such as an opened block of thoughts: then only a shared part counts.
    if (same < prompt->text.size() && same == earliest && own) return std::nullopt;
    return own ? std::min(same, own->begin) : same;
  }

  /// Behind the generation prompt's text, as far as it is found before the message's own bytes.
  std::optional<size_t> begin_at_marker(const std::optional<TextRange>& own, size_t earliest) {
    const std::string_view gap = std::string_view(text_).substr(earliest, own ? own->begin - earliest : std::string::npos);
    for (std::string_view marker = generation_prompt(); !marker.empty();) {
      const size_t at = own ? gap.rfind(marker) : gap.find(marker);
      if (at != std::string_view::npos) return earliest + at + marker.size();
      marker = marker.substr(0, markup_boundary(marker, marker.size() - 1, 0));
    }
    if (own) return own->begin;
    return std::nullopt;
  }

  std::string_view generation_prompt() {
    if (!asked_) {
      asked_ = true;
      const auto with = render_(messages_, true), without = render_(messages_, false);
      if (with && without && with->text.starts_with(without->text)) generation_prompt_ = with->text.substr(without->text.size());
    }
    return generation_prompt_;
  }

  size_t end_of_turn(const std::optional<ChatOutput>& turn, size_t message, size_t begin, size_t content_end, bool has_own) const {
    const std::string_view rest = std::string_view(text_).substr(content_end);
    if (turn && text_.starts_with(turn->text) && turn->text.size() >= content_end)
      return closed(content_end, turn->text.size());
    if (turn && has_own) {
      const std::optional<TextRange> own = turn->extent(message);
      const std::string_view tail = own ? std::string_view(turn->text).substr(own->end) : std::string_view();
      const std::string_view end = without_trailing_space(tail);
      if (own && rest.starts_with(end)) return closed(content_end, content_end + end.size());
    }
    if (!eos_.empty() && rest.starts_with(eos_)) return content_end + eos_.size();
    return content_end + lone_token(rest);
  }

  /// The end of the template's text in [content_end, turn_end): without the white space behind its end token; with an EOS that follows.
  size_t closed(size_t content_end, size_t turn_end) const {
    const std::string_view all(text_);
    if (!eos_.empty() && all.substr(turn_end).starts_with(eos_)) return turn_end + eos_.size();
    const std::string_view written = without_trailing_space(all.substr(content_end, turn_end - content_end));
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
