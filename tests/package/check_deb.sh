#!/bin/sh
# The package as a user gets it: one program that needs nothing but glibc, at most the one of Debian
# 12 when built there, with its manual, completions and licences. Usage: check_deb.sh BUILD
set -eu
package=$(ls -t "$1"/reckon_*.deb | head -n 1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
dpkg-deb -x "$package" "$folder"
fail() {
  echo "check_deb: $*" >&2
  exit 1
}

depends=$(dpkg-deb -f "$package" Depends)
echo "$depends" | grep -Eqx 'libc6 \(>= [0-9.]+\)' ||
  fail "expected to depend on libc6 alone, found: $depends"

program=$folder/usr/bin/reckon
needed=$(objdump -p "$program" | awk '$1 == "NEEDED" { print $2 }' | sort | tr '\n' ' ')
for library in $needed; do
  case $library in
    libc.so.6 | libm.so.6 | ld-linux-*) ;;
    *) fail "expected to need glibc alone, found $library" ;;
  esac
done

for file in usr/share/man/man1/reckon.1.gz usr/share/doc/reckon/copyright \
  usr/share/doc/reckon/changelog.gz usr/share/bash-completion/completions/reckon \
  usr/share/zsh/vendor-completions/_reckon usr/share/fish/vendor_completions.d/reckon.fish \
  usr/lib/systemd/system/reckon.service usr/share/applications/reckon.desktop \
  usr/share/doc/reckon/server.md; do
  [ -s "$folder/$file" ] || fail "expected $file in the package"
done
for library in libfmt-dev libcli11-dev libedit-dev libbsd-dev libmd-dev \
  libncurses-dev; do
  grep -q "Linked in, from $library" "$folder/usr/share/doc/reckon/copyright" ||
    fail "expected the licence of $library"
done
expected='/usr/(bin/reckon$|share/|lib/systemd/system/reckon.service$)'
if find "$folder" -type f | grep -vE "$expected"; then
  fail "expected one program and its documents"
fi

"$program" --version
echo "$(basename "$package"): $(stat -c %s "$package") bytes, depends on $depends, needs $needed"
