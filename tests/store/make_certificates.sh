#!/bin/sh
# Makes fixtures/: an authority for tests and the certificates of servers by it, for tls_test.py.
# They are valid from 2001 to 2101 (one ended in 2002), so that no machine's clock matters.
#   sh tests/store/make_certificates.sh
set -eu
cd "$(dirname "$0")/fixtures"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: > "$work/index"
cat > "$work/ca.cnf" <<END
[ca]
default_ca = authority
[authority]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = none
unique_subject = no
[any]
commonName = supplied
END
begin=20010101000000Z
end=21010101000000Z

# NAME SUBJECT EXTENSIONS END SIGNER...
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" \
    -keyout "$work/$1.key" -out "$work/$1.csr"
  printf '%b' "$3" > "$work/$1.ext"
  name=$1 until=$4
  shift 4
  openssl ca -batch -notext -config "$work/ca.cnf" -in "$work/$name.csr" \
    -extfile "$work/$name.ext" -startdate "$begin" -enddate "$until" -out "$work/$name.pem" "$@"
}
# A server's certificate by the authority, with its key.
server() {
  certificate "$1" "$1" "subjectAltName=$2\n" "$3" -cert ca.pem -keyfile "$work/ca.key"
  cat "$work/$1.key" "$work/$1.pem" > "$1.pem"
}

certificate ca "reckon test authority" "basicConstraints=critical,CA:TRUE\n" "$end" \
  -selfsign -keyfile "$work/ca.key"
cp "$work/ca.pem" ca.pem
here="DNS:localhost,IP:127.0.0.1"
server good "$here" "$end"
server other "DNS:other.example,IP:192.0.2.1" "$end"
server expired "$here" 20020101000000Z
certificate self localhost "subjectAltName=$here\n" "$end" -selfsign -keyfile "$work/self.key"
cat "$work/self.key" "$work/self.pem" > self.pem
