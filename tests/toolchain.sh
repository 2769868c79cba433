#!/bin/sh
# Installs the Debian packages named as arguments that are missing, where apt and the rights are there.
missing=
for package in "$@"; do
  dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
# The tools may come from elsewhere than Debian's packages.
if command -v arm-none-eabi-gcc >/dev/null 2>&1 && command -v qemu-system-arm >/dev/null 2>&1; then
  exit 0
fi
command="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null 2>&1; then
  echo "missing:$missing. Install arm-none-eabi-gcc with newlib, and qemu-system-arm; tests that need them skip." >&2
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "missing:$missing. Run: sudo $command; tests that need them skip." >&2
  exit 0
fi
# The second try is for machines whose package lists are absent or old.
$command >/dev/null 2>&1 || { apt-get update -qq && $command >/dev/null; } || {
  echo "could not install:$missing; tests that need them skip (with CI=true they fail)." >&2
}
