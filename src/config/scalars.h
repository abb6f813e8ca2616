#pragma once
// A scalar node as a bool, an integer or a double. Each returns "" or what is wrong ("expected an integer, got 'x'").
#include <cstdint>
#include <string>

#include "graft/config/node.h"

namespace graft {

std::string read_bool(const ConfigNode& node, bool& out);
std::string read_integer(const ConfigNode& node, int& out);
std::string read_integer(const ConfigNode& node, int64_t& out);
std::string read_integer(const ConfigNode& node, uint64_t& out);
std::string read_number(const ConfigNode& node, double& out);
std::string read_string(const ConfigNode& node, std::string& out);

}  // namespace graft
