#pragma once
// What the pages of one run and of several share.
#include <string>
#include <string_view>
#include <vector>

#include "run_charts.h"

namespace graft {

/// The whole document. Its policy forbids it to load anything from anywhere.
std::string document(std::string_view title, std::string_view body);
/// With a heading; "" if there is no content.
std::string section(std::string_view title, std::string_view content);
/// <dl> of a title and a text each; texts are escaped, empty ones left out.
std::string facts(const std::vector<std::pair<std::string, std::string>>& rows);
/// Rows of cells that are HTML already; the first cell is the row's head, `left` says which of the others are texts.
std::string table(const std::vector<std::string>& heads, const std::vector<std::vector<std::string>>& rows,
                  const std::vector<size_t>& left = {});

std::string with_commas(int64_t count);
std::string duration_shown(double seconds);
std::string gib_shown(double bytes);
/// A curve's middle value.
double median(const Curve& curve);
Curve scaled(Curve curve, double factor);
/// A metric's name for people: "token_accuracy" -> "token accuracy".
std::string spoken(std::string name);

/// The prompts of samples.jsonl in their order, each once.
std::vector<std::string> prompts_of(const RunHistory& run);
/// An answer as it stands on the page: escaped, with a sign if it was cut off.
std::string answer_shown(const Json& sample);

std::string data_table(const RunHistory& run);
std::string sample_answers(const RunHistory& run);
std::string spike_table(const RunHistory& run);
std::string environment(const RunHistory& run);
std::string reproduction(const RunHistory& run);

}  // namespace graft
