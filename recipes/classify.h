#pragma once
// A classifier's answers: for one text, or for a file of samples.
#include <filesystem>
#include <stop_token>
#include <string>

#include "generate.h"

namespace graft {

/// "yes  0.93" for a text, a line for each label, the likeliest first; a regression's number.
std::string classify_text(Speaker& speaker, const std::string& text);

/// Every sample of a data file into a JSONL file: {"index", "origin", "prediction", "probabilities"?, "reference"?}. The prediction is a
/// label, a number, or a list of the words' labels; probabilities are by label, or the words' labels' own. Lines that are there are kept.
int64_t classify_file(Speaker& speaker, const DataOptions& data, const std::filesystem::path& out, int64_t batch_size, const Log& log,
                      std::stop_token stop);

}  // namespace graft
