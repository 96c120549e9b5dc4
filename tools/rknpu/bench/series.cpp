// See series.h.
#include "bench/series.h"

#include <algorithm>

namespace rknpu {

double series::at(double time) const {
    const auto after =
        std::lower_bound(points_.begin(), points_.end(), time, [](const point & p, double t) { return p.time < t; });
    if (after == points_.begin()) return points_.front().value;
    if (after == points_.end()) return points_.back().value;
    const point &b = *after, &a = *(after - 1);
    return b.time > a.time ? a.value + (b.value - a.value) * (time - a.time) / (b.time - a.time) : b.value;
}

std::optional<double> series::integral(const stretch & part) const {
    std::vector<point> inside;
    for (const point & p : points_)
        if (p.time >= part.begin && p.time <= part.end) inside.push_back(p);
    if (inside.size() < 2) return std::nullopt;
    inside.insert(inside.begin(), {part.begin, at(part.begin)});
    inside.push_back({part.end, at(part.end)});
    double sum = 0;
    for (size_t i = 1; i < inside.size(); i++)
        sum += (inside[i].time - inside[i - 1].time) * (inside[i].value + inside[i - 1].value) / 2;
    return sum;
}

std::optional<double> series::mean(const stretch & part) const {
    const auto sum = integral(part);
    return sum && part.seconds() > 0 ? std::optional<double>(*sum / part.seconds()) : std::nullopt;
}

std::optional<double> series::smallest(const stretch & part) const {
    std::optional<double> best;
    for (const point & p : points_)
        if (p.time >= part.begin && p.time <= part.end) best = std::min(best.value_or(p.value), p.value);
    return best;
}

std::optional<double> series::largest(const stretch & part) const {
    std::optional<double> best;
    for (const point & p : points_)
        if (p.time >= part.begin && p.time <= part.end) best = std::max(best.value_or(p.value), p.value);
    return best;
}

} // namespace rknpu
