// The Jinja engine's JSON library reports its own faults with this function of ggml, which is not linked.
#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>

extern "C" [[noreturn]] void ggml_abort(const char* file, int line, const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + text);
}
