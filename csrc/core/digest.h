// SHA-256 (FIPS 180-4), and UUIDs of version 8 (RFC 9562, 5.8) made from it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace fusible {

using Digest = std::array<uint8_t, 32>;

class Sha256 {
 public:
  Sha256();
  void Update(std::string_view bytes);
  // A length (8 bytes, little-endian) and then the bytes: no two lists of parts hash alike.
  void UpdateFramed(std::string_view part);
  Digest Finish();

 private:
  void Block(const uint8_t* data);
  std::array<uint32_t, 8> state_;
  std::array<uint8_t, 64> pending_;
  uint64_t length_ = 0;
};

std::string Hex(const Digest& digest);
// Its first 16 bytes, with version and variant set.
std::string Uuid8(const Digest& digest);

}  // namespace fusible
