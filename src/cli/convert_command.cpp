// reckon convert: a Hugging Face folder -> a GGUF file, and back.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "cli/interrupts.h"
#include "cli/output.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "model/convert.h"
#include "quants/tensor_type.h"

namespace reckon::cli {
namespace {

struct ConvertOptions {
  std::string in;
  std::string out;
  std::string type;
};

Status run_convert(const ConvertOptions& options) {
  std::optional<TensorType> type;
  if (!options.type.empty()) type = tensor_type_from_name(options.type);
  const PollsForInterrupts interrupts;
  Progress progress("converting");
  const auto on_progress = [&](const ConvertProgress& state) {
    progress.update(static_cast<double>(state.bytes_done), static_cast<double>(state.bytes),
                    state.tensor);
    return !interrupts.interrupted();
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(options.in, ignored)) {
    RECKON_RETURN_IF_ERROR(convert_hf_to_gguf(options.in, options.out, type, on_progress));
  } else {
    if (type == TensorType::kF16) {
      return usage_error("--type: expected bf16 or f32 for a Hugging Face folder, found f16");
    }
    RECKON_RETURN_IF_ERROR(
        convert_gguf_to_hf(options.in, options.out, type.value_or(TensorType::kBF16), on_progress));
  }
  out().write(fmt::format("{}: written\n", options.out));
  return {};
}

}  // namespace

void add_convert_command(Program& program) {
  auto options = std::make_shared<ConvertOptions>();
  CLI::App* command =
      add_command(program, "convert", "Turn a Hugging Face folder into a GGUF file, or back",
                  "A folder (config.json, tokenizer.json, safetensors) of a qwen2 or llama model "
                  "becomes a GGUF "
                  "file, a GGUF file becomes a folder.\n"
                  "Examples:\n"
                  "  reckon convert DeepSeek-R1-Distill-Qwen-7B/ -o r1-7b.gguf\n"
                  "  reckon convert r1-7b.gguf -o folder/",
                  options, run_convert);
  command->add_option("IN", options->in, "The folder or the file")->required();
  command->add_option("-o,--output", options->out, "The file or the folder to write")
      ->type_name("FILE|FOLDER")
      ->required();
  command
      ->add_option("--type", options->type,
                   "Of the matrices in a GGUF file: f32, f16 or bf16 (default: as they are); of "
                   "quantised ones in a folder: bf16 (the default) or f32")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}, CLI::ignore_case));
}

}  // namespace reckon::cli
