// Figures over time, and what they come to in a stretch of it.
//
// Invariant: pure; times in seconds, in rising order. Energy is the trapezoid rule over the samples as they lie,
// however unevenly; from an end of the stretch to its nearest sample that sample counts: what lies beyond the end
// belongs to something else.
#pragma once

#include <optional>
#include <vector>

namespace rknpu {

struct point {
    double time, value;
};

struct stretch {
    double begin = 0, end = 0;
    double seconds() const { return end - begin; }
};

class series {
public:
    void add(double time, double value) { points_.push_back({time, value}); }
    bool empty() const { return points_.empty(); }
    // The integral of the value; nothing where fewer than two samples lie in the stretch, for then it would be a guess.
    std::optional<double> integral(const stretch & part) const;
    std::optional<double> mean(const stretch & part) const;
    std::optional<double> smallest(const stretch & part) const; // of the samples in it; nothing where there are none
    std::optional<double> largest(const stretch & part) const;

private:
    std::vector<point> points_;
};

} // namespace rknpu
