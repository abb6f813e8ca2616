#pragma once
// Errors are exceptions whose text is meant for the person who runs graft: it names the file, line, key or tensor, what was
// expected and what came. Goals: one way to check, one way to report many faults at once. Non-goals: error codes, stack traces.
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace graft {

/// The run failed (exit code 1).
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The request was wrong: a config, a file or an argument (exit code 2). Raised before any weight is loaded or step taken.
class RequestError : public Error {
 public:
  using Error::Error;
};

/// A stop was asked for (a signal, a stop token) and obeyed (exit code 3).
class Stopped : public Error {
 public:
  using Error::Error;
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) {
  throw Error(fmt::format(text, std::forward<Args>(args)...));
}

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> text, Args&&... args) {
  throw RequestError(fmt::format(text, std::forward<Args>(args)...));
}

/// Throws Error with the formatted text unless `ok`.
template <class... Args>
void check(bool ok, fmt::format_string<Args...> text, Args&&... args) {
  if (!ok) fail(text, std::forward<Args>(args)...);
}

/// Throws RequestError with the formatted text unless `ok`.
template <class... Args>
void require(bool ok, fmt::format_string<Args...> text, Args&&... args) {
  if (!ok) refuse(text, std::forward<Args>(args)...);
}

/// Collects faults so that all of them are reported at once ("fail at the door").
class ErrorList {
 public:
  template <class... Args>
  void add(fmt::format_string<Args...> text, Args&&... args) {
    errors_.push_back(fmt::format(text, std::forward<Args>(args)...));
  }
  /// Runs `f` and keeps the text of what it throws.
  template <class F>
  void guard(F&& f) {
    try {
      f();
    } catch (const Error& e) {
      errors_.emplace_back(e.what());
    }
  }
  bool empty() const { return errors_.empty(); }
  const std::vector<std::string>& errors() const { return errors_; }
  /// Throws RequestError with the title and one line an error, if there is any.
  void raise(std::string_view title) const;

 private:
  std::vector<std::string> errors_;
};

}  // namespace graft
