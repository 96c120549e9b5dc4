// The page of rknpu fidelity: one HTML file that needs nothing else, plots as inline SVG.
//
// Invariant: every text from outside is escaped; an emulated run is called so beside its figures.
#include "fidelity.h"

#include "base/log.h"

#include <algorithm>

namespace rknpu {

namespace {

constexpr const char * style = R"(
:root { --ink: #1f2933; --soft: #627180; --line: #d9dfe5; --paper: #fff;
  --npu: #2563ab; --cpu: #8a94a0; --warn: #8a4b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --soft: #9aa7b4; --line: #3a444e; --paper: #14191e;
  --npu: #6aa9f0; --cpu: #7c8894; --warn: #f0b060; } }
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
)";

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

struct bar {
    const fidelity_run * run;
    double value, uncertainty;
};

struct axis {
    double first, last; // of the values, or of their logarithms
    bool logarithmic;
    double place(double value) const {
        const double v = logarithmic ? (value > 0 ? std::log10(value) : first) : value;
        return std::clamp((v - first) / (last - first), 0.0, 1.0);
    }
};

// Horizontal bars, one a run. Linear axes do not start at zero, so their bars are marks with the uncertainty beside.
std::string plot(const std::vector<bar> & bars, const axis & scale, const std::vector<double> & ticks,
                 const char * format) {
    constexpr int left = 230, width = 520, row = 26, top = 8;
    const int height = top + row * int(bars.size()) + 24;
    const auto x = [&](double value) { return left + width * scale.place(value); };
    std::string svg = format_text("<svg viewBox=\"0 0 900 %d\" role=\"img\">\n", height);
    for (const double tick : ticks)
        svg +=
            format_text("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/><text class=\"soft\" x=\"%.1f\" y=\"%d\" "
                        "text-anchor=\"middle\">%g</text>\n",
                        x(tick), x(tick), top, height - 20, x(tick), height - 5, tick);
    int y = top;
    for (const bar & b : bars) {
        const char * kind = b.run->kind == run_kind::npu ? "npu" : "cpu";
        svg += format_text("<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", left - 8, y + 17,
                           shortened(b.run->label).c_str());
        if (scale.logarithmic) {
            svg += format_text("<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>", kind,
                               left, y + 4, std::max(x(b.value) - left, 2.0), row - 8);
        } else {
            const double from = x(b.value - b.uncertainty), to = x(b.value + b.uncertainty);
            svg +=
                format_text("<rect class=\"%s\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"2\"/><circle class=\"%s\" "
                            "cx=\"%.1f\" cy=\"%d\" r=\"5\"/>",
                            kind, from, y + 12, std::max(to - from, 1.0), kind, x(b.value), y + 13);
        }
        svg += format_text("<text x=\"%d\" y=\"%d\">%s</text>\n", left + width + 10, y + 17,
                           figure(format, b.value).c_str());
        y += row;
    }
    return svg + "</svg>\n";
}

std::string kld_plot(const std::vector<bar> & bars) {
    double smallest = 1, largest = 1e-6; // six digits are printed
    for (const bar & b : bars) {
        if (b.value <= 0) continue;
        smallest = std::min(smallest, b.value);
        largest = std::max(largest, b.value);
    }
    const axis scale{std::floor(std::log10(std::min(smallest, largest))) - 1, std::ceil(std::log10(largest) + 1e-9),
                     true};
    std::vector<double> ticks;
    for (double power = scale.first; power <= scale.last; power++)
        ticks.push_back(std::pow(10, power));
    return plot(bars, scale, ticks, "%.6f");
}

std::string linear_plot(const std::vector<bar> & bars, const char * format) {
    double first = INFINITY, last = -INFINITY;
    for (const bar & b : bars) {
        const double spread = std::isfinite(b.uncertainty) ? b.uncertainty : 0;
        first = std::min(first, b.value - spread);
        last = std::max(last, b.value + spread);
    }
    // Round steps: 1, 2 or 5 times a power of ten, four to nine of them.
    const double span = std::max(last - first, 1e-3);
    double step = std::pow(10, std::floor(std::log10(span)));
    step *= span / step < 2 ? 0.2 : span / step < 5 ? 0.5 : 1;
    const axis scale{std::floor(first / step) * step, std::ceil(last / step) * step + step * 1e-6, false};
    std::vector<double> ticks;
    for (int i = 0; scale.first + i * step <= scale.last; i++)
        ticks.push_back(std::round((scale.first + i * step) / step) * step);
    return plot(bars, scale, ticks, format);
}

std::string section(const char * title, const char * words, const std::string & svg) {
    return format_text("<h2>%s</h2>\n<p class=\"soft\">%s</p>\n<div class=\"wide\">%s</div>\n", title, words,
                       svg.c_str());
}

std::string table(const fidelity_report & report) {
    std::string html = "<div class=\"wide\"><table>\n<tr><th>run</th><th>PPL</th><th>mean KLD</th><th>99 % KLD</th>"
                       "<th>same top</th>";
    const auto cpus = cpu_runs(report);
    for (const fidelity_run * cpu : cpus)
        html += "<th>&times; " + escaped(cpu->label) + "</th>";
    html += "</tr>\n";
    const auto add = [&](const fidelity_run & run) {
        const perplexity_statistics & s = run.statistics;
        html += "<tr><td>" + escaped(run.label) + (run.emulated ? " <span class=\"warn\">emulated</span>" : "") +
                (run.kind == run_kind::reference ? " <span class=\"soft\">reference</span>" : "") + "</td>";
        html += "<td>" + figure("%.4f", s.ppl) + " &plusmn; " + figure("%.4f", s.ppl_uncertainty) + "</td>";
        html += "<td>" + figure("%.6f", s.mean_kld) + " &plusmn; " + figure("%.6f", s.mean_kld_uncertainty) + "</td>";
        html += "<td>" + figure("%.6f", s.kld_99) + "</td><td>" + figure("%.3f %%", s.same_top) + "</td>";
        for (const fidelity_run * cpu : cpus)
            html += "<td>" + (run.kind == run_kind::reference ? "&ndash;" : figure("%.3f", multiple_of(run, *cpu))) +
                    "</td>";
        html += "</tr>\n";
    };
    add(report.reference);
    for (const auto & run : report.runs)
        add(run);
    return html + "</table></div>\n";
}

std::string account(const fidelity_run & run) {
    std::string html = "<h3>" + escaped(run.label) + "</h3>\n<pre>" + escaped(run.device) + "\n";
    if (run.emulated) html += "EMULATED: right results, but its speed says nothing about a board\n";
    for (const auto & line : run.tensors)
        html += escaped(line) + "\n";
    for (const auto & line : run.notes)
        html += "note: " + escaped(line) + "\n";
    return html + "</pre>\n";
}

} // namespace

std::string report_page(const fidelity_report & report) {
    const fidelity_wishes & wishes = report.wishes;
    std::vector<bar> kld, ppl, same_top;
    for (const auto & run : report.runs) {
        const perplexity_statistics & s = run.statistics;
        kld.push_back({&run, s.mean_kld, s.mean_kld_uncertainty});
        ppl.push_back({&run, 100 * s.log_ppl_ratio, 100 * s.log_ppl_ratio_uncertainty});
        same_top.push_back({&run, s.same_top, s.same_top_uncertainty});
    }
    const std::string title = "Fidelity of " + escaped(wishes.model);
    std::string html = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                       "content=\"width=device-width\">\n<title>" +
                       title + "</title><style>" + style + "</style></head><body>\n<h1>" + title + "</h1>\n";
    html += format_text("<p class=\"soft\">%d chunks of %d tokens of %s; reference: %s on the CPU%s. Every figure is "
                        "llama-perplexity's own.</p>\n",
                        report.reference.chunks, wishes.context, escaped(wishes.text).c_str(),
                        escaped(wishes.reference).c_str(),
                        wishes.stats.empty() ? "" : (", calibrated with " + escaped(wishes.stats)).c_str());
    if (report.emulated())
        html += "<p class=\"warn\">The NPU was emulated: the results are those of the chip's arithmetic, no board was "
                "used.</p>\n";
    html += table(report);
    html += section("Mean KL divergence from the reference", "Smaller is better; logarithmic scale.", kld_plot(kld));
    html +=
        section("Perplexity against the reference's",
                "100 ln(PPL / PPL of the reference): about the change in percent, 0 is the reference. The text is the "
                "same, so its part of the uncertainty falls out.",
                linear_plot(ppl, "%.4f"));
    html += section("Same most likely token as the reference", "In percent of the tokens; larger is better.",
                    linear_plot(same_top, "%.3f"));
    html += "<h2>What ran where</h2>\n";
    for (const auto & run : report.runs)
        if (run.kind == run_kind::npu) html += account(run);
    return html + "</body></html>\n";
}

} // namespace rknpu
