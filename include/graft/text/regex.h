#pragma once
// Regular expressions of tokenizer.json. They are written for Oniguruma and run here by PCRE2, so a pattern is first translated:
// the two differ in what \s \w \d \h, `$`, `{,n}`, `{n}+`, (?m) and [a&&b] mean. What has no sure translation is refused when the
// pattern is compiled. Matching is bounded: a pattern that needs too many steps is an error, not a hang.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// A part of a text, and whether it matched the pattern: the parts cover the text.
struct TextSpan {
  size_t begin, end;
  bool is_match;
};

/// Oniguruma's pattern (syntax ONIG_SYNTAX_ONIGURUMA, UTF-8) as PCRE2's. Errors (RequestError) begin with `what`.
std::string translate_regex(std::string_view pattern, std::string_view what);

class Regex {
 public:
  /// `what` names the pattern's place in the file, for errors.
  static Regex compile(std::string_view pattern, std::string_view what);
  /// Matches exactly this text.
  static Regex literal(std::string_view text);

  /// Appends the matches of `text` and what lies between them, from left to right. `text` is valid UTF-8.
  void find_all(std::string_view text, std::vector<TextSpan>& out) const;

 private:
  Regex(std::string_view pattern, unsigned options, std::string_view what);
  struct Match;
  bool find(std::string_view text, size_t from, Match& match) const;

  std::shared_ptr<void> code_;
  std::string what_;
  bool jit_ = false;
};

}  // namespace graft
