// What CLI11 knows of commands and options, as help, man page and completions spell it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace reckon::cli {

// "-m, --model FILE"; of an argument its name.
std::string option_names(const CLI::Option& option);
// With its default, where it has one: "Which random weights (default 0)".
std::string option_description(const CLI::Option& option);
// What help calls its value: "N", "FILE".
std::string value_name(const CLI::Option& option);
// Whether it is followed by a value, and whether that names a file or a folder.
bool takes_value(const CLI::Option& option);
bool takes_path(const CLI::Option& option);
// "--model" and "-m", with their dashes.
std::vector<std::string> option_spellings(const CLI::Option& option);

// The commands that help lists, in its order.
std::vector<const CLI::App*> listed_commands(const CLI::App& app);
// What may stand for an argument or a value, where that is a short list: a shape, a shell, a type.
std::vector<std::string> choices(const CLI::App& command, const CLI::Option& option);

// Breaks text at blanks so that lines take at most `columns`; all but the first begin with indent.
std::string wrap(std::string_view text, size_t columns, std::string_view indent);

}  // namespace reckon::cli
