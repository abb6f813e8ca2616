#include "graft/text/regex_classes.h"
#include "regex_translator.h"

namespace graft {
namespace {

constexpr int depth_limit = 50;

}  // namespace

std::string RegexTranslator::class_or_stop(const std::string& set, bool negated, bool in_class, const std::string& name) const {
  stop_unless(!set.empty(), name);
  if (!in_class) return (negated ? "[^" : "[") + set + "]";
  if (!negated) return set;
  const std::string opposite = opposite_class(set);
  stop_unless(!opposite.empty(), "in a class the opposite of " + name);
  return opposite;
}

RegexTranslator::CharClass RegexTranslator::char_class(int depth) {
  stop_unless(depth < depth_limit, "too many nested classes");
  CharClass result;
  result.negated = take("^");
  std::vector<CharClass> parts(1);  // joined by &&
  for (bool first = true; first || peek() != ']'; first = false) {
    stop_unless(at_ < in_.size(), "an open '['");
    if (take("&&")) {
      parts.emplace_back();
    } else {
      class_item(parts.back(), depth);
    }
  }
  ++at_;
  for (const CharClass& part : parts) stop_unless(!part.body.empty() || !part.whole.empty(), "an empty class");
  if (parts.size() == 1 && parts[0].whole.empty()) {
    result.body = parts[0].body;
    return result;
  }
  // PCRE2 has no such classes: what is in all parts is one character with some looks ahead.
  std::string all;
  for (size_t i = 0; i + 1 < parts.size(); ++i) all += "(?=" + parts[i].expression() + ")";
  all += parts.back().expression();
  result.whole = result.negated ? "(?:(?!" + all + ")[\\x{0}-\\x{10ffff}])" : "(?:" + all + ")";
  return result;
}

void RegexTranslator::class_item(CharClass& part, int depth) {
  stop_unless(part.whole.empty(), "a class that joins others and a negated one");
  if (take("[:")) {
    posix_item(part);
  } else if (take("[")) {
    nested_class(part, depth);
  } else if (take("\\")) {
    part.body += escape(true);
  } else if (take("]")) {  // as the first item
    part.body += "\\]";
  } else {
    part.body += in_[at_++];
  }
}

void RegexTranslator::posix_item(CharClass& part) {
  const bool negated = take("^");
  const std::string name = up_to(":]", "an open '[:'");
  part.body += class_or_stop(posix_class(name), negated, true, "[:" + name + ":]");
}

void RegexTranslator::nested_class(CharClass& part, int depth) {
  CharClass inner = char_class(depth + 1);
  const bool plain = inner.whole.empty() && !inner.negated;
  stop_unless(plain || part.body.empty(), "a class that joins others and a negated one");
  if (plain) {
    part.body += inner.body;
  } else {
    part.whole = inner.expression();
  }
}

}  // namespace graft
