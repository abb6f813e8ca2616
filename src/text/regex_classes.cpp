#include "graft/text/regex_classes.h"

#include <pcre2.h>

#include <algorithm>

namespace graft {
namespace {

constexpr std::string_view space_set =
    "\\x{09}-\\x{0d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
constexpr std::string_view word_set = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
constexpr std::string_view hex_set = "0-9a-fA-F";

struct NamedSet {
  std::string_view name, set;
};

/// General categories by their long names, and POSIX names; keys in lower case without space, '-' and '_'.
constexpr NamedSet named_sets[] = {{"letter", "\\p{L}"},
                                   {"casedletter", "\\p{L&}"},
                                   {"uppercaseletter", "\\p{Lu}"},
                                   {"lowercaseletter", "\\p{Ll}"},
                                   {"titlecaseletter", "\\p{Lt}"},
                                   {"modifierletter", "\\p{Lm}"},
                                   {"otherletter", "\\p{Lo}"},
                                   {"mark", "\\p{M}"},
                                   {"combiningmark", "\\p{M}"},
                                   {"nonspacingmark", "\\p{Mn}"},
                                   {"spacingmark", "\\p{Mc}"},
                                   {"enclosingmark", "\\p{Me}"},
                                   {"number", "\\p{N}"},
                                   {"decimalnumber", "\\p{Nd}"},
                                   {"letternumber", "\\p{Nl}"},
                                   {"othernumber", "\\p{No}"},
                                   {"punctuation", "\\p{P}"},
                                   {"connectorpunctuation", "\\p{Pc}"},
                                   {"dashpunctuation", "\\p{Pd}"},
                                   {"openpunctuation", "\\p{Ps}"},
                                   {"closepunctuation", "\\p{Pe}"},
                                   {"initialpunctuation", "\\p{Pi}"},
                                   {"finalpunctuation", "\\p{Pf}"},
                                   {"otherpunctuation", "\\p{Po}"},
                                   {"symbol", "\\p{S}"},
                                   {"mathsymbol", "\\p{Sm}"},
                                   {"currencysymbol", "\\p{Sc}"},
                                   {"modifiersymbol", "\\p{Sk}"},
                                   {"othersymbol", "\\p{So}"},
                                   {"separator", "\\p{Z}"},
                                   {"spaceseparator", "\\p{Zs}"},
                                   {"lineseparator", "\\p{Zl}"},
                                   {"paragraphseparator", "\\p{Zp}"},
                                   {"other", "\\p{C}"},
                                   {"control", "\\p{Cc}"},
                                   {"format", "\\p{Cf}"},
                                   {"surrogate", "\\p{Cs}"},
                                   {"privateuse", "\\p{Co}"},
                                   {"unassigned", "\\p{Cn}"},
                                   {"any", "\\p{Any}"},
                                   {"assigned", "\\P{Cn}"},
                                   // POSIX
                                   {"alnum", "\\p{Alphabetic}\\p{Nd}"},
                                   {"alpha", "\\p{Alphabetic}"},
                                   {"blank", "\\p{Zs}\\x{09}"},
                                   {"cntrl", "\\p{Cc}"},
                                   {"digit", "\\p{Nd}"},
                                   {"lower", "\\p{Lowercase}"},
                                   {"upper", "\\p{Uppercase}"},
                                   {"space", space_set},
                                   {"punct", "\\p{P}"},
                                   {"word", word_set},
                                   {"xdigit", hex_set},
                                   {"ascii", "\\x{00}-\\x{7f}"}};

std::string plain_name(std::string_view name) {
  std::string plain;
  for (const char c : name)
    if (c != ' ' && c != '-' && c != '_') plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return plain;
}

std::string named_set(std::string_view name) {
  const std::string plain = plain_name(name);
  const auto* found =
      std::find_if(std::begin(named_sets), std::end(named_sets), [&](const NamedSet& s) { return s.name == plain; });
  return found == std::end(named_sets) ? "" : std::string(found->set);
}

bool compiles(const std::string& pattern) {
  int error = 0;
  size_t offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF | PCRE2_UCP, &error,
                                   &offset, nullptr);
  pcre2_code_free(code);
  return code != nullptr;
}

}  // namespace

std::string_view shorthand_class(char letter) {
  switch (letter | 32) {
    case 's':
      return space_set;
    case 'w':
      return word_set;
    case 'd':
      return "\\p{Nd}";
    case 'h':
      return hex_set;
    default:
      return {};
  }
}

std::string posix_class(std::string_view name) {
  constexpr std::string_view names[] = {"alnum", "alpha", "blank", "cntrl", "digit",  "lower",
                                        "upper", "space", "punct", "word",  "xdigit", "ascii"};
  if (name == "punct") return "\\p{P}$+<=>^`|~";  // wider than the property of that name
  return std::find(std::begin(names), std::end(names), name) == std::end(names) ? "" : named_set(name);
}

std::string property_class(std::string_view name) {
  if (std::string known = named_set(name); !known.empty()) return known;
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ' ' || c == '-';
  });
  if (!plain) return "";
  // A script by itself means the script, not (as in PCRE2) also its extensions.
  for (const std::string_view prefix : {"sc:", ""})
    if (std::string set = "\\p{" + std::string(prefix) + std::string(name) + "}"; compiles(set)) return set;
  return "";
}

std::string opposite_class(std::string_view set) {
  if (set == space_set) return "\\P{White_Space}";
  const bool single = set.size() > 4 && set[0] == '\\' && (set[1] | 32) == 'p' && set.find('}') == set.size() - 1;
  if (!single) return "";
  std::string opposite(set);
  opposite[1] = set[1] == 'p' ? 'P' : 'p';
  return opposite;
}

std::string word_boundary(bool negated) {
  const std::string word = "[" + std::string(word_set) + "]";
  const std::string behind = "(?<=" + word + ")", not_behind = "(?<!" + word + ")";
  const std::string ahead = "(?=" + word + ")", not_ahead = "(?!" + word + ")";
  return negated ? "(?:" + behind + ahead + "|" + not_behind + not_ahead + ")"
                 : "(?:" + behind + not_ahead + "|" + not_behind + ahead + ")";
}

}  // namespace graft
