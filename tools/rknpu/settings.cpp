// rknpu settings: the settings table with the values in force, or as the page docs/settings.md.
//
// Invariant: reads only.
#include "commands.h"

#include "base/settings.h"
#include "plan/policy-file.h"

#include <cstdio>
#include <cstdlib>
#include <memory>

extern "C" char ** environ;

namespace rknpu {

namespace {

void print_markdown(const std::vector<setting_row> & rows) {
    std::printf("# Settings\n\nGenerated from the settings table by `rknpu settings --markdown`.\n\n| variable | "
                "default | meaning |\n|---|---|---|\n");
    for (const auto & row : rows)
        std::printf("| `%s` | %s | %s |\n", row.name.c_str(),
                    row.default_text.empty() ? "(empty)" : row.default_text.c_str(), row.meaning.c_str());
}

int print_settings(bool markdown, bool as_json) {
    global_settings(); // for its complaints about the environment
    const auto rows = list_settings(environ);
    if (markdown) {
        print_markdown(rows);
    } else if (as_json) {
        std::printf("%s\n", text_of(settings_in_force(environ), 2).c_str());
    } else {
        for (const auto & row : rows)
            std::printf("%s=%s%s\n    %s\n", row.name.c_str(), row.value.c_str(),
                        row.from_environment ? "   (from the environment)" : "", row.meaning.c_str());
    }
    return 0;
}

// Of a number that cannot be used the table shows the default: then the two differ.
std::string source_of(const setting_row & row) {
    if (!row.from_environment) return "default";
    const char * given = std::getenv(row.name.c_str());
    return given && row.value == given ? "environment" : "default, for the environment's value cannot be used";
}

} // namespace

json settings_in_force(const char * const * environment) {
    json all = json::array();
    for (const auto & row : list_settings(environment))
        all.push_back({{"name", row.name},
                       {"value", row.value},
                       {"default", row.default_text},
                       {"source", source_of(row)},
                       {"meaning", row.meaning}});
    return all;
}

status check_format(const std::string & option, const std::string & text) {
    const auto parsed = read_policy(text);
    return parsed.ok() ? status() : status(errc::invalid_argument, option + ": " + parsed.status().message());
}

void add_settings(CLI::App & app, int & exit_code) {
    CLI::App * command = app.add_subcommand("settings", "every setting, its value in force and its meaning");
    const auto markdown = std::make_shared<bool>(false), as_json = std::make_shared<bool>(false);
    CLI::Option * page = command->add_flag("--markdown", *markdown, "as the page docs/settings.md");
    command->add_flag("--json", *as_json, "as JSON, with the source of each value")->excludes(page);
    command->callback([&exit_code, markdown, as_json] { exit_code = print_settings(*markdown, *as_json); });
}

} // namespace rknpu
