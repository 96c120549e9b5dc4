// The page of rknpu fidelity: one HTML file that needs nothing else, plots as inline SVG.
//
// Invariant: every text from outside is escaped; an emulated run is called so beside its figures.
#include "fidelity.h"

#include "base/log.h"
#include "page-parts.h"

#include <algorithm>

namespace rknpu {

namespace {

struct bar {
    const fidelity_run * run;
    double value, uncertainty;
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
    std::vector<double> ticks;
    const axis scale = round_axis(first, last, ticks);
    return plot(bars, scale, ticks, format);
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
    std::string html = format_text(
        "<p class=\"soft\">%d chunks of %d tokens of %s; reference: %s on the CPU%s. Every figure is "
        "llama-perplexity's own.</p>\n",
        report.reference.chunks, wishes.context, escaped(wishes.text).c_str(), escaped(wishes.reference).c_str(),
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
    return whole_page("Fidelity of " + wishes.model, html);
}

} // namespace rknpu
