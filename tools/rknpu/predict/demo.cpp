// See demo.h.
#include "predict/demo.h"

#include "base/log.h"
#include "predict/peers.h"
#include "shape-model.h"

#include <algorithm>

namespace rknpu {

namespace {

std::string test_name(const peer_row & row) {
    return row.prompt ? format_text("pp%zu", row.prompt) : format_text("tg%zu", row.generated);
}

struct peer_summary {
    std::vector<peer_result> results;
    size_t n_within = 0, n_w8a8_within = 0, n_decode = 0, n_decode_within = 0;
    double median = 0; // of |ratio - 1|
};

peer_summary summarize() {
    peer_summary sum;
    sum.results = predict_peers();
    std::vector<double> errors;
    for (const peer_result & r : sum.results) {
        const bool within = r.within(peer_tolerance);
        sum.n_within += within;
        sum.n_w8a8_within += within && r.row->numeric_format == format::w8a8;
        sum.n_decode += r.row->prompt == 0;
        sum.n_decode_within += within && r.row->prompt == 0;
        errors.push_back(std::abs(r.ratio() - 1));
    }
    std::sort(errors.begin(), errors.end());
    sum.median = errors.empty() ? 0 : errors[errors.size() / 2];
    return sum;
}

// Ours on the board of a published row, in one format.
struct our_speed {
    double prompt_s, decode_s, joules;
};

our_speed predict_ours(const std::string & shape_text, const char * board_name, const char * format_text, size_t prompt,
                       size_t depth) {
    const named_shape shape = parse_named_shape(shape_text).value();
    const board & where = *find_board(board_name).value();
    const gguf_model model = model_of(*shape.shape, shape.source);
    const forecast f(model, where, *find_chip(where.chip_name).value(), policy::parse(format_text).value(),
                     prompt + depth);
    const time_split decode = f.decode(depth);
    return {double(prompt) * 1e6 / f.prompt(prompt).total(), 1e6 / decode.total(), f.joules(decode)};
}

std::string ours_cells(const std::string & shape, const char * board_name, size_t prompt, size_t depth) {
    std::string cells;
    for (const char * format : {"balanced", "speed"}) {
        const our_speed ours = predict_ours(shape, board_name, format, prompt, depth);
        cells += format_text(" %.0f | %.1f |", ours.prompt_s, ours.decode_s);
    }
    return cells;
}

std::string title_of(const std::string & shape_text) {
    const named_shape shape = parse_named_shape(shape_text).value();
    std::string source = shape.source;
    std::transform(source.begin(), source.end(), source.begin(), [](unsigned char c) { return char(std::toupper(c)); });
    return std::string(shape.shape->title) + " " + source + (shape.shape->from_memory ? " *" : "");
}

std::string published(double tokens_s, const char * format) {
    return tokens_s > 0 ? format_text(format, tokens_s) : "-";
}

} // namespace

std::string peers_text() {
    const peer_summary sum = summarize();
    std::string text =
        "Published speeds of other projects' backends, and this model's of the same work (modelled), tokens/s\n\n";
    text += format_text("%-25s %-19s %-6s %-6s %9s %9s %6s  %-6s %s\n", "whose", "model", "format", "test", "published",
                        "modelled", "ratio", "source", "remark");
    for (const peer_result & r : sum.results)
        text += format_text("%-25s %-19s %-6s %-6s %9.2f %9.2f %6.2f%s %-6s %s\n", r.row->stack, r.row->shape,
                            format_name(r.row->numeric_format), test_name(*r.row).c_str(), r.row->tokens_s, r.predicted,
                            r.ratio(), r.within(peer_tolerance) ? " " : "!", r.row->source, r.row->note);
    text +=
        format_text("\n%zu of %zu rows within %.0f %% (%zu of them w8a8; decoding %zu of %zu); median error %.0f %%; "
                    "! marks the others\n",
                    sum.n_within, sum.results.size(), 100 * peer_tolerance, sum.n_w8a8_within, sum.n_decode_within,
                    sum.n_decode, 100 * sum.median);
    return text + "no constant was fitted to these rows, one choice was made with them in view (docs/predict.md)\n";
}

json peers_json() {
    const peer_summary sum = summarize();
    json rows = json::array();
    for (const peer_result & r : sum.results)
        rows.push_back({{"stack", r.row->stack},
                        {"model", r.row->shape},
                        {"format", format_name(r.row->numeric_format)},
                        {"test", test_name(*r.row)},
                        {"published_tokens_s", r.row->tokens_s},
                        {"modelled_tokens_s", r.predicted},
                        {"ratio", r.ratio()},
                        {"within", r.within(peer_tolerance)},
                        {"source", r.row->source},
                        {"remark", r.row->note}});
    return {
        {"figures", "published and modelled"}, {"tolerance", peer_tolerance},           {"rows", rows},
        {"rows_within", sum.n_within},         {"w8a8_rows_within", sum.n_w8a8_within}, {"median_error", sum.median}};
}

std::string demo_table() {
    std::string text =
        "| model | published by | format | prompt | decode | here, `balanced`: prompt | decode | `speed`: "
        "prompt | decode |\n|---|---|---|--:|--:|--:|--:|--:|--:|\n";
    const std::vector<peer_row> & rows = peer_rows();
    for (const peer_row & row : rows) {
        if (std::string(row.stack) != "invisiofficial" || row.generated) continue;
        const auto decode = std::find_if(rows.begin(), rows.end(), [&](const peer_row & other) {
            return other.generated && std::string(other.stack) == row.stack && std::string(other.shape) == row.shape;
        });
        const double decode_s = decode == rows.end() ? 0 : decode->tokens_s;
        const size_t depth = decode == rows.end() ? 64 : decode->generated / 2;
        text += format_text("| %s | %s | %s | %s | %s |", title_of(row.shape).c_str(), row.stack,
                            format_name(row.numeric_format), published(row.tokens_s, "%.0f").c_str(),
                            published(decode_s, "%.1f").c_str());
        text += ours_cells(row.shape, row.board_name, row.prompt, depth) + "\n";
    }
    for (const other_row & row : other_rows())
        text += format_text("| %s | %s | %s | %s | %s |", title_of(row.shape).c_str(), row.stack, row.format_text,
                            published(row.prompt_s, "%.0f").c_str(), published(row.decode_s, "%.1f").c_str()) +
                ours_cells(row.shape, row.board_name, row.prompt, row.depth) + "\n";
    return text;
}

} // namespace rknpu
