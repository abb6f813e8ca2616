#include <algorithm>

#include "graft/config/shape.h"
#include "graft/config/yaml.h"
#include "parse.h"
#include "utf8.h"

namespace graft {

void check_config_text(std::string_view text, const std::string& name) {
  require(text.size() <= ConfigLimits::file_bytes, "{}: {} bytes, more than the limit of {}", name, text.size(),
          ConfigLimits::file_bytes);
  const auto bad = first_bad_byte(text);
  if (!bad) return;
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(*bad), '\n');
  refuse("{}:{}: byte {:#04x} is not UTF-8 text", name, line, static_cast<unsigned char>(text[*bad]));
}

void check_key(const std::string& key, const std::string& where) {
  constexpr size_t longest = 1000;
  const size_t written = double_quoted(key).size() - 2;
  require(written <= longest, "{}: a key of {} bytes{}, more than {}", where, key.size(), written == key.size() ? "" : fmt::format(" ({} as they are written)", written), longest);
}

void ConfigBudget::spend(int more_nodes, size_t more_bytes, const std::string& where) {
  nodes += more_nodes;
  bytes += more_bytes;
  require(nodes <= ConfigLimits::nodes, "{}: the config has more than {} values (aliases written out)", where,
          ConfigLimits::nodes);
  require(bytes <= ConfigLimits::total_bytes, "{}: the config has more than {} bytes of text (aliases written out)", where,
          ConfigLimits::total_bytes);
}

}  // namespace graft
