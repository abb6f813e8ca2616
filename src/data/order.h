#pragma once
// The order of samples as a function of (seed, epoch), on any machine: own generator, own shuffle.
#include <cstdint>
#include <vector>

#include "graft/data/dataset.h"

namespace graft {

/// Samples of a source in one epoch: its size times `repeat`, rounded, at least 1 if it has any.
int64_t repeated_count(int64_t samples, double repeat);

/// Appends a source's samples [first, first + samples): whole repeats, and for the fraction a part that moves on with each epoch,
/// so that all are seen equally often in the end.
void append_repeated(std::vector<int64_t>& order, int64_t first, int64_t samples, double repeat, uint64_t seed, uint64_t epoch);

/// Shuffled, then grouped by length within windows of many steps, so that a step's samples are alike; then the steps are
/// shuffled. A last, smaller step is drawn at random from all samples.
std::vector<std::vector<int64_t>> shuffled_steps(std::vector<int64_t> order, const Dataset& dataset, int64_t step_size,
                                                 uint64_t seed, uint64_t epoch);

/// Samples laid into rows of at most `row_length` tokens, each taking `slots` more than its own: the longest first (equal ones in random order),
/// each into the fullest row that has room for it (best fit decreasing).
std::vector<std::vector<int64_t>> packed_rows(std::vector<int64_t> order, const Dataset& dataset, int64_t row_length, int64_t slots, uint64_t seed);

/// 0 .. count - 1.
std::vector<int64_t> shuffled_rows(int64_t count, uint64_t seed, uint64_t epoch);

/// Consecutive pieces of `size`; the last may be smaller.
std::vector<std::vector<int64_t>> cut(const std::vector<int64_t>& samples, int64_t size);

}  // namespace graft
