#include "order.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <set>
#include <span>
#include <utility>

#include "graft/core/error.h"
#include "graft/core/hash.h"

namespace graft {

namespace {

constexpr int64_t window_steps = 50;

/// SplitMix64. The standard's shuffle and distributions differ between libraries.
class Random {
 public:
  Random(uint64_t seed, uint64_t epoch, std::string_view use) : state_(Hash().add(seed).add(epoch).add(use).value()) {}

  /// Uniform in [0, bound).
  uint64_t below(uint64_t bound) {
    const uint64_t unfair = (0 - bound) % bound;  // 2^64 mod bound values too many
    uint64_t value = next();
    while (value < unfair) value = next();
    return value % bound;
  }

 private:
  uint64_t next() {
    uint64_t x = state_ += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
  }
  uint64_t state_;
};

template <class T>
void shuffle(std::span<T> values, Random random) {
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random.below(i)]);
}

}  // namespace

int64_t repeated_count(int64_t samples, double repeat) {
  if (samples == 0) return 0;
  return std::max<int64_t>(1, std::llround(static_cast<double>(samples) * repeat));
}

void append_repeated(std::vector<int64_t>& order, int64_t first, int64_t samples, double repeat, uint64_t seed, uint64_t epoch) {
  if (samples == 0) return;
  const int64_t count = repeated_count(samples, repeat), part = count % samples;
  for (int64_t i = 0; i < count - part; ++i) order.push_back(first + i % samples);
  if (part == 0) return;
  std::vector<int64_t> turn(static_cast<size_t>(samples));
  std::iota(turn.begin(), turn.end(), first);
  shuffle(std::span(turn), Random(seed, static_cast<uint64_t>(first), "part of a source"));
  const uint64_t begin = epoch * static_cast<uint64_t>(part);
  for (int64_t i = 0; i < part; ++i) order.push_back(turn[(begin + static_cast<uint64_t>(i)) % turn.size()]);
}

std::vector<std::vector<int64_t>> shuffled_steps(std::vector<int64_t> order, const Dataset& dataset, int64_t step_size,
                                                 uint64_t seed, uint64_t epoch) {
  shuffle(std::span(order), Random(seed, epoch, "samples"));
  const size_t full = order.size() - order.size() % static_cast<size_t>(step_size);
  const auto window = static_cast<size_t>(window_steps * step_size);
  for (size_t begin = 0; begin < full; begin += window) {
    const auto samples = std::span(order).subspan(begin, std::min(window, full - begin));
    std::ranges::stable_sort(samples, {}, [&](int64_t sample) { return dataset.length(sample); });
  }
  auto steps = cut(order, step_size);
  shuffle(std::span(steps).first(full / static_cast<size_t>(step_size)), Random(seed, epoch, "steps"));
  return steps;
}

std::vector<std::vector<int64_t>> packed_rows(std::vector<int64_t> order, const Dataset& dataset, int64_t row_length, int64_t slots, uint64_t seed) {
  shuffle(std::span(order), Random(seed, 0, "packing"));
  std::ranges::stable_sort(order, std::greater(), [&](int64_t sample) { return dataset.length(sample); });
  std::vector<std::vector<int64_t>> rows;
  std::set<std::pair<int64_t, size_t>> room;   // tokens left, and the row
  for (const int64_t sample : order) {
    const int64_t length = dataset.length(sample) + slots;
    check(length <= row_length, "a sample of {} tokens does not fit into a row of {}", length, row_length);
    std::pair<int64_t, size_t> place{row_length, rows.size()};
    if (const auto found = room.lower_bound({length, 0}); found != room.end())
      place = *found, room.erase(found);
    else
      rows.emplace_back();
    rows[place.second].push_back(sample);
    room.insert({place.first - length, place.second});
  }
  return rows;
}

std::vector<int64_t> shuffled_rows(int64_t count, uint64_t seed, uint64_t epoch) {
  std::vector<int64_t> rows(static_cast<size_t>(count));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  shuffle(std::span(rows), Random(seed, epoch, "rows"));
  return rows;
}

std::vector<std::vector<int64_t>> cut(const std::vector<int64_t>& samples, int64_t size) {
  std::vector<std::vector<int64_t>> pieces;
  for (auto at = samples.begin(); at != samples.end();) {
    const auto end = at + std::min<std::ptrdiff_t>(size, samples.end() - at);
    pieces.emplace_back(at, end);
    at = end;
  }
  return pieces;
}

}  // namespace graft
