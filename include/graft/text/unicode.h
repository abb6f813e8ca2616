#pragma once
// The few facts about Unicode that tokenizing needs, as Hugging Face's `tokenizers` knows them: its libraries carry older tables
// for some properties, and ids equal the oracle's only if we are as old. Non-goals: collation.
#include <cstdint>
#include <string>
#include <string_view>

namespace graft {

/// Byte position of the first byte that is not part of valid UTF-8, or npos.
size_t find_invalid_utf8(std::string_view text);
/// The code point at `position`, which moves behind it. The text is valid UTF-8.
char32_t next_code_point(std::string_view text, size_t& position);
/// The code point that ends at `position` (> 0), which moves to its first byte.
char32_t previous_code_point(std::string_view text, size_t& position);
void append_utf8(std::string& out, char32_t code_point);
/// Bytes as text: each maximal part of an ill-formed sequence becomes one U+FFFD (Unicode's recommendation, and the oracle's).
std::string lossy_utf8(std::string_view bytes);

/// Where the extended grapheme cluster that begins at `begin` ends.
size_t grapheme_end(std::string_view text, size_t begin);

bool is_white_space(char32_t c);
bool is_numeric(char32_t c);
bool is_punctuation(char32_t c);
bool is_combining_mark(char32_t c);
bool is_nonspacing_mark(char32_t c);
bool is_control(char32_t c);  // or format, or private use
void append_lowercase(std::string& out, char32_t c);

enum class NormalForm { nfc, nfd, nfkc, nfkd };
/// Characters assigned after the oracle's normalization tables stand for themselves and have combining class 0.
bool is_known_to_normalization(char32_t c);

/// GPT-2's alphabet: every byte has a printable character of its own.
char32_t char_of_byte(unsigned char byte);
/// The byte that a character of that alphabet stands for, or -1.
int byte_of_char(char32_t c);
/// Bytes spelled in that alphabet.
std::string spell_bytes(std::string_view bytes);

}  // namespace graft
