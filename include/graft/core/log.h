#pragma once
// The library prints nothing: it tells a Log, which the program shows and a test reads.
#include <fmt/format.h>

#include <functional>
#include <string>
#include <utility>

namespace graft {

enum class LogLevel { info, warning };

class Log {
 public:
  using Sink = std::function<void(LogLevel, const std::string&)>;
  Log() = default;  // silent
  explicit Log(Sink sink) : sink_(std::move(sink)) {}

  template <class... Args>
  void info(fmt::format_string<Args...> text, Args&&... args) const {
    if (sink_) sink_(LogLevel::info, fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warn(fmt::format_string<Args...> text, Args&&... args) const {
    if (sink_) sink_(LogLevel::warning, fmt::format(text, std::forward<Args>(args)...));
  }

 private:
  Sink sink_;
};

}  // namespace graft
