// SHA-256 (FIPS 180-4) of data and of whole files, by OpenSSL, as 64 lower-case hexadecimal digits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace reckon {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const std::byte> data);
  // The digits; the object is spent then.
  std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256_of(std::string_view text);

// Of an open regular file from its first byte to its last; path only names it in errors. told gets
// the bytes read so far and returns false to stop. Errors: kBadFile when it can't be read,
// kInterrupted when stopped.
Result<std::string> sha256_of_file(int fd, const std::string& path,
                                   const std::function<bool(uint64_t)>& told);

// Whether text is 64 hexadecimal digits of either case.
bool is_sha256(std::string_view text);

}  // namespace reckon
