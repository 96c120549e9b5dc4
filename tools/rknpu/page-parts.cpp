// See page-parts.h.
#include "page-parts.h"

#include "base/log.h"

#include <algorithm>

namespace rknpu {

namespace {

constexpr const char * style = R"(
:root { --ink: #1f2933; --soft: #627180; --line: #d9dfe5; --paper: #fff;
  --npu: #2563ab; --cpu: #8a94a0; --third: #b3541e; --warn: #8a4b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --soft: #9aa7b4; --line: #3a444e; --paper: #14191e;
  --npu: #6aa9f0; --cpu: #7c8894; --third: #e08a50; --warn: #f0b060; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.soft { color: var(--soft); } .warn { color: var(--warn); font-weight: 600; } .wide { overflow-x: auto; }
svg { width: 100%; height: auto; } svg text { font: 13px system-ui, sans-serif; fill: var(--ink); }
svg .npu { fill: var(--npu); } svg .cpu { fill: var(--cpu); } svg line { stroke: var(--line); }
svg .soft { fill: var(--soft); } pre { white-space: pre-wrap; }
svg polyline { fill: none; stroke-width: 2; } svg polyline.npu { fill: none; stroke: var(--npu); }
svg polyline.cpu { fill: none; stroke: var(--cpu); } svg polyline.third { fill: none; stroke: var(--third); }
svg circle.third, svg text.third { fill: var(--third); }
.part-0 { fill: #1d4e89; } .part-1 { fill: #2f7fc1; } .part-2 { fill: #8cc0ec; } .part-3 { fill: #e3a857; }
.part-4 { fill: #b3541e; } .part-5 { fill: #6b3f2a; } .part-6 { fill: #5f8a4a; } .part-7 { fill: #a3bf7f; }
.part-8 { fill: #9aa3ad; }
)";

} // namespace

std::string escaped(const std::string & text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
        case '&':
            out += "&amp;";
            break;
        case '<':
            out += "&lt;";
            break;
        case '>':
            out += "&gt;";
            break;
        case '"':
            out += "&quot;";
            break;
        default:
            out += c;
        }
    }
    return out;
}

std::string figure(const char * format, double value) {
    return std::isfinite(value) ? format_text(format, value) : "&ndash;";
}

std::string shortened(const std::string & label) {
    constexpr size_t most = 30;
    return escaped(label.size() <= most ? label : label.substr(0, most - 3) + "...");
}

std::string whole_page(const std::string & title, const std::string & body) {
    return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
           "content=\"width=device-width\">\n<title>" +
           escaped(title) + "</title><style>" + style + "</style></head><body>\n<h1>" + escaped(title) + "</h1>\n" +
           body + "</body></html>\n";
}

std::string section(const char * title, const std::string & words, const std::string & content) {
    return format_text("<h2>%s</h2>\n<p class=\"soft\">%s</p>\n<div class=\"wide\">%s</div>\n", title, words.c_str(),
                       content.c_str());
}

double axis::place(double value) const {
    const double v = logarithmic ? (value > 0 ? std::log10(value) : first) : value;
    return std::clamp((v - first) / (last - first), 0.0, 1.0);
}

axis round_axis(double first, double last, std::vector<double> & ticks) {
    const double span = std::max(last - first, 1e-3);
    double step = std::pow(10, std::floor(std::log10(span)));
    step *= span / step < 2 ? 0.2 : span / step < 5 ? 0.5 : 1;
    const axis scale{std::floor(first / step) * step, std::ceil(last / step) * step + step * 1e-6, false};
    for (int i = 0; scale.first + i * step <= scale.last; i++)
        ticks.push_back(std::round((scale.first + i * step) / step) * step);
    return scale;
}

std::string curve_plot(const std::vector<curve> & curves, const char * x_label, const char * y_label) {
    constexpr int left = 60, right = 700, top = 24, bottom = 280;
    double x_first = INFINITY, x_last = 0, y_last = 0;
    for (const curve & c : curves) {
        for (const double x : c.x) {
            x_first = std::min(x_first, x);
            x_last = std::max(x_last, x);
        }
        for (const double y : c.y)
            y_last = std::max(y_last, y);
    }
    std::vector<double> y_ticks;
    const axis y_axis = round_axis(0, y_last, y_ticks);
    const axis x_axis{std::log10(x_first), std::log10(std::max(x_last, x_first * 1.01)), true};
    const auto px = [&](double x) { return left + (right - left) * x_axis.place(x); };
    const auto py = [&](double y) { return bottom - (bottom - top) * y_axis.place(y); };
    std::string svg = "<svg viewBox=\"0 0 900 320\" role=\"img\">\n";
    for (const double tick : y_ticks)
        svg +=
            format_text("<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"soft\" x=\"%d\" y=\"%.1f\" "
                        "text-anchor=\"end\">%g</text>\n",
                        left, right, py(tick), py(tick), left - 6, py(tick) + 4, tick);
    if (!curves.empty())
        for (const double x : curves[0].x)
            svg += format_text("<text class=\"soft\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n", px(x),
                               bottom + 18, x);
    svg += format_text("<text class=\"soft\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>"
                       "<text class=\"soft\" x=\"%d\" y=\"14\">%s</text>\n",
                       right, bottom + 36, x_label, left, y_label);
    int label_y = top + 10;
    for (const curve & c : curves) {
        std::string points;
        for (size_t i = 0; i < c.x.size(); i++)
            points += format_text("%.1f,%.1f ", px(c.x[i]), py(c.y[i]));
        svg += format_text("<polyline class=\"%s\" points=\"%s\"/>\n", c.colour, points.c_str());
        for (size_t i = 0; i < c.x.size(); i++)
            svg += format_text(
                "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>%g %s: %.4g %s</title></circle>\n",
                c.colour, px(c.x[i]), py(c.y[i]), c.x[i], x_label, c.y[i], y_label);
        svg += format_text("<circle class=\"%s\" cx=\"%d\" cy=\"%d\" r=\"5\"/><text x=\"%d\" y=\"%d\">%s</text>\n",
                           c.colour, right + 20, label_y - 4, right + 32, label_y, shortened(c.label).c_str());
        label_y += 22;
    }
    return svg + "</svg>\n";
}

std::string stack_plot(const std::vector<std::string> & parts, const std::vector<stack_bar> & bars, const char * unit) {
    constexpr int left = 150, width = 560, row = 30, top = 4, columns = 3;
    const int legend = top + row * int(bars.size()) + 20;
    const int height = legend + 22 * ((int(parts.size()) + columns - 1) / columns);
    double longest = 0;
    for (const stack_bar & bar : bars) {
        double sum = 0;
        for (const double value : bar.values)
            sum += value;
        longest = std::max(longest, sum);
    }
    std::string svg = format_text("<svg viewBox=\"0 0 900 %d\" role=\"img\">\n", height);
    int y = top;
    for (const stack_bar & bar : bars) {
        double x = left;
        svg += format_text("<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", left - 8, y + 19,
                           shortened(bar.label).c_str());
        for (size_t i = 0; i < bar.values.size(); i++) {
            const double part_width = longest > 0 ? width * bar.values[i] / longest : 0;
            svg += format_text("<rect class=\"part-%zu\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\">"
                               "<title>%s: %.4g %s</title></rect>",
                               i, x, y + 4, part_width, row - 8, escaped(parts[i]).c_str(), bar.values[i], unit);
            x += part_width;
        }
        svg += format_text("<text x=\"%.1f\" y=\"%d\">%s</text>\n", x + 8, y + 19, escaped(bar.text).c_str());
        y += row;
    }
    for (size_t i = 0; i < parts.size(); i++) {
        const int column = int(i) % columns, line = int(i) / columns;
        svg += format_text("<rect class=\"part-%zu\" x=\"%d\" y=\"%d\" width=\"12\" height=\"12\"/>"
                           "<text x=\"%d\" y=\"%d\">%s</text>\n",
                           i, 20 + column * 290, legend + line * 22, 38 + column * 290, legend + line * 22 + 11,
                           escaped(parts[i]).c_str());
    }
    return svg + "</svg>\n";
}

} // namespace rknpu
