#include "graft/text/regex.h"

#include <pcre2.h>

#include "graft/core/error.h"
#include "graft/text/unicode.h"

namespace graft {
namespace {

constexpr uint32_t step_limit = 10'000'000;     // of one attempt at one position
constexpr uint32_t heap_limit_kib = 64 * 1024;  // of the interpreter, used where the compiled code's stack is too small
constexpr size_t jit_stack_bytes = 1 << 20;
constexpr size_t pattern_limit = 1 << 16;

pcre2_code* code_of(const std::shared_ptr<void>& code) { return static_cast<pcre2_code*>(code.get()); }

/// What a thread needs to match: PCRE2's code itself is shared and constant.
struct MatchState {
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, jit_stack_bytes, nullptr);
  MatchState() {
    if (!context || !data || !stack) throw std::bad_alloc();
    pcre2_set_match_limit(context, step_limit);
    pcre2_set_heap_limit(context, heap_limit_kib);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchState() {
    pcre2_jit_stack_free(stack);
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;
};

std::string message_of(int error) {
  PCRE2_UCHAR text[256];
  return pcre2_get_error_message(error, text, sizeof text) < 0 ? fmt::format("error {}", error) : reinterpret_cast<char*>(text);
}

}  // namespace

struct Regex::Match {
  size_t begin, end;
};

Regex Regex::compile(std::string_view pattern, std::string_view what) {
  return Regex(translate_regex(pattern, what), PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, what);
}

Regex Regex::literal(std::string_view text) { return Regex(text, PCRE2_LITERAL, "text"); }

Regex::Regex(std::string_view pattern, unsigned options, std::string_view what) : what_(what) {
  require(pattern.size() <= pattern_limit, "{}: a pattern of {} bytes is over the limit of {}", what, pattern.size(),
          pattern_limit);
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options | PCRE2_UTF, &error,
                                   &offset, context.get());
  require(code != nullptr, "{}: not a pattern graft can run: {} (at byte {} of '{}')", what, message_of(error), offset, pattern);
  code_ = std::shared_ptr<void>(code, [](void* c) { pcre2_code_free(static_cast<pcre2_code*>(c)); });
  jit_ = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
}

bool Regex::find(std::string_view text, size_t from, Match& match) const {
  thread_local MatchState state;
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int result = PCRE2_ERROR_JIT_STACKLIMIT;
  if (jit_) result = pcre2_jit_match(code_of(code_), subject, text.size(), from, PCRE2_NO_UTF_CHECK, state.data, state.context);
  if (result == PCRE2_ERROR_JIT_STACKLIMIT)
    result =
        pcre2_match(code_of(code_), subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, state.data, state.context);
  if (result == PCRE2_ERROR_NOMATCH) return false;
  require(result >= 0, "{}: matching stopped in a text of {} bytes, from byte {} on: {}", what_, text.size(), from,
          message_of(result));
  const size_t* range = pcre2_get_ovector_pointer(state.data);
  match = {range[0], range[1]};
  require(match.begin <= match.end && match.begin >= from, "{}: a match that ends before it begins", what_);
  return true;
}

void Regex::find_all(std::string_view text, std::vector<TextSpan>& out) const {
  if (text.empty()) return;
  size_t done = 0;                           // everything before it has been put out
  size_t last_end = std::string_view::npos;  // of the last match
  Match match{};
  for (size_t from = 0; from <= text.size() && find(text, from, match);) {
    if (match.begin == match.end && match.end == last_end) {  // an empty match right behind a match does not count
      if (from == text.size()) break;
      next_code_point(text, from);
      continue;
    }
    if (done < match.begin) out.push_back({done, match.begin, false});
    out.push_back({match.begin, match.end, true});
    from = done = last_end = match.end;
  }
  if (done < text.size()) out.push_back({done, text.size(), false});
}

}  // namespace graft
