// A prediction as one HTML page.
#include "base/log.h"
#include "page-parts.h"
#include "predict/prediction.h"

namespace rknpu {

namespace {

std::string formats_table(const prediction & p) {
    std::string html = "<table>\n<tr><th>format</th><th>prompt tokens/s</th><th>decode tokens/s</th>"
                       "<th>mJ per prompt token</th><th>mJ per decoded token</th><th>RAM, GiB</th><th>fits</th></tr>\n";
    for (const format_outlook & o : p.formats)
        html += format_text("<tr><td>%s</td><td>%.1f</td><td>%.2f</td><td>%s</td><td>%s</td><td>%.2f</td>"
                            "<td%s>%s</td></tr>\n",
                            escaped(o.name).c_str(), o.prompt_s(), o.decode_s(), millijoules(o.prompt_joules).c_str(),
                            millijoules(o.decode_joules).c_str(), double(o.ram_bytes) / double(1 << 30),
                            o.fits ? "" : " class=\"warn\"", o.fits ? "yes" : "no");
    return html + "</table>\n";
}

std::string splits(const prediction & p, time_split format_outlook::*which, const char * unit, double scale) {
    std::vector<std::string> parts;
    for (size_t i = 0; i < n_parts; i++)
        parts.push_back(part_meaning(part(i)));
    std::vector<stack_bar> bars;
    for (const format_outlook & o : p.formats) {
        const double total = (o.*which).total() * scale;
        stack_bar bar{o.name, {}, format_text(total < 100 ? "%.3g %s" : "%.0f %s", total, unit)};
        for (const double us : (o.*which).us)
            bar.values.push_back(us * scale);
        bars.push_back(std::move(bar));
    }
    return stack_plot(parts, bars, unit);
}

std::string levers_table(const prediction & p) {
    std::string html = "<table>\n<tr><th>if there were</th><th>decode</th><th>prompt</th></tr>\n";
    for (const lever & l : p.levers)
        html += format_text("<tr><td>%s</td><td>%+.0f %%</td><td>%+.0f %%</td></tr>\n", escaped(l.name).c_str(),
                            100 * l.decode_gain, 100 * l.prompt_gain);
    return html + "</table>\n";
}

std::string curve_table(const prediction & p) {
    std::string html = "<table>\n<tr><th>prompt, tokens</th><th>prompt tokens/s</th><th>s to the first token</th>"
                       "<th>decode tokens/s after it</th></tr>\n";
    for (const curve_point & c : p.curve)
        html += format_text("<tr><td>%zu</td><td>%.1f</td><td>%.3f</td><td>%.2f</td></tr>\n", c.tokens, c.prompt_s,
                            c.first_token_s, c.decode_s);
    return html + "</table>\n";
}

} // namespace

std::string prediction_page(const prediction & p) {
    curve prompt{"prompt", "npu", {}, {}}, decode{"decode", "third", {}, {}};
    for (const curve_point & c : p.curve) {
        prompt.x.push_back(double(c.tokens));
        prompt.y.push_back(c.prompt_s);
        decode.x.push_back(double(c.tokens));
        decode.y.push_back(c.decode_s);
    }
    std::string html = format_text("<p class=\"soft\">On %s, a context of %zu tokens. Configuration: %s.</p>\n",
                                   escaped(p.where->title).c_str(), p.context, escaped(p.origin).c_str());
    html += "<p class=\"warn\">Every figure is modelled: nothing on this page was measured.</p>\n";
    html += "<p>It " + escaped(fit_in_words(p)) + ".</p>\n";
    const std::string chosen = "With <b>" + escaped(p.chosen().name) + "</b>. ";
    html += section("Speed and energy by format",
                    format_text("Prompt: %zu tokens; decode: behind an empty context. mJ are above idle and good to a "
                                "factor of two.",
                                prompt_tokens),
                    formats_table(p));
    html += section("Where the time of a decoded token goes", "In ms. What the NPU's work hides is not counted.",
                    splits(p, &format_outlook::decode, "ms", 1e-3));
    html += section("Where the time of the prompt goes", format_text("In ms, %zu tokens.", prompt_tokens),
                    splits(p, &format_outlook::prompt, "ms", 1e-3));
    html += section("Prompts by their length", chosen + "Tokens/s while the prompt is read.",
                    curve_plot({prompt}, "tokens of the prompt", "tokens/s"));
    html += section("Decoding by depth", chosen + "Tokens/s behind a prompt of that length.",
                    curve_plot({decode}, "tokens of the prompt", "tokens/s"));
    html += section("By length, in figures", chosen, curve_table(p));
    html += section("What would help most", chosen + "Bounds: how much faster it were if this cost nothing.",
                    levers_table(p));
    return whole_page(p.model + ", predicted", html);
}

} // namespace rknpu
