#!/bin/sh
# From a bare Debian 12 or Ubuntu 24.04 to a working reckon: installs the packages that are missing,
# builds, and does one job. Never asks; run again, it goes on with what is missing.
#
#   sh tools/setup.sh ask [QUESTION]   ask the small model that is part of the program
#   sh tools/setup.sh test             the same, then every check and test that CI runs
#   sh tools/setup.sh packages         only install what the tests need
set -eu
cd "$(dirname "$0")/.."

build_packages="g++ cmake ninja-build make libfmt-dev libcli11-dev libedit-dev libssl-dev
  ca-certificates"
test_packages="python3 python3-pip googletest libgtest-dev libgmock-dev libbenchmark-dev
  clang-19 libclang-rt-19-dev clang-format-19 clang-tidy-19 g++-aarch64-linux-gnu qemu-user dpkg-dev
  valgrind ccache"

say() { printf '\n== %s\n' "$*"; }
die() {
  printf 'setup.sh: %s\n' "$*" >&2
  exit 1
}

is_installed() {
  test "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed
}

# Runs a command as root: directly, or through sudo.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    env "$@"
  elif command -v sudo >/dev/null; then
    sudo env "$@"
  else
    die "packages are missing and need root: run as root, or install sudo: $wanted"
  fi
}

apt() { as_root DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Acquire::Retries=3 "$@"; }

# Boost.JSON came with 1.75; the distributions carry it in a package named by its version (1.81 in
# Debian 12, 1.83 in Ubuntu 24.04), beside a default one that may be older.
boost_package() {
  apt-cache pkgnames libboost1. | sed -n 's/^libboost1\.\([0-9]*\)-dev$/\1/p' | sort -n |
    awk '$1 >= 75 { version = $1 } END { if (version) print "libboost1." version "-dev" }'
}

install_packages() {
  command -v apt-get >/dev/null ||
    die "this machine has no apt-get; install the equivalents of: $1 and Boost >= 1.75"
  wanted=""
  for package in $1; do
    is_installed "$package" || wanted="$wanted $package"
  done
  # Where npm comes with a Node.js of another origin, the distribution's package would conflict.
  case "$1" in *dpkg-dev*) command -v npm >/dev/null || wanted="$wanted npm" ;; esac
  has_boost=0
  if [ -e /usr/include/boost/json.hpp ]; then has_boost=1; fi
  if [ -z "$wanted" ] && [ "$has_boost" = 1 ]; then
    say "packages: nothing is missing"
    return
  fi
  say "packages: installing$wanted"
  apt update
  if [ "$has_boost" = 0 ]; then
    boost=$(boost_package)
    [ -n "$boost" ] || die "no package with Boost >= 1.75 (boost/json.hpp) is on offer"
    wanted="$wanted $boost"
  fi
  # --no-remove: rather stop than take away something of the user's.
  # shellcheck disable=SC2086
  apt install --no-install-recommends --no-remove $wanted
}

build() {
  say "building reckon"
  make build
}

ask() {
  build
  say "asking it: $1"
  make --no-print-directory ask QUESTION="$1"
}

case "${1:-}" in
  ask)
    install_packages "$build_packages"
    ask "${2:-What is 347 * 26?}"
    ;;
  test)
    install_packages "$build_packages $test_packages"
    # The builds with and without tests share their objects.
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_NOHASHDIR=1 CCACHE_DIR="$PWD/.cache/ccache"
    ask "What is 347 * 26?"
    sh tools/run_checks.sh
    ;;
  packages)
    install_packages "$build_packages $test_packages"
    ;;
  *)
    die "usage: sh tools/setup.sh ask [QUESTION] | test | packages"
    ;;
esac
