// See series.h.
#include "bench/series.h"

#include <algorithm>

namespace rknpu {

std::optional<double> series::integral(const stretch & part) const {
    std::vector<point> inside;
    for (const point & p : points_)
        if (p.time >= part.begin && p.time <= part.end) inside.push_back(p);
    if (inside.size() < 2) return std::nullopt;
    const point first{part.begin, inside.front().value}, last{part.end, inside.back().value};
    inside.insert(inside.begin(), first);
    inside.push_back(last);
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
