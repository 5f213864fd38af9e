// URLs and addresses as threats.md lists them.
#include "store/url.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

namespace reckon {
namespace {

bool is_public(const std::string& text) {
  std::array<uint8_t, 16> bytes{};
  const bool is_v6 = text.find(':') != std::string::npos;
  EXPECT_EQ(::inet_pton(is_v6 ? AF_INET6 : AF_INET, text.c_str(), bytes.data()), 1) << text;
  return is_public_address(std::span(bytes).first(is_v6 ? 16 : 4));
}

TEST(Url, Parses) {
  const Url url = *parse_url("HTTPS://Example.COM:8443/a/b?c=d");
  EXPECT_EQ(url.text(), "https://example.com:8443/a/b?c=d");
  EXPECT_EQ(url.public_text(), "https://example.com:8443/a/b");
  EXPECT_EQ(parse_url("http://a")->text(), "http://a/");
  EXPECT_EQ(parse_url("http://[::1]:80/x")->text(), "http://[::1]/x");
  EXPECT_EQ(parse_url("https://a?x=1")->target, "/?x=1");
}

TEST(Url, RefusesWhatIsNone) {
  for (const std::string text : {"",
                                 "a",
                                 "//a/b",
                                 "file:///etc/passwd",
                                 "ftp://a/b",
                                 "gopher://a/b",
                                 "javascript:alert(1)",
                                 "data:text/plain,x",
                                 "http:/a",
                                 "http:///a",
                                 "http://",
                                 "http://a b/",
                                 "http://a\\b/",
                                 "http://user@a/",
                                 "http://user:pw@a/",
                                 "http://a@b@c/",
                                 "http://a:0/",
                                 "http://a:65536/",
                                 "http://a:-1/",
                                 "http://a:+80/",
                                 "http://a:8o/",
                                 "http://a:/",
                                 "http://[::1/",
                                 "http://[::1]x/",
                                 "http://[]/",
                                 "http://[zz]/",
                                 "http://[fe80::1%25eth0]/",
                                 "http://a/#b",
                                 "http://a\n/",
                                 "http://a/\r\nHost: b",
                                 "http://\xef\xbc\x91\x32\x37.0.0.1/",
                                 "http://127\xe3\x80\x82"
                                 "0.0.1/",
                                 "http://a/\xc3\xa9",
                                 "http://%31%32%37.0.0.1/",
                                 "http://a_b/",
                                 "http://a<b/",
                                 "https://a/\"",
                                 "http://*/",
                                 "http://a,b/"}) {
    EXPECT_FALSE(parse_url(text).ok()) << text;
  }
  EXPECT_FALSE(parse_url("http://a/" + std::string(9000, 'x')).ok());
  EXPECT_FALSE(parse_url("http://" + std::string(300, 'x') + "/").ok());
  EXPECT_FALSE(parse_url(std::string("http://a/\0b", 11)).ok());
}

TEST(Url, FollowsRedirects) {
  const Url base = *parse_url("https://a.example/x/y?z");
  EXPECT_EQ(parse_redirect(base, "/b")->text(), "https://a.example/b");
  EXPECT_EQ(parse_redirect(base, "b")->text(), "https://a.example/x/b");
  EXPECT_EQ(parse_redirect(base, "../../../b/./c")->text(), "https://a.example/b/c");
  EXPECT_EQ(parse_redirect(base, "//b.example/c")->text(), "https://b.example/c");
  EXPECT_EQ(parse_redirect(base, "https://b.example/c?d=/../e#f")->text(),
            "https://b.example/c?d=/../e");
  EXPECT_FALSE(parse_redirect(base, "http://a.example/b").ok());
  EXPECT_FALSE(parse_redirect(base, "file:///etc/passwd").ok());
  EXPECT_FALSE(parse_redirect(base, "javascript:1").ok());
  EXPECT_TRUE(parse_redirect(*parse_url("http://a/"), "https://b/").ok());
}

TEST(Address, WhatIsNotPublic) {
  for (const char* text : {"0.0.0.0",
                           "0.1.2.3",
                           "10.0.0.1",
                           "10.255.255.255",
                           "100.64.0.1",
                           "100.127.255.255",
                           "127.0.0.1",
                           "127.255.255.255",
                           "169.254.0.1",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.0.0.1",
                           "192.0.2.1",
                           "192.88.99.1",
                           "192.168.0.1",
                           "198.18.0.1",
                           "198.19.255.255",
                           "198.51.100.1",
                           "203.0.113.1",
                           "224.0.0.1",
                           "239.1.1.1",
                           "240.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "::127.0.0.1",
                           "::ffff:8.8.8.8",
                           "fe80::1",
                           "febf::1",
                           "fec0::1",
                           "fc00::1",
                           "fd12::1",
                           "ff02::1",
                           "2001::1",
                           "2001:db8::1",
                           "2001:10::1",
                           "2002:7f00:1::",
                           "2002:a9fe:a9fe::",
                           "64:ff9b::127.0.0.1",
                           "64:ff9b::169.254.169.254",
                           "64:ff9b:1::1",
                           "100::1",
                           "3fff::1",
                           "3fff:fff::1",
                           "4000::1",
                           "1::1"}) {
    EXPECT_FALSE(is_public(text)) << text;
  }
  for (const char* text :
       {"1.1.1.1",     "9.255.255.255",        "11.0.0.0",   "100.63.255.255",
        "100.128.0.0", "126.255.255.255",      "128.0.0.1",  "169.253.255.255",
        "169.255.0.0", "172.15.255.255",       "172.32.0.0", "192.167.255.255",
        "192.169.0.0", "198.17.255.255",       "198.20.0.0", "223.255.255.255",
        "2600::1",     "2001:4860:4860::8888", "2a00::1",    "64:ff9b::8.8.8.8"}) {
    EXPECT_TRUE(is_public(text)) << text;
  }
  EXPECT_FALSE(is_public_address({}));
}

}  // namespace
}  // namespace reckon
