// safetensors bytes made by hand for tests, right or wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace reckon::test {

// {length, header, data}, whatever the header says.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  const uint64_t length = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  out += header;
  out += data;
  return out;
}

// "name": {"dtype": …, "shape": …, "data_offsets": …}
inline std::string entry(std::string_view name, std::string_view dtype, std::string_view shape,
                         std::string_view offsets) {
  std::string out = "\"";
  out.append(name).append("\":{\"dtype\":\"").append(dtype).append("\",\"shape\":");
  out.append(shape).append(",\"data_offsets\":").append(offsets).append("}");
  return out;
}

}  // namespace reckon::test
