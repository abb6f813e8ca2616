#include "graft/text/decoder.h"

#include <algorithm>
#include <charconv>

#include "graft/text/pretokenizer.h"
#include "graft/text/unicode.h"
#include "graft/text/wordpiece.h"

namespace graft {
namespace {

using Tokens = std::vector<std::string>;
constexpr int depth_limit = 8;

void byte_level(Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) {
    const size_t before = bytes.size();
    for (size_t i = 0; i < token.size();) {
      const int byte = byte_of_char(next_code_point(token, i));
      if (byte < 0) {  // not of the alphabet: an added token, taken as it is
        bytes.resize(before);
        bytes += token;
        break;
      }
      bytes += static_cast<char>(byte);
    }
  }
  tokens = {lossy_utf8(bytes)};
}

void byte_fallback(Tokens& tokens) {
  Tokens out;
  std::string bytes;
  const auto flush = [&] {
    if (find_invalid_utf8(bytes) == std::string::npos) {
      if (!bytes.empty()) out.push_back(bytes);
    } else {
      out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
    }
    bytes.clear();
  };
  for (std::string& token : tokens) {
    if (const int byte = fallback_byte(token); byte >= 0) {
      bytes += static_cast<char>(byte);
    } else {
      flush();
      out.push_back(std::move(token));
    }
  }
  flush();
  tokens = std::move(out);
}

void fuse(Tokens& tokens) {
  std::string all;
  for (const std::string& token : tokens) all += token;
  tokens = {std::move(all)};
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

/// Takes up to `start` times `content` off the front and `stop` times off the end.
void strip(std::string& token, const std::string& content, int64_t start, int64_t stop) {
  size_t begin = 0, end = token.size();
  for (int64_t i = 0; i < start && std::string_view(token).substr(begin).starts_with(content); ++i) begin += content.size();
  for (int64_t i = 0; i < stop && std::string_view(token).substr(begin, end - begin).ends_with(content); ++i)
    end -= content.size();
  token = token.substr(begin, end - begin);
}

std::string character_field(const TokenizerJson& json, const char* key, std::string_view where) {
  std::string text = need_string(json, key, where);
  size_t end = 0;
  if (!text.empty()) next_code_point(text, end);
  require(!text.empty() && end == text.size(), "{}: '{}' must be one character, not '{}'", where, key, text);
  return text;
}

void metaspace(Tokens& tokens, const std::string& mark, bool drop_first) {
  for (size_t i = 0; i < tokens.size(); ++i) replace_all(tokens[i], mark, i == 0 && drop_first ? "" : " ");
}

void bpe_decoder(Tokens& tokens, const std::string& suffix) {
  for (size_t i = 0; i < tokens.size(); ++i) replace_all(tokens[i], suffix, i + 1 == tokens.size() ? "" : " ");
}

/// Connectionist temporal classification: a token that comes again at once is the same one.
struct Ctc {
  std::string pad, word_delimiter;
  bool cleanup;

  void operator()(Tokens& tokens) const {
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    for (std::string& token : tokens) {
      replace_all(token, pad, "");
      if (!cleanup) continue;
      token = tidy_english(token);
      replace_all(token, word_delimiter, " ");
    }
    std::erase(tokens, "");
  }
};

Ctc read_ctc(const TokenizerJson& json, std::string_view where) {
  Ctc ctc{need_string(json, "pad_token", where), need_string(json, "word_delimiter_token", where),
          bool_field(json, "cleanup", true, where)};
  require(!ctc.pad.empty() && !ctc.word_delimiter.empty(), "{}: 'pad_token' or 'word_delimiter_token' is empty", where);
  return ctc;
}

void replace(Tokens& tokens, const Regex& pattern, const std::string& content) {
  std::vector<TextSpan> spans;
  for (std::string& token : tokens) {
    spans.clear();
    pattern.find_all(token, spans);
    std::string out;
    for (const TextSpan& span : spans) out += span.is_match ? content : token.substr(span.begin, span.end - span.begin);
    token = std::move(out);
  }
}

}  // namespace

int fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int byte = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  return error == std::errc() && end == token.data() + 5 && byte >= 0 ? byte : -1;
}

Decoder::Decoder(const TokenizerJson& json) : present_(true) { add(json, "decoder", 0); }

std::string Decoder::decode(std::vector<std::string> tokens) const {
  for (const auto& step : steps_) step(tokens);
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && !present_) text += ' ';
    text += tokens[i];
  }
  return text;
}

void Decoder::add(const TokenizerJson& json, const std::string& where, int depth) {
  const std::string type = type_of(json, where);
  if (type == "ByteLevel") return void(steps_.emplace_back(byte_level));
  if (type == "ByteFallback") return void(steps_.emplace_back(byte_fallback));
  if (type == "CTC") return void(steps_.emplace_back(read_ctc(json, where)));
  if (type == "Fuse") return void(steps_.emplace_back(fuse));
  if (type == "Replace") {
    steps_.emplace_back([pattern = pattern_field(json, where), content = need_string(json, "content", where)](Tokens& tokens) {
      replace(tokens, pattern, content);
    });
  } else if (type == "Strip") {
    const std::string content = character_field(json, "content", where);
    const int64_t start = as_count(need_field(json, "start", where), "start", INT32_MAX, where);
    const int64_t stop = as_count(need_field(json, "stop", where), "stop", INT32_MAX, where);
    steps_.emplace_back([=](Tokens& tokens) {
      for (std::string& token : tokens) strip(token, content, start, stop);
    });
  } else if (type == "Metaspace") {
    const std::string mark = character_field(json, "replacement", where);
    const bool never = find_string(json, "prepend_scheme", where).value_or("") == "never" ||
                       (!find_field(json, "prepend_scheme") && !bool_field(json, "add_prefix_space", true, where));
    steps_.emplace_back([=](Tokens& tokens) { metaspace(tokens, mark, !never); });
  } else if (type == "WordPiece") {
    const std::string prefix = need_string(json, "prefix", where);
    const bool cleanup = bool_field(json, "cleanup", true, where);
    steps_.emplace_back([=](Tokens& tokens) { join_wordpieces(tokens, prefix, cleanup); });
  } else if (type == "BPEDecoder") {
    const std::string suffix = find_string(json, "suffix", where).value_or("</w>");
    require(!suffix.empty(), "{}: 'suffix' is empty", where);
    steps_.emplace_back([=](Tokens& tokens) { bpe_decoder(tokens, suffix); });
  } else if (type == "Sequence") {
    require(depth < depth_limit, "{}: Sequences nested deeper than {}", where, depth_limit);
    const TokenizerJson& list = need_list(json, "decoders", where);
    for (size_t i = 0; i < list.size(); ++i) add(list[i], fmt::format("{}.decoders[{}]", where, i), depth + 1);
  } else {
    refuse("{}: graft does not do the decoder '{}'", where, type);
  }
}

}  // namespace graft
