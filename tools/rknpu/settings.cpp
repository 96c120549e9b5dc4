// rknpu settings: the settings table with the values in force, or as the page docs/settings.md.
//
// Invariant: reads only.
#include "commands.h"

#include "base/settings.h"

#include <cstdio>
#include <memory>

extern "C" char ** environ;

namespace rknpu {

namespace {

int print_settings(bool markdown) {
    global_settings(); // for its complaints about the environment
    const auto rows = list_settings(environ);
    if (markdown) {
        std::printf("# Settings\n\nGenerated from the settings table by `rknpu settings --markdown`.\n\n| variable | "
                    "default | meaning |\n|---|---|---|\n");
        for (const auto & row : rows)
            std::printf("| `%s` | %s | %s |\n", row.name.c_str(),
                        row.default_text.empty() ? "(empty)" : row.default_text.c_str(), row.meaning.c_str());
        return 0;
    }
    for (const auto & row : rows) {
        std::printf("%s=%s%s\n    %s\n", row.name.c_str(), row.value.c_str(),
                    row.from_environment ? "   (from the environment)" : "", row.meaning.c_str());
    }
    return 0;
}

} // namespace

void add_settings(CLI::App & app, int & exit_code) {
    CLI::App * command = app.add_subcommand("settings", "every setting, its value in force and its meaning");
    const auto markdown = std::make_shared<bool>(false);
    command->add_flag("--markdown", *markdown, "as the page docs/settings.md");
    command->callback([&exit_code, markdown] { exit_code = print_settings(*markdown); });
}

} // namespace rknpu
