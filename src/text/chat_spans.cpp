// Where an assistant's turn begins and ends. Primary: the rendering of the messages before it with the generation prompt is a
// prefix of the whole text, and so is the rendering up to and with it. Where later messages change how earlier ones look, the
// bytes that came from the message itself are the anchor, and what the template writes round them is compared.
#include "chat_markup.h"
#include "chat_output.h"
#include "graft/core/error.h"

namespace graft {
namespace {

class SpanFinder {
 public:
  SpanFinder(const ChatOutput& whole, size_t messages, size_t last_answer, const std::string& eos, const RenderPrefix& render)
      : whole_(whole), text_(whole.text), messages_(messages), last_answer_(last_answer), eos_(eos), render_(render) {}

  std::optional<TextRange> find(size_t message) {
    const std::optional<TextRange> own = whole_.extent(message);
    if (const std::optional<TextRange> span = own ? regular(message, *own) : std::nullopt) return span;
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
  /// Between the generation prompt and the end of the last answer's turn, both as they are written elsewhere: without a rendering
  /// of its own for each message.
  std::optional<TextRange> regular(size_t message, const TextRange& own) {
    const std::string_view all(text_), prompt = generation_prompt(), end = usual_end();
    if (prompt.empty() || end.empty() || !all.substr(0, own.begin).ends_with(prompt) || !all.substr(own.end).starts_with(end))
      return std::nullopt;
    const TextRange span{own.begin, closed(own.end, own.end + end.size())};
    if (whole_.has_others(span, message) || whole_.is_interrupted(message)) return std::nullopt;
    return span;
  }

  /// What follows the last answer where nothing comes after it, without white space.
  std::string_view usual_end() {
    if (usual_end_) return *usual_end_;
    usual_end_ = "";
    const std::optional<ChatOutput> turn = render_(last_answer_ + 1, false);
    if (const std::optional<TextRange> own = turn ? turn->extent(last_answer_) : std::nullopt)
      usual_end_ = without_trailing_space(std::string_view(turn->text).substr(own->end));
    return *usual_end_;
  }

  /// Behind everything that earlier messages wrote before this one.
  size_t end_of_earlier(size_t message, const std::optional<TextRange>& own) const {
    size_t end = 0;
    for (const auto& piece : whole_.pieces) {
      const int from = Origin::message_of(piece.origin);
      if (from >= 0 && static_cast<size_t>(from) < message && (!own || piece.end <= own->begin)) end = std::max(end, piece.end);
    }
    return end;
  }

  std::optional<size_t> begin_after(const std::optional<ChatOutput>& prompt, const std::optional<TextRange>& own,
                                    size_t earliest) {
    if (!prompt) return std::nullopt;
    size_t same = common_prefix(prompt->text, text_);
    if (same < prompt->text.size()) {
      // The prompt may end in what only an unfinished turn has, such as a tag that opens thoughts: up to there it counts.
      same = markup_boundary(text_, same, earliest);
      const bool whole_header =
          same > 0 && (text_[same - 1] == '\n' || !names_something(std::string_view(prompt->text).substr(same)));
      if (same <= earliest || !whole_header) return std::nullopt;
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
    if (generation_prompt_) return *generation_prompt_;
    generation_prompt_ = "";
    const auto with = render_(messages_, true), without = render_(messages_, false);
    if (with && without && with->text.starts_with(without->text)) generation_prompt_ = with->text.substr(without->text.size());
    return *generation_prompt_;
  }

  size_t end_of_turn(size_t message, const std::optional<ChatOutput>& turn, const std::optional<TextRange>& own,
                     size_t begin) const {
    const std::optional<TextRange> alone = turn ? turn->extent(message) : std::nullopt;
    const size_t own_end = alone ? alone->end : 0;
    if (turn && text_.starts_with(turn->text)) return closed(std::max(begin, own_end), turn->text.size());
    const size_t content_end = std::max(begin, own ? own->end : 0);
    const std::string_view rest = std::string_view(text_).substr(content_end);
    const std::string_view tail = alone ? std::string_view(turn->text).substr(own_end) : std::string_view();
    size_t same = common_prefix(tail, rest);
    if (same < without_trailing_space(tail).size()) same = markup_boundary(tail, same, 0);
    if (same == 0) same = past_last_tag(tail, std::string_view(text_).substr(content_end, next_input(content_end) - content_end));
    return closed(content_end, content_end + (same > 0 ? same : lone_token(rest)));
  }

  size_t next_input(size_t at) const {
    for (const auto& piece : whole_.pieces)
      if (piece.begin >= at) return piece.begin;
    return text_.size();
  }

  /// Where the closing tag that ends `tail` ends in `gap`, or 0.
  static size_t past_last_tag(std::string_view tail, std::string_view gap) {
    const size_t opens = tail.rfind("</");
    const std::string_view tag = opens == std::string_view::npos ? "" : without_trailing_space(tail.substr(opens));
    const size_t at = tag.empty() ? std::string_view::npos : gap.find(tag);
    return at == std::string_view::npos ? 0 : at + tag.size();
  }

  /// The end of the template's text in [content_end, turn_end): its first EOS, also one that follows; else without the white
  /// space behind its end token.
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
  size_t messages_, last_answer_;
  const std::string& eos_;
  const RenderPrefix& render_;
  std::optional<std::string> generation_prompt_, usual_end_;
};

}  // namespace

std::vector<TextRange> assistant_spans(const ChatOutput& whole, const Json& messages, const std::string& eos,
                                       const RenderPrefix& render) {
  std::vector<size_t> assistants;
  for (size_t i = 0; i < messages.size(); ++i)
    if (messages[i]["role"] == "assistant") assistants.push_back(i);
  if (assistants.empty() || whole.generation.size() == assistants.size()) return whole.generation;
  SpanFinder finder(whole, messages.size(), assistants.back(), eos, render);
  std::vector<TextRange> out;
  for (const size_t i : assistants) {
    const auto span = finder.find(i);
    require(span && (out.empty() || out.back().end <= span->begin),
            "message {} (assistant): its place in the rendered text cannot be told, so it cannot be trained on with this chat "
            "template",
            i);
    out.push_back(*span);
  }
  return out;
}

}  // namespace graft
