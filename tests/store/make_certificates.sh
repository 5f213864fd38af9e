#!/bin/sh
# Makes fixtures/: an authority for tests and the certificates of servers by it, for tls_test.py.
#   sh tests/store/make_certificates.sh
set -eu
cd "$(dirname "$0")/fixtures"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 \
  -subj "/CN=reckon test authority" -keyout "$work/ca.key" -out ca.pem
# NAME SUBJECT-ALTERNATIVE-NAME [DATES...]
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
    -keyout "$work/$1.key" -out "$work/$1.csr"
  printf 'subjectAltName=%s\n' "$2" > "$work/$1.ext"
  openssl x509 -req -in "$work/$1.csr" -CA ca.pem -CAkey "$work/ca.key" -CAcreateserial \
    -CAserial "$work/serial" -days "$3" -extfile "$work/$1.ext" -out "$work/$1.pem"
  cat "$work/$1.key" "$work/$1.pem" > "$1.pem"
}
certificate good "DNS:localhost,IP:127.0.0.1" 36500
certificate other "DNS:other.example,IP:192.0.2.1" 36500
certificate expired "DNS:localhost,IP:127.0.0.1" 0
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 \
  -subj "/CN=localhost" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
  -keyout "$work/self.key" -out "$work/self.pem"
cat "$work/self.key" "$work/self.pem" > self.pem
