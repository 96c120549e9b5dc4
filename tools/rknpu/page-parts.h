// What the HTML pages of the tools share: one file that needs nothing else, plots as inline SVG.
//
// Invariant: every text from outside goes through escaped().
#pragma once

#include <cmath>
#include <string>
#include <vector>

namespace rknpu {

std::string escaped(const std::string & text);
// A number by a printf format, or a dash where it is none.
std::string figure(const char * format, double value);
// A label that fits beside a plot.
std::string shortened(const std::string & label);

// title: escaped here. body: HTML.
std::string whole_page(const std::string & title, const std::string & body);
std::string section(const char * title, const std::string & words, const std::string & content);

struct axis {
    double first, last; // of the values, or of their logarithms
    bool logarithmic;
    double place(double value) const;
};
// An axis that values between first and last fit on, and its ticks: 1, 2 or 5 times a power of ten, four to nine.
axis round_axis(double first, double last, std::vector<double> & ticks);

struct curve {
    std::string label;
    const char * colour; // a class of the style: npu, cpu, third
    std::vector<double> x, y;
};
// Lines over a logarithmic x axis; y from zero.
std::string curve_plot(const std::vector<curve> & curves, const char * x_label, const char * y_label);

struct stack_bar {
    std::string label;
    std::vector<double> values;
    std::string text; // behind the bar
};
// Horizontal bars of parts; each part has a name and the colour part-<index>; unit: of the values.
std::string stack_plot(const std::vector<std::string> & parts, const std::vector<stack_bar> & bars, const char * unit);

} // namespace rknpu
