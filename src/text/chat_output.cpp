#include "chat_output.h"

#include <algorithm>

namespace graft {

ChatOutput::ChatOutput(const std::vector<OutputPart>& parts) {
  for (const OutputPart& part : parts) {
    const size_t begin = text.size();
    text += part.text;
    if (part.origin == Origin::generation_begins) generation.push_back({begin, begin});
    if (part.origin == Origin::generation_ends && !generation.empty()) generation.back().end = begin;
    if (part.origin <= 0 || part.text.empty()) continue;
    if (!pieces.empty() && pieces.back().end == begin && pieces.back().origin == part.origin)
      pieces.back().end = text.size();
    else
      pieces.push_back({begin, text.size(), part.origin});
  }
}

std::vector<TextRange> ChatOutput::input() const {
  std::vector<TextRange> out;
  for (const Piece& piece : pieces) {
    if (!out.empty() && out.back().end == piece.begin)
      out.back().end = piece.end;
    else
      out.push_back({piece.begin, piece.end});
  }
  return out;
}

bool ChatOutput::has(int origin) const {
  return std::ranges::any_of(pieces, [&](const Piece& piece) { return piece.origin == origin; });
}

std::optional<TextRange> ChatOutput::extent(size_t message) const {
  std::optional<TextRange> out;
  for (const Piece& piece : pieces) {
    const int from = Origin::message_of(piece.origin);
    if (out && from > static_cast<int>(message)) break;
    if (from != static_cast<int>(message)) continue;
    if (!out) out = TextRange{piece.begin, piece.end};
    out->end = piece.end;
  }
  return out;
}

bool ChatOutput::is_interrupted(size_t message) const {
  const std::optional<TextRange> own = extent(message);
  return own && std::ranges::any_of(pieces, [&](const Piece& piece) {
           const bool said = Origin::field_of(piece.origin) == MessageField::content ||
                             Origin::field_of(piece.origin) == MessageField::reasoning;
           return piece.begin >= own->end && Origin::message_of(piece.origin) == static_cast<int>(message) && said;
         });
}

bool ChatOutput::has_input(const TextRange& range) const {
  return std::ranges::any_of(pieces, [&](const Piece& piece) { return piece.begin < range.end && piece.end > range.begin; });
}

bool ChatOutput::has_others(const TextRange& range, size_t message) const {
  return std::ranges::any_of(pieces, [&](const Piece& piece) {
    const int from = Origin::message_of(piece.origin);
    return from >= 0 && from != static_cast<int>(message) && piece.begin < range.end && piece.end > range.begin;
  });
}

}  // namespace graft
