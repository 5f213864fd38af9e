// Template files, Jinja recognition and rendering from arbitrary bytes: nothing may crash, and a
// rendered prompt's tokens decode to its text with no control token from its content. The first
// byte picks what the rest is.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "tokenizer/chat_template.h"

namespace reckon {
namespace {

constexpr std::string_view kSpecials[] = {"<｜User｜>", "<｜Assistant｜>", "<think>",
                                          "</think>",   "<|im_start|>",    "<|im_end|>",
                                          "<|eot_id|>"};

// 256 bytes in the byte-level alphabet and a few special tokens.
std::shared_ptr<const Tokenizer> make_tokenizer() {
  TokenizerSpec spec;
  spec.pre_tokenizer = "llama-bpe";
  int moved = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool kept = (byte >= 0x21 && byte < 0x7f) || (byte >= 0xa1 && byte != 0xad);
    const int c = kept ? byte : moved++;
    std::string spelling;
    if (c < 0x80) {
      spelling += static_cast<char>(c);
    } else {
      spelling += static_cast<char>(0xc0 | (c >> 6));
      spelling += static_cast<char>(0x80 | (c & 0x3f));
    }
    spec.tokens.push_back(spelling);
    spec.kinds.push_back(TokenKind::kNormal);
  }
  for (const std::string_view special : kSpecials) {
    spec.tokens.emplace_back(special);
    spec.kinds.push_back(TokenKind::kControl);
  }
  auto tokenizer = Tokenizer::create(std::move(spec));
  RECKON_CHECK(tokenizer.ok());
  return *tokenizer;
}

// Cuts fields off the input: each begins with its length.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  uint8_t byte() {
    if (bytes_.empty()) return 0;
    const auto value = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return value;
  }
  std::string text() {
    const std::string_view field = bytes_.substr(0, byte());
    bytes_.remove_prefix(field.size());
    return std::string(field);
  }

 private:
  std::string_view bytes_;
};

size_t count_specials(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  size_t n = 0;
  for (const TokenId id : ids) n += tokenizer.kind(id) == TokenKind::kControl ? 1 : 0;
  return n;
}

void render(const ChatTemplate& chat_template, Fields fields) {
  static const std::shared_ptr<const Tokenizer> tokenizer = make_tokenizer();
  RenderOptions options;
  const uint8_t flags = fields.byte();
  options.add_generation_prompt = (flags & 1) != 0;
  options.open_thinking = (flags & 2) != 0;
  if ((flags & 4) != 0) options.tools = fields.text();
  if ((flags & 8) != 0) options.date = fields.text();
  std::vector<Message> messages;
  while (!fields.empty() && messages.size() < 16) {
    const uint8_t kind = fields.byte();
    Message& message = messages.emplace_back();
    message.role = static_cast<Role>(kind % 4);
    message.content = fields.text();
    for (int calls = kind / 4 % 4; calls > 0; --calls) {
      message.tool_calls.push_back({fields.text(), fields.text(), ""});
    }
  }
  const ThinkMarks marks = chat_template.think_marks();
  RECKON_CHECK(marks.open.empty() == marks.close.empty());
  RECKON_CHECK(!marks.open.empty() || !chat_template.opens_thinking(options));
  for (const std::string& stop : chat_template.stop_spellings()) RECKON_CHECK(!stop.empty());
  const auto pieces = chat_template.render(messages, options);
  if (!pieces.ok()) return;
  const std::vector<TokenId> ids = encode_prompt(*tokenizer, *pieces);
  RECKON_CHECK(tokenizer->decode(ids) == render_text(*pieces));
  std::vector<TokenId> scaffold;
  for (const PromptPiece& piece : *pieces) {
    if (piece.scaffold) tokenizer->encode(piece.text, SpecialTokens::kParse, scaffold);
  }
  RECKON_CHECK(count_specials(*tokenizer, ids) == count_specials(*tokenizer, scaffold));
}

}  // namespace
}  // namespace reckon

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string_view rest = bytes.substr(1);
  const std::vector<std::string_view> names = reckon::chat_template_names();
  const size_t what = data[0] % (names.size() + 3);
  if (what < names.size()) {
    reckon::render(**reckon::find_chat_template(names[what]), reckon::Fields(rest));
  } else if (what == names.size()) {
    if (const auto found = reckon::recognise_chat_template(rest); found.ok()) {
      reckon::render(**found, reckon::Fields(rest));
    }
  } else if (what == names.size() + 1) {
    if (const auto custom = reckon::parse_chat_template(rest, "input"); custom.ok()) {
      reckon::render(**custom, reckon::Fields(rest));
    }
  } else {  // a description and a conversation, with a NUL between them
    const size_t end = rest.find('\0');
    const auto custom = reckon::parse_chat_template(rest.substr(0, end), "input");
    if (custom.ok() && end != std::string_view::npos) {
      reckon::render(**custom, reckon::Fields(rest.substr(end + 1)));
    }
  }
  return 0;
}
