#pragma once
// graft report: a run's page, or several runs beside each other.
#include <filesystem>
#include <string>
#include <vector>

namespace graft {

/// One run: its page, which a run that ended has as report.html already. Several, or a run of several adapters: a page that compares them.
std::string report_page(const std::vector<std::filesystem::path>& folders);

}  // namespace graft
